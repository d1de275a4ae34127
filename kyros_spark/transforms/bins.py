"""Cut numbers into bins, by one rule for the cut points of the settings and those of train."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.tables.ddl import number_text, text


def bin_labels(cuts: Sequence[float]) -> list[str]:
    """Return the labels of left-closed bins, in order: '<18', '18-<25', '25+'."""
    texts = _texts(cuts)
    inner = [f"{low}-<{high}" for low, high in itertools.pairwise(texts)]
    return [f"<{texts[0]}", *inner, f"{texts[-1]}+"]


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


def _texts(cuts: Sequence[float]) -> list[str]:
    """Write the cuts with six digits, or with as many more as they need to differ."""
    for digits in range(6, 17):
        texts = [f"{cut:.{digits}g}" for cut in cuts]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(cut) for cut in cuts]
