"""Draw the rows that a boosted model is fitted on, where the settings bound their number.

Rows are drawn by strata: the parts of the split, each divided into rows with and without a target
above zero. The training and the validation part get rows in proportion to their own. Within a part,
all rows with a target are taken as long as they fill at most half of its share; otherwise half is
drawn. Weights make up for what is left out: they keep the part's total of the target, and its total
of units of `per`. A row's draw is a hash of its key, so the same rows are drawn everywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.aggregates.batches import is_text, selected, with_columns
from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, Totals, sums_of
from kyros_spark.aggregates.rows import RowSource
from kyros_spark.aggregates.spread import order_statistics
from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT, unit_of
from kyros_spark.scoring.arrow_features import as_doubles

DRAW = "_draw"
PARTS = ("train", "valid")
_STRATA = ["train 0", "train 1", "valid 0", "valid 1"]
_BITS = 53  # of a double


def with_draw(prepared: DataFrame, key: Sequence[str]) -> DataFrame:
    """Add each row's draw, from 0 up to 1, by a hash of its key, equal on every cluster."""
    texts = [F.col(name).cast("string") for name in key]
    step = F.shiftrightunsigned(F.xxhash64(F.lit("kyros sample"), *texts), 64 - _BITS)
    return prepared.withColumn(DRAW, step / F.lit(float(1 << _BITS)))


def drawn(rows: RowSource, names: Sequence[str], most: int) -> RowSource:
    """Return at most so many model rows of the training and validation part, weighted anew.

    names: the columns to keep beside split, label, weight and offset; the rows have DRAW too
    """
    columns = list(dict.fromkeys([*names, "split", LABEL, WEIGHT, OFFSET]))
    given = list(dict.fromkeys([*columns, DRAW]))
    everything = _totals(rows)
    if sum(totals[ROWS] for totals in everything.values()) <= most:
        return rows.changed(given, lambda batch: batch.select(columns))
    counts = _counts(everything, most)
    limits = np.array([_limit(rows, n, counts, everything) for n in range(len(_STRATA))])

    def sampled(batch: pa.RecordBatch) -> pa.RecordBatch:
        strata = _strata(batch)
        limit = np.append(limits, -1.0)[strata]  # the last is for rows of no stratum
        return selected(batch, as_doubles(batch.column(DRAW)) <= limit)

    sample = rows.changed(given, sampled)
    factors = _factors(everything, _totals(sample))

    def weighted(batch: pa.RecordBatch) -> pa.RecordBatch:
        weight = as_doubles(batch.column(WEIGHT)) * factors[_strata(batch)]
        return with_columns(batch, columns, {WEIGHT: weight})

    return sample.changed(given, weighted)


def _strata(batch: pa.RecordBatch) -> np.ndarray:
    """Return each row's stratum, int64[n]; -1 in the other parts of the split."""
    strata = np.full(batch.num_rows, -1, np.int64)
    has_target = (as_doubles(batch.column(LABEL)) > 0).astype(np.int64)
    for number, part in enumerate(PARTS):
        inside = is_text(batch["split"], (part,))
        strata[inside] = 2 * number + has_target[inside]
    return strata


def _totals(rows: RowSource) -> dict[str, Totals]:
    """Return rows, target and units by stratum."""

    def grouping(batch: pa.RecordBatch) -> Iterator[Grouped]:
        label, weight = (as_doubles(batch.column(name)) for name in (LABEL, WEIGHT))
        measures = {"target": label * weight, "units": unit_of(batch) * weight}
        yield Grouped("", _STRATA, _strata(batch), measures)

    sums = sums_of(rows, ("split", LABEL, WEIGHT, OFFSET), ("target", "units"), grouping)
    nothing = {ROWS: 0.0, "target": 0.0, "units": 0.0}
    return {stratum: sums.get("", {}).get(stratum, nothing) for stratum in _STRATA}


def _counts(everything: Mapping[str, Totals], most: int) -> list[int]:
    """Return how many rows of each stratum are drawn."""
    rows = [int(everything[stratum][ROWS]) for stratum in _STRATA]
    counts = []
    for without, with_target in (rows[:2], rows[2:]):
        share = most * (without + with_target) // sum(rows)
        kept = min(with_target, max(share // 2, share - without))
        counts += [min(without, share - kept), kept]
    return counts


def _limit(
    rows: RowSource, stratum: int, counts: Sequence[int], everything: Mapping[str, Totals]
) -> float:
    """Return the draw up to which rows of a stratum are taken."""
    if counts[stratum] == everything[_STRATA[stratum]][ROWS]:
        return 1.0
    if not counts[stratum]:
        return -1.0

    def weighed(batch: pa.RecordBatch) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        draws = np.where(_strata(batch) == stratum, as_doubles(batch.column(DRAW)), np.nan)
        return {"": (draws, np.ones(batch.num_rows))}

    (limit,) = order_statistics(
        rows, ("split", LABEL, WEIGHT, OFFSET, DRAW), "", weighed, (counts[stratum],)
    )
    return limit


def _factors(everything: Mapping[str, Totals], sample: Mapping[str, Totals]) -> np.ndarray:
    """Return each stratum's weight, float64[4], which keeps a part's target and units."""
    factors = []
    for without, with_target in (_STRATA[:2], _STRATA[2:]):
        target = sample[with_target]["target"]
        of_target = everything[with_target]["target"] / target if target else 1.0
        units = everything[without]["units"] + everything[with_target]["units"]
        units -= of_target * sample[with_target]["units"]
        left = sample[without]["units"]
        factors += [units / left if left and units > 0 else 1.0, of_target]
    return np.array(factors)
