"""Cut numbers into bins, by one rule for the cut points of the settings and those of train."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.model.bin_labels import bin_labels
from kyros_spark.tables.ddl import number_text, text

__all__ = ["bin_case", "bin_label", "bin_labels"]


def bin_label(number: Column, cuts: Sequence[float]) -> Column:
    """Return the label of a number's bin, or NULL where there is no number.

    number: a double; NaN counts as no number.
    """
    labels = bin_labels(cuts)
    chosen = F.when(number.isNull() | F.isnan(number), F.lit(None).cast("string"))
    for cut, label in zip(cuts, labels, strict=False):
        chosen = chosen.when(number < cut, label)
    return chosen.otherwise(labels[-1])


def bin_case(number: str, cuts: Sequence[float]) -> str:
    """Return `bin_label` as SQL text, for a number that is itself SQL text."""
    labels = bin_labels(cuts)
    pairs = zip(cuts, labels, strict=False)
    whens = " ".join(f"WHEN {number} < {number_text(cut)} THEN {text(name)}" for cut, name in pairs)
    return f"CASE WHEN {number} IS NULL THEN NULL {whens} ELSE {text(labels[-1])} END"
