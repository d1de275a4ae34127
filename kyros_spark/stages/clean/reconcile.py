"""Reconcile a batch's totals: rows and amounts in, out, and where the difference went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.rules import Rule

_CENT = Decimal("0.01")


def row_counts(counts: Sequence[Mapping[str, Any]], rules: Sequence[Rule]) -> dict[str, Any]:
    """Return rows in, duplicates, rejected and out, and the rows per rule that they broke.

    counts: the rows of `verdict_counts`.
    """
    total = sum(row["rows"] for row in counts)
    copies = sum(row["rows"] for row in counts if row["copy"])
    refused = {row["rule"]: row["rows"] for row in counts if row["rule"] is not None}
    broken = sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))
    noted = [(rule, _noted(counts, n)) for n, rule in enumerate(rules)]
    details = {
        "rows_in": total,
        "duplicates": copies,
        "rejected": sum(refused.values()),
        "rows_out": total - copies - sum(refused.values()),
        "rules": {rules[number].name: rows for number, rows in broken},
    }
    for severity, title in (("repair", "repaired"), ("warn", "warned"), ("fail", "failed")):
        rows_by = {rule.name: rows for rule, rows in noted if rows and rule.severity == severity}
        if rows_by:
            details[title] = rows_by
    return details


def _noted(counts: Sequence[Mapping[str, Any]], number: int) -> int:
    """Count the accepted rows that carry a note."""
    accepted = (row for row in counts if not row["copy"] and row["rule"] is None)
    return sum(row[f"noted_{number}"] for row in accepted if f"noted_{number}" in row)


def amount_totals(
    counts: Sequence[Mapping[str, Any]], source: SourceSettings
) -> dict[str, dict[str, str]]:
    """Return each amount's total that came in, and where it went, in full.

    in = out + excess + duplicates + rejected + changed: `changed` is what repairs took away, less
    what `summed` rows added to the rows that stand for them.
    """
    copies = [row for row in counts if row["copy"]]
    refused = [row for row in counts if row["rule"] is not None]
    accepted = [row for row in counts if not row["copy"] and row["rule"] is None]
    totals = {}
    for n, name in enumerate(source.amounts):
        out, excess = _sum(accepted, f"out_{n}"), _sum(accepted, f"excess_{n}")
        parts = {
            "in": _sum(counts, f"in_{n}"),
            "out": out,
            "excess": excess,
            "duplicates": _sum(copies, f"in_{n}"),
            "rejected": _sum(refused, f"in_{n}"),
            "changed": _sum(accepted, f"in_{n}") - out - excess,
        }
        totals[name] = {kind: _text(value) for kind, value in parts.items()}
    return totals


def _sum(rows: Sequence[Mapping[str, Any]], name: str) -> Decimal:
    return sum((row[name] or Decimal(0) for row in rows), Decimal(0))


def _text(value: Decimal) -> str:
    """Return a sum in full: parts that were rounded one by one would not add up to the cent."""
    cents = value.quantize(_CENT)
    return str(cents if cents == value else value.normalize())
