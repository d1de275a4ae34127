"""Score a DataFrame: an iterator pandas UDF over encoded columns, every model in one pass.

The model's bytes are broadcast once. The first worker on a host puts them into the host's store,
and all workers map that file (scoring/host_store.py). Without broadcasts (Spark Connect), the
model's path on shared storage takes their place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import DoubleType, StructField, StructType

from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.scoring_pass import ScoringModel, inputs_of, pass_models, scoring_pass
from kyros_spark.transforms.encode import encoded_sql

__all__ = ["ScoreFunction", "ScoringModel", "predictions", "score_function", "sent"]


@dataclass(frozen=True)
class ScoreFunction:
    """The pandas UDF that scores models, and its arguments: encodings of prepared columns, as SQL.

    The UDF returns a struct of responses (per unit), one double field per output.
    """

    call: Any
    arguments: tuple[str, ...]

    def column(self) -> Column:
        """Return the struct column, for rows with the columns of table `prepared`."""
        scored: Column = self.call(*map(F.expr, self.arguments))
        return scored


def predictions(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> Column:
    """Return a struct column of the models' responses (per unit), one double field per output."""
    return score_function(spark, served, paths, kernel, report).column()


def score_function(
    spark: SparkSession,
    served: list[ScoringModel],
    paths: list[str] | None = None,
    kernel: str = "auto",
    report: HostReport | None = None,
) -> ScoreFunction:
    """Return the function that scores the models in one pass.

    It reads columns of table `prepared`; the encodings come from each model's manifest. Tree models
    that can share a bundle are merged into one, so that a row is quantised once for all of them.

    paths   the models' files on shared storage, for a session that cannot broadcast; without paths
            such a session sends the models with each task, as training does for its small ones
    kernel  auto (each worker uses the fastest kernel that its host can run) or a kernel's name
    report  collects from every worker which kernel it used
    """
    inputs, arguments = inputs_of(served)
    alone = [[n] for n in range(len(served))] if paths else None

    def source(number: int, data: bytes) -> Any:
        return paths[number] if paths else sent(spark, data)

    workers = pass_models(served, arguments, kernel, source, alone)
    names = [name for scoring_model in served for name in scoring_model.outputs]
    fields = StructType([StructField(name, DoubleType()) for name in names])
    score = F.pandas_udf(scoring_pass(workers, names, report), fields)  # type: ignore[call-overload]
    return ScoreFunction(score, tuple(encoded_sql(*wanted) for wanted in inputs))


def sent(spark: SparkSession, data: bytes) -> Any:
    """Return the broadcast of a model; on Spark Connect its bytes, sent with the function."""
    from kyros_spark.spark.session import can_broadcast  # workers do not need that module

    return spark.sparkContext.broadcast(data) if can_broadcast(spark) else data
