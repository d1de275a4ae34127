"""Explain one cell with one engine: `python explain_engines.py ENGINE CELL FOLDER SAMPLE.npy`.

Runs in the engine's own environment, in a process of its own. Writes the contributions of the first
rows to SAMPLE.npy and one JSON line: the rows explained, CPU seconds of several calls on one thread
(other processes may share the machine), CPU seconds from the model's file to the first explanation,
the peak memory, and the largest difference between raw scores and sums of contributions.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.explain_models import CELLS, FEATURES, ExplainedModel, rows  # noqa: E402

ROWS, ROWS_OF_SLOW_PEERS, COMPARED = 60_000, 2_000, 200
REPEATS, SECONDS = 3, 30  # fewer repeats once SECONDS are spent
Explain = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def own(path: Path, cell: ExplainedModel) -> tuple[Explain, Explain]:
    """Explain with the library that fitted the model."""
    if cell.library == "xgboost":
        import xgboost

        booster = xgboost.Booster({"nthread": 1}, model_file=str(path))

        def scores(x):
            return booster.predict(xgboost.DMatrix(x, nthread=1), output_margin=True)

        def by_xgboost(x):
            answer = booster.predict(xgboost.DMatrix(x, nthread=1), pred_contribs=True)
            return answer[:, :-1], answer[:, -1]

        return by_xgboost, scores
    import lightgbm

    model = lightgbm.Booster(model_file=str(path))

    def by_lightgbm(x):
        answer = model.predict(x, pred_contrib=True, num_threads=1)
        return answer[:, :-1], answer[:, -1]

    return by_lightgbm, lambda x: model.predict(x, raw_score=True, num_threads=1)


def _booster(path: Path, cell: ExplainedModel):
    if cell.library == "xgboost":
        import xgboost

        return xgboost.Booster({"nthread": 1}, model_file=str(path))
    import lightgbm

    return lightgbm.Booster(model_file=str(path))


def shap(path: Path, cell: ExplainedModel) -> tuple[Explain, Explain]:
    """Explain with shap's own trees; for XGBoost and LightGBM it would call `own` otherwise."""
    import shap as library

    explainer = library.TreeExplainer(_booster(path, cell))
    explainer.model.model_type = "trees"  # so that shap_values takes shap's own C code

    def by_shap(x):
        values = explainer.shap_values(x.astype(np.float64), check_additivity=False)
        return values, np.full(len(x), float(np.ravel(explainer.expected_value)[0]))

    return by_shap, own(path, cell)[1]


def woodelf(path: Path, cell: ExplainedModel) -> tuple[Explain, Explain]:
    import pandas
    from woodelf import WoodelfExplainer

    names = [f"f{k}" if cell.library == "xgboost" else f"Column_{k}" for k in range(FEATURES)]
    booster = _booster(path, cell)
    if cell.library == "xgboost":
        booster.feature_names = names
    explainer = WoodelfExplainer(booster)

    def by_woodelf(x):
        frame = pandas.DataFrame(x, columns=names)
        values = np.asarray(explainer.shap_values(frame, verbose=False))
        return values, np.full(len(x), float(np.ravel(explainer.expected_value)[0]))

    return by_woodelf, own(path, cell)[1]


def kyros(path: Path, cell: ExplainedModel, kernel: str = "auto") -> tuple[Explain, Explain]:
    import kyros_spark.explanation  # noqa: F401  (comes before numba's import)
    from kyros_spark.explanation.explainer import Explainer
    from kyros_spark.model.importers.recognise import import_model
    from kyros_spark.scoring.scorer import Scorer

    names = [f"f{number}" for number in range(FEATURES)]
    model = import_model(path, name="bench", target="y", features=names)
    explainer, scorer = Explainer(model, kernel), Scorer(model, kernel)

    def by_kyros(x):
        answer = explainer.contributions(list(np.ascontiguousarray(x.T)))
        return answer.values[:, 0], np.full(len(x), answer.base[0])

    return by_kyros, lambda x: scorer.raw(list(np.ascontiguousarray(x.T)))


def kyros_portable(path: Path, cell: ExplainedModel) -> tuple[Explain, Explain]:
    return kyros(path, cell, "portable")


ENGINES = {f.__name__: f for f in (own, shap, woodelf, kyros, kyros_portable)}


def peak_mb() -> float:
    """Return this process's peak resident MiB, 0 where the platform does not tell."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def measure(engine: str, cell: ExplainedModel, path: Path, sample: Path) -> dict:
    """Return the cell's record."""
    x = rows(ROWS if engine in ("woodelf", "kyros", "kyros_portable") else ROWS_OF_SLOW_PEERS)
    before = time.process_time()
    explain, score = ENGINES[engine](path, cell)
    values, base = explain(x[:COMPARED])
    first = time.process_time() - before
    np.save(sample, np.asarray(values, np.float64))
    off = np.abs(values.sum(axis=1) + base - score(x[:COMPARED])).max()
    seconds: list[float] = []
    while len(seconds) < REPEATS and (not seconds or sum(seconds) < SECONDS):
        before = time.process_time()
        explain(x)
        seconds.append(time.process_time() - before)
    return {
        "rows": len(x), "cpu_seconds": seconds, "rows_per_second": len(x) / min(seconds),
        "first_seconds": first, "peak_mb": peak_mb(), "additivity": float(off),
    }  # fmt: skip


if __name__ == "__main__":
    chosen, number, folder, out = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
    try:
        record = measure(chosen, CELLS[number], CELLS[number].path(folder), Path(out))
    except Exception as error:
        record = {"cannot": f"{type(error).__name__}: {str(error)[:200]}"}
    sys.stdout.write("\n" + json.dumps(record) + "\n")
