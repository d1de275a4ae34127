"""Choose features for a first frequency GLM, and how bare levels and few claims are treated."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import pandas as pd

from kyros_spark.operations.suggestion.guess import Guess
from kyros_spark.operations.suggestion.keys import is_index
from kyros_spark.operations.suggestion.names import is_code
from kyros_spark.operations.suggestion.targets import Targets, total

MAX_LEVELS = 200  # as train.models.NAME.max_levels has it
_FEW_CLAIMS = 10  # in a level: the training part may have none of them, and no finite coefficient
_SHARES = (0.0005, 0.005, 0.01, 0.02, 0.05)
_RIDGE = 0.001


@dataclass
class Frequency:
    """The features of a first model and the settings that let it be fitted.

    features      name and settings of each
    left_out      why a column is none, by column name
    level_share   min_level_share of the model
    ridge         glm.alpha of the model; 0 where the claims suffice without
    evidence      why
    """

    features: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    level_share: float = _SHARES[0]
    ridge: float = 0.0
    evidence: str = ""


def frequency_of(
    columns: Sequence[Guess], targets: Targets, excluded: Collection[str], key: Sequence[str]
) -> Frequency:
    """Return the features and the settings of a frequency GLM.

    excluded: names that may be no feature: exposure, targets, the split's parts.
    """
    chosen = Frequency()
    usable: list[Guess] = []
    for column in columns:
        if column.name in excluded:
            continue
        reason = _no_feature(column, column.name in key)
        if reason:
            chosen.left_out[column.name] = reason
        else:
            usable.append(column)
            chosen.features[column.name] = _settings(column)
    if not usable:
        name = "constant"
        while name in {column.name for column in columns}:
            name += "_2"
        chosen.features[name] = "{kind: numeric, sql: 1.0D}"
    _support(chosen, usable, targets)
    return chosen


def _no_feature(column: Guess, in_key: bool) -> str:
    if column.no_feature:
        return column.no_feature
    if in_key:
        return "a part of the key"
    if is_index(column):
        return "identifies rows: a number of a policy says nothing about the next one"
    levels = _is_levels(column)
    if levels and column.distinct > MAX_LEVELS:
        return f"{column.distinct:,} levels are more than a GLM takes ({MAX_LEVELS}): join them"
    return ""


def _is_levels(column: Guess) -> bool:
    return column.type in ("string", "boolean") or (is_code(column.source) and column.is_whole)


def _settings(column: Guess) -> str:
    return "{kind: levels}" if _is_levels(column) else "{kind: numeric}"


def _support(chosen: Frequency, usable: Sequence[Guess], targets: Targets) -> None:
    """Set the least share of a level, and a ridge where claims are still too few for some."""
    if not targets.counts:
        return
    claims = total(targets.counts).fillna(0.0)
    few = claims.sum() < 20 * _FEW_CLAIMS
    kept = [c for c in usable if _is_levels(c)]
    by_level = {c.source: _claims_by_level(c, claims) for c in kept}
    bare: list[str] = []
    for share in _SHARES:
        bare = [name for name, levels in by_level.items() if _is_bare(levels, share, len(claims))]
        chosen.level_share = share
        if not bare:
            break
    flags = [c.source for c in usable if c not in kept and c.distinct == 2 and _is_flag(c, claims)]
    if few or bare or flags:
        chosen.ridge = _RIDGE
        chosen.evidence = (
            f"only {claims.sum():,.0f} claims"
            if few
            else f"few claims in a level of {', '.join([*bare, *flags][:3])}"
        )


def _claims_by_level(column: Guess, claims: pd.Series) -> pd.DataFrame:
    return claims.groupby(column.values.to_numpy(), dropna=False).agg(["size", "sum"])


def _is_bare(by_level: pd.DataFrame, share: float, rows: int) -> bool:
    """Tell whether a level that is kept has too few claims for a coefficient."""
    kept = by_level[by_level["size"] >= share * rows / 1.5]
    return bool((kept["sum"] < _FEW_CLAIMS).any())


def _is_flag(column: Guess, claims: pd.Series) -> bool:
    """Tell whether one of a number's two values has too few claims for a coefficient."""
    return bool((claims.groupby(column.values).sum() < _FEW_CLAIMS).any())
