"""Reconcile a batch's totals: rows and amounts in, out, and where the difference went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from kyros_spark.config import SourceSettings
from kyros_spark.transforms.rules import Rule

_CENT = Decimal("0.01")


def told_rows(counts: Sequence[Mapping[str, Any]], rules: Sequence[Rule]) -> dict[str, Any]:
    """Return rows in, duplicates, rejected and out, and rows by the rule they broke.

    counts: the rows of `verdict_counts`.
    """
    total = sum(row["rows"] for row in counts)
    copies = sum(row["rows"] for row in counts if row["copy"])
    refused = {row["rule"]: row["rows"] for row in counts if row["rule"] is not None}
    broken = sorted(refused.items(), key=lambda pair: (-pair[1], pair[0]))
    noted = [(rule, _noted(counts, n)) for n, rule in enumerate(rules)]
    told = {
        "rows_in": total,
        "duplicates": copies,
        "rejected": sum(refused.values()),
        "rows_out": total - copies - sum(refused.values()),
        "rules": {rules[number].name: rows for number, rows in broken},
    }
    for severity, title in (("repair", "repaired"), ("warn", "warned"), ("fail", "failed")):
        rows_by = {rule.name: rows for rule, rows in noted if rows and rule.severity == severity}
        if rows_by:
            told[title] = rows_by
    return told


def _noted(counts: Sequence[Mapping[str, Any]], number: int) -> int:
    """Count the accepted rows that carry a note."""
    kept = (row for row in counts if not row["copy"] and row["rule"] is None)
    return sum(row[f"noted_{number}"] for row in kept if f"noted_{number}" in row)


def told_amounts(
    counts: Sequence[Mapping[str, Any]], source: SourceSettings
) -> dict[str, dict[str, str]]:
    """Return for each amount what came in and where it went, to the cent.

    in = out + excess + duplicates + rejected + changed: `changed` is what repairs took away, less
    what `summed` rows brought to the rows that stand for them.
    """
    copies = [row for row in counts if row["copy"]]
    refused = [row for row in counts if row["rule"] is not None]
    kept = [row for row in counts if not row["copy"] and row["rule"] is None]
    told = {}
    for n, name in enumerate(source.amounts):
        out, excess = _sum(kept, f"out_{n}"), _sum(kept, f"excess_{n}")
        parts = {
            "in": _sum(counts, f"in_{n}"),
            "out": out,
            "excess": excess,
            "duplicates": _sum(copies, f"in_{n}"),
            "rejected": _sum(refused, f"in_{n}"),
            "changed": _sum(kept, f"in_{n}") - out - excess,
        }
        told[name] = {kind: str(value.quantize(_CENT)) for kind, value in parts.items()}
    return told


def _sum(rows: Sequence[Mapping[str, Any]], name: str) -> Decimal:
    return sum((row[name] or Decimal(0) for row in rows), Decimal(0))
