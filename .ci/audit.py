"""List the licences of what the wheel brings along, and the known vulnerabilities of every lock.

    python .ci/audit.py PIP_AUDIT            (make audit, which installs pip-audit first)

Writes build/licences.md and build/vulnerabilities-*.json. Exit code 1: a vulnerability, or a
licence that a company could not ship. A vulnerability service that does not answer is told, and is
no error: the licences are checked all the same. No package index is asked, only the OSV database.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
# Every list of packages that anything of this project installs by pip.
LOCKS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("conf/**/requirements*.txt"))
OTHER_LOCKS = sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("conf/**/package-lock.json"))
REFUSED = re.compile(
    r"\bA?GPL|Affero|(?<!Lesser )General Public|SSPL|Commons Clause", re.IGNORECASE
)


def main(pip_audit: str) -> int:
    """Write both lists; return the exit code."""
    build = ROOT / "build"
    build.mkdir(exist_ok=True)
    refused = _licences(build / "licences.md")
    vulnerable = [_vulnerabilities(pip_audit, lock, build) for lock in LOCKS]
    for lock in OTHER_LOCKS:
        _say(f"vulnerabilities: {lock} NOT CHECKED, pip-audit knows no npm packages")
    return int(refused or any(vulnerable))


def closure(name: str, extras: tuple[str, ...] = ()) -> set[str]:
    """Return the installed packages that a package needs, with extras, and it itself."""
    found: set[str] = set()
    waiting = [(name, extras)]
    while waiting:
        one, wanted = waiting.pop()
        key = re.sub(r"[-_.]+", "-", one).lower()
        if key in found:
            continue
        try:
            needs = metadata.requires(key) or []
        except metadata.PackageNotFoundError:  # of another platform
            continue
        found.add(key)
        for need in map(Requirement, needs):
            places = [{"extra": extra} for extra in ("", *wanted)]
            if need.marker is None or any(need.marker.evaluate(place) for place in places):
                waiting.append((need.name, tuple(need.extras)))
    return found


def licence(name: str) -> str:
    """Return the licence that a package states: its expression, its classifiers, or its text."""
    told = metadata.metadata(name)
    if told.get("License-Expression"):
        return str(told["License-Expression"])
    classes = [c for c in told.get_all("Classifier") or [] if c.startswith("License ::")]
    named = "; ".join(c.rpartition(" :: ")[2] for c in classes if c.count("::") > 1)
    return named or (told.get("License") or "not stated").strip().splitlines()[0]


def _licences(target: Path) -> bool:
    packages = sorted(closure("kyros-spark", ("local", "report", "onnx", "mlflow")))
    rows = [(name, metadata.version(name), licence(name)) for name in packages]
    lines = ["| package | version | licence |", "|---|---|---|"]
    target.write_text("\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]))
    _say(f"licences: {len(rows)} packages, in {target}")
    refused = [row for row in rows if REFUSED.search(row[2])]
    for name, version, text in refused:
        _say(f"licences: {name} {version} is under {text}, which a company could not ship")
    return bool(refused)


def _vulnerabilities(pip_audit: str, lock: str, build: Path) -> bool:
    out = build / f"vulnerabilities-{lock.replace('/', '-').removesuffix('.txt')}.json"
    out.unlink(missing_ok=True)
    words = ["--requirement", str(ROOT / lock), "--disable-pip", "--require-hashes"]
    words += ["--vulnerability-service", "osv", "--timeout", "15", "--progress-spinner", "off"]
    words += ["--format", "json", "--output", str(out)]
    done = subprocess.run([pip_audit, *words], capture_output=True, text=True)
    try:
        packages = json.loads(out.read_text())["dependencies"]
    except (OSError, ValueError, KeyError):
        why = (done.stderr.strip().splitlines() or ["no answer"])[-1][:200]
        _say(f"vulnerabilities: {lock} NOT CHECKED, the OSV service cannot be reached: {why}")
        return False
    found = [(p["name"], p["version"], v) for p in packages for v in p.get("vulns", ())]
    _say(f"vulnerabilities: {len(found)} in the {len(packages)} packages of {lock}")
    for name, version, one in found:
        mended = ", ".join(one.get("fix_versions", ())) or "no release"
        _say(f"vulnerabilities: {name} {version}: {one['id']}, mended in {mended}")
    return bool(found)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
