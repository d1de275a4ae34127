"""Score one cell with one engine, in a process of its own: `python engines.py ENGINE CELL FOLDER`.

Runs in each engine's own environment, so it imports nothing but the engine and numpy. Writes one
JSON line: rows a second (median of several calls on all rows, one thread), seconds from the model's
file to the first score, peak resident memory, and the scores' sum and hash.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

for _name in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TL2CGEN_NUM_THREADS",
):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.models import CELLS, Cell, rows, second_path, training  # noqa: E402

REPEATS, LEAST, SECONDS = 7, 3, 5  # fewer repeats, down to LEAST, once SECONDS are spent
MOST_LEAVES_TO_COMPILE = 32_000
Score = Callable[[np.ndarray], np.ndarray]


class CannotLoad(Exception):
    """The engine does not take this model."""


def lightgbm(path: Path, cell: Cell) -> Score:
    if cell.library != "lightgbm":
        raise CannotLoad("not its format")
    import lightgbm as library

    booster = library.Booster(model_file=str(path))
    return lambda x: booster.predict(x, raw_score=True, num_threads=1)


def xgboost(path: Path, cell: Cell) -> Score:
    if cell.library != "xgboost":
        raise CannotLoad("not its format")
    import xgboost as library

    booster = library.Booster({"nthread": 1}, model_file=str(path))
    return lambda x: booster.inplace_predict(x, predict_type="margin")


def onnxruntime(path: Path, cell: Cell) -> Score:
    import onnxruntime as library
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    kinds = [("x", FloatTensorType([None, cell.features]))]
    if cell.library == "lightgbm":
        import lightgbm as trainer

        model = convert_lightgbm(trainer.Booster(model_file=str(path)), initial_types=kinds)
    else:
        import xgboost as trainer

        model = convert_xgboost(trainer.Booster(model_file=str(path)), initial_types=kinds)
    options = library.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = library.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    name = session.get_inputs()[0].name
    return lambda x: session.run(None, {name: x.astype(np.float32, copy=False)})[0].ravel()


def _treelite(path: Path, cell: Cell):
    import treelite

    load = (
        treelite.frontend.load_lightgbm_model
        if cell.library == "lightgbm"
        else treelite.frontend.load_xgboost_model
    )
    return load(str(path))


def treelite_gtil(path: Path, cell: Cell) -> Score:
    import treelite

    model = _treelite(path, cell)
    return lambda x: treelite.gtil.predict(model, x, nthread=1, pred_margin=True).ravel()


def tl2cgen(path: Path, cell: Cell) -> Score:
    if cell.trees * cell.leaves > MOST_LEAVES_TO_COMPILE:
        raise CannotLoad("not tried: minutes of gcc")
    import tempfile

    import tl2cgen as library

    folder = tempfile.mkdtemp()
    library.export_lib(
        _treelite(path, cell),
        toolchain="gcc",
        libpath=f"{folder}/m.so",
        params={"parallel_comp": 8},
    )
    predictor = library.Predictor(f"{folder}/m.so", nthread=1)
    return lambda x: predictor.predict(library.DMatrix(x), pred_margin=True).ravel()


def daal4py(path: Path, cell: Cell) -> Score:
    from daal4py import daalinit, mb

    daalinit(1)
    if cell.library == "lightgbm":
        import lightgbm as trainer

        model = mb.convert_model(trainer.Booster(model_file=str(path)))
    else:
        import xgboost as trainer

        model = mb.convert_model(trainer.Booster(model_file=str(path)))
    return lambda x: model.predict(x).ravel()


def lleaves(path: Path, cell: Cell) -> Score:
    if cell.library != "lightgbm":
        raise CannotLoad("LightGBM only")
    if cell.trees * cell.leaves > MOST_LEAVES_TO_COMPILE:
        raise CannotLoad("not tried: minutes of LLVM")
    import lleaves as library

    model = library.Model(model_file=str(path))
    model.compile()
    return lambda x: model.predict(x, n_jobs=1)


def ydf(path: Path, cell: Cell) -> Score:
    if cell.library != "xgboost" or cell.missing or cell.trees > 1000:
        raise CannotLoad("loads no other library's models")
    import ydf as library

    library.verbose(0)
    x, y = training(cell)
    names = [f"f{number}" for number in range(cell.features)]
    learner = library.GradientBoostedTreesLearner(
        label="y",
        task=library.Task.REGRESSION,
        num_trees=cell.trees,
        max_depth=cell.size,
        shrinkage=0.05,
        validation_ratio=0.0,
        early_stopping="NONE",
        num_threads=2,
    )
    given = dict(zip(names, x.astype(np.float32).T, strict=True))
    model = learner.train({**given, "y": y.astype(np.float32)})
    return lambda x: model.predict(dict(zip(names, x.T, strict=True)), num_threads=1)


def kyros(path: Path, cell: Cell, kernel: str = "auto") -> Score:
    import kyros_spark.scoring  # noqa: F401  (its environment comes before numba's import)
    from kyros_spark.model.import_any import import_model
    from kyros_spark.scoring.scorer import Scorer

    names = [f"f{number}" for number in range(cell.features)]
    model = import_model(path, name="bench", target="y", features=names)
    scorer = Scorer(model, kernel)
    return lambda x: scorer.raw(list(x))


def kyros_portable(path: Path, cell: Cell) -> Score:
    return kyros(path, cell, "portable")


ENGINES = {
    f.__name__: f
    for f in (
        lightgbm, xgboost, onnxruntime, treelite_gtil, tl2cgen, daal4py, ydf, lleaves,
        kyros, kyros_portable,
    )
}  # fmt: skip


def peak_mb() -> float:
    """Return this process's peak resident MiB; getrusage would count the parent's before exec."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], np.ndarray]) -> tuple[list[float], np.ndarray]:
    """Return the seconds of several calls after a first one, and what the last one returned."""
    scores, seconds = work(), []
    while len(seconds) < REPEATS and (len(seconds) < LEAST or sum(seconds) < SECONDS):
        before = time.perf_counter()
        scores = work()
        seconds.append(time.perf_counter() - before)
    return seconds, scores


def kyros_parts(folder: Path) -> dict:
    """Return what of the first cell's time is quantising, and what a second model costs."""
    import kyros_spark.scoring  # noqa: F401
    from kyros_spark.model.import_any import import_model
    from kyros_spark.scoring.bundle import bundle
    from kyros_spark.scoring.scorer import Scorer
    from kyros_spark.scoring.tree_scorer import CHUNK_ROWS, _Workspace

    cell = CELLS[0]
    names = [f"f{number}" for number in range(cell.features)]
    paths = (cell.path(folder), second_path(folder))
    models = [import_model(path, name="m", target="y", features=names) for path in paths]
    columns = list(np.ascontiguousarray(rows(cell).T))
    for column in columns:
        column.flags.writeable = False
    one, two = (Scorer(model) for model in models)
    both = Scorer(bundle(models, [range(cell.features)] * 2))
    engine = one._engine

    def quantise() -> np.ndarray:
        work = _Workspace(CHUNK_ROWS, cell.features, np.dtype(np.float64))
        for first in range(0, cell.rows, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, cell.rows)
            engine._quantise(columns, first, last, work.codes)
        return work.sums

    works = {
        "quantising": quantise,
        "one model": lambda: one.raw(columns),
        "two models, one after the other": lambda: two.raw(columns) + one.raw(columns),
        "two models in one pass": lambda: both.raw(columns),
    }
    return {name: statistics.median(timed(work)[0]) for name, work in works.items()}


def measure(engine: str, cell: Cell, path: Path) -> dict:
    """Return the cell's record; Kyros takes columns, as Arrow gives them, the others a matrix."""
    x = rows(cell)
    given = np.ascontiguousarray(x.T) if engine.startswith("kyros") else np.ascontiguousarray(x)
    one = given[:, :1].copy() if engine.startswith("kyros") else given[:1]
    before = time.perf_counter()
    score = ENGINES[engine](path, cell)
    score(one)
    first = time.perf_counter() - before
    seconds, scores = timed(lambda: score(given))
    if engine == "ydf":  # it trained first
        first = None
    return {
        "rows_per_second": len(x) / statistics.median(seconds),
        "seconds": seconds,
        "first_score_seconds": first,
        "peak_mb": peak_mb(),
        "sum": float(np.asarray(scores, np.float64).sum()),
    }


if __name__ == "__main__":
    chosen, number, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    try:
        if chosen == "kyros_parts":
            record = kyros_parts(folder)
        else:
            record = measure(chosen, CELLS[number], CELLS[number].path(folder))
    except CannotLoad as why:
        record = {"cannot": str(why)}
    except Exception as error:
        record = {"cannot": f"{type(error).__name__}: {str(error)[:200]}"}
    sys.stdout.write("\n" + json.dumps(record) + "\n")
