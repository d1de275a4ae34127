"""Sum what metrics are made of by model, part and random group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.rows import RowSource
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.metrics import LOSSES
from kyros_spark.evaluation.rows import GROUP, SUMS, WHOLE, row_columns
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.evaluation.sums_by_group import SumsByGroup
from kyros_spark.fitting.metrics import SCORES

NullMeans = Mapping[tuple[int, str], float]  # a model's mean target per unit, by number and part


class LossSums(SumsByGroup):
    """SUMS, LOSSES and SCORES by subject (the model's number), part and group."""

    def __init__(self, models: Sequence[EvaluatedModel], null_means: NullMeans) -> None:
        """Take models whose targets are known; null_means: of each part and of WHOLE."""
        super().__init__(("subject", "part", "group"), (*SUMS, *LOSSES, *SCORES))
        self._models, self._null_means = models, null_means

    def add(self, batch: pa.RecordBatch) -> None:
        """Add the rows of a batch."""
        measures = Measures(batch)
        groups, group_codes = np.unique(measures.rows.numbers(GROUP).values, return_inverse=True)
        for model in self._models:
            means = {part: m for (n, part), m in self._null_means.items() if n == model.number}
            usable = np.flatnonzero(measures.usable(model))
            columns = measures.sums(model) | measures.losses(model, means, means[WHOLE])
            subject = np.zeros(usable.size, dtype=np.int64)
            self.add_groups(
                [subject, measures.parts.codes[usable], group_codes[usable]],
                [[model.number], measures.parts.texts, groups.astype(int).tolist()],
                {name: column.chosen(usable) for name, column in columns.items()},
            )


def loss_sums(
    rows: RowSource,
    extra: Sequence[str],
    models: Sequence[EvaluatedModel],
    null_means: NullMeans,
) -> list[dict[str, Any]]:
    """Return the LossSums of all rows, one dictionary per model, part and group.

    extra: columns that judging needs besides the models' own.
    """
    needed = row_columns(models, *extra)
    return rows.aggregate(needed, lambda: LossSums(models, null_means)).result()
