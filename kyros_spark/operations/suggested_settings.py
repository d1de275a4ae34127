"""Word a first settings file from a sample of a source that nobody has seen before.

What a sample shows is a guess: bounds, levels and gaps are suggested with severity `warn`, so that
the file runs unchanged and tells what it met; a person then decides what to refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_MOST_LEVELS = 30
_INTEGER = r"[+-]?(?:0|[1-9]\d{0,17})"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DATE = r"\d{4}-\d{2}-\d{2}"
_EXPOSURE = re.compile(r"expo|policy_years|duration_years|earned", re.IGNORECASE)
_IDENTITY = re.compile(r"(^|_)(id|no|number|policy|contract|client)(_|$)|^id|id$", re.IGNORECASE)


@dataclass
class Guess:
    """What a column seems to be, and why."""

    name: str
    source: str
    type: str
    required: bool = False
    missing: list[str] = field(default_factory=list)
    low: float | None = None
    high: float | None = None
    levels: list[str] = field(default_factory=list)
    distinct: int = 0
    remark: str = ""


def guesses(sample: pd.DataFrame, types: dict[str, str]) -> list[Guess]:
    """Return a guess a column. sample: raw values as texts; types: of typed sources, by column."""
    taken: set[str] = set()
    found = []
    for source in sample.columns:
        name = _plain_name(source, taken)
        taken.add(name.lower())
        values = sample[source].dropna()
        given = values[values.str.strip() != ""]
        guess = Guess(name, source, types.get(source) or _type(given))
        guess.required = len(given) == len(sample)
        guess.distinct = given.nunique()
        if guess.type in ("int", "long", "double"):
            _number(guess, given.astype(float))
        elif guess.type == "string" and 0 < guess.distinct <= _MOST_LEVELS:
            guess.levels = sorted(given.unique())
        if not len(given):
            guess.remark = "all missing"
        elif guess.distinct == 1:
            guess.remark = "constant"
        found.append(guess)
    return found


def keys(found: list[Guess], sample: pd.DataFrame) -> Iterator[list[str]]:
    """Return columns that could be the key, the likeliest first, by their names in the source."""
    rows = len(sample)
    alone = [g for g in found if g.required and g.distinct == rows and g.type != "double"]
    alone.sort(key=lambda guess: not _IDENTITY.search(guess.source))
    yield from ([guess.source] for guess in alone)
    parts = [g for g in found if g.required and _IDENTITY.search(g.source) and g.type != "double"]
    for n, one in enumerate(parts):
        for other in parts[:n]:
            if not sample.duplicated([one.source, other.source]).any():
                yield [other.source, one.source]


def settings_text(
    found: list[Guess], key: list[str], portfolio: str, source: dict[str, str], rows: int
) -> str:
    """Return the settings file. key: names in the source; without, a record is its own identity."""
    names = {guess.source: guess.name for guess in found}
    exposure = next((g for g in found if g.type == "double" and _EXPOSURE.search(g.source)), None)
    chosen = [names[column] for column in key] or ["record_id"]
    lines = [
        f"# Suggested from {rows:,} rows of {source['path']}: a first guess, to be edited.",
        "# What is suggested with severity warn is counted and refuses nothing: make it reject,",
        "# repair or fail where you know better. See docs/clean.md.",
        f"portfolio: {_text(portfolio)}",
        "tables:",
        f"  base: {_text(f'build/{portfolio}')}",
        'batches: ["1"]',
        "",
        "sources:",
        "  policies:",
        f"    format: {source['format']}",
        f"    path: {_text(source['path'])} # put {{batch}} where the batch id belongs",
        f"    key: [{', '.join(chosen)}]" + ("" if key else " # no columns identify a record"),
        "    columns:",
        *(f"      {line}" for guess in found for line in _column(guess)),
    ]
    if not key:
        listed = ", ".join(f"coalesce(CAST({g.name} AS STRING), '')" for g in found)
        content = _text(f"sha2(concat_ws('|', {listed}), 256)")
        lines.append(f"      record_id: {{type: string, sql: {content}}}")
    if exposure is None:
        lines.append(
            "      exposure_years: {type: double, sql: 1.0D} # not known: one policy-year each"
        )
    name = exposure.name if exposure is not None else "exposure_years"
    most = max(exposure.high or 1.0, 1.0) if exposure is not None else 1.0
    features = [line for g in found if g.name not in (*chosen, name) for line in _feature(g)]
    lines += [
        "    # claims: a second source, or columns of this one: see amounts in docs/clean.md.",
        "",
        "clean:",
        "  max_rejected_share: 0.05",
        "",
        "prepare:",
        f"  exposure: {name}",
        f"  max_exposure: {most:g}",
        f"  split: {{by: [{chosen[0]}], train: 0.7, valid: 0.15}} # better by client",
        "  # Take out whatever is known from claims only: it is a target, and no feature.",
        "  features:",
        *(f"    {line}" for line in features or [f"constant: {{kind: numeric, sql: 0 * {name}}}"]),
    ]
    return "\n".join(lines) + "\n"


def _column(guess: Guess) -> list[str]:
    parts = [f"type: {guess.type}"]
    severity = []
    if guess.source != guess.name:
        parts.append(f"from: {_text(guess.source)}")
    if guess.missing:
        parts.append(f"missing: [{', '.join(map(_text, guess.missing))}]")
    if guess.required and not guess.missing:
        parts.append("required: true")
        severity.append("required")
    for name, bound in (("min", guess.low), ("max", guess.high)):
        if bound is not None:
            parts.append(f"{name}: {bound!r}")
            severity.append(name)
    if guess.levels:
        parts.append(f"allowed: [{', '.join(map(_text, guess.levels))}]")
        severity.append("allowed")
    if severity:
        parts.append(f"severity: {{{', '.join(f'{name}: warn' for name in severity)}}}")
    line = f"{guess.name}: {{{', '.join(parts)}}}"
    return [f"# {guess.name}: {guess.remark}", line] if guess.remark else [line]


def _feature(guess: Guess) -> list[str]:
    if guess.remark or guess.type in ("date", "timestamp"):
        return []
    if guess.type == "string":
        return [f"{guess.name}: {{kind: levels}}"] if guess.levels else []
    return [] if _IDENTITY.search(guess.source) else [f"{guess.name}: {{kind: numeric}}"]


def _number(guess: Guess, values: pd.Series) -> None:
    """Find sentinels at the ends, and the bounds of the rest."""
    for sentinel in (0.0, -1.0, 999.0, 9999.0, 99999.0, 999999.0):
        rest = values[values != sentinel]
        if len(rest) in (0, len(values)) or guess.distinct < 10:
            continue
        far_below = sentinel <= 0 and rest.min() >= 10 and sentinel in (0.0, -1.0)
        far_above = sentinel > 0 and sentinel == values.max() and rest.max() < sentinel / 5
        if far_below or far_above:
            guess.missing.append(f"{sentinel:g}")
            values = rest
    guess.low, guess.high = float(values.min()), float(values.max())


def _type(values: pd.Series) -> str:
    """Return the narrowest type that every text is written in."""
    if not len(values):
        return "string"
    plain = values.str.strip()
    if plain.str.fullmatch(_INTEGER).all():
        return "int" if plain.astype(float).abs().max() < 2**31 else "long"
    if plain.str.fullmatch(_NUMBER).all() and not plain.str.match(r"[+-]?0\d").any():
        return "double"
    return "date" if plain.str.fullmatch(_DATE).all() else "string"


def _plain_name(source: str, taken: set[str]) -> str:
    reserved = {"batch_id", "run_id", "split", "input_hash", "exposure_years", "record_id"}
    name = re.sub(r"[^A-Za-z0-9_]+", "_", source).strip("_")[:100] or "column"
    name = f"c_{name}" if name[0].isdigit() or name.lower() in reserved else name
    while name.lower() in taken:
        name += "_2"
    return name


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
