"""clean: the extract as it came -> `policies`, `claims`, and `rejects` with the reason of each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import NoReturn

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
from kyros_spark.transforms.duplicates import with_duplicates_marked
from kyros_spark.transforms.reference import reference_rule, with_policy_known
from kyros_spark.transforms.rules import Rule, rules_of, with_broken
from kyros_spark.transforms.typed import RAW, with_raw_kept, with_typed_columns
from kyros_spark.transforms.verdicts import (
    accepted,
    clean_rows,
    examples,
    for_verdicts,
    rejected_rows,
    verdict_counts,
)


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


@dataclass(frozen=True)
class _Judged:
    """The rows of one source with their verdicts, and the rules that these are numbers of."""

    source: SourceSettings
    rules: list[Rule]
    rows: DataFrame


def _work(place: Workplace, run: Run, sources: dict[str, SourceSettings]) -> None:
    judged: dict[str, _Judged] = {}
    with ExitStack() as kept:
        for name, source in sources.items():
            with run.phase(f"check {name}"):
                rules = [*rules_of(source), *([reference_rule(source)] if name == "claims" else [])]
                policies = judged.get("policies")
                frame = held(_judge(place.spark, name, source, rules, run.batch, policies))
                judged[name] = _Judged(source, rules, kept.enter_context(frame))
                _count(run, name, judged[name], place.config.clean.max_rejected_share)
        with run.phase("write"):
            _write(place, run, judged)


def _judge(
    spark: SparkSession,
    name: str,
    source: SourceSettings,
    rules: list[Rule],
    batch: str,
    policies: _Judged | None,
) -> DataFrame:
    """Return a source's rows with their verdicts; ``policies`` are those its claims refer to."""
    kept = with_raw_kept(read_raw(spark, name, source, batch))
    try:
        # Only the raw record goes through the shuffle; types are computed again behind it.
        marked = with_duplicates_marked(with_typed_columns(kept, source), source, (RAW,))
        typed = with_typed_columns(marked, source)
        if policies is not None:
            keys = accepted(policies.rows).select(*policies.source.key)
            typed = with_policy_known(typed, keys, source, policies.source)
        return for_verdicts(with_broken(typed, rules), source)
    except AnalysisException as error:
        line = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"sources.{name}.columns: an sql, min, max or allowed cannot be computed from the "
            f"columns {', '.join(source.columns)}: {line}"
        ) from error


def _count(run: Run, name: str, judged: _Judged, limit: float) -> None:
    """Count rows by verdict, and stop before anything is written where too many are refused."""
    counts = verdict_counts(judged.rows).collect()
    total = sum(row["count"] for row in counts)
    copies = sum(row["count"] for row in counts if row["copy"])
    refused = {row["rule"]: row["count"] for row in counts if row["rule"] is not None}
    broken = sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))
    rejected = sum(refused.values())
    run.rows_in += total
    run.rows_duplicate += copies
    run.rows_rejected += rejected
    run.details[name] = {
        "rows_in": total,
        "duplicates": copies,
        "rejected": rejected,
        "rows_out": total - copies - rejected,
        "rules": {judged.rules[number].name: rows for number, rows in broken},
    }
    if total == 0:
        raise EmptySourceError(
            f"{name}, batch {run.batch}: expected rows, found none; check the extract, "
            "nothing was written"
        )
    if any(judged.rules[number].id == "encoding" for number in refused) or rejected > limit * total:
        _refuse(run, name, judged, broken, limit, total)


def _refuse(
    run: Run, name: str, judged: _Judged, broken: list[tuple[int, int]], limit: float, total: int
) -> NoReturn:
    """Raise what is wrong with the batch, with an example of each of the commonest reasons."""
    found = {row["rule"]: row["found"] for row in examples(judged.rows, judged.rules).collect()}
    told = [(judged.rules[number], rows, found[number]) for number, rows in broken]
    for rule, rows, example in told:
        if rule.id == "encoding":
            raise SourceEncodingError(
                f"{name}, column {rule.column}: expected {rule.expected}, found "
                f"{example!r} ({rows} rows); state the file's encoding in "
                f"sources.{name}.options.encoding, nothing was written"
            )
    worst = "; ".join(
        f"{rows} x {rule.id} in {rule.column} (expected {rule.expected}, found {example!r})"
        for rule, rows, example in told[:5]
    )
    rejected = sum(rows for _, rows in broken)
    raise TooManyRejectsError(
        f"{name}, batch {run.batch}: expected at most {limit:.2%} of rows refused, found "
        f"{rejected} of {total} ({rejected / total:.2%}): {worst}; correct the extract or raise "
        "clean.max_rejected_share, nothing was written"
    )


def _write(place: Workplace, run: Run, judged: dict[str, _Judged]) -> None:
    where = batch_is(run.batch)
    claims, policies = place.config.sources.claims, place.config.sources.policies
    contract = policies_table(policies)
    optional = [claims_table(claims)] if claims is not None else []
    place.tables.check(REJECTS, contract, *optional)  # before the first of them is written
    refused = [rejected_rows(j.rows, j.rules, n, run.batch, run.run_id) for n, j in judged.items()]
    rejects = refused[0] if len(refused) == 1 else refused[0].unionByName(refused[1])
    run.outputs["rejects"] = place.tables.replace(REJECTS, rejects, run.run_id, where)
    if claims is not None:
        rows = (
            clean_rows(judged["claims"].rows, claims, run.batch, run.run_id)
            if "claims" in judged
            else place.spark.createDataFrame([], _schema(claims))
        )
        run.outputs["claims"] = place.tables.replace(claims_table(claims), rows, run.run_id, where)
    rows = clean_rows(judged["policies"].rows, policies, run.batch, run.run_id)
    run.outputs["policies"] = place.tables.replace(contract, rows, run.run_id, where)
    run.rows_out = sum(run.outputs[n].rows for n in ("policies", "claims") if n in run.outputs)


def _schema(source: SourceSettings) -> str:
    return ", ".join(f"`{column.name}` {column.type}" for column in claims_table(source).columns)
