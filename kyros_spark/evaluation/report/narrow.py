"""Say how a chart that is too wide for a telephone is drawn for one.

Where a chart would have to shrink, its texts would shrink with it, to below nine CSS pixels. Such a
chart is drawn a second time, as wide as a telephone's page and with texts of the same size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Spec = Mapping[str, Any]
NARROW_WIDTH = 268.0  # points: what a telephone of 390 CSS pixels leaves between the margins
USUAL_SIZE = (4.6, 3.3)  # inches
_LEGEND_ROW = 0.17  # inches


def narrow_spec(spec: Spec) -> dict[str, Any] | None:
    """Return the specification of a chart for telephones; None where the chart fits as it is."""
    wide, high = spec.get("size", USUAL_SIZE)
    if wide * 72 <= NARROW_WIDTH:
        return None
    kind, rows = spec["kind"], len(spec.get("lines", ()))
    if kind in ("lorenz", "lift"):
        high = (3.7 if kind == "lorenz" else 2.9) + _LEGEND_ROW * (rows + 1)
    elif kind in ("by_batch", "stacked"):
        high = 2.6 + _LEGEND_ROW * rows
    elif kind == "waterfall":
        high = 0.8 + 0.48 * len(spec["steps"])  # each step's name lies above its bar
    return {**spec, "size": (NARROW_WIDTH / 72, high), "narrow": True}
