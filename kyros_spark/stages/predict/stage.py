"""predict: one prepared batch and registered models -> `predictions`, all models in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import Config
from kyros_spark.errors import ConfigError, UsageError
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.registry import Entry, Registry
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.micro_batches import gathered, in_micro_batches
from kyros_spark.runs.portfolio import (
    Portfolio,
    start,
)
from kyros_spark.runs.run import Run
from kyros_spark.scoring.host_report import HostReport
from kyros_spark.scoring.udf import ScoringModel, predictions
from kyros_spark.spark.session import arrow_batch_rows, can_broadcast
from kyros_spark.stages.predict.scoring_input import ScoringInput
from kyros_spark.stages.predict.scoring_plan import service
from kyros_spark.tables.ddl import batch_is
from kyros_spark.tables.predictions import predictions as predictions_table
from kyros_spark.transforms.predicted import PredictedColumn, counts, long_rows, scored

_ROWS = "_rows"


def predict(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    models: Sequence[str] = (),
    portfolio: Portfolio | None = None,
    fuse: bool = False,
) -> Run:
    """Apply registered models to one prepared batch.

    models: NAME, NAME@VERSION or NAME@champion; default the settings' predict.models, or every
    model of train. Products of the settings are written where all their parts are applied.
    fuse: compute the features of the clean policies on the way, so that table prepared, which
    nobody else may need, is not written.

    Raises:
        UnknownModelError: a model is not in the registry.
        ModelFileError: a model's file is missing or not the one that was registered.
        FeatureMismatchError: the batch was prepared with other features than a model's.
    """
    portfolio = portfolio or Portfolio(spark, config)
    run = start("predict", batch, config, run_id)
    registry = Registry(portfolio.tables, config.tables.artefact_folder())
    chosen: list[Entry] = []
    rows = ScoringInput(portfolio, run, fuse)

    def inputs() -> dict[str, str]:
        made_of = rows.inputs()
        wanted = models or config.predict.models or (config.train.models if config.train else ())
        if not wanted:
            raise ConfigError("predict: name models in predict.models, or give --model NAME")
        chosen.extend(registry.find(*wanted))
        _check_names(config, chosen, whole=not models)
        return {
            **made_of,
            **{f"model {e.name}": f"{e.version} {e.sha256}" for e in chosen},
        }

    return execute(
        portfolio,
        run,
        inputs,
        # How many rows a micro-batch has changes none of them.
        config.predict.model_dump(mode="json", exclude={"rows_per_micro_batch"}) | rows.settings(),
        lambda run: _work(rows, registry, chosen),
    )


def _check_names(config: Config, chosen: list[Entry], whole: bool) -> None:
    names = [entry.name for entry in chosen]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"predict: {', '.join(twice)} is asked for twice; table predictions holds one version "
            "of a model name at a time, so apply the versions one after the other"
        )
    for name, parts in config.predict.products.items():
        unknown = [part for part in parts if part not in names]
        if whole and unknown:
            raise ConfigError(
                f"predict.products.{name}: expected models among {', '.join(names)}, found "
                f"'{', '.join(unknown)}'"
            )


def _work(given: ScoringInput, registry: Registry, chosen: list[Entry]) -> None:
    portfolio, run, config = given.portfolio, given.run, given.portfolio.config
    with run.phase("load models"):
        found = service(registry, chosen, config.predict.products)
        served, outputs = found.served, found.outputs
        given.check(served)
    paths = None if can_broadcast(portfolio.spark) else found.paths
    report = HostReport(portfolio.spark)
    run.in_python = report.spent
    score = predictions(portfolio.spark, served, paths, config.predict.kernel, report)
    key, features = config.sources.policies.key, _features(served)

    def long(prepared: DataFrame, seen: Observation | None = None) -> DataFrame:
        rows = scored(prepared, key, features, score, outputs)
        if seen is not None:
            rows = rows.observe(seen, F.count(F.lit(1)).alias(_ROWS), *counts(features, outputs))
        return long_rows(rows, key, outputs, run.batch, run.run_id)

    names = ", ".join(f"'{name}'" for name in dict.fromkeys(_plain(one.name) for one in outputs))
    # A class's rows stand under NAME.CLASS; the version before may have had other classes.
    where = f"{batch_is(run.batch)} AND substring_index(model_name, '.', 1) IN ({names})"
    contract = predictions_table(config.sources.policies)
    with run.phase("plan"):
        parts = given.slices(config.predict.rows_per_micro_batch)
    with arrow_batch_rows(portfolio.spark, config.predict.rows_per_arrow_batch):
        if len(parts) == 1:
            seen = Observation()
            with run.phase("write"):
                rows = long(parts[0], seen)
                run.outputs["predictions"] = portfolio.tables.replace(
                    contract, rows, run.run_id, where
                )
            counted = seen.get
        else:
            staged = gathered(portfolio, run)
            run.outputs["predictions"] = in_micro_batches(run, staged, parts, long, where)
            with run.phase("count"):
                counted = _counted(portfolio, run, given.rows(), features, outputs)
    run.rows_out = run.outputs["predictions"].rows
    _tell(run, config, outputs, counted)
    run.details["hosts"] = report.hosts()


def _counted(
    portfolio: Portfolio,
    run: Run,
    prepared: DataFrame,
    features: list[Feature],
    outputs: list[PredictedColumn],
) -> dict[str, float]:
    """Count over the whole batch, micro-batches of other runs included."""
    written = portfolio.tables.read("predictions", run.outputs["predictions"].version, [run.batch])
    sums = written.groupBy("model_name").agg(F.sum("expected").alias("expected")).collect()
    expected = {row["model_name"]: row["expected"] for row in sums}
    told = prepared.agg(F.count(F.lit(1)).alias(_ROWS), *counts(features, [])).first()
    assert told is not None
    return told.asDict() | {f"expected{o.column}": expected.get(o.name) for o in outputs}


def _plain(name: str) -> str:
    """Return the model's name of an output's."""
    return name.partition(".")[0]


def _features(served: list[ScoringModel]) -> list[Feature]:
    by_name = {f.name: f for one in served for f in one.model.manifest.features}
    return list(by_name.values())


def _tell(run: Run, config: Config, outputs: list[PredictedColumn], seen: dict[str, float]) -> None:
    run.rows_in = int(seen[_ROWS])
    unseen = {
        k.removeprefix("unseen_"): int(v) for k, v in seen.items() if k.startswith("unseen_") and v
    }
    run.details |= {
        "models": {o.name: o.version for o in outputs},
        "expected": {
            o.name: round(seen[f"expected{o.column}"], 2)
            for o in outputs
            if seen.get(f"expected{o.column}") is not None
        },
        "unseen_levels": unseen,
    }
    for name, count in unseen.items():
        if count > config.predict.unseen_warning_share * max(run.rows_in, 1):
            event(
                f"feature {name}: {count} of {run.rows_in} rows hold a level that training never "
                "saw; they score as the base level, as '(other)' or as missing, as its model says",
                level=30,
            )
