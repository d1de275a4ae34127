"""Choose the round numbers that stand along an axis of values."""

from __future__ import annotations

import math
from collections.abc import Sequence

_STEPS = (1, 2, 2.5, 5, 10)
_SMALL, _LARGE = 1e-6, 1e9  # a step and a value that are not written out


def round_ticks(least: float, most: float, count: int) -> list[float]:
    """Return at most ``count`` + 1 round numbers between two ends, evenly spaced."""
    width = most - least
    if not (math.isfinite(width) and width > 0):
        return [least]
    rough = width / count
    decade = 10.0 ** math.floor(math.log10(rough))
    step = next(step * decade for step in _STEPS if step * decade >= rough * (1 - 1e-9))
    first, last = math.ceil(least / step - 1e-9), math.floor(most / step + 1e-9)
    return [n * step for n in range(first, last + 1)]


def tick_labels(ticks: Sequence[float], *, percent: bool = False) -> list[str]:
    """Return the ticks as texts, each with the decimals that tell two neighbours apart."""
    shown = [100 * tick for tick in ticks] if percent else list(ticks)
    step = shown[1] - shown[0] if len(shown) > 1 else abs(shown[0]) or 1.0
    if step < _SMALL or max(map(abs, shown)) >= _LARGE:
        return [f"{value:.3g}{'%' if percent else ''}" for value in shown]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    if abs(round(step, decimals) - step) > 1e-6 * step:
        decimals += 1  # 2.5 and its like
    return [f"{value + 0.0:,.{decimals}f}{'%' if percent else ''}" for value in shown]
