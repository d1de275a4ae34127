"""Refuse a batch as a whole, with examples of what is wrong and the next step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from kyros_spark.config import CleanSettings, SourceSettings
from kyros_spark.errors import RuleFailedError, SourceEncodingError, TooManyRejectsError
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.likely_cause import MOST, likely_setting
from kyros_spark.transforms.rules import Rule


def refuse_failed(run: Run, name: str, rules: Sequence[Rule]) -> NoReturn:
    """Refuse a batch in which rows break a rule of severity fail."""
    rows = run.details[name]["failed"]
    broken = [rule for rule in rules if rule.severity == "fail" and rule.name in rows]
    worst = "; ".join(
        f"{rows[r.name]} x {r.id} in {r.column} (expected {r.expected})" for r in broken[:5]
    )
    raise RuleFailedError(
        f"{name}, batch {run.batch}: expected no row to break a rule of severity fail, found "
        f"{worst}; correct the extract, or give the rule another severity, nothing was written"
    )


def refuse_rejects(
    run: Run,
    name: str,
    source: SourceSettings,
    examples: Mapping[int, Any],
    rules: Sequence[Rule],
    settings: CleanSettings,
) -> NoReturn:
    """Refuse a batch of too many refused rows, with an example of each of the commonest reasons.

    examples: a value that broke a rule, by the rule's number.
    """
    details, limit = run.details[name], settings.max_rejected_share
    by_name = {rule.name: (rule, examples.get(n)) for n, rule in enumerate(rules)}
    broken = [(*by_name[title], rows) for title, rows in details["rules"].items()]
    for rule, example, rows in broken:
        if rule.id == "encoding":
            raise SourceEncodingError(
                f"{name}, column {rule.column}: expected {rule.expected}, found "
                f"{example!r} ({rows} rows); state the file's encoding in "
                f"sources.{name}.options.encoding, nothing was written"
            )
    worst = "; ".join(
        f"{rows} x {rule.id} in {rule.column} (expected {rule.expected}, found {example!r})"
        for rule, example, rows in broken[:5]
    )
    share = details["rejected"] / details["rows_in"]
    advice = _advice(name, source, details["rows_in"], broken)
    raise TooManyRejectsError(
        f"{name}, batch {run.batch}: expected at most {limit:.2%} of rows refused, found "
        f"{details['rejected']} of {details['rows_in']} ({share:.2%}): {worst}; {advice}, nothing "
        "was written"
    )


def _advice(
    name: str, source: SourceSettings, rows_in: int, broken: Sequence[tuple[Rule, Any, int]]
) -> str:
    """Return what to do about refused rows; where most break one rule, it is the rule to mend."""
    proposals = []
    for rule, example, rows in broken:
        if rows <= MOST * rows_in or rule.column not in source.columns:
            continue
        setting = likely_setting(source.columns[rule.column], str(example))
        path = f"sources.{name}.columns.{rule.column}"
        proposals.append(f"{path} is likely to need {setting}" if setting else f"look at {path}")
    if proposals:
        return f"most rows break the same rule: {', '.join(proposals[:5])}"
    return "correct the extract or raise clean.max_rejected_share"
