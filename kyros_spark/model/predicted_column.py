"""Describe a column of predictions: which models' outputs it multiplies, and by what."""

from dataclasses import dataclass

from kyros_spark.model.manifest import PredictionInterval

# Names of the totals for a feature's unseen levels: their rows, and the last of them by name.
UNSEEN, UNSEEN_LEVEL = "unseen_", "level_unseen_"
ROWS = "_rows"  # the total of the rows themselves


@dataclass(frozen=True)
class PredictedColumn:
    """One model name of the result: its version, the outputs it multiplies, and its unit.

    column        the column of its values until they are written; a plain name, because the
                  model name may hold a class label of any characters
    factor, load  a composite's own rebalance and large-loss load
    interval      the model's prediction interval, if it has one
    """

    column: str
    name: str
    version: str
    parts: tuple[str, ...]
    per_exposure: bool
    factor: float = 1.0
    load: float = 0.0
    interval: PredictionInterval | None = None
