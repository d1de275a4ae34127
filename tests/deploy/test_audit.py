"""make audit lists licences, fails on a vulnerability, and says when nobody could be asked."""

import json
import re
import runpy
import shutil
import subprocess
import sys

import pytest
from deployment import ROOT

AUDIT = runpy.run_path(str(ROOT / ".ci/audit.py"))
LOCKS, OTHER_LOCKS = AUDIT["LOCKS"], AUDIT["OTHER_LOCKS"]


@pytest.fixture
def audit(tmp_path):
    """Run the audit of a checkout's copy with a pip-audit that does as told."""
    (tmp_path / ".ci").mkdir()
    for lock in (*LOCKS, *OTHER_LOCKS):
        (tmp_path / lock).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / lock, tmp_path / lock)
    shutil.copy(ROOT / ".ci/audit.py", tmp_path / ".ci")

    def run(shell):
        tool = tmp_path / "pip-audit"
        tool.write_text(f"#!/bin/sh\nfor out; do :; done\n{shell}\n")
        tool.chmod(0o755)
        command = [sys.executable, tmp_path / ".ci/audit.py", tool]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout, (tmp_path / "build/licences.md").read_text()

    return run


def test_every_list_of_pinned_packages_is_audited_or_named_as_not(audit):
    """Found by what they hold, whatever they are called: lines that pin a version with a hash."""
    files = (ROOT / line for line in subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines())  # fmt: skip
    pinned = [
        str(file.relative_to(ROOT))
        for file in files
        if file.suffix in (".txt", ".json", ".lock", ".toml") and file.is_file()
        and re.search(r'--hash=sha256:|"integrity": "sha', file.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert len(pinned) >= 11 and sorted(pinned) == sorted((*LOCKS, *OTHER_LOCKS))
    _, told, _ = audit(report())
    for lock in pinned:
        assert re.search(rf"^vulnerabilities: .*{re.escape(lock)}( NOT CHECKED.*)?$", told, re.M)


def report(*vulnerabilities):
    packages = [{"name": "numpy", "version": "2.4.6", "vulns": list(vulnerabilities)}]
    return f"echo '{json.dumps({'dependencies': packages})}' > $out"


def test_nothing_known_is_a_pass_with_a_licence_of_every_package(audit):
    code, told, licences = audit(report())
    assert code == 0 and told.count("vulnerabilities: 0 in the 1 packages") == len(LOCKS)
    rows = [line.split(" | ") for line in licences.splitlines()[2:]]
    assert {"| kyros-spark", "| numba", "| pyspark", "| pydantic"} <= {row[0] for row in rows}
    assert not [row for row in rows if "not stated" in row[2] and "kyros" not in row[0]]


def test_a_known_vulnerability_fails_with_the_release_that_mends_it(audit):
    code, told, _ = audit(report({"id": "PYSEC-2026-1", "fix_versions": ["2.4.7"]}))
    assert code == 1 and "numpy 2.4.6: PYSEC-2026-1, mended in 2.4.7" in told


def test_a_service_that_does_not_answer_is_told_and_is_no_failure(audit):
    code, told, _ = audit("echo 'ConnectionError: refused' >&2; exit 1")
    assert code == 0 and told.count("NOT CHECKED, the OSV service cannot be reached") == len(LOCKS)
    assert "ConnectionError: refused" in told


@pytest.mark.parametrize(
    ("text", "refused"),
    [("AGPL-3.0-only", True), ("GNU General Public License v3 (GPLv3)", True), ("LGPL-2.1", False),
     ("Apache-2.0", False), ("MPL-2.0", False)],
)  # fmt: skip
def test_licences_that_bind_the_whole_product_are_refused(text, refused):
    assert bool(AUDIT["REFUSED"].search(text)) == refused
