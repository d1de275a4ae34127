"""Put a source's profile together from totals and a sample, and tell what is odd or changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.profile import is_number

if TYPE_CHECKING:
    import pandas as pd

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
MOST_LEVELS = 100
_MOST_SORTED = 10_000  # values; more are hardly levels, of which any hundred will do
_SMALL = 50  # levels of a column that is compared with others: more are hardly a category


def profile(
    source_name: str,
    source: SourceSettings,
    counts: Sequence[Mapping[str, Any]],
    rules: Mapping[str, int],
    sampled: pd.DataFrame,
) -> list[dict[str, Any]]:
    """Return one row per column, without batch, time and run.

    counts: the rows of `verdict_counts` for accepted rows, with `totals`.
    rules: the number of rows per name of the rule they broke.
    """
    total = sum(row["rows"] for row in counts)
    level_counts = {name: _level_counts(sampled[name]) for name in source.columns}
    aliases = _aliases(sampled, {name: len(each) for name, each in level_counts.items()})
    rows = []
    for n, (name, column) in enumerate(source.columns.items()):
        values = sampled[name].dropna()
        number = is_number(column.type)
        whole = _whole(n, counts, total)
        levels = level_counts[name].head(MOST_LEVELS)
        if number and len(levels) and levels.iloc[0] == 1:
            levels = levels.head(0)  # a number that never repeats has no levels
        least, most = (
            (whole["least"], whole["most"]) if whole["least"] is not None else _ends(values)
        )
        row = {
            "source": source_name, "column": name, "type": column.type, "row_count": total,
            "null_count": total - whole["given"], "least": least, "most": most,
            "mean": whole["mean"], "sampled_rows": len(sampled),
            "distinct_count": len(level_counts[name]),
            "quantiles": {f"{q:g}": float(v) for q, v in values.quantile(list(QUANTILES)).items()}
            if number and len(values) else {},
            "levels": {_text(level): int(count) for level, count in levels.items()},
            "rules": {r: k for r, k in rules.items() if r.split(":", 1)[1].split(", ")[0] == name},
        }  # fmt: skip
        row["findings"] = [*_findings(row, values, number), *aliases.get(name, [])]
        rows.append(row)
    return rows


def _level_counts(values: pd.Series) -> pd.Series:
    """Return the rows per value, the commonest first; the order of the rows does not matter."""
    counts = values.value_counts()
    if len(counts) > _MOST_SORTED:
        return counts
    return counts.sort_index().sort_values(ascending=False, kind="stable")


def _whole(n: int, counts: Sequence[Mapping[str, Any]], total: int) -> dict[str, Any]:
    """Combine the groups' totals of one column."""

    def each(kind: str) -> list[Any]:
        return [row[f"{kind}_{n}"] for row in counts if row.get(f"{kind}_{n}") is not None]

    given, least, most, sums = sum(each("given")), each("min"), each("max"), each("sum")
    return {
        "given": given,
        "least": _text(min(least)) if least else None,
        "most": _text(max(most)) if most else None,
        "mean": sum(sums) / given if sums and given else None,
    }


def _ends(values: pd.Series) -> tuple[str | None, str | None]:
    return (str(values.min()), str(values.max())) if len(values) else (None, None)


def _text(value: Any) -> str:
    return (
        f"{value:g}"
        if isinstance(value, float) and value == int(value) and abs(value) < 1e6
        else str(value)
    )


def _findings(row: Mapping[str, Any], values: pd.Series, number: bool) -> Iterator[str]:
    if row["row_count"] and row["null_count"] == row["row_count"]:
        yield "all missing"
    elif len(values) > 1 and row["distinct_count"] == 1:
        yield f"constant: {_text(values.iloc[0])} wherever it is given"
    if number and len(values) > 20 and row["distinct_count"] == len(values):
        low, high = float(row["least"]), float(row["most"])
        if bool((values % 1 == 0).all()) and high - low < 2 * row["row_count"]:
            yield "looks like an index: whole numbers without gaps to speak of, each once"


def _aliases(sampled: pd.DataFrame, distinct: Mapping[str, int]) -> dict[str, list[str]]:
    """Return, per column of few levels, the columns that say the same as it.

    distinct: the number of each column's values, missing ones apart.
    """
    few = {name: distinct[name] + int(sampled[name].hasnans) for name in sampled}
    names = [name for name, levels in few.items() if 2 <= levels <= _SMALL][:20]
    codes = {name: sampled[name].factorize(use_na_sentinel=False)[0] for name in names}
    aliases: dict[str, list[str]] = {}
    for n, name in enumerate(names):
        for other in names[:n]:
            # Counted by number, at most 50 x 50 of them: sets of pairs took seconds per batch.
            counts = np.bincount(codes[name] * few[other] + codes[other])
            pairs = int(np.count_nonzero(counts))
            if pairs == few[name] == few[other]:
                aliases.setdefault(name, []).append(f"aliased: says the same as {other}")
    return aliases


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
    if abs(missing[1] - missing[0]) > 0.02:
        yield f"missing {missing[0]:.1%} became {missing[1]:.1%}"
    if not is_number(new["type"]):
        yield from _levels(old, new)
    elif old["quantiles"] and new["quantiles"]:
        width = abs(old["quantiles"]["0.95"] - old["quantiles"]["0.05"])
        moved = new["mean"] - old["mean"]
        if abs(moved) > 0.1 * width and abs(moved) > 1e-9:
            yield f"mean {old['mean']:.6g} became {new['mean']:.6g}"


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
    if len(came) == len(went) == 1:
        shares = [
            new["levels"][came[0]] / new["sampled_rows"],
            old["levels"][went[0]] / old["sampled_rows"],
        ]
        if abs(shares[0] - shares[1]) < 0.2 * shares[1]:
            yield f"level {went[0]!r} may have been renamed {came[0]!r}"
