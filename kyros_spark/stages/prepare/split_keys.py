"""Warn where few keys decide about many rows: whole groups then fall into one part."""

from __future__ import annotations

from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.config import SplitSettings
from kyros_spark.log import event
from kyros_spark.runs.run import Run

SPLIT_KEY = "_split_key"
_FEW = 0.25  # distinct keys per row, below which a batch has few
_COUNTED = 100_000  # rows, about, whose keys are counted; which ones a hash of the key decides


def split_keys(settings: SplitSettings, rows: int) -> dict[str, Column]:
    """Return by name the key that a row is split by, NULL where it is not counted.

    rows: the batch's. Empty where the split is not by keys.
    """
    if not settings.by:
        return {}
    key = F.xxhash64(*(F.col(name).cast("string") for name in settings.by))
    counted = F.pmod(key, F.lit(_every(rows))) == 0
    return {SPLIT_KEY: F.when(counted, key)}


def note_few_keys(run: Run, settings: SplitSettings, rows: int, counted: int, keys: int) -> None:
    """Warn if few keys decide about the batch's rows, and put them into the details.

    counted, keys: of `split_keys`, those that are not NULL, and how many differ.
    """
    if not settings.by or not rows or keys > _FEW * counted:
        return
    distinct = keys * _every(rows)
    run.details["split_keys"] = {"rows": rows, "keys": distinct}
    event(
        f"policies, batch {run.batch}, prepare.split.by: {', '.join(settings.by)} has about "
        f"{distinct} different values in {rows} rows, so that whole groups of rows fall into one "
        "part; is it what names a client or a policy?",
        level=30,
    )


def _every(rows: int) -> int:
    return max(rows // _COUNTED, 1)
