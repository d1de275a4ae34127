"""Two workers that pretend to be different CPUs give one set of predictions."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from standalone import cluster, environment

from kyros_spark.kernels.cpu import best_kernel

HERE = Path(__file__).parent
PRETENDED = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""}

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def scorers(**more):
    """Return an environment in which the job and the workers find this checkout and its tests."""
    return environment(PYTHONPATH=os.pathsep.join([str(HERE.parents[1]), str(HERE)]), **more)


@pytest.fixture(scope="module")
def master(tmp_path_factory):
    """A master and two workers of one core; the second pretends to be a plain CPU."""
    workers = {"own": scorers(), "pretended": scorers(**PRETENDED)}
    with cluster(tmp_path_factory.mktemp("cluster"), workers) as url:
        yield url


@pytest.fixture(scope="module")
def scored(master):
    """What one application found on the cluster, with each setting of the kernel."""
    done = subprocess.run(
        [sys.executable, str(HERE / "cluster_job.py"), master],
        env=scorers(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_different_cpus_give_the_same_predictions(scored):
    found = scored["auto"]
    assert (found["rows"], found["same"]) == (20_000, True)
    kernels = {host["cpu"]: host["kernel"] for host in found["hosts"]}
    assert kernels.pop("generic") == "portable"
    assert list(kernels.values()) == [best_kernel()]


def test_a_kernel_that_a_host_lacks_is_an_error_naming_host_and_feature(scored):
    error = scored["avx512vbmi"]["error"]
    assert "KernelNotAvailableError: kernel avx512vbmi needs the CPU feature" in error
    assert f"host {platform.node()} (" in error
