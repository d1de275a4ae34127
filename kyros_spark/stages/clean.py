"""clean: the extract as it came -> `policies`, `claims`, and `rejects` with the reason of each."""

from __future__ import annotations

from contextlib import ExitStack

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, SparkSession

from kyros_spark.config import Config, SourceSettings
from kyros_spark.delta import batch_is
from kyros_spark.errors import (
    ConfigError,
    EmptySourceError,
    SourceEncodingError,
    TooManyRejectsError,
)
from kyros_spark.extract import read_raw, source_fingerprint
from kyros_spark.runs import Run
from kyros_spark.stages.execute import Workplace, execute, held, start
from kyros_spark.tables.claims import claims as claims_table
from kyros_spark.tables.policies import policies as policies_table
from kyros_spark.tables.rejects import REJECTS
from kyros_spark.transforms.duplicates import CONFLICT, COPY, with_duplicates_marked
from kyros_spark.transforms.reference import with_orphans_judged
from kyros_spark.transforms.rules import with_reasons
from kyros_spark.transforms.typed import RAW, with_raw_kept, with_typed_columns
from kyros_spark.transforms.verdicts import accepted, clean_rows, rejected_rows, verdict_counts


def clean(
    spark: SparkSession,
    config: Config,
    batch: str | None = None,
    run_id: str | None = None,
    place: Workplace | None = None,
) -> Run:
    """Check one batch of the extract and write what is clean, and what is not with its reasons.

    Raises:
        DataContractError: the extract broke its contract; nothing was written.
    """
    place = place or Workplace(spark, config)
    run = start("clean", batch, config, run_id)
    sources = _sources(config, run.batch)
    settings = {
        "sources": {name: source.model_dump(mode="json") for name, source in sources.items()},
        "clean": config.clean.model_dump(mode="json"),
    }
    return execute(
        place,
        run,
        lambda: {n: source_fingerprint(spark, n, s, run.batch) for n, s in sources.items()},
        settings,
        lambda run: _work(place, run, sources),
    )


def _sources(config: Config, batch: str) -> dict[str, SourceSettings]:
    claims = config.sources.claims
    with_claims = {"claims": claims} if claims is not None and claims.holds(batch) else {}
    return {"policies": config.sources.policies, **with_claims}


def _work(place: Workplace, run: Run, sources: dict[str, SourceSettings]) -> None:
    judged: dict[str, DataFrame] = {}
    with ExitStack() as kept:
        for name, source in sources.items():
            with run.phase(f"check {name}"):
                frame = _judge(place.spark, name, source, run.batch)
                if name == "claims":
                    known = accepted(judged["policies"]).select(*sources["policies"].key)
                    frame = with_orphans_judged(frame, known, source, sources["policies"])
                judged[name] = kept.enter_context(held(frame))
                _count(run, name, judged[name], place.config.clean.max_rejected_share)
        with run.phase("write"):
            _write(place, run, sources, judged)


def _judge(spark: SparkSession, name: str, source: SourceSettings, batch: str) -> DataFrame:
    kept = with_raw_kept(read_raw(spark, name, source, batch))
    try:
        # Only the raw record goes through the shuffle; types are computed again behind it.
        marked = with_duplicates_marked(with_typed_columns(kept, source), source)
        return with_reasons(with_typed_columns(marked.select(RAW, COPY, CONFLICT), source), source)
    except AnalysisException as error:
        line = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"sources.{name}.columns: an sql, min, max or allowed cannot be computed from the "
            f"columns {', '.join(source.columns)}: {line}"
        ) from error


def _count(run: Run, name: str, judged: DataFrame, limit: float) -> None:
    """Count rows by verdict, and stop before anything is written where too many are refused."""
    counts = verdict_counts(judged).collect()
    total = sum(row["rows"] for row in counts)
    copies = sum(row["rows"] for row in counts if row["copy"])
    broken = sorted((row for row in counts if row["rule"]), key=lambda row: -row["rows"])
    refused = sum(row["rows"] for row in broken)
    run.rows_in += total
    run.rows_duplicate += copies
    run.rows_rejected += refused
    run.details[name] = {
        "rows_in": total,
        "duplicates": copies,
        "rejected": refused,
        "rows_out": total - copies - refused,
        "rules": {f"{row['rule']}:{row['column']}": row["rows"] for row in broken},
    }
    if total == 0:
        raise EmptySourceError(
            f"{name}, batch {run.batch}: expected rows, found none; check the extract, "
            "nothing was written"
        )
    for row in broken:
        if row["rule"] == "encoding":
            raise SourceEncodingError(
                f"{name}, column {row['column']}: expected {row['expected']}, found "
                f"{row['example']!r} ({row['rows']} rows); state the file's encoding in "
                f"sources.{name}.options.encoding, nothing was written"
            )
    if refused > limit * total:
        worst = "; ".join(
            f"{row['rows']} x {row['rule']} in {row['column']} (expected {row['expected']}, found "
            f"{row['example']!r})"
            for row in broken[:5]
        )
        raise TooManyRejectsError(
            f"{name}, batch {run.batch}: expected at most {limit:.2%} of rows refused, found "
            f"{refused} of {total} ({refused / total:.2%}): {worst}; correct the extract or raise "
            "clean.max_rejected_share, nothing was written"
        )


def _write(
    place: Workplace, run: Run, sources: dict[str, SourceSettings], judged: dict[str, DataFrame]
) -> None:
    where = batch_is(run.batch)
    claims = place.config.sources.claims
    contract = policies_table(sources["policies"])
    optional = [claims_table(claims)] if claims is not None else []
    place.tables.check(REJECTS, contract, *optional)  # before the first of them is written
    refused = [rejected_rows(frame, n, run.batch, run.run_id) for n, frame in judged.items()]
    rejects = refused[0] if len(refused) == 1 else refused[0].unionByName(refused[1])
    run.outputs["rejects"] = place.tables.replace(REJECTS, rejects, run.run_id, where)
    if claims is not None:
        rows = (
            clean_rows(judged["claims"], claims, run.batch, run.run_id)
            if "claims" in judged
            else place.spark.createDataFrame([], _schema(claims))
        )
        run.outputs["claims"] = place.tables.replace(claims_table(claims), rows, run.run_id, where)
    policies = clean_rows(judged["policies"], sources["policies"], run.batch, run.run_id)
    run.outputs["policies"] = place.tables.replace(contract, policies, run.run_id, where)
    run.rows_out = sum(run.outputs[n].rows for n in ("policies", "claims") if n in run.outputs)


def _schema(source: SourceSettings) -> str:
    return ", ".join(f"`{column.name}` {column.type}" for column in claims_table(source).columns)
