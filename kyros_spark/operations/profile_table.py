"""Lay a batch's profile out as a table that a person reads."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kyros_spark.config import Config

_HEAD = ("column", "type", "missing", "distinct", "min", "median", "max", "commonest")
_COMMONEST = 5
_WIDTH = 24  # characters of a value


def profile_lines(rows: Sequence[Mapping[str, Any]], config: Config) -> Iterator[str]:
    """Yield the lines of a profile, source by source; what a column warns of follows its table.

    rows: those of table profiles. Values of a key, of what refers to one, and of a column that is
    different in nearly every sampled row are not shown: they may name a person.
    """
    for source in dict.fromkeys(row["source"] for row in rows):
        of_source = [row for row in rows if row["source"] == source]
        identifiers = _identifiers(config, source)
        yield f"{source}, {of_source[0]['row_count']:,} rows"
        body = [_cells(row, row["column"] in identifiers) for row in of_source]
        widths = [max(len(line[n]) for line in (_HEAD, *body)) for n in range(len(_HEAD))]
        for line in (_HEAD, *body):
            yield "  " + "  ".join(map(str.ljust, line, widths)).rstrip()
        for row in of_source:
            yield from (f"  {row['column']}: {text}" for text in row["findings"] or ())


def _identifiers(config: Config, source: str) -> set[str]:
    claims = config.sources.claims
    if source == "claims" and claims is not None:
        return {*claims.key, *claims.reference}
    return set(config.sources.policies.key)


def _cells(row: Mapping[str, Any], is_identifier: bool) -> tuple[str, ...]:
    distinct, sampled = row["distinct_count"], row["sampled_rows"]
    share = row["null_count"] / row["row_count"] if row["row_count"] else 0.0
    is_text = not row["quantiles"]
    hidden = is_identifier or (is_text and bool(distinct) and distinct > 0.9 * sampled > 90)
    levels = sorted((row["levels"] or {}).items(), key=lambda item: (-item[1], item[0]))
    commonest = ", ".join(f"{_short(level)} {count:,}" for level, count in levels[:_COMMONEST])
    median = (row["quantiles"] or {}).get("0.5")
    values = (
        _short(row["least"]), "" if median is None else f"{median:.6g}", _short(row["most"]),
        commonest,
    )  # fmt: skip
    if hidden:
        values = ("", "", "", "not shown: nearly every row has another")
    return (
        row["column"],
        row["type"],
        f"{share:.1%}" if row["null_count"] else "",
        "" if distinct is None else f"{distinct:,}",
        *values,
    )


def _short(value: str | None) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _WIDTH else f"{text[: _WIDTH - 1]}\u2026"
