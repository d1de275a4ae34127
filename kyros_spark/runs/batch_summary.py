"""Summarise what a pipeline did to each batch, for its result line and its closing words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.runs.run import Run

MOST_REASONS = 5


def batch_summaries(runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Return for each batch what its steps tell, those that were skipped included.

    Of clean: policies in and out, duplicates, rejected rows with their most frequent rules, rows
    that a rule repaired. Of predict: rows of unseen levels by feature. Of evaluate: A/E with its
    interval by model, and the report. Of monitor: the verdict, and the rules that are broken.
    """
    summaries: dict[str, dict[str, Any]] = {}
    for run in runs:
        summarise = _SUMMARISED_BY.get(run.stage)
        if summarise is not None and run.details:
            summaries.setdefault(run.batch, {}).update(summarise(run.details))
    return summaries


def _of_clean(details: Mapping[str, Any]) -> dict[str, Any]:
    sources = {name: counts for name, counts in details.items() if "rows_out" in counts}
    policies = sources.get("policies", {})
    rules = {
        f"{name} {rule}": count
        for name, counts in sources.items()
        for rule, count in counts.get("rules", {}).items()
    }
    most = sorted(rules.items(), key=lambda item: (-item[1], item[0]))[:MOST_REASONS]
    return {
        "policies_in": policies.get("rows_in"),
        "policies_out": policies.get("rows_out"),
        "duplicates": sum(counts.get("duplicates", 0) for counts in sources.values()),
        "rejected": sum(counts.get("rejected", 0) for counts in sources.values()),
        "reasons": dict(most),
        "repaired": sum(sum(counts.get("repaired", {}).values()) for counts in sources.values()),
    }


def _of_predict(details: Mapping[str, Any]) -> dict[str, Any]:
    return {"unseen_levels": dict(details.get("unseen_levels", {}))}


def _of_evaluate(details: Mapping[str, Any]) -> dict[str, Any]:
    names = ("actual_expected", "report")
    return {name: details[name] for name in names if name in details}


def _of_monitor(details: Mapping[str, Any]) -> dict[str, Any]:
    return {"drift": details.get("verdict"), "alarms": list(details.get("alarms", ()))}


_SUMMARISED_BY = {"clean": _of_clean, "predict": _of_predict, "monitor": _of_monitor,
                  "evaluate": _of_evaluate}  # fmt: skip
