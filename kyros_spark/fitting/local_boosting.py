"""Boost trees in this process, as one worker of xgboost.spark does with the same rows.

Rows are put in the order of their content, so the model does not depend on where they came from;
xgboost's own sums do not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.errors import FitError, PlatformError
from kyros_spark.fitting.row_order import content_order
from kyros_spark.fitting.rows import LABEL, WEIGHT

MARGIN, VALIDATION = "_margin", "_validation"
_WAITING = "OMP_WAIT_POLICY"


def library() -> Any:
    """Return xgboost, whose threads sleep while they wait for each other.

    By default they spin, each on a core of its own: where another process wants the cores, a fit
    of 1.5 s took 16 s with two threads, and 1.3 s with threads that sleep.

    Raises:
        PlatformError: xgboost is not installed.
    """
    given = os.environ.get(_WAITING)
    if given is None:
        os.environ[_WAITING] = "PASSIVE"  # read once, when xgboost loads its library
    try:
        import xgboost
    except ImportError as error:
        raise PlatformError(
            f"boosting needs xgboost and scikit-learn ({error}); pip install 'kyros-spark[local]'"
        ) from error
    finally:
        if given is None:
            del os.environ[_WAITING]
    return xgboost


def boosted(rows: pa.Table, width: int, options: Mapping[str, Any]) -> Any:
    """Return the booster that xgboost trains on the rows.

    rows: float64 features x0 to x(width - 1), LABEL, WEIGHT and MARGIN, and a bool VALIDATION that
    tells the validation part
    options: xgboost's parameters, with ``rounds``, ``early_stopping`` and ``feature_types``

    Raises:
        FitError: xgboost stopped without a model.
    """
    xgboost = library()
    parameters = dict(options)
    rounds, patience = parameters.pop("rounds"), parameters.pop("early_stopping")
    kinds = parameters.pop("feature_types", None)
    features = [f"x{number}" for number in range(width)]
    columns = [
        np.asarray(rows.column(name)) for name in (*features, LABEL, WEIGHT, MARGIN, VALIDATION)
    ]
    order = content_order(columns)
    *features_by_row, label, weight, margin, valid = (column[order] for column in columns)
    threads = len(os.sched_getaffinity(0))
    common = {"nthread": threads, "max_bin": parameters["max_bin"], "feature_types": kinds}
    common |= {"feature_names": features, "enable_categorical": kinds is not None}

    def matrix(part: np.ndarray, reference: Any) -> Any:
        values = np.empty((int(part.sum()), width), np.float32)
        for number, column in enumerate(features_by_row):
            values[:, number] = column[part]
        return xgboost.QuantileDMatrix(
            values, label=label[part], weight=weight[part], base_margin=margin[part],
            ref=reference, missing=np.nan, **common,
        )  # fmt: skip

    try:
        train = matrix(~valid, None)
        # The training part is not judged each round: that would take as long as the trees.
        judged = [(matrix(valid, train), "validation")] if patience else []
        return xgboost.train(
            {**parameters, "nthread": threads}, train, rounds, evals=judged,
            early_stopping_rounds=patience or None, verbose_eval=False,
        )  # fmt: skip
    except xgboost.core.XGBoostError as error:
        line = str(error).strip().splitlines()[0]
        raise FitError(f"xgboost stopped without a model: {line}") from error
