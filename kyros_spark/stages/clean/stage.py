"""clean: the extract as it came -> `policies`, `claims`, and `rejects` with the reason of each."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark.config import Config, SourceSettings
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio, batch_of
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.claim_totals import reconcile_claims
from kyros_spark.stages.clean.copies import check_copies
from kyros_spark.stages.clean.judge import JudgedSource, count, judged_source
from kyros_spark.stages.clean.last_profiles import LastProfiles
from kyros_spark.stages.clean.profile import profile_rows
from kyros_spark.stages.clean.source_files import SourceFiles, source_files
from kyros_spark.stages.clean.write import write

Extract = dict[str, SourceFiles]  # by source


def clean(
    spark: SparkSession, config: Config, batch: str | None = None, run_id: str | None = None
) -> Run:
    """Check one batch of the extract and write what is clean, and what is not with its reasons.

    Raises:
        DataContractError: the extract broke its contract; nothing was written.
    """
    return execute(clean_work(Portfolio(spark, config), batch), run_id)


def clean_work(portfolio: Portfolio, batch: str | None) -> Work[Extract]:
    """Return what clean would do on a batch."""
    config, label = portfolio.config, batch_of("clean", batch, portfolio.config)
    sources = _sources(config, label)

    def inputs() -> Inputs[Extract]:
        spark = portfolio.spark
        extract = {n: source_files(spark, n, s, label) for n, s in sources.items()}
        return Inputs({n: files.fingerprint for n, files in extract.items()}, extract)

    settings = {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "clean": config.clean.model_dump(mode="json"),
    }
    return Work(portfolio, "clean", label, inputs, settings, partial(_clean, portfolio, sources))


def _sources(config: Config, batch: str) -> dict[str, SourceSettings]:
    claims = config.sources.claims
    known = claims is not None and claims.holds(batch)
    with_claims = {"claims": claims.of_batch(batch)} if claims is not None and known else {}
    return {"policies": config.sources.policies.of_batch(batch), **with_claims}


def _clean(
    portfolio: Portfolio, sources: dict[str, SourceSettings], run: Run, extract: Extract
) -> None:
    judged: dict[str, JudgedSource] = {}
    profiles: list[dict[str, Any]] = []
    earlier: LastProfiles | None = None
    with ExitStack() as held:
        for name, source in sources.items():
            with run.phase(f"check {name}"):
                policies, most_rows = judged.get("policies"), extract[name].most_rows
                judged[name] = held.enter_context(
                    judged_source(portfolio, name, source, most_rows, run.batch, policies)
                )
                counts = count(run, name, judged[name], portfolio.config.clean)
                check_copies(run, name, judged[name], portfolio.config)
            with run.phase(f"profile {name}"):
                if earlier is None and _compared(portfolio.config):  # once a source has passed
                    earlier = LastProfiles(portfolio.tables)
                before = earlier.before(name, run.batch) if earlier is not None else []
                profiles += profile_rows(portfolio, run, name, judged[name], counts, before)
        with run.phase("reconcile"):
            reconcile_claims(portfolio.config, run, judged, profiles)
        with run.phase("write"):
            write(portfolio, run, judged, profiles)
            if earlier is not None:
                earlier.keep(profiles)


def _compared(config: Config) -> bool:
    """Tell whether a batch's profile is compared with that of the batch before."""
    return config.clean.profile_rows > 0 and config.clean.changes != "ignore"
