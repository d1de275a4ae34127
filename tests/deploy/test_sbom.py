"""The wheel's bill of materials has what CycloneDX 1.6 requires, and names what is installed."""

import importlib
import json
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest
from deployment import ROOT

TYPES = {"application", "framework", "library", "container", "platform", "operating-system",
         "device", "device-driver", "firmware", "file", "machine-learning-model", "data",
         "cryptographic-asset"}  # fmt: skip
URN = r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


@pytest.fixture
def sbom(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / ".ci"))
    yield importlib.import_module("sbom")
    for name in ("sbom", "audit"):
        sys.modules.pop(name, None)


@pytest.fixture
def bill(sbom, tmp_path):
    wheel = tmp_path / "kyros_spark-0.1.0-py3-none-any.whl"
    wheel.write_bytes(b"a wheel")
    assert sbom.main(str(wheel)) == 0
    first = (tmp_path / "kyros_spark-0.1.0.cdx.json").read_text()
    assert sbom.main(str(wheel)) == 0
    assert (tmp_path / "kyros_spark-0.1.0.cdx.json").read_text() == first
    return json.loads(first)


def test_it_has_the_fields_that_the_schema_requires(bill):
    assert bill["bomFormat"] == "CycloneDX" and bill["specVersion"] == "1.6"
    assert type(bill["version"]) is int and bill["version"] >= 1
    assert re.fullmatch(URN, bill["serialNumber"])
    components = [bill["metadata"]["component"], *bill["components"]]
    for component in components:
        assert component["type"] in TYPES and component["name"] and component["version"]
        (choice,) = component["licenses"]
        assert {*choice["license"]} in ({"id"}, {"name"})
        hashes = [*component.get("hashes", ()),
                  *(h for r in component.get("externalReferences", ()) for h in r["hashes"])]  # fmt: skip
        assert all(
            h["alg"] == "SHA-256" and re.fullmatch("[0-9a-f]{64}", h["content"]) for h in hashes
        )
        assert all(r["type"] and r["url"] for r in component.get("externalReferences", ()))
    references = [component["bom-ref"] for component in components]
    assert len({*references}) == len(references)
    named = [d["ref"] for d in bill["dependencies"]]
    assert sorted(named) == sorted(references)
    assert {r for d in bill["dependencies"] for r in d["dependsOn"]} <= {*references}


def test_every_package_that_the_wheel_brings_is_in_it_with_the_lock_s_hashes(sbom, bill):
    found = {c["name"]: c for c in bill["components"]}
    assert {"numba", "numpy", "pydantic", "pyyaml", "safetensors", "pyspark"} <= {*found}
    assert "pytest" not in found
    for name, component in found.items():
        assert component["version"] == metadata.version(name)
    (itself,) = (d for d in bill["dependencies"] if d["ref"].startswith("pkg:pypi/kyros-spark@"))
    assert {"numba", "pyyaml"} <= {r.split("/")[1].split("@")[0] for r in itself["dependsOn"]}
    hashes = {r["hashes"][0]["content"] for r in found["numba"]["externalReferences"]}
    locked = (ROOT / "conf/requirements-dev.txt").read_text()
    entry = locked.split(f"\nnumba=={found['numba']['version']}")[1].split("\n", 1)[1]
    assert hashes and all(one in entry[:8000] for one in hashes)


def test_make_wheel_writes_it():
    recipe = Path(ROOT, "Makefile").read_text().split("dist/.done:")[1].split("\n\n")[0]
    assert "sbom.py dist/*.whl" in recipe
