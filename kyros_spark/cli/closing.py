"""Say at a command's end what came of it, in words; a terminal shows them for the result line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def closing_words(line: Mapping[str, Any]) -> str:
    """Return the words for a command's result line; "" where its own output has said it all."""
    if "steps" in line and line.get("stage") in ("run", "demo"):
        return "".join(f"{text}\n" for text in _of_pipeline(line))
    if "rows_in" in line and line.get("status") in ("done", "skipped"):
        return f"{_of_stage(line)}\n"
    return ""


def _of_stage(line: Mapping[str, Any]) -> str:
    step = " ".join(str(line[name]) for name in ("stage", "batch") if line.get(name))
    if line["status"] == "skipped":
        return f"{step}: nothing to do, it is current"
    counts = [f"{line['rows_in']:,} rows in", f"{line['rows_out']:,} out"]
    counts += [f"{line['rows_rejected']:,} rejected"] if line.get("rows_rejected") else []
    counts += [f"{line['rows_duplicate']:,} duplicates"] if line.get("rows_duplicate") else []
    details = line.get("details", {})
    end = f"; report: {details['report']}" if details.get("report") else ""
    alarms = [f"\n  {_alarm(alarm)}" for alarm in details.get("alarms", ())]
    end += f"; drift: {details['verdict']}{''.join(alarms)}" if "verdict" in details else ""
    return f"{step}: done in {line['seconds']:.1f} s, {', '.join(counts)}{end}"


def _of_pipeline(line: Mapping[str, Any]) -> Iterator[str]:
    steps = line["steps"]
    done = sum(step["status"] == "done" for step in steps)
    skipped = sum(step["status"] == "skipped" for step in steps)
    failed = "stopped_at" in line
    stop = "; stopped at {stage} {batch}".format_map(line["stopped_at"]) if failed else ""
    yield f"{done} steps done, {skipped} were current, {line['seconds']:.1f} s{stop}"
    for batch, summary in line["batches"].items():
        yield from _of_batch(batch, summary)
    if not failed and line["stage"] != "demo":  # its own end has said what comes next
        yield f"next: {line['next']}"


def _of_batch(batch: str, summary: Mapping[str, Any]) -> Iterator[str]:
    if summary.get("policies_in") is not None:
        counts = [f"{summary['policies_out']:,} of {summary['policies_in']:,} policies"]
        counts += [
            f"{summary[name]:,} {title}"
            for name, title in (("rejected", "rows rejected"), ("repaired", "repaired"),
                                ("duplicates", "duplicates"))
            if summary[name]
        ]  # fmt: skip
        yield f"batch {batch}: {', '.join(counts)}"
        if summary["reasons"]:
            reasons = (f"{rule} {count:,}" for rule, count in summary["reasons"].items())
            yield f"  rejected for: {', '.join(reasons)}"
    if summary.get("unseen_levels"):
        unseen = (f"{name} {count:,} rows" for name, count in summary["unseen_levels"].items())
        yield f"  levels that training never saw: {', '.join(unseen)}"
    for alarm in summary.get("alarms", ()):
        yield f"  drift, {_alarm(alarm)}"
    for model, (ratio, lower, upper) in summary.get("actual_expected", {}).items():
        interval = "" if lower is None else f"  [{100 * lower:.1f}, {100 * upper:.1f}]"
        yield f"  actual/expected of {model}: {100 * ratio:.1f} %{interval}"
    if "report" in summary:
        yield f"  report: {summary['report']}"


def _alarm(alarm: Mapping[str, Any]) -> str:
    of_model = f" of {alarm['model']}" if alarm.get("model") else ""
    within = f" where {alarm['segment']} is {alarm['level']}" if alarm.get("segment") else ""
    new = f" (new: {', '.join(alarm['new_levels'])})" if alarm.get("new_levels") else ""
    measure = f"{alarm['metric']} {alarm['value']:.4g}, expected at most {alarm['threshold']:g}"
    return f"{alarm['severity']}: {alarm['column']}{of_model}{within}{new}: {measure}"
