"""Arrange a model card as headings, sentences, lists and tables, which its files then write."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

FACTORS = "Factors"


@dataclass(frozen=True)
class CardTable:
    """A table of texts. texts: how many columns from the left are words, not numbers."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    texts: int = 1


Block = str | list[str] | CardTable  # a sentence, a list, a table


@dataclass(frozen=True)
class CardSection:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]


def headline(card: Mapping[str, Any]) -> str:
    """Return which version the card is of, and what it is now."""
    model = card["model"]
    status = str(model["status"])
    refused = ", refused by the gate" if card["gate"]["verdict"] == "refused" else ""
    return f"{model['name']}@{model['version']}: {status}{refused}"


def lead(card: Mapping[str, Any]) -> list[str]:
    """Return the sentences below the headline."""
    model = card["model"]
    per = f" per {model['per']}" if model["per"] else ""
    what = f"{model['method']}, {model['family']}, link {model['link']}"
    described = [model["description"]] if model["description"] else []
    return [*described, f"{what}: predicts {model['target']}{per}."]


def sections(card: Mapping[str, Any]) -> list[CardSection]:
    """Return all that stands below the lead."""
    return [
        CardSection("Purpose", [card["purpose"] or "None was stated."]),
        CardSection("Exclusions", [_listed(card["exclusions"])]),
        CardSection("Data", [_data(card["data"])]),
        CardSection(FACTORS, [_factors(card["factors"])]),
        CardSection("Validation", _validation(card["validation"], card["model"]["deviance"])),
        *([CardSection("Fit", _fit(card["fit"]))] if card["fit"] else []),
        CardSection("Limits", [_listed(card["limits"])]),
        CardSection("Gate", _gate(card["gate"])),
        CardSection("Change since the last champion", _change(card["change"])),
        CardSection("Provenance", [_provenance(card["provenance"])]),
    ]


def _listed(texts: Sequence[str]) -> Block:
    return list(texts) or "None was stated."


def _data(data: Mapping[str, Any]) -> list[str]:
    rows = ", ".join(f"{part} {count}" for part, count in data["rows"].items())
    return [
        f"batches: {', '.join(data['batches'])}",
        *(f"{name}: {version}" for name, version in data["inputs"].items()),
        *([f"rows: {rows}"] if rows else []),
        *([_account(data["account"])] if data["account"] else []),
    ]


def _account(account: Mapping[str, Any]) -> str:
    reasons = [f"{k.replace('_', ' ')} {count}" for k, count in account["left_out"].items()]
    left_out = f"left out: {', '.join(reasons) or 'none'}"
    return f"rows in: {account['in']}, used: {account['used']}, {left_out}"


def _factors(factors: Sequence[Mapping[str, Any]]) -> Block:
    if not factors:
        return "None of its own."
    if "total_gain" in factors[0]:
        rows = [[f["feature"], f["kind"], f["total_gain"], _share(f["share"])] for f in factors]
        return _table(
            "Total gain of the factors", ["factor", "kind", "total gain", "share"], rows, 2
        )
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
    return _table("Levels of the factors", heads, rows, 2)


def _validation(parts: Mapping[str, Mapping[str, float]], deviance: str) -> list[Block]:
    names = list(dict.fromkeys(name for metrics in parts.values() for name in metrics))
    if not names:
        return ["It was not measured on data."]
    rows = [[part, *(metrics.get(name) for name in names)] for part, metrics in parts.items()]
    return [f"Measured by the {deviance}.", _table("Metrics by part", ["part", *names], rows)]


def _fit(totals: Mapping[str, float]) -> list[Block]:
    rows = [[name.replace("_", " "), value] for name, value in totals.items()]
    table = _table("Statistics of the fit", ["statistic", "value"], rows)
    return ["Totals over the rows it was fitted on.", table]


def _gate(gate: Mapping[str, Any]) -> list[Block]:
    blocks: list[Block] = [f"Verdict: {gate['verdict']}."]
    if gate["reasons"]:
        blocks.append(list(gate["reasons"]))
    if gate["promoted_at"]:
        reason = f": {gate['promoted_reason']}" if gate["promoted_reason"] else ""
        blocks.append(f"Champion since {gate['promoted_at']} by {gate['promoted_by']}{reason}.")
    if gate["quality"]:
        bounds = [[q["metric"], q["min"], q["max"], q["measured"]] for q in gate["quality"]]
        heads = ["metric", "at least", "at most", "measured"]
        blocks.append(_table("Declared quality", heads, bounds))
    if gate["budgets"]:
        limits = [[b["budget"], b["declared"], b["measured"]] for b in gate["budgets"]]
        blocks.append(_table("Declared budgets", ["budget", "declared", "measured"], limits))
    challenge = gate["not_worse_than_champion"]
    if challenge:
        condition = f"{challenge['metric']}, tolerance {challenge['tolerance']:g}"
        note = f"; not compared: {gate['not_compared']}" if gate["not_compared"] else ""
        blocks.append(f"Not worse than the champion in {condition}{note}.")
    return blocks


def _change(change: Mapping[str, Any] | None) -> list[Block]:
    if change is None:
        return ["There was none."]
    data = "the same data" if change["same_data"] else "other data"
    blocks: list[Block] = [f"Against {change['since']}, trained on {data}."]
    for kind in ("settings", "metrics"):
        rows = [[name, pair["before"], pair["now"]] for name, pair in change[kind].items()]
        if rows:
            texts = 3 if kind == "settings" else 1
            blocks.append(_table(f"Changed {kind}", [kind, "before", "now"], rows, texts))
    return blocks


def _provenance(provenance: Mapping[str, Any]) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in provenance["libraries"].items())
    facts = {**provenance, "libraries": libraries}
    return [f"{name.replace('_', ' ')}: {value}" for name, value in facts.items() if value]


def _table(
    caption: str, heads: Sequence[str], rows: Sequence[Sequence[Any]], texts: int = 1
) -> CardTable:
    return CardTable(caption, heads, [[_cell(value) for value in row] for row in rows], texts)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.0f}" if value.is_integer() else f"{value:.6g}"
    return str(value)


def _places(value: float | None) -> str | None:
    return None if value is None else f"{value:.3f}"


def _share(value: float | None) -> str | None:
    return None if value is None else f"{value:.1%}"
