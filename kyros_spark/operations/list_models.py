"""models: list the registered versions for reading on a screen."""

from __future__ import annotations

from pyspark.sql import SparkSession

from kyros_spark.config import Config
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio

_METRICS = ("test_deviance", "test_d2", "test_balance")
_HEADINGS = ("name", "version", "status", "method", "family", *_METRICS, "trained")


def listed(spark: SparkSession, config: Config) -> list[str]:
    """Return a line of headings and one line per registered version; no lines if there is none."""
    rows = [_cells(entry) for entry in Portfolio(spark, config).registry.entries()]
    if not rows:
        return []
    table = [_HEADINGS, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    ]


def _cells(entry: Entry) -> tuple[str, ...]:
    values = (entry.metrics.get(name) for name in _METRICS)
    return (
        entry.name,
        str(entry.version),
        entry.status,
        entry.method,
        _family(entry),
        *("-" if value is None else f"{value:.6g}" for value in values),
        f"{entry.trained_at:%Y-%m-%d %H:%M}",
    )


def _family(entry: Entry) -> str:
    """Return the family with its power: deviances of different powers are not to be compared."""
    power = entry.metrics.get("tweedie_power")
    return entry.family if power is None else f"{entry.family} {power:.4g}"
