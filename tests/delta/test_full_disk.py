"""A device that is full in the middle of a write: named, nothing lost, and the same command goes on.

A file system of its own, in memory, holds the tables; mounting one takes root.
"""

import os
import shutil
import subprocess

import pytest
from portfolio import FIRST

SIZE = 24  # MiB
RUN = f"run --batch {FIRST} --stages clean,prepare,predict"
TABLES = ("policies", "claims", "rejects", "prepared", "predictions")


@pytest.fixture
def device(tmp_path):
    """Mount a small file system; yield its folder."""
    folder = tmp_path / "device"
    folder.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}m", "kyros", str(folder)]
    if subprocess.run(words, capture_output=True, check=False).returncode != 0:
        pytest.skip("a file system cannot be mounted here: it takes root, and Linux")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(device, leaving):
    """Leave so many bytes of the device free; return the file that takes the rest."""
    ballast = device / "ballast"
    free = os.statvfs(device)
    with ballast.open("wb") as file:
        file.write(bytes(max(free.f_bavail * free.f_frsize - leaving, 0)))
    return ballast


def rows(portfolio, spark):
    left_out = ("run_id", "predicted_at", "prepared_at")
    told = {}
    for table in TABLES:
        read = portfolio.read(spark, table).drop(*left_out)
        told[table] = sorted(map(str, read.collect()))
    return told


def corrected(portfolio):
    """Deliver the first batch again, one age corrected: every stage of RUN has work to do."""
    portfolio.spoil_cells("age", {5: "33"})
    return portfolio


@pytest.mark.slow
def test_wherever_the_device_is_full_the_run_is_named_and_the_next_one_ends_alike(
    finished, device, spark, tmp_path
):
    undisturbed = corrected(finished.copy_to(tmp_path / "undisturbed"))
    undisturbed.must(RUN)
    portfolio = corrected(finished.copy_to(tmp_path / "full"))
    portfolio.base = shutil.move(portfolio.base, device / "tables")
    portfolio.set("tables.base", str(portfolio.base))
    before, errors = rows(portfolio, spark), set()
    for leaving in (0, 60_000, 250_000):
        ballast = fill(device, leaving)
        outcome = portfolio.kyros(RUN)
        ballast.unlink()
        assert outcome.code == 1, outcome.line
        errors.add(outcome.line["error"]["type"])
        seen = rows(portfolio, spark)
        # A table is as it was, or has got what an undisturbed run leaves.
        assert all(len(seen[table]) == len(before[table]) for table in TABLES)
    assert errors == {"StorageFullError"}
    portfolio.must(RUN)
    assert rows(portfolio, spark) == rows(undisturbed, spark)
