"""Say which models predict without what the settings require of them: the gate of confidence."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from kyros_spark.config import MonitorSettings
from kyros_spark.errors import DriftError
from kyros_spark.monitoring.sums import Binned, Histograms
from kyros_spark.registry import Registry
from kyros_spark.runs.batch_rows import BatchRows
from kyros_spark.runs.run import Run
from kyros_spark.scoring.arrow_features import is_null
from kyros_spark.stages.monitor.batch import MonitoredBatch
from kyros_spark.stages.monitor.models import MeasuredModel

_COLUMNS = {"interval": ("lower", "upper"), "input_hash": ("input_hash",)}


def check_confidence(
    of: MonitoredBatch, settings: MonitorSettings, run: Run, models: Sequence[MeasuredModel]
) -> Callable[[], None]:
    """Put what models lack into the run's details; return what refuses them once all is written.

    ``interval`` and ``input_hash`` have to be in each of a model's predictions of the batch,
    ``covers`` in the files of its trees.
    """
    lacking: dict[str, list[str]] = {}
    if settings.require and of.predicted is not None:
        rows = BatchRows(of.portfolio, "predictions", {of.batch: of.predicted}, of.rows)
        for model in models:
            missing = [*_missing(rows, model, settings.require)]
            if "covers" in settings.require and not _has_covers(of.portfolio.registry, model):
                missing.append("covers")
            if missing:
                lacking[model.name] = missing
    run.details["lacking"] = lacking

    def refuse() -> None:
        if lacking:
            models = "; ".join(f"{name}: {', '.join(what)}" for name, what in lacking.items())
            raise DriftError(
                f"monitor {run.batch}: expected of each model what monitor.require names "
                f"({', '.join(settings.require)}), found models without ({models}); give them "
                "train.models.NAME.interval, import their covers, or change monitor.require"
            )

    return refuse


def _missing(rows: BatchRows, model: MeasuredModel, required: Sequence[str]) -> Iterator[str]:
    columns = [c for name in required for c in _COLUMNS.get(name, ())]
    if not columns:
        return

    def binned(batch: pa.RecordBatch) -> Iterator[Binned]:
        for name in columns:
            codes = np.where(is_null(batch.column(name)), 0, -1)
            yield Binned(name, ["null"], codes, np.ones(batch.num_rows))

    of_model = rows.select(columns, model_name=model.name)
    nulls = of_model.aggregate(columns, lambda: Histograms(binned, 1)).result()
    for name in required:
        parts = [nulls.get(column) for column in _COLUMNS.get(name, ())]
        if any(part is not None and part.row_count for part in parts):
            yield name


def _has_covers(registry: Registry, model: MeasuredModel) -> bool:
    name = model.name.partition(".")[0]  # a class's rows, and a part beside, stand under NAME.PART
    references = [part for part in model.version.split("*") if "@" in part]
    return all(
        _trees_have_covers(registry, reference)
        for reference in references or [f"{name}@{model.version}"]
    )


def _trees_have_covers(registry: Registry, reference: str) -> bool:
    model, _ = registry.load(registry.find(reference)[0])
    if model.manifest.kind == "composite":
        parts = model.manifest.parts
        return all(_trees_have_covers(registry, f"{p.name}@{p.version}") for p in parts)
    return model.manifest.kind != "trees" or "leaf_cover" in model.arrays
