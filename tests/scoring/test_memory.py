"""One model a host: what a further worker process costs, by proportional set size."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from kyros_spark.model.artefact import Model, model_hash, model_to_bytes
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.model.trees import RawNodes, trees_from_nodes
from kyros_spark.scoring.host_store import ModelOnHost
from tests.scoring.boosters import boost, model_of

WORKER = """
import json, re, sys
from kyros_spark.scoring import worker_models
from kyros_spark.scoring.scorer import Scorer
import numpy as np

def pss():
    return int(re.search(r"Pss: +([0-9]+)", open("/proc/self/smaps_rollup").read())[1]) * 1024

for line in sys.stdin:
    sha256 = line.strip()
    if sha256:
        def absent():
            raise RuntimeError("not on this host")
        scorer = Scorer(worker_models.load(sha256, absent))
        rows = np.random.default_rng(0).normal(size=(64, len(scorer.manifest.features)))
        total = scorer.raw(list(rows.T.copy())).sum()
    sys.stdout.write(json.dumps(pss()) + "\\n")
    sys.stdout.flush()
"""


def large_model(trees=60_000, features=40, splits=63):
    """Perfect trees of depth 6 with random cuts, as a library would store them."""
    rng = np.random.default_rng(0)
    nodes = 2 * splits + 1
    inner = np.arange(nodes) < splits
    left = np.tile(np.where(inner, 2 * np.arange(nodes) + 1, -1), trees).astype(np.int32)
    total = left.size
    raw = RawNodes(
        tree_start=np.arange(trees + 1, dtype=np.int64) * nodes,
        left=left,
        right=np.where(left >= 0, left + 1, -1).astype(np.int32),
        feature=rng.integers(0, features, total),
        threshold=rng.integers(-120, 120, total).astype(np.float32) / 50,
        missing_left=rng.integers(0, 2, total).astype(np.uint8),
        value=rng.normal(size=total).astype(np.float32) / 100,
    )
    manifest = Manifest(
        name="large",
        kind="trees",
        source=Source(library="none", version="0"),
        family="poisson",
        link="log",
        target="claims",
        intercept=0.0,
        features=tuple(Feature(name=f"f{k}") for k in range(features)),
    )
    return Model(manifest, trees_from_nodes(raw, features).as_dict())


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/smaps_rollup").exists(), reason="needs Linux's smaps")
def test_a_further_worker_costs_at_most_a_twentieth_of_the_model(tmp_path, monkeypatch):
    monkeypatch.setenv("KYROS_MODEL_CACHE", str(tmp_path))
    small, large = (model_to_bytes(m) for m in (model_of(boost(rounds=5)), large_model()))
    assert len(large) >= 60 << 20
    for data in (small, large):
        ModelOnHost().put(lambda data=data: data, model_hash(data))
    pipe = subprocess.PIPE
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER], stdin=pipe, stdout=pipe, text=True)
        for _ in range(4)
    ]

    def ask(worker, sha256=""):
        worker.stdin.write(sha256 + "\n")
        worker.stdin.flush()
        return json.loads(worker.stdout.readline())

    try:
        for worker in workers:
            ask(worker, model_hash(small))  # interpreter, libraries and compiled kernel
        for worker in workers[:3]:
            ask(worker, model_hash(large))
        three = sum(ask(worker) for worker in workers)
        ask(workers[3], model_hash(large))
        four = sum(ask(worker) for worker in workers)
    finally:
        for worker in workers:
            worker.communicate()
    assert four - three <= len(large) / 20
