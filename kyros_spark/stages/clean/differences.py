"""Tell how a source's profile differs from that of another batch, beyond what chance would do."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kyros_spark.stages.clean.findings import MOST_LEVELS
from kyros_spark.transforms.profile import is_number

# A difference is told if chance alone hardly makes it, and if it is large enough to matter.
_STANDARD_ERRORS = 3.0  # two of three hundred columns that did not move are told by chance
_MEAN_SHARE = 0.05  # of the mean, where the quantity has a zero: counts, amounts, exposure
_EFFECT = 0.2  # of the standard deviation: a "small" effect (Cohen 1988), on any scale
_MISSING_SHARE = 0.02
_NORMAL_WIDTH = 3.29  # standard deviations between the quantiles 0.05 and 0.95
_PERIODS = (
    r"(19|20)\d\d([-/.]?(0?[1-9]|1[0-2])([-/.]?\d{1,2})?([T ].*)?)?",  # 2024, 2024-12, 20241231 ...
    r"\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}",  # 31/12/2024
    r"((19|20)\d\d[ -]?)?Q[1-4]",
    r"(year|quarter|month|week)[ _-]?\d{1,4}",
)
_PERIOD = re.compile("|".join(_PERIODS), re.IGNORECASE)


def differences(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Return the differences between two profiles of a source, one sentence each."""
    old, new = ({row["column"]: row for row in rows} for rows in (before, after))
    sentences = [f"{name}: column is gone" for name in old if name not in new]
    sentences += [f"{name}: column is new" for name in new if name not in old]
    for name, row in new.items():
        if name in old:
            sentences.extend(f"{name}: {change}" for change in _changes(old[name], row))
    return sentences


def _changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if old["type"] != new["type"]:
        yield f"type {old['type']} became {new['type']}"
        return
    # A batch that was profiled before types were kept, or that came as text, has none.
    types = [row.get("source_type") for row in (old, new)]
    if all(types) and types[0] != types[1]:
        yield f"type {types[0]} became {types[1]} in the source"
    missing = [row["null_count"] / max(row["row_count"], 1) for row in (old, new)]
    if abs(missing[1] - missing[0]) > max(_MISSING_SHARE, _missing_by_chance(old, new)):
        yield f"missing {missing[0]:.1%} became {missing[1]:.1%}"
    if not is_number(new["type"]):
        yield from _levels(old, new)
    elif old["mean"] is not None and new["mean"] is not None and _has_moved(old, new):
        yield f"mean {old['mean']:.6g} became {new['mean']:.6g}"


def _missing_by_chance(old: Mapping[str, Any], new: Mapping[str, Any]) -> float:
    """Return by how much two shares of missing values may differ by chance, of one share in all."""
    rows = [max(row["row_count"], 1) for row in (old, new)]
    share = (old["null_count"] + new["null_count"]) / sum(rows)
    return _STANDARD_ERRORS * math.sqrt(share * (1 - share) * sum(1 / n for n in rows))


def _has_moved(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tell whether a number's mean moved by more than chance and enough to matter."""
    moved = abs(new["mean"] - old["mean"])
    pair = [row.get("std") for row in (old, new)]
    # A profile of before has no standard deviation: the other batch's stands for both.
    first, second = (own if own is not None else other for own, other in (pair, pair[::-1]))
    if first is None or second is None:
        first, second = (_std_by_quantiles(row) for row in (old, new))
    given = [max(row["row_count"] - row["null_count"], 1) for row in (old, new)]
    error = math.sqrt(first**2 / given[0] + second**2 / given[1])
    if moved <= _STANDARD_ERRORS * error:
        return False
    common = math.sqrt((first**2 + second**2) / 2)
    is_effect = common > 0 and moved > _EFFECT * common
    has_zero = all((row["quantiles"] or {}).get("0.25", -1.0) >= 0 for row in (old, new))
    return is_effect or ((has_zero or not common) and moved > _MEAN_SHARE * abs(old["mean"]))


def _std_by_quantiles(row: Mapping[str, Any]) -> float:
    quantiles = row["quantiles"] or {}
    return abs(quantiles.get("0.95", 0.0) - quantiles.get("0.05", 0.0)) / _NORMAL_WIDTH


def _levels(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    if max(old["distinct_count"], new["distinct_count"]) > MOST_LEVELS:
        return  # not all levels are known, so a missing one means nothing
    came, went = (
        [level for level in a["levels"] if level not in b["levels"]]
        for a, b in ((new, old), (old, new))
    )
    if came:
        yield f"new levels {json.dumps(came[:10], ensure_ascii=False)}"
    if went:
        yield f"levels gone {json.dumps(went[:10], ensure_ascii=False)}"
    if len(came) == len(went) == 1 and not _are_periods(new["type"], (came[0], went[0])):
        shares = [
            new["levels"][came[0]] / new["sampled_rows"],
            old["levels"][went[0]] / old["sampled_rows"],
        ]
        if abs(shares[0] - shares[1]) < 0.2 * shares[1]:
            yield f"level {went[0]!r} may have been renamed {came[0]!r}"


def _are_periods(type_: str, levels: Sequence[str]) -> bool:
    """Tell whether levels are days, months or years: another one is later, not another's name."""
    return type_ in ("date", "timestamp") or all(_PERIOD.fullmatch(level) for level in levels)
