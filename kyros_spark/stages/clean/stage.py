"""clean: the extract as it came -> `policies`, `claims`, and `rejects` with the reason of each."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark.config import Config, SourceSettings
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
    start,
)
from kyros_spark.runs.run import Run
from kyros_spark.spark.persisted import persisted
from kyros_spark.stages.clean.extract import source_fingerprint
from kyros_spark.stages.clean.judge import JudgedSource, count, judge
from kyros_spark.stages.clean.profile import as_frame, profile_rows, profiled_before
from kyros_spark.tables.claims import claims as claims_table
from kyros_spark.tables.ddl import batch_is
from kyros_spark.tables.policies import policies as policies_table
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.verdicts import clean_rows, rejected_rows


def clean(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Check one batch of the extract and write what is clean, and what is not with its reasons.

    Raises:
        DataContractError: the extract broke its contract; nothing was written.
    """
    portfolio = portfolio or Portfolio(spark, config)
    run = start("clean", batch, config, run_id)
    sources = _sources(config, run.batch)
    settings = {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "clean": config.clean.model_dump(mode="json"),
    }
    return execute(
        portfolio,
        run,
        lambda: {n: source_fingerprint(spark, n, s, run.batch) for n, s in sources.items()},
        settings,
        lambda run: _work(portfolio, run, sources),
    )


def _sources(config: Config, batch: str) -> dict[str, SourceSettings]:
    claims = config.sources.claims
    with_claims = {"claims": claims} if claims is not None and claims.holds(batch) else {}
    return {"policies": config.sources.policies, **with_claims}


def _work(portfolio: Portfolio, run: Run, sources: dict[str, SourceSettings]) -> None:
    judged: dict[str, JudgedSource] = {}
    profiles: list[dict[str, Any]] = []
    before: dict[str, list[dict[str, Any]]] | None = None
    with ExitStack() as kept:
        for name, source in sources.items():
            with run.phase(f"check {name}"):
                found = judge(portfolio.spark, name, source, run.batch, judged.get("policies"))
                judged[name] = replace(found, rows=kept.enter_context(persisted(found.rows)))
                counts = count(run, name, judged[name], portfolio.config.clean)
            with run.phase(f"profile {name}"):
                if before is None:  # asked once a source passed its checks
                    before = profiled_before(portfolio, run.batch)
                old = before.get(name, [])
                profiles += profile_rows(portfolio, run, name, judged[name], counts, old)
        with run.phase("write"):
            _write(portfolio, run, judged, profiles)


def _write(
    portfolio: Portfolio, run: Run, judged: dict[str, JudgedSource], profiles: list[dict[str, Any]]
) -> None:
    where = batch_is(run.batch)
    claims, policies = portfolio.config.sources.claims, portfolio.config.sources.policies
    contract = policies_table(policies)
    optional = [claims_table(claims)] if claims is not None else []
    # Before the first of them is written.
    portfolio.tables.check(REJECTS, PROFILES, contract, *optional)
    refused = [rejected_rows(j.rows, j.rules, n, run.batch, run.run_id) for n, j in judged.items()]
    rejects = refused[0] if len(refused) == 1 else refused[0].unionByName(refused[1])
    rejects = rejects.coalesce(_files(portfolio, run.rows_rejected))
    run.outputs["rejects"] = portfolio.tables.replace(REJECTS, rejects, run.run_id, where)
    if profiles:
        frame = as_frame(portfolio.spark, profiles)
        run.outputs["profiles"] = portfolio.tables.replace(PROFILES, frame, run.run_id, where)
    if claims is not None:
        table, rows = claims_table(claims), _rows(portfolio, run, judged, "claims", claims)
        run.outputs["claims"] = portfolio.tables.replace(table, rows, run.run_id, where)
    rows = _rows(portfolio, run, judged, "policies", policies)
    run.outputs["policies"] = portfolio.tables.replace(contract, rows, run.run_id, where)
    run.rows_out = sum(run.outputs[n].rows for n in ("policies", "claims") if n in run.outputs)


def _rows(
    portfolio: Portfolio,
    run: Run,
    judged: dict[str, JudgedSource],
    name: str,
    source: SourceSettings,
) -> DataFrame:
    """Return the clean rows of a source in as few partitions as make files of a good size."""
    if name not in judged:  # claims that are not known yet
        columns = claims_table(source).columns
        schema = ", ".join(f"`{column.name}` {column.type}" for column in columns)
        return portfolio.spark.createDataFrame([], schema)
    clean = clean_rows(judged[name].rows, source, run.batch, run.run_id)
    files = _files(portfolio, run.details[name]["rows_out"])
    if portfolio.config.tables.cluster_by_key and source.key:
        # Each file then holds a range of keys, and a question about one policy reads one file.
        return clean.repartitionByRange(files, *source.key).sortWithinPartitions(*source.key)
    return clean.coalesce(files)


def _files(portfolio: Portfolio, rows: int) -> int:
    return max(math.ceil(rows / portfolio.config.tables.rows_per_file), 1)
