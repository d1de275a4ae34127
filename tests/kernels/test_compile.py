"""Kernels compile whatever the disk looks like, and are cached where that is safe."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = """
import numpy as np
from numba import types
from kyros_spark.kernels.compile import cache_folder, compiled, read_only, writable
from kyros_spark.kernels.table_sum import add_table
add = compiled(add_table, read_only("i4"), read_only("f8"), writable("f8"))
def frozen(a):
    a.flags.writeable = False
    return a
sums = np.zeros(2)
add(frozen(np.array([0, 1], "i4")), frozen(np.array([2.0, 3.0])), sums)
assert sums.tolist() == [2.0, 3.0]
import sys
sys.stdout.write(f"{cache_folder()} {sum(add.stats.cache_hits.values())}")
"""


def run(environment, path=ROOT):
    full = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA", "KYROS", "XDG"))}
    full |= {"PYTHONPATH": str(path)} | environment
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], env=full, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    folder, hits = done.stdout.split(" ")
    return folder, int(hits)


def test_the_second_process_finds_compiled_code(tmp_path):
    where = {"KYROS_KERNEL_CACHE": str(tmp_path / "kernels")}
    assert run(where) == (str(tmp_path / "kernels"), 0)
    assert run(where) == (str(tmp_path / "kernels"), 1)


def test_another_cpu_does_not_use_this_ones_code(tmp_path):
    where = {"KYROS_KERNEL_CACHE": str(tmp_path / "kernels")}
    run(where)
    other = where | {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}
    assert run(other)[1] == 0
    assert run(other)[1] == 1


def test_a_package_in_a_zip_is_cached_too(tmp_path):
    archive = tmp_path / "kyros.zip"
    with zipfile.ZipFile(archive, "w") as file:
        for source in sorted((ROOT / "kyros_spark").rglob("*.py")):
            file.write(source, source.relative_to(ROOT))
    where = {"KYROS_KERNEL_CACHE": str(tmp_path / "kernels")}
    run(where, archive)
    assert run(where, archive)[1] == 1


def test_a_damaged_cache_is_compiled_anew(tmp_path):
    where = {"KYROS_KERNEL_CACHE": str(tmp_path / "kernels")}
    run(where)
    for file in (tmp_path / "kernels").iterdir():
        file.write_bytes(b"\x80\x04damaged")
    assert run(where)[1] == 0


def test_without_a_safe_folder_nothing_is_cached(tmp_path):
    open_folder = tmp_path / "open"
    open_folder.mkdir()
    open_folder.chmod(0o777)
    assert run({"KYROS_KERNEL_CACHE": str(open_folder)})[0] == "None"
    file = tmp_path / "file"
    file.write_text("not a folder")
    assert run({"KYROS_KERNEL_CACHE": str(file)})[0] == "None"
    assert run({"KYROS_KERNEL_CACHE": ""})[0] == "None"


def test_a_home_that_is_not_writable_leads_to_the_temporary_folder(tmp_path):
    (tmp_path / "home").write_text("not a folder")
    where = {"HOME": str(tmp_path / "home"), "TMPDIR": str(tmp_path)}
    assert run(where)[0] == str(tmp_path / f"kyros-kernels-{os.getuid()}")


def test_importing_a_kernel_compiles_nothing():
    code = (
        "import kyros_spark.scoring.scorer; from kyros_spark.kernels.compile import compiled; "
        "assert compiled.cache_info().currsize == 0"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


@pytest.mark.parametrize("module", ["kernels.compile", "model.artefact", "scoring.scorer"])
def test_worker_side_modules_import_without_spark(module):
    code = (
        f"import sys, kyros_spark.{module}; "
        "assert not {'pyspark', 'pandas', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
