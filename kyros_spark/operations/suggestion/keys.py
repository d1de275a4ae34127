"""Find the columns that identify a row, and those by which policies are split into parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import pandas as pd

from kyros_spark.operations.suggestion.guess import Guess
from kyros_spark.operations.suggestion.names import is_identity, is_period, is_person

MAX_CANDIDATES = 6
_MAX_COLUMNS = 10  # of which pairs and triples are tried
_FEWEST_ROWS = 30  # below, almost any two columns are unique together
_PARTS = {"train": "train", "training": "train", "valid": "valid", "validation": "valid",
          "test": "test", "holdout": "test"}  # fmt: skip


def candidate_keys(
    columns: Sequence[Guess], excluded: set[str], sample: pd.DataFrame
) -> Iterator[list[Guess]]:
    """Yield combinations of columns that may be the key, the likeliest first.

    excluded: names of columns that are known from claims, or are an exposure; a key that knows
    them would deal them out unevenly. A single column comes before two, and two before three. More
    than one needs an identity among them, since any few columns of a small file are unique.
    """
    usable = [
        c
        for c in columns
        if c.required and c.name not in excluded and (c.is_whole or not c.is_number)
    ]
    sources = [c.source for c in usable]
    rows = sample.drop_duplicates()[sources]
    if len(rows) < 2:
        return
    single = [c for c in usable if not rows[c.source].duplicated().any()]
    single = [c for c in single if looks_like_identity(c)]
    yield from ([c] for c in sorted(single, key=lambda c: not is_identity(c.source)))
    identities = [c for c in usable if is_identity(c.source) and c.distinct > 1]
    others = [c for c in usable if c not in identities and is_period(c.source) and c.distinct > 1]
    if len(rows) < _FEWEST_ROWS:
        return
    named = [*identities, *others][:_MAX_COLUMNS]
    for size in (2, 3):
        for group in itertools.combinations(named, size):
            if group[0] in identities and not rows.duplicated([c.source for c in group]).any():
                yield list(group)


def looks_like_identity(column: Guess) -> bool:
    """Tell whether a column of different values is an identity: by name, as text, or numbered."""
    if is_identity(column.source):
        return True
    if column.type == "string":
        return column.distinct > 20
    if not column.is_whole or column.distinct < _FEWEST_ROWS:
        return False
    values = column.values.dropna()
    return bool(values.max() - values.min() + 1 <= 1.1 * len(values)) and column.distinct == len(
        values
    )


def is_index(column: Guess) -> bool:
    """Tell whether a column is no property of the policy: an identity, or numbers of the rows."""
    if is_identity(column.source):
        return True
    rows = int(column.values.notna().sum())
    return column.distinct == rows and looks_like_identity(column)


def declared_parts(columns: Sequence[Guess]) -> tuple[Guess, dict[str, str]] | None:
    """Return the column that says train, valid and test, and what each of its levels means."""
    for column in columns:
        parts = {level: _PARTS.get(level.lower(), "") for level in column.levels}
        if len(parts) > 1 and all(parts.values()) and "train" in parts.values():
            return column, parts
    return None


def split_column(columns: Sequence[Guess], key: Sequence[Guess], rows: int) -> str:
    """Return the column by whose hash policies are split: a client, a policy, or the row."""
    clients = [
        c
        for c in columns
        if c.required and is_person(c.source) and is_identity(c.source)
        and c.distinct >= rows / 4 and not (c.is_number and not c.is_whole)
    ]  # fmt: skip
    chosen = [*clients, *(c for c in key if is_identity(c.source)), *key]
    return chosen[0].name if chosen else "row_number"
