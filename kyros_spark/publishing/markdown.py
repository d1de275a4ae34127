"""Write a model card as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from kyros_spark.publishing.plain_text import plain_texts


def markdown(card: Mapping[str, Any]) -> str:
    """Return the card's Markdown, which ends with a line break and depends on the card alone.

    No text of the card, such as a level or a purpose, is read as markup.
    """
    card = plain_texts({**card, "change": _settings_as_text(card["change"])})
    model = card["model"]
    parts = [
        f"# {model['name']}@{model['version']}: {_status(card)}",
        *([model["description"]] if model["description"] else []),
        f"{model['method']}, {model['family']}, link {model['link']}: predicts {model['target']}"
        + (f" per {model['per']}." if model["per"] else "."),
        _section("Purpose", [card["purpose"] or "None was stated."]),
        _section("Exclusions", _list(card["exclusions"])),
        _section("Data", _data(card["data"])),
        _section("Factors", _factors(card["factors"])),
        _section("Validation", _validation(card["validation"], model["deviance"])),
        *([_section("Fit", _fit(card["fit"]))] if card["fit"] else []),
        _section("Limits", _list(card["limits"])),
        _section("Gate", _gate(card["gate"])),
        _section("Change since the last champion", _change(card["change"])),
        _section("Provenance", _provenance(card["provenance"])),
    ]
    return "\n\n".join(parts) + "\n"


def _status(card: Mapping[str, Any]) -> str:
    status = str(card["model"]["status"])
    return f"{status}, refused by the gate" if card["gate"]["verdict"] == "refused" else status


def _section(title: str, lines: Iterable[str]) -> str:
    return "\n".join([f"## {title}", *lines])


def _list(texts: Sequence[str]) -> list[str]:
    return [f"- {text}" for text in texts] or ["None was stated."]


def _data(data: Mapping[str, Any]) -> list[str]:
    rows = ", ".join(f"{part} {count}" for part, count in data["rows"].items())
    return [
        f"- batches: {', '.join(data['batches'])}",
        *(f"- {name}: {version}" for name, version in data["inputs"].items()),
        *([f"- rows: {rows}"] if rows else []),
        *(_account(data["account"]) if data["account"] else []),
    ]


def _account(account: Mapping[str, Any]) -> list[str]:
    reasons = [f"{k.replace('_', ' ')} {count}" for k, count in account["left_out"].items()]
    left_out = f"left out: {', '.join(reasons) or 'none'}"
    return [f"- rows in: {account['in']}, used: {account['used']}, {left_out}"]


def _factors(factors: Sequence[Mapping[str, Any]]) -> list[str]:
    if factors and "total_gain" in factors[0]:
        rows = [[f["feature"], f["kind"], f["total_gain"], _share(f["share"])] for f in factors]
        return _table(["factor", "kind", "total gain", "share"], rows)
    heads = ["factor", "level", "exposure", "relativity", "lower", "upper", "coefficient"]
    rows = []
    for factor in factors:
        for term in factor["terms"]:
            level = "a unit more" if term["level"] is None else term["level"]
            base = " (base)" if term["is_base"] else ""
            numbers = [_places(term[name]) for name in ("relativity", "lower", "upper")]
            rows.append(
                [factor["feature"], f"{level}{base}", term["exposure"], *numbers,
                 term["coefficient"]]
            )  # fmt: skip
    return _table(heads, rows)


def _validation(parts: Mapping[str, Mapping[str, float]], deviance: str) -> list[str]:
    names = list(dict.fromkeys(name for metrics in parts.values() for name in metrics))
    if not names:
        return ["It was not measured on data."]
    rows = [[part, *(metrics.get(name) for name in names)] for part, metrics in parts.items()]
    return [f"Measured by the {deviance}.", "", *_table(["part", *names], rows)]


def _fit(totals: Mapping[str, float]) -> list[str]:
    rows = [[name.replace("_", " "), value] for name, value in totals.items()]
    return ["Totals over the rows it was fitted on.", "", *_table(["statistic", "value"], rows)]


def _gate(gate: Mapping[str, Any]) -> list[str]:
    lines = [f"Verdict: {gate['verdict']}."]
    lines += [f"- {reason}" for reason in gate["reasons"]]
    if gate["promoted_at"]:
        reason = f": {gate['promoted_reason']}" if gate["promoted_reason"] else ""
        lines.append(f"Champion since {gate['promoted_at']} by {gate['promoted_by']}{reason}.")
    if gate["quality"]:
        bounds = [[q["metric"], q["min"], q["max"], q["measured"]] for q in gate["quality"]]
        lines += ["", *_table(["metric", "at least", "at most", "measured"], bounds)]
    if gate["budgets"]:
        limits = [[b["budget"], b["declared"], b["measured"]] for b in gate["budgets"]]
        lines += ["", *_table(["budget", "declared", "measured"], limits)]
    challenge = gate["not_worse_than_champion"]
    if challenge:
        condition = f"{challenge['metric']}, tolerance {challenge['tolerance']:g}"
        note = f"; not compared: {gate['not_compared']}" if gate["not_compared"] else ""
        lines += ["", f"Not worse than the champion in {condition}{note}."]
    return lines


def _change(change: Mapping[str, Any] | None) -> list[str]:
    if change is None:
        return ["There was none."]
    data = "the same data" if change["same_data"] else "other data"
    lines = [f"Against {change['since']}, trained on {data}."]
    for kind in ("settings", "metrics"):
        rows = [[name, pair["before"], pair["now"]] for name, pair in change[kind].items()]
        lines += ["", *_table([kind, "before", "now"], rows)] if rows else []
    return lines


def _settings_as_text(change: Mapping[str, Any] | None) -> Any:
    """Return a change whose lists and mappings are text, to be made plain as a whole."""
    if change is None:
        return None
    return {**change, **{
        kind: {
            name: {when: str(v) if isinstance(v, list | dict) else v for when, v in pair.items()}
            for name, pair in change[kind].items()
        }
        for kind in ("settings", "metrics")
    }}  # fmt: skip


def _provenance(provenance: Mapping[str, Any]) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in provenance["libraries"].items())
    facts = {**provenance, "libraries": libraries}
    return [f"- {name.replace('_', ' ')}: {value}" for name, value in facts.items() if value]


def _table(heads: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    lines = [heads, ["---"] * len(heads), *([_cell(value) for value in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = str(value)
    if isinstance(value, float):
        text = f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
    return text


def _places(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"
