"""Put a source's profile together from totals and a sample, and tell what is odd."""

from __future__ import annotations

import math
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
_MANY = 10_000  # values; so many amounts in cents repeat
_REPEATS = 5  # expected pairs of equal values; that there is none has then a chance of 1 in 150
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
            "mean": whole["mean"], "std": _std(whole, values, len(level_counts[name])),
            "sampled_rows": len(sampled), "distinct_count": len(level_counts[name]),
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
    squares = each("squares")
    return {
        "given": given,
        "least": _text(min(least)) if least else None,
        "most": _text(max(most)) if most else None,
        "mean": sum(sums) / given if sums and given else None,
        "total": sum(sums),
        "squares": sum(squares) if squares else None,
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
    if number and _is_index(row, values):
        yield "looks like an index: whole numbers, each once"


def _is_index(row: Mapping[str, Any], values: pd.Series) -> bool:
    """Tell whether whole numbers occur once each where amounts or years would repeat.

    That is so without gaps to speak of, or among very many values. Among others it is if values
    drawn from the middle half of theirs, in steps of their greatest common divisor, would be
    expected to make _REPEATS pairs of equals: n values in w steps make n (n - 1) / 2w.
    """
    few = len(values) <= 20 or row["distinct_count"] < len(values)
    if few or not bool((values % 1 == 0).all()):
        return False
    if float(row["most"]) - float(row["least"]) < 2 * row["row_count"] or len(values) >= _MANY:
        return True
    middle = np.sort(values.to_numpy(dtype=np.float64))[len(values) // 4 : -(len(values) // 4)]
    if abs(middle).max() >= 2.0**53:
        return False  # doubles do not tell them apart
    step = int(np.gcd.reduce(np.diff(middle).astype(np.int64)))
    steps = (middle[-1] - middle[0]) / step
    return bool(middle.size * (middle.size - 1) / 2 >= _REPEATS * steps)


def _std(whole: Mapping[str, Any], values: pd.Series, distinct: int) -> float | None:
    """Return the standard deviation of all rows, of the sampled ones where rounding hides that.

    It is the difference of two sums, of which nothing is left where the mean is large beside it.
    """
    count, total, squares = whole["given"], whole["total"], whole["squares"]
    if squares is None or count < 2:
        return None
    variance = (squares - total * total / count) / (count - 1)
    if not math.isfinite(variance):
        return None
    if variance > 1e-12 * math.sqrt(count) * squares / count:
        return math.sqrt(variance)
    return float(values.std()) if distinct > 1 else 0.0


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
