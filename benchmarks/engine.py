"""Compare the engine with its peers: same models, same rows, same machine, one thread, one run."""

import json
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from benchmarks.engines import ENGINES
from benchmarks.models import CELLS, SHORT

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build" / "bench"
LOCKS = {"peers": "requirements-bench.txt", "lleaves": "requirements-bench-lleaves.txt"}
TIME_LIMIT = 300


def main(short: bool) -> None:
    """Train the models where they are not there yet, measure every cell, write and show it."""
    pythons = {name: _environment(name, lock) for name, lock in LOCKS.items()}
    cells = SHORT if short else CELLS
    numbers = [CELLS.index(cell) for cell in cells]
    _say(f"models: {len(cells)}, trained once into {BUILD / 'models'}")
    train = [str(pythons["peers"]), str(ROOT / "benchmarks" / "models.py")]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    words = [*train, str(BUILD / "models"), *map(str, numbers)]
    subprocess.run(words, check=True, env=environment)
    records = []
    for number in numbers:
        for engine in ENGINES:
            record = _cell(engine, number, pythons)
            records.append({"engine": engine, "model": CELLS[number].name, **record})
            _say(_line(records[-1]))
    parts = _cell("kyros_parts", 0, pythons)
    _say(_parts(parts))
    report = {
        "machine": _machine(),
        "versions": _versions(pythons),
        "cells": records,
        "seconds of the first cell": parts,
    }
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "engine.json").write_text(json.dumps(report, indent=1))
    _say(table(records))
    picture = BUILD / "engine-speed.svg"
    draw = [str(pythons["peers"]), str(ROOT / "benchmarks" / "plot.py")]
    subprocess.run([*draw, str(BUILD / "engine.json"), str(picture)], check=True)
    _say(f"raw numbers: {BUILD / 'engine.json'}; as a picture: {picture}")


def _environment(name: str, lock: str) -> Path:
    folder = BUILD / "venv" / name
    python = folder / "bin" / "python"
    wanted = (ROOT / "conf" / lock).read_text()
    ready = folder / "ready"
    if not ready.exists() or ready.read_text() != wanted:
        _say(f"setting up the environment of {name}")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [str(python), "-m", "pip", "install", "-q", "--require-hashes"]
        subprocess.run([*install, "-r", str(ROOT / "conf" / lock)], check=True)
        ready.write_text(wanted)
    return python


def _cell(engine: str, number: int, pythons: dict[str, Path]) -> dict:
    python = (
        Path(sys.executable)
        if engine.startswith("kyros")
        else pythons.get(engine, pythons["peers"])
    )
    words = [str(python), str(ROOT / "benchmarks" / "engines.py"), engine, str(number)]
    try:
        done = subprocess.run(
            [*words, str(BUILD / "models")], capture_output=True, text=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        return {"cannot": f"no score within {TIME_LIMIT} s"}
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"cannot": done.stderr.strip()[-200:]}


def _parts(parts: dict) -> str:
    if "cannot" in parts:
        return f"the parts could not be measured: {parts['cannot']}"
    one = parts["one model"]
    lines = [f"{CELLS[0].name}, {CELLS[0].rows:,} rows:"]
    lines += [f"  {name:<34}{seconds:>8.3f} s" for name, seconds in parts.items()]
    for name in ("two models, one after the other", "two models in one pass"):
        lines.append(f"  {name}: the second costs {parts[name] / one - 1:.2f} of the first")
    return "\n".join(lines)


def table(records: list[dict]) -> str:
    """Return thousands of rows a second by model and engine, and Kyros over the fastest peer."""
    lines = []
    for model in dict.fromkeys(record["model"] for record in records):
        cells = {r["engine"]: r for r in records if r["model"] == model}
        speeds = {e: r["rows_per_second"] / 1e3 for e, r in cells.items() if "rows_per_second" in r}
        peers = {e: s for e, s in speeds.items() if not e.startswith("kyros")}
        lines.append(f"\n{model}")
        for engine, record in cells.items():
            lines.append("  " + _line({**record, "engine": engine}))
        if peers and "kyros" in speeds:
            best = max(peers, key=peers.__getitem__)
            lines.append(f"  kyros is {speeds['kyros'] / peers[best]:.2f} x {best}")
            own = model.split()[0]
            if own in speeds and "kyros_portable" in speeds:
                ratio = speeds["kyros_portable"] / speeds[own]
                lines.append(f"  kyros_portable is {ratio:.2f} x {own}")
    return "\n".join(lines)


def _line(record: dict) -> str:
    if "cannot" in record:
        return f"{record['engine']:<16} -  ({record['cannot']})"
    first = record["first_score_seconds"]
    told = (
        "      a model of its own    " if first is None else f"{first:>9.2f} s to the first score"
    )
    speed = record["rows_per_second"] / 1e3
    return f"{record['engine']:<16}{speed:>9,.0f} krows/s{told}{record['peak_mb']:>8,.0f} MB"


def _machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": names[0] if names else platform.processor(),
        "cores": len(names),
        "python": platform.python_version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _versions(pythons: dict[str, Path]) -> dict:
    code = (
        "import json, importlib.metadata as m;"
        "print(json.dumps({d.metadata['Name']: d.version for d in m.distributions()}))"
    )
    versions = {}
    for name, python in pythons.items():
        done = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
        versions[name] = json.loads(done.stdout)
    versions["kyros"] = {
        n: metadata.version(n) for n in ("kyros-spark", "numba", "numpy", "llvmlite")
    }
    return versions


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
