"""models: list what is registered, for the eye."""

from __future__ import annotations

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.registry import Entry, Registry

_HEADS = ("name", "version", "status", "method", "test_deviance", "test_d2", "test_balance",
          "trained")  # fmt: skip


def listed(spark: SparkSession, config: Config) -> list[str]:
    """Return a line for each registered version, below one of headings; none if there is none."""
    registry = Registry(DeltaTables(spark, config.tables), config.tables.artefact_folder())
    rows = [_cells(entry) for entry in registry.entries()]
    if not rows:
        return []
    widths = [max(len(row[at]) for row in (_HEADS, *rows)) for at in range(len(_HEADS))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (_HEADS, *rows)
    ]


def _cells(entry: Entry) -> tuple[str, ...]:
    numbers = (entry.metrics.get(name) for name in _HEADS[4:7])
    return (
        entry.name,
        str(entry.version),
        entry.status,
        entry.method,
        *("-" if number is None else f"{number:.6g}" for number in numbers),
        f"{entry.trained_at:%Y-%m-%d %H:%M}",
    )
