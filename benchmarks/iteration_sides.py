"""The sides of the iteration benchmark, and the commands of each: two builds, two scripts.

A build is asked as a user asks it, by `kyros`. The previous one is the wheel of a commit, in an
environment of its own that shares the locked packages of this one.
"""

import io
import os
import subprocess
import sys
import sysconfig
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from benchmarks.iteration_data import YEARS
from benchmarks.iteration_pg17 import CAP

ROOT = Path(__file__).resolve().parents[1]
PREVIOUS = "8b9ee8a^"  # the last commit before commands were made to answer in seconds
EDITED_CAP, EDITED_DEPTH = 25_000.0, 2
# A machine that has other work too would have xgboost's threads wait for each other in a loop.
CALM = {"OMP_WAIT_POLICY": "passive"}


@dataclass(frozen=True)
class Side:
    """One side: its name, the words before its own, and the environment of its processes."""

    name: str
    words: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=lambda: {**os.environ, **CALM})
    conf: Path = ROOT / "conf" / "pg17.yaml"
    # Python workers import from the folder that they start in before any other.
    cwd: Path = ROOT

    @property
    def is_script(self):
        return self.name in ("pandas", "pyspark")

    def settings(self, folder, source, **changed):
        """Write a build's settings for an extract; return their file."""
        made = yaml.safe_load(self.conf.read_text())
        made["tables"] = {"base": str(folder / "tables")}
        for name in ("policies", "claims"):
            made["sources"][name]["path"] = f"{source}/{name}_year{{batch}}.csv.gz"
        path = folder / "settings.yaml"
        path.write_text(yaml.safe_dump({**made, **changed}))
        return path

    def steps(self, folder, source, heap):
        """Return the words of each step, by its name."""
        if self.is_script:
            return self._script_steps(folder, source, heap)
        settings = self.settings(folder, source, spark={"driver_memory": heap})
        run = ("run", "--config", settings)
        all_years = [word for year in YEARS for word in ("--batch", year)]
        cap = ("--set", f"prepare.claims.cap={EDITED_CAP:.0f}")
        depth = (*cap, "--set", f"train.models.severity_boost.boosting.max_depth={EDITED_DEPTH}")
        again = ("--config", settings, "--batch", "0", "--repeat", "2")
        steps = {
            "year 0": (*run, "--batch", "0"),
            "years 1-4": (*run, *all_years[2:], "--stages", "clean,prepare,predict"),
            "unchanged": (*run, *all_years),
            "edited cap": (*run, "--batch", "0", *cap),
            "edited model": (*run, "--batch", "0", *depth),
            "evaluate": ("evaluate", "--config", settings, "--batch", "0", *depth),
            "warm clean": ("benchmark", "clean", *again),
            "warm train": ("benchmark", "train", *again),
        }
        return {name: (*self.words, *words) for name, words in steps.items()}

    def _script_steps(self, folder, source, heap):
        whole = (*self.words, source, folder / "out", "--memory", heap)
        edited = (*whole, "--years", "0", "--cap", EDITED_CAP)
        return {
            "year 0": (*whole, "--years", "0", "--cap", CAP),
            "years 1-4": (*whole, "--years", ",".join(YEARS[1:])),
            "edited cap": edited,
            "edited model": (*edited, "--depth", EDITED_DEPTH),
        }


def sides(folder, previous=PREVIOUS):
    """Return the sides that there are, by name; build the previous one."""
    here = {**os.environ, **CALM, "PYTHONPATH": str(ROOT)}
    kyros = (sys.executable, "-m", "kyros_spark")
    # A session that this user may have is left alone; the side "session" has one of its own.
    made = [Side("kyros", kyros, {**here, "KYROS_SESSION": "off"})]
    if has_session(made[0]):
        made.append(Side("session", kyros, here))
    commit = commit_of(previous)
    if commit is not None:
        made.append(_previous(folder, commit))
    for name in ("pandas", "pyspark"):
        made.append(Side(name, (sys.executable, "-m", f"benchmarks.iteration_{name}"), here))
    return {side.name: side for side in made}


def has_session(side):
    """Return whether the build has a session that stays."""
    asked = [*side.words, "session", "--help"]
    return not subprocess.run(asked, capture_output=True, cwd=ROOT, env=side.environment).returncode


def commit_of(revision):
    """Return the commit that a revision names; None where it is not in this checkout's history."""
    asked = ["git", "rev-parse", "--verify", f"{revision}^{{commit}}"]
    done = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _previous(folder, commit):
    """Build and install the wheel of a commit, once."""
    home = folder / commit[:12]
    venv, source = home / "venv", home / "source"
    python = venv / "bin" / "python"
    if not (home / "ready").exists():
        archive = subprocess.run(
            ["git", "archive", commit], cwd=ROOT, stdout=subprocess.PIPE, check=True
        )
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(source, filter="data")
        build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", home]
        _quietly([*build, source])
        _quietly([sys.executable, "-m", "venv", "--without-pip", venv])
        wheel = next(home.glob("*.whl"))
        install = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
        _quietly([*install, "install", "--no-deps", "--no-index", wheel])
        # A folder named in a .pth file comes last, and its own .pth files are not read: the locked
        # packages are found there, and this checkout is not.
        site = next((venv / "lib").glob("python3*/site-packages"))
        (site / "shared.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
        (home / "ready").touch()
    environment = {k: v for k, v in {**os.environ, **CALM}.items() if k != "PYTHONPATH"}
    kyros, conf = (str(venv / "bin" / "kyros"),), source / "conf" / "pg17.yaml"
    return Side("previous", kyros, environment, conf, cwd=home)


def _quietly(words):
    subprocess.run(list(map(str, words)), check=True, capture_output=True)
