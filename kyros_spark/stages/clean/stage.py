"""clean: the extract as it came -> `policies`, `claims`, and `rejects` with the reason of each."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession

from kyros_spark.config import Config, SourceSettings
from kyros_spark.delta.tables import Written
from kyros_spark.delta.where import Where
from kyros_spark.delta.where import batch as of_batch
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.spark.persisted import persisted
from kyros_spark.stages.clean.extract import source_fingerprint
from kyros_spark.stages.clean.judge import JudgedSource, count, judge
from kyros_spark.stages.clean.profile import last_profiles, profile_rows
from kyros_spark.tables.claims import claims as claims_table
from kyros_spark.tables.policies import policies as policies_table
from kyros_spark.tables.profiles import PROFILES
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.verdicts import clean_rows, rejected_rows

Sources = dict[str, SourceSettings]
_FEW = 1000  # refused records that the driver writes itself


def clean(
    spark: SparkSession, config: Config, batch: str | None = None, run_id: str | None = None
) -> Run:
    """Check one batch of the extract and write what is clean, and what is not with its reasons.

    Raises:
        DataContractError: the extract broke its contract; nothing was written.
    """
    return execute(clean_work(Portfolio(spark, config), batch), run_id)


def clean_work(portfolio: Portfolio, batch: str | None) -> Work[Sources]:
    """Return what clean would do on a batch."""
    config, label = portfolio.config, batch_of("clean", batch, portfolio.config)
    sources = _sources(config, label)

    def inputs() -> Inputs[Sources]:
        spark = portfolio.spark
        hashes = {n: source_fingerprint(spark, n, s, label) for n, s in sources.items()}
        return Inputs(hashes, sources)

    settings = {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "clean": config.clean.model_dump(mode="json"),
    }
    return Work(portfolio, "clean", label, inputs, settings, lambda *do: _clean(portfolio, *do))


def _sources(config: Config, batch: str) -> Sources:
    claims = config.sources.claims
    with_claims = {"claims": claims} if claims is not None and claims.holds(batch) else {}
    return {"policies": config.sources.policies, **with_claims}


def _clean(portfolio: Portfolio, run: Run, sources: Sources) -> None:
    judged: dict[str, JudgedSource] = {}
    profiles: list[dict[str, Any]] = []
    earlier: dict[str, list[dict[str, Any]]] | None = None
    with ExitStack() as persistence:
        for name, source in sources.items():
            with run.phase(f"check {name}"):
                verdicts = judge(portfolio.spark, name, source, run.batch, judged.get("policies"))
                rows = persistence.enter_context(persisted(verdicts.rows))
                judged[name] = replace(verdicts, rows=rows)
                counts = count(run, name, judged[name], portfolio.config.clean)
            with run.phase(f"profile {name}"):
                if earlier is None:  # asked once a source has passed its checks
                    earlier = last_profiles(portfolio, run.batch)
                before = earlier.get(name, [])
                profiles += profile_rows(portfolio, run, name, judged[name], counts, before)
        with run.phase("write"):
            _write(portfolio, run, judged, profiles)


def _write(
    portfolio: Portfolio,
    run: Run,
    judged: dict[str, JudgedSource],
    profiles: list[dict[str, Any]],
) -> None:
    where, tables = of_batch(run.batch), portfolio.tables
    claims, policies = portfolio.config.sources.claims, portfolio.config.sources.policies
    contract = policies_table(policies)
    optional = [claims_table(claims)] if claims is not None else []
    # Before the first of them is written.
    tables.check(REJECTS, PROFILES, contract, *optional)
    run.outputs["rejects"] = _write_rejects(portfolio, run, judged, where)
    if profiles:
        run.outputs["profiles"] = tables.replace_rows(PROFILES, profiles, run.run_id, where)
    if claims is not None and "claims" not in judged:  # not known yet
        run.outputs["claims"] = tables.replace_rows(claims_table(claims), [], run.run_id, where)
    elif claims is not None:
        rows = _rows(portfolio, run, judged["claims"], "claims", claims)
        run.outputs["claims"] = tables.replace(claims_table(claims), rows, run.run_id, where)
    rows = _rows(portfolio, run, judged["policies"], "policies", policies)
    run.outputs["policies"] = tables.replace(contract, rows, run.run_id, where)
    run.rows_out = sum(run.outputs[n].rows for n in ("policies", "claims") if n in run.outputs)


def _write_rejects(
    portfolio: Portfolio, run: Run, judged: dict[str, JudgedSource], where: Where
) -> Written:
    tables = portfolio.tables
    if not run.rows_rejected:
        return tables.replace_rows(REJECTS, [], run.run_id, where)
    refused = [rejected_rows(j.rows, j.rules, n, run.batch, run.run_id) for n, j in judged.items()]
    rejects = refused[0] if len(refused) == 1 else refused[0].unionByName(refused[1])
    if run.rows_rejected <= _FEW:
        rows = [row.asDict(recursive=True) for row in rejects.collect()]
        return tables.replace_rows(REJECTS, rows, run.run_id, where)
    rejects = rejects.coalesce(_files(portfolio, run.rows_rejected))
    return tables.replace(REJECTS, rejects, run.run_id, where)


def _rows(
    portfolio: Portfolio, run: Run, judged: JudgedSource, name: str, source: SourceSettings
) -> DataFrame:
    """Return the clean rows of a source in as few partitions as make files of a good size."""
    clean_source = clean_rows(judged.rows, source, run.batch, run.run_id)
    files = _files(portfolio, run.details[name]["rows_out"])
    if portfolio.config.tables.cluster_by_key and source.key:
        # Each file then holds a range of keys, and a question about one policy reads one file.
        ranged = clean_source.repartitionByRange(files, *source.key)
        return ranged.sortWithinPartitions(*source.key)
    return clean_source.coalesce(files)


def _files(portfolio: Portfolio, rows: int) -> int:
    return max(math.ceil(rows / portfolio.config.tables.rows_per_file), 1)
