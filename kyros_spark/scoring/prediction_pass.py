"""Turn batches of `prepared` into columns of `predictions`, in a task that reads the files itself.

What the JVM computes elsewhere is computed here from Arrow: codes, hash, values, totals.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from kyros_spark.model.manifest import Feature
from kyros_spark.model.predicted_column import ROWS, PredictedColumn
from kyros_spark.scoring.arrow_features import encoded
from kyros_spark.scoring.arrow_hash import row_hashes
from kyros_spark.scoring.prediction_values import Columns, Totals, totals_of, unseen, values
from kyros_spark.scoring.scoring_pass import Input, PassModel, scoring_pass

if TYPE_CHECKING:  # workers need no accumulators to score
    from kyros_spark.scoring.host_report import HostReport
    from kyros_spark.scoring.scoring_pass import Batch


@dataclass(frozen=True)
class PredictedBatch:
    """What a batch of rows came to: its columns by output, and its totals.

    shared: the columns that all outputs have.
    """

    shared: Columns
    of_outputs: tuple[Columns, ...]
    totals: Totals


@dataclass(frozen=True)
class PredictionPass:
    """What a task must know to predict.

    names: of the models' outputs. key: the columns of a policy's key.
    """

    models: tuple[PassModel, ...]
    names: tuple[str, ...]
    inputs: tuple[Input, ...]
    features: tuple[Feature, ...]
    outputs: tuple[PredictedColumn, ...]
    key: tuple[str, ...]

    def predicted(
        self, batches: Iterable[pa.RecordBatch], report: HostReport | None
    ) -> Iterator[PredictedBatch]:
        """Yield what each batch comes to. batches: rows of `prepared`."""
        import pandas as pd

        scored: deque[pa.RecordBatch] = deque()

        def arguments() -> Iterator[Batch]:
            for batch in batches:
                scored.append(batch)
                columns = (encoded(f, batch.column(f.name), impute) for f, impute in self.inputs)
                yield tuple(map(pd.Series, columns))

        score = scoring_pass(list(self.models), list(self.names), report)
        for responses in score(arguments()):
            by_name = {name: responses[name].to_numpy() for name in self.names}
            yield self._values(scored.popleft(), by_name)

    def _values(self, batch: pa.RecordBatch, responses: dict[str, np.ndarray]) -> PredictedBatch:
        exposure = batch.column("exposure")
        numbers = exposure.to_numpy(zero_copy_only=False)
        of_outputs = tuple(values(output, responses, numbers) for output in self.outputs)
        totals: Totals = {ROWS: batch.num_rows, **unseen(self.features, [batch])}
        for output, columns in zip(self.outputs, of_outputs, strict=True):
            totals |= totals_of(output, columns)
        features = (batch.column(feature.name) for feature in self.features)
        shared: Columns = {name: batch.column(name) for name in self.key}
        shared["exposure"] = exposure
        shared["input_hash"] = pa.array(row_hashes(features, batch.num_rows))
        return PredictedBatch(shared, of_outputs, totals)
