"""Complete a fitted model with balance, large-loss load and interval, and measure its quality."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame

from kyros_spark.aggregates.batches import with_columns
from kyros_spark.aggregates.rows import RowSource, held, rows_of
from kyros_spark.config import ModelSettings
from kyros_spark.fitting.balance import EXCESS, flat_load, rebalance_factor
from kyros_spark.fitting.interval import EXCESS_PER_UNIT, conformal_interval
from kyros_spark.fitting.metrics import PREDICTED, quality
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, modelled
from kyros_spark.fitting.scored import Responses, feature_names
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.arrow_features import as_doubles

_ENDS = ("split", LABEL, WEIGHT, OFFSET)


def calibrate(
    name: str,
    model: Model,
    scored_by: Sequence[Model],
    prepared: RowSource | DataFrame,
    settings: ModelSettings,
) -> tuple[Model, dict[str, float]]:
    """Return the model with its balance, load and interval, and the model's metrics.

    scored_by: the fit, or the factors of a composite, whose product is the response per unit.
    The metrics compare the rebalanced model with the capped target, before the large-loss load.

    Raises:
        FitError: the fit's sum on its training part is far from the observed one.
        TrainingDataError: the validation part has too few rows for the interval.
    """
    loaded = settings.large_loss_load
    keep = ["split", settings.per, *([EXCESS] if loaded else []), *feature_names(scored_by)]
    rows = modelled(rows_of(prepared), settings, list(dict.fromkeys(keep)))
    load = flat_load(rows, settings) if loaded else 0.0
    with held(scored_rows(rows, [*_ENDS, *keep], scored_by, settings)) as scored:
        factor = rebalance_factor(name, scored) if settings.is_rebalanced else 1.0
        balanced = _shifted(scored, factor, 0.0)
        metrics = quality(balanced, settings)
        interval = None
        if settings.interval:
            interval = conformal_interval(name, _shifted(balanced, 1.0, load), settings)
    metrics["all_rows"] = sum(value for name, value in metrics.items() if name.endswith("_rows"))
    metrics |= {"rebalance": factor, "large_loss_load": load}
    calibration = {"rebalance": factor, "large_loss_load": load, "interval": interval}
    # The file holds no metrics and no run id, so the same fit gives the same file in every run.
    return Model(model.manifest.model_copy(update=calibration), model.arrays), metrics


def scored_rows(
    rows: RowSource, columns: Sequence[str], scored_by: Sequence[Model], settings: ModelSettings
) -> RowSource:
    """Return model rows with PREDICTED, the product of models' responses per unit.

    columns: those of the rows
    """
    columns = list(dict.fromkeys(columns))
    return rows.changed(columns, _scoring(Responses(scored_by), settings))


def _scoring(
    responses: Responses, settings: ModelSettings
) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    def scored(batch: pa.RecordBatch) -> pa.RecordBatch:
        excess = np.zeros(batch.num_rows)
        if settings.large_loss_load:
            excess = as_doubles(batch.column(EXCESS)) / as_doubles(batch.column(settings.per))
        return with_columns(batch, _ENDS, {EXCESS_PER_UNIT: excess, PREDICTED: responses(batch)})

    return scored


def _shifted(scored: RowSource, factor: float, load: float) -> RowSource:
    """Return the rows with PREDICTED times a factor, plus a load."""
    if factor == 1.0 and not load:
        return scored

    def shifted(batch: pa.RecordBatch) -> pa.RecordBatch:
        predicted = as_doubles(batch.column(PREDICTED)) * factor + load
        return with_columns(batch, (*_ENDS, EXCESS_PER_UNIT), {PREDICTED: predicted})

    return scored.changed((*_ENDS, EXCESS_PER_UNIT, PREDICTED), shifted)
