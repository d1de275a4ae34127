"""Guess the type of each column, how its values are written, and which texts mean a missing one."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from kyros_spark.transforms.raw_texts import (
    COMMA_NUMBER,
    INTEGER,
    LEADING_ZERO,
    MISSING_TEXTS,
    NUMBER,
    THOUSANDS,
    all_match,
    compact_dates,
    date_format,
)

MAX_ALLOWED = 30  # levels that are written out
_NUMBERS = ("int", "long", "double")
_NEARLY_ALL = 0.98  # of the texts of a column of numbers: the others are words for a missing one
_DAY_NAME = re.compile(r"date|day|begin|beg|start|end|birth|dob|since|until|from", re.IGNORECASE)


@dataclass
class Guess:
    """The guessed settings of one column.

    name, source  its name in the settings, and in the source
    values        the sample's values in that type, NaN or NaT where missing
    required      whether the sample has a value in every row
    missing       texts that stand for a missing value
    low, high     the bounds of a number, those texts aside
    levels        the values of a text column that has few
    evidence      what was seen, for the comment above the column
    no_feature    why the column makes no feature; empty if it may
    decision      what a person should confirm; empty where the data left no doubt
    """

    name: str
    source: str
    type: str
    values: pd.Series = field(repr=False)
    required: bool = False
    missing: list[str] = field(default_factory=list)
    trim: bool = False
    format: str | None = None
    decimal: str = "."
    low: float | None = None
    high: float | None = None
    levels: list[str] = field(default_factory=list)
    distinct: int = 0
    evidence: list[str] = field(default_factory=list)
    no_feature: str = ""
    decision: str = ""

    @property
    def is_number(self) -> bool:
        """Tell whether it is a number."""
        return self.type in _NUMBERS or self.type.startswith("decimal")

    @property
    def is_whole(self) -> bool:
        """Tell whether it is a number of whole values only."""
        values = self.values.dropna()
        return self.is_number and bool(len(values)) and bool((values % 1 == 0).all())


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
        columns.append(_guess(name, source, sample[source], types.get(source)))
    return columns


def _guess(name: str, source: str, texts: pd.Series, source_type: str | None) -> Guess:
    # Each text is looked at once, however many rows have it.
    codes, distinct = pd.factorize(texts)
    raw = pd.Series(distinct, dtype=object)
    rows = pd.Series(np.bincount(codes[codes >= 0], minlength=len(raw)), index=raw.index)
    plain = raw.str.strip() if len(raw) else raw
    there = set(plain)
    tokens = [word for word in MISSING_TEXTS if word in there]
    present = (plain != "") & ~plain.isin(tokens)
    filled = plain[present]
    guess = Guess(name, source, "string", filled, missing=tokens + [""] * ("" in there))
    if source_type is not None:
        _set_source_type(guess, source_type, filled)
    elif len(filled):
        _set_type(guess, filled, rows)
    guess.trim = guess.type == "string" and bool((raw[present] != filled).any())
    by_text = guess.values.reindex(raw.index)
    guess.values = pd.Series(by_text.array.take(codes, allow_fill=True), index=texts.index)
    guess.required = bool(guess.values.notna().all())
    guess.distinct = int(by_text.nunique())
    if guess.is_number:
        set_bounds(guess)
    elif guess.type == "string" and 0 < guess.distinct <= MAX_ALLOWED:
        guess.levels = sorted(by_text.dropna().unique())
    _describe(guess, {word: int(rows[plain == word].sum()) for word in guess.missing})
    return guess


def _set_source_type(guess: Guess, source_type: str, filled: pd.Series) -> None:
    guess.type = source_type
    if guess.is_number:
        guess.values = pd.to_numeric(filled, errors="coerce").astype(float)
    elif source_type in ("date", "timestamp"):
        guess.values = pd.to_datetime(filled, errors="coerce", format="ISO8601")


def _set_type(guess: Guess, filled: pd.Series, rows: pd.Series) -> None:
    """Set the narrowest type that can be read from every text, and how it is written.

    filled: each text once. rows: how many rows have it.
    """
    days = compact_dates(filled) if _DAY_NAME.search(guess.source) else None
    if days is not None:
        guess.type, guess.format, guess.values = "date", "yyyyMMdd", days
        guess.decision = "type: eight digits, all of them days, are read as yyyyMMdd"
        return
    written = date_format(filled)
    if written is not None:
        guess.type = "timestamp" if written.has_time else "date"
        guess.format, guess.values = written.spark, written.values
        if written.is_ambiguous:
            guess.decision = (
                f"format: every value could be day and month or month and day; {written.spark} "
                "is a guess"
            )
        return
    words = _words_among_numbers(filled, rows)
    numbers = filled[~filled.isin(words)]
    if not _set_number(guess, numbers):
        return
    if words:
        guess.missing += words
        share = 1 - rows[numbers.index].sum() / rows[filled.index].sum()
        guess.decision = f"missing: {', '.join(words)} ({share:.1%} of the values) is read so"


def _set_number(guess: Guess, filled: pd.Series) -> bool:
    """Set the type of numbers; tell whether they are any."""
    if all_match(INTEGER, filled):
        guess.values = filled.astype(float)
        guess.type = "int" if guess.values.abs().max() < 2**31 else "long"
        return True
    if any(map(LEADING_ZERO.match, filled)):
        return False  # codes, such as 01500
    if all_match(NUMBER, filled):
        guess.type, guess.values = "double", filled.astype(float)
        return True
    if all_match(COMMA_NUMBER, filled):
        fractions = [text for text in filled if "," in text]
        if all_match(THOUSANDS, fractions):
            guess.decision = (
                f"type: is {fractions[0]} a decimal comma or thousands? kept as text; for a "
                'decimal comma: {type: double, decimal: ","}'
            )
            return False
        guess.type, guess.decimal = "double", ","
        guess.values = filled.str.replace(",", ".").astype(float)
        return True
    return False


def _words_among_numbers(filled: pd.Series, rows: pd.Series) -> list[str]:
    """Return the few words in a column that otherwise holds numbers only."""
    words = filled[[not any(map(str.isdigit, text)) for text in filled]]
    share = rows[words.index].sum() / rows[filled.index].sum()
    distinct = sorted(set(words))
    return distinct if share <= 1 - _NEARLY_ALL and len(distinct) <= 5 else []


def set_bounds(guess: Guess) -> None:
    """Set the bounds to the least and the largest value."""
    values = guess.values.dropna()
    if len(values):
        guess.low, guess.high = float(values.min()), float(values.max())


def _describe(guess: Guess, missing: dict[str, int]) -> None:
    """Say what was seen. missing: how many rows have each word for a missing value."""
    rows = len(guess.values)
    filled = int(guess.values.notna().sum())
    if not filled:
        guess.no_feature = "all missing"
    elif guess.distinct == 1:
        guess.no_feature = "constant"
    if guess.decimal == ",":
        guess.evidence.append("decimal comma")
    if guess.type in ("date", "timestamp") and filled:
        first, last = guess.values.min(), guess.values.max()
        guess.evidence.append(f"{first:%Y-%m-%d} to {last:%Y-%m-%d}")
        guess.no_feature = guess.no_feature or "a date: make a feature of it, such as an age"
    elif filled:
        guess.evidence.append(f"{guess.distinct:,} value{'s' * (guess.distinct > 1)}")
    if guess.trim:
        guess.evidence.append("blanks around texts")
    if filled < rows:
        words = [f"'{word}' in {count:,}" for word, count in missing.items()]
        listed = f" ({', '.join(words)})" if words else ""
        guess.evidence.append(f"missing in {rows - filled:,} of {rows:,} rows{listed}")


def _plain_name(source: str, taken: set[str]) -> str:
    """Return an SQL-safe column name that is neither reserved nor taken."""
    reserved = {"batch_id", "run_id", "split", "input_hash", "exposure_years", "row_number"}
    name = re.sub(r"[^A-Za-z0-9_]+", "_", source).strip("_")[:100] or "column"
    if re.fullmatch(r"_c\d+", source):  # Spark's name for a column without one
        name = f"column_{int(source[2:]) + 1}"
    name = f"c_{name}" if name[0].isdigit() or name.lower() in reserved else name
    while name.lower() in taken:
        name += "_2"
    return name
