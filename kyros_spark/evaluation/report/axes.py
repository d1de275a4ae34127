"""Lay out the axes of a chart: limits, ticks and their labels, and the space that they take.

Lengths are in points, as in the SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

FONT = 9.0
_WIDTH_OF_LETTER = 0.58  # of the font's size, on average, in a sans-serif font
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True)
class Axis:
    """One axis: what it shows from end to end.

    ticks: places, with their labels. size: of the labels' font. tilt: degrees they are turned by.
    """

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]
    label: str = ""
    size: float = FONT
    tilt: int = 0

    def share(self, value: float) -> float:
        """Return how far along the axis a value lies: 0 at its low end, 1 at its high end."""
        return (value - self.low) / (self.high - self.low)

    def reach(self) -> float:
        """Return how far the longest tick label reaches from the axis, if it stands across it."""
        return max((text_width(label, self.size) for _, label in self.ticks), default=0.0)

    def depth(self) -> float:
        """Return the height that the tick labels take below the axis."""
        if not self.ticks:
            return 0.0
        return self.size + self.reach() * math.sin(math.radians(self.tilt))


def numeric_axis(
    low: float,
    high: float,
    label: str = "",
    most: int = 7,
    text: Callable[[float], str] | None = None,
) -> Axis:
    """Return an axis of numbers with at most ``most`` + 1 ticks at round numbers.

    text: writes a tick's number; by default all have as many decimals as the step needs.
    """
    if not high > low:
        low, high = low - 0.5, high + 0.5
    step = round_step((high - low) / most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    numbers = [n * step for n in range(first, last + 1)]
    decimals = next(d for d in range(20) if d == 19 or abs(step - round(step, d)) < 1e-9 * step)
    write = text or (lambda number: f"{number:,.{decimals}f}")
    return Axis(low, high, tuple((n, write(n + 0.0)) for n in numbers), label)


def round_step(least: float) -> float:
    """Return the smallest round step of at least ``least``: 1, 2, 2.5 or 5 times a power of 10."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in _STEPS if step * power >= least * (1 - 1e-9))


def padded(values: Sequence[float], share: float = 0.05) -> tuple[float, float]:
    """Return the least and the largest value, with some space beyond each."""
    least, most = min(values), max(values)
    space = share * (most - least)
    return least - space, most + space


def text_width(text: str, size: float = FONT) -> float:
    """Return about how wide a text is."""
    return _WIDTH_OF_LETTER * size * len(text)
