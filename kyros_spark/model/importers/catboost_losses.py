"""Read the loss of a CatBoost model from the ONNX file that CatBoost wrote of it.

Of a regressor, CatBoost (1.2.10) writes the sum of the leaves alone, without the inverse link: a
Poisson or Tweedie model's output is a logarithm. Of MultiClassOneVsAll, it writes a softmax, where
its own predict_proba puts each class through a logistic function. The loss is in the metadata, in
entry `params`.
"""

import json
from collections.abc import Mapping
from typing import Any

from kyros_spark.errors import ModelFormatError, UsageError
from kyros_spark.model.manifest import Family, Link

PRODUCER = "CatBoost"

# What CatBoost's own predict (of a classifier, predict_proba) makes of the sum.
# LogLinQuantile is not listed: its predict leaves the sum as it is, although the loss is that of
# the exponential.
LOSSES: dict[str, tuple[Family, Link]] = {
    "RMSE": ("gaussian", "identity"),
    "MAE": ("gaussian", "identity"),
    "Quantile": ("gaussian", "identity"),
    "Expectile": ("gaussian", "identity"),
    "MAPE": ("gaussian", "identity"),
    "Huber": ("gaussian", "identity"),
    "Lq": ("gaussian", "identity"),
    "LogCosh": ("gaussian", "identity"),
    "Poisson": ("poisson", "log"),
    "Tweedie": ("tweedie", "log"),
    "Logloss": ("binomial", "logit"),
    "CrossEntropy": ("binomial", "logit"),
    "MultiClass": ("multinomial", "softmax"),
    "MultiClassOneVsAll": ("multinomial", "logit"),
}


def catboost_loss(metadata: Mapping[str, str], is_link_given: bool) -> tuple[str, Family, Link]:
    """Return the loss, and the family and link that go with it.

    is_link_given  whether the user says which link it is; then the loss may be any

    Raises UsageError for a file that names no loss or one that is not known here.
    """
    name = _loss_name(metadata)
    if name in LOSSES:
        return name, *LOSSES[name]
    if is_link_given:
        return name or "unknown", "gaussian", "identity"
    raise UsageError(
        f"ONNX model: CatBoost's loss: expected one of {', '.join(LOSSES)}, found "
        f"{name or 'none in the file'}; the file holds the sum before the inverse link, so say "
        "which that is with --link log, identity or logit"
    )


def _loss_name(metadata: Mapping[str, str]) -> str:
    if "params" not in metadata:
        return ""
    try:
        params: dict[str, Any] = json.loads(metadata["params"])
        return str(params["loss_function"]["type"])
    except (ValueError, RecursionError, LookupError, TypeError) as error:
        raise ModelFormatError(f"ONNX model: CatBoost's metadata: params: {error}") from None
