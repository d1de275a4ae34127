"""Name what deviances of the report's rows are of: the family, with its power or theta."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kyros_spark.config import OWN_PARAMETERS


def measure(row: Mapping[str, Any]) -> str:
    """Return the measure of a row of `evaluation_metrics`; "" for a model that is not judged."""
    value = row.get(OWN_PARAMETERS.get(row["family"] or "", ""))
    return f"{row['family']} {value:.6g}" if value is not None else row["family"] or ""


def measures(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return each measure of some rows once, in their order."""
    return [name for name in dict.fromkeys(map(measure, rows)) if name]
