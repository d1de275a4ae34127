"""Write the software bill of materials of a wheel: CycloneDX 1.6, as JSON.

    python .ci/sbom.py WHEEL            (make wheel, which writes dist/kyros_spark-VERSION.cdx.json)

The components are the packages that the wheel needs with all its extras: name, installed version,
licence, the hashes of the lock file, and who needs whom. Two runs on one wheel and one lock write
the same bytes; only the commit's time is in it, where git knows one.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import uuid
from importlib import metadata
from pathlib import Path
from typing import Any

from audit import closure, licence
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "conf/requirements-dev.txt"
EXTRAS = ("local", "report", "onnx", "mlflow")
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s\\;]+)", re.MULTILINE)


def main(wheel: str) -> int:
    """Write the bill beside the wheel."""
    path = Path(wheel)
    target = path.with_name("-".join(path.name.split("-")[:2]) + ".cdx.json")
    target.write_text(json.dumps(bill(path), indent=1, sort_keys=True) + "\n", encoding="utf-8")
    sys.stdout.write(f"bill of materials: {target}\n")
    return 0


def bill(wheel: Path) -> dict[str, Any]:
    """Return the bill of a wheel as CycloneDX's JSON."""
    name, version = (part.replace("_", "-") for part in wheel.name.split("-")[:2])
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    packages = sorted(closure("kyros-spark", EXTRAS) - {"kyros-spark"})
    hashes = locked_hashes(LOCK.read_text(encoding="utf-8"))
    itself = {
        "type": "library",
        "bom-ref": purl(name, version),
        "name": name,
        "version": version,
        "purl": purl(name, version),
        "hashes": [{"alg": "SHA-256", "content": digest}],
        "licenses": [{"license": {"id": "Apache-2.0"}}],
    }
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}",
        "version": 1,
        "metadata": {"component": itself, **_time()},
        "components": [_component(package, hashes) for package in packages],
        "dependencies": [
            _needs("kyros-spark", purl(name, version), packages),
            *(_needs(package, reference(package), packages) for package in packages),
        ],
    }


def locked_hashes(text: str) -> dict[tuple[str, str], list[str]]:
    """Return each pinned package's hashes, by name and version."""
    starts = [*_PINNED.finditer(text)]
    ends = [start.start() for start in starts[1:]] + [len(text)]
    return {
        (normal(start[1]), start[2]): re.findall(r"sha256:([0-9a-f]{64})", text[start.end() : end])
        for start, end in zip(starts, ends, strict=True)
    }


def normal(name: str) -> str:
    """Return a package's name as PyPI spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def purl(name: str, version: str) -> str:
    """Return a package's URL of the kind that all bills use."""
    return f"pkg:pypi/{normal(name)}@{version}"


def reference(package: str) -> str:
    """Return how the bill names an installed package."""
    return purl(package, metadata.version(package))


def _component(package: str, hashes: dict[tuple[str, str], list[str]]) -> dict[str, Any]:
    """Describe a package; its files' hashes are those that pip accepts, one for each platform."""
    version = metadata.version(package)
    files = [
        {"type": "distribution", "url": f"{purl(package, version)}#{n}",
         "hashes": [{"alg": "SHA-256", "content": content}]}
        for n, content in enumerate(hashes.get((package, version), []))
    ]  # fmt: skip
    return {
        "type": "library",
        "bom-ref": purl(package, version),
        "name": package,
        "version": version,
        "purl": purl(package, version),
        "licenses": [{"license": {"name": licence(package)[:200]}}],
        **({"externalReferences": files} if files else {}),
    }


def _needs(package: str, itself: str, packages: list[str]) -> dict[str, Any]:
    """Return which of the packages a package needs."""
    extras = EXTRAS if package == "kyros-spark" else ()
    named = {normal(need.name) for need in map(Requirement, metadata.requires(package) or [])
             if need.marker is None
             or any(need.marker.evaluate({"extra": extra}) for extra in ("", *extras))}  # fmt: skip
    return {"ref": itself, "dependsOn": [reference(name) for name in packages if name in named]}


def _time() -> dict[str, str]:
    command = ["git", "log", "-1", "--format=%cd", "--date=format:%Y-%m-%dT%H:%M:%SZ"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return {}
    return {"timestamp": done.stdout.strip()} if done.stdout.strip() else {}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
