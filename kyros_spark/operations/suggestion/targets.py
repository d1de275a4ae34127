"""Find what is known from claims only: counts and amounts as targets, and columns made of them.

Names propose; values decide: a count is whole, mostly 0, and an amount is 0 or missing where its
count is 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pandas as pd

from kyros_spark.operations.suggestion.guess import Guess
from kyros_spark.operations.suggestion.names import (
    is_amount,
    is_claim,
    is_claim_id,
    is_count,
    is_history,
    is_identity,
    peril,
)

_MOST_CLAIMS = 120  # of one policy
_FEWEST_ZEROS = 0.5  # share of policies without a claim
_NEARLY_ALL = 0.98
_HALF = 0.5


@dataclass
class Targets:
    """What the claims of a policy are known by.

    counts, amounts  in pairs where both are there; an amount may have no count, and a count none
    others           columns that only claims tell, so that they are neither target nor feature
    why              the evidence, by column name
    is_claims_file   whether the rows are claims rather than policies
    """

    counts: list[Guess] = field(default_factory=list)
    amounts: list[Guess] = field(default_factory=list)
    others: list[Guess] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    is_claims_file: bool = False

    @property
    def names(self) -> set[str]:
        """Return the names of all columns that know the claims."""
        return {column.name for column in (*self.counts, *self.amounts, *self.others)}


def targets_of(columns: Sequence[Guess], taken: set[str]) -> Targets:
    """Return the likeliest targets.

    taken: columns that are something else, such as the exposure.
    """
    free = [c for c in columns if c.name not in taken and c.distinct]
    targets = Targets(is_claims_file=any(is_claim_id(c.source) for c in columns))
    numbers = [c for c in free if c.is_number and not is_history(c.source)]
    named = [c for c in numbers if _is_count_like(c) and is_count(c.source) and _speaks(c)]
    paired = [c for c in numbers if c not in named and _pair(c, numbers) is not None]
    targets.counts = _without_copies([*named, *paired], targets)
    for count in targets.counts:
        zeros = float((count.values == 0).mean())
        most = float(count.values.max())
        targets.why[count.name] = (
            f"a claim count by its name and values: 0 in {zeros:.1%} of the rows, at most {most:g}"
            + (" (does a policy with two claims say 2?)" if most == 1 else "")
        )
    _find_amounts(targets, numbers)
    _find_others(targets, free)
    return targets


def total(counts: Sequence[Guess]) -> pd.Series:
    """Return the sum of the counts, row by row."""
    return pd.concat([count.values for count in counts], axis=1).sum(axis=1, skipna=False)


def _is_count_like(column: Guess) -> bool:
    values = column.values.dropna()
    if not column.is_whole or values.min() < 0 or not 0 < values.max() <= _MOST_CLAIMS:
        return False
    return bool((values == 0).mean() >= _FEWEST_ZEROS)


def _speaks(column: Guess) -> bool:
    """Tell whether the name says claims; num_ alone says count, of whatever."""
    return is_claim(column.source) and not is_identity(column.source)


def _pair(count: Guess, numbers: Sequence[Guess]) -> Guess | None:
    """Return the amount that belongs to a count whose name does not say claims, as num_ to amt_."""
    if not _is_count_like(count) or not is_count(count.source):
        return None
    for other in numbers:
        fits = other is not count and is_amount(other.source)
        if fits and peril(other.source) == peril(count.source) and _follows(other, count):
            return other
    return None


def _positive(column: Guess) -> pd.Series:
    values = column.values
    return values.notna() & (values != 0) if column.is_number else values.notna()


def _follows(column: Guess, count: Guess) -> bool:
    """Tell whether a column has a value only where there are claims, and mostly there."""
    claims = _positive(count)
    has_value = _positive(column)
    if not claims.any() or not has_value.any() or claims.all():
        return False
    return bool(claims[has_value].mean() >= _NEARLY_ALL and has_value[claims].mean() >= _HALF)


def _without_copies(counts: list[Guess], targets: Targets) -> list[Guess]:
    """Return the counts without those that say of another whether it is above 0, or are a part.

    A count that is the sum of the others stands for them all.
    """
    kept: list[Guess] = []
    for count in sorted(counts, key=lambda c: -float(c.values.sum())):
        same = [k for k in kept if (_positive(k) == _positive(count)).mean() >= 0.999]
        if same:
            targets.others.append(count)
            targets.why[count.name] = f"says no more than '{same[0].source}'"
        else:
            kept.append(count)
    for count in kept if len(kept) > 2 else ():
        parts = [other for other in kept if other is not count]
        if (total(parts) == count.values).mean() >= 0.99:
            targets.others += parts
            targets.why |= {p.name: f"a part of '{count.source}'" for p in parts}
            return [count]
    return kept


def _find_amounts(targets: Targets, numbers: Sequence[Guess]) -> None:
    taken = targets.names
    for column in numbers:
        if column.name in taken or column.distinct < 2 or is_identity(column.source):
            continue
        counts = [c for c in targets.counts if _follows(column, c)]
        own = [c for c in counts if peril(c.source) == peril(column.source)] or counts
        values = column.values.dropna()
        by_name = is_amount(column.source) and (
            is_claim(column.source) or bool((values == 0).mean() >= _FEWEST_ZEROS)
        )
        is_sum = column.distinct > 2 and (is_amount(column.source) or len(counts) > 0)
        if own and is_sum and not _is_average(column, own[0], targets.amounts):
            targets.amounts.append(column)
            targets.why[column.name] = (
                f"an amount of claims: above 0 only where '{own[0].source}' is"
            )
        elif by_name and not own:
            targets.amounts.append(column)
            targets.why[column.name] = "an amount of claims by its name"


def _is_average(column: Guess, count: Guess, amounts: Sequence[Guess]) -> bool:
    """Tell whether a column is an amount that is known already over the count, or that amount."""
    rows = _positive(count) & _positive(column)
    for amount in amounts:
        whole, mean = amount.values[rows], (amount.values / count.values)[rows]
        if bool(((column.values[rows] - mean).abs() <= 0.01 * mean.abs()).mean() >= 0.95):
            return True
        if bool((column.values[rows] == whole).mean() >= 0.95):
            return True
    return False


def _find_others(targets: Targets, free: Sequence[Guess]) -> None:
    taken = targets.names
    for column in free:
        if column.name in taken or is_identity(column.source) or column.distinct < 1:
            continue
        follows = [c for c in targets.counts or targets.amounts if _follows(column, c)]
        if follows and not is_history(column.source):
            targets.others.append(column)
            targets.why[column.name] = f"has a value only where '{follows[0].source}' has one"
        elif column.is_number and _is_count_like(column) and _speaks(column):
            targets.others.append(column)
            targets.why[column.name] = "speaks of claims"
