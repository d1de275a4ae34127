"""Write the text of a first settings file from a sample of an undescribed source.

A sample supports guesses only. Bounds, levels and required columns are therefore suggested with
severity `warn`: the file runs unchanged and counts what breaks them, and a person then decides what
to refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

_MAX_LEVELS = 30
_INTEGER = r"[+-]?(?:0|[1-9]\d{0,17})"
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_DATE = r"\d{4}-\d{2}-\d{2}"
_EXPOSURE = re.compile(r"expo|policy_years|duration_years|earned", re.IGNORECASE)
_IDENTITY = re.compile(r"(^|_)(id|no|number|policy|contract|client)(_|$)|^id|id$", re.IGNORECASE)
_UNIT_EXPOSURE = (
    "      exposure_years: {type: double, sql: 1.0D} # not known: one policy-year each",
)


@dataclass
class Guess:
    """The guessed settings of one column.

    name, source  its name in the settings, and in the source
    required      whether the sample has a value in every row
    missing       texts that stand for a missing value
    low, high     the bounds of a number, those texts aside
    levels        the values of a text column that has few
    distinct      the number of distinct values in the sample
    remark        a comment for the settings file; a column with a remark makes no feature
    """

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
    """Return one guess per column.

    sample: raw values as texts, None where missing.
    types: the types that the source itself gives, by column.
    """
    taken: set[str] = set()
    columns = []
    for source in sample.columns:
        name = _plain_name(source, taken)
        taken.add(name.lower())
        values = sample[source].dropna()
        values = values[values.str.strip() != ""]
        guess = Guess(name, source, types.get(source) or _narrowest_type(values))
        guess.required = len(values) == len(sample)
        guess.distinct = values.nunique()
        if guess.type in ("int", "long", "double"):
            _set_bounds(guess, values.astype(float))
        elif guess.type == "string" and 0 < guess.distinct <= _MAX_LEVELS:
            guess.levels = sorted(values.unique())
        if not len(values):
            guess.remark = "all missing"
        elif guess.distinct == 1:
            guess.remark = "constant"
        columns.append(guess)
    return columns


def likely_keys(columns: list[Guess], sample: pd.DataFrame) -> Iterator[list[str]]:
    """Yield column combinations that may be the key, the likeliest first, by names in the source.

    sample: distinct rows. Single columns come before pairs of columns.
    """
    required = [c for c in columns if c.required and c.type != "double"]
    single = [c for c in required if c.distinct == len(sample)]
    single.sort(key=lambda column: not _IDENTITY.search(column.source))
    yield from ([column.source] for column in single)
    identities = [c for c in required if _IDENTITY.search(c.source)]
    for n, second in enumerate(identities):
        for first in identities[:n]:
            if not sample.duplicated([first.source, second.source]).any():
                yield [first.source, second.source]


def settings_text(
    columns: list[Guess], key: list[str], portfolio: str, source: dict[str, str], rows: int
) -> str:
    """Return the text of the settings file.

    key: the key's names in the source; if it is empty, each record is its own identity.
    source: the source's path and format; rows: the number of its rows.
    """
    names = {column.source: column.name for column in columns}
    key_names = [names[column] for column in key] or ["record_id"]
    doubles = [column for column in columns if column.type == "double"]
    exposure = next((c for c in doubles if _EXPOSURE.search(c.source)), None)
    lines = [
        f"# Suggested from {rows:,} rows of {source['path']}: a first guess, to be edited.",
        "# A value that breaks a suggestion of severity warn is counted, not refused: make the",
        "# severity reject, repair or fail where you know better. See docs/clean.md.",
        f"portfolio: {_text(portfolio)}",
        "tables:",
        f"  base: {_text(f'build/{portfolio}')}",
        'batches: ["1"]',
        "",
        "sources:",
        "  policies:",
        f"    format: {source['format']}",
        f"    path: {_text(source['path'])} # put {{batch}} where the batch id belongs",
        f"    key: [{', '.join(key_names)}]" + ("" if key else " # no columns identify a record"),
        "    columns:",
        *(f"      {line}" for column in columns for line in _column(column)),
        *(_record_id(columns) if not key else []),
        *(_UNIT_EXPOSURE if exposure is None else []),
        "    # claims: a second source, or columns of this one: see amounts in docs/clean.md.",
        "",
        "clean:",
        "  max_rejected_share: 0.05",
        "",
        *_prepare(columns, key_names, exposure),
    ]
    return "\n".join(lines) + "\n"


def _record_id(columns: list[Guess]) -> list[str]:
    """Return the column that identifies a record by the hash of all its values."""
    values = ", ".join(f"coalesce(CAST({c.name} AS STRING), '')" for c in columns)
    expression = _text(f"sha2(concat_ws('|', {values}), 256)")
    return [f"      record_id: {{type: string, sql: {expression}}}"]


def _prepare(columns: list[Guess], key_names: list[str], exposure: Guess | None) -> list[str]:
    """Return the section `prepare`, with every column that can be a feature."""
    name, max_exposure = "exposure_years", 1.0
    if exposure is not None:
        name, max_exposure = exposure.name, max(exposure.high or 1.0, 1.0)
    candidates = [column for column in columns if column.name not in (*key_names, name)]
    features = [line for column in candidates for line in _feature(column)]
    return [
        "prepare:",
        f"  exposure: {name}",
        f"  max_exposure: {max_exposure:g}",
        f"  split: {{by: [{key_names[0]}], train: 0.7, valid: 0.15}} # better by client",
        "  # Remove whatever is known only from claims: it is a target, not a feature.",
        "  features:",
        *(f"    {line}" for line in features or [f"constant: {{kind: numeric, sql: 0 * {name}}}"]),
    ]


def _column(guess: Guess) -> list[str]:
    """Return the lines of a column in `sources.policies.columns`."""
    parts = [f"type: {guess.type}"]
    warned = []
    if guess.source != guess.name:
        parts.append(f"from: {_text(guess.source)}")
    if guess.missing:
        parts.append(f"missing: [{', '.join(map(_text, guess.missing))}]")
    if guess.required and not guess.missing:
        parts.append("required: true")
        warned.append("required")
    for name, bound in (("min", guess.low), ("max", guess.high)):
        if bound is not None:
            parts.append(f"{name}: {bound!r}")
            warned.append(name)
    if guess.levels:
        parts.append(f"allowed: [{', '.join(map(_text, guess.levels))}]")
        warned.append("allowed")
    if warned:
        parts.append(f"severity: {{{', '.join(f'{name}: warn' for name in warned)}}}")
    line = f"{guess.name}: {{{', '.join(parts)}}}"
    return [f"# {guess.name}: {guess.remark}", line] if guess.remark else [line]


def _feature(guess: Guess) -> list[str]:
    """Return the line of a column in `prepare.features`, none if it can be no feature."""
    if guess.remark or guess.type in ("date", "timestamp"):
        return []
    if guess.type == "string":
        return [f"{guess.name}: {{kind: levels}}"] if guess.levels else []
    return [] if _IDENTITY.search(guess.source) else [f"{guess.name}: {{kind: numeric}}"]


def _set_bounds(guess: Guess, values: pd.Series) -> None:
    """Set the bounds, without the numbers at either end that seem to mean a missing value."""
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


def _narrowest_type(values: pd.Series) -> str:
    """Return the narrowest type that can be read from every text."""
    if not len(values):
        return "string"
    plain = values.str.strip()
    if plain.str.fullmatch(_INTEGER).all():
        return "int" if plain.astype(float).abs().max() < 2**31 else "long"
    if plain.str.fullmatch(_NUMBER).all() and not plain.str.match(r"[+-]?0\d").any():
        return "double"
    return "date" if plain.str.fullmatch(_DATE).all() else "string"


def _plain_name(source: str, taken: set[str]) -> str:
    """Return an SQL-safe column name that is neither reserved nor taken."""
    reserved = {"batch_id", "run_id", "split", "input_hash", "exposure_years", "record_id"}
    name = re.sub(r"[^A-Za-z0-9_]+", "_", source).strip("_")[:100] or "column"
    name = f"c_{name}" if name[0].isdigit() or name.lower() in reserved else name
    while name.lower() in taken:
        name += "_2"
    return name


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
