"""Load a model's file with each engine: a function from rows to raw scores, on one thread.

Imported in each engine's own environment, so each function imports its engine and nothing else.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.models import Cell, training

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
    from kyros_spark.model.importers.recognise import import_model
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
