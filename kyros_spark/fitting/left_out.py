"""Tell which rows neither train nor judge a model, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

# Why a row is left out. A severity has no units in a policy without claims; nobody expects the
# other three.
NO_UNITS = "units_not_above_zero"
UNITS_MISSING = "units_missing"
TARGET_MISSING = "target_missing"
TARGET_NOT_ABOVE_ZERO = "target_not_above_zero"
REASONS = (NO_UNITS, UNITS_MISSING, TARGET_MISSING, TARGET_NOT_ABOVE_ZERO)
_PREFIX = "left_out_"


@dataclass(frozen=True)
class RowAccount:
    """The rows that a model was given, and those left out, by reason; no reason has zero rows."""

    rows: float
    left_out: Mapping[str, float]

    @property
    def used(self) -> float:
        """Return the number of rows that train or judge the model."""
        return self.rows - sum(self.left_out.values())

    @property
    def share(self) -> float:
        """Return the share left out of the rows that have units, or may have some."""
        offered = self.rows - self.left_out.get(NO_UNITS, 0.0)
        return (offered - self.used) / offered if offered > 0 else 0.0

    def sentence(self, target: str, per: str) -> str:
        """Return how many rows are left out and why, without those that have no units."""
        texts = {
            UNITS_MISSING: f"{per} is NULL",
            TARGET_MISSING: f"{target} is NULL",
            TARGET_NOT_ABOVE_ZERO: f"{target} is not above zero",
        }
        counts = [f"{texts[k]} in {n:.0f}" for k, n in self.left_out.items() if k in texts]
        offered = self.rows - self.left_out.get(NO_UNITS, 0.0)
        return f"{offered - self.used:.0f} of {offered:.0f} rows left out ({', '.join(counts)})"

    def details(self) -> dict[str, int | dict[str, int]]:
        """Return the account as the result line has it."""
        reasons = {reason: round(count) for reason, count in self.left_out.items()}
        return {"in": round(self.rows), "used": round(self.used), "left_out": reasons}

    def metrics(self) -> dict[str, float]:
        """Return the account as metrics of a registered version."""
        reasons = {f"{_PREFIX}{reason}": count for reason, count in self.left_out.items()}
        return {"rows_in": self.rows, "rows_left_out": self.rows - self.used, **reasons}


def account_in(metrics: Mapping[str, float]) -> RowAccount | None:
    """Return the account among a version's metrics; None if an earlier package made it."""
    if "rows_in" not in metrics:
        return None
    counts = {reason: metrics.get(f"{_PREFIX}{reason}", 0.0) for reason in REASONS}
    return RowAccount(metrics["rows_in"], {k: n for k, n in counts.items() if n})


def is_account(metric: str) -> bool:
    """Return whether a metric is part of the account of a version's rows."""
    return metric.startswith(_PREFIX) or metric in ("rows_in", "rows_left_out")


def left_out(
    family: str,
    target: np.ndarray,
    has_target: np.ndarray,
    per: np.ndarray,
    has_per: np.ndarray,
) -> dict[str, np.ndarray]:
    """Return the rows that are left out, bool[n], by reason; a row has at most one.

    target, per: float64[n]; has_target, has_per: bool[n], whether they are not NULL
    """
    no_units = has_per & (per <= 0)
    with_units = has_per & ~no_units
    rows = {
        NO_UNITS: no_units,
        UNITS_MISSING: ~has_per,
        TARGET_MISSING: with_units & ~has_target,
    }
    if family == "gamma":
        rows[TARGET_NOT_ABOVE_ZERO] = with_units & has_target & (target <= 0)
    return rows
