"""Draw the charts that need no matplotlib: by level, a sample's dots, where tables come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from kyros_spark.evaluation.report.beeswarm_pictures import narrow_beeswarm, wide_beeswarm
from kyros_spark.evaluation.report.level_pictures import narrow_picture, wide_picture
from kyros_spark.evaluation.report.lineage_pictures import narrow_lineage, wide_lineage
from kyros_spark.evaluation.report.narrow import USUAL_SIZE

Spec = Mapping[str, Any]
_BY_LEVEL = (wide_picture, narrow_picture)
KINDS: dict[str, tuple[Callable[[Spec, float], str], Callable[[Spec], str]]] = {
    "one_way": _BY_LEVEL,
    "factor": _BY_LEVEL,
    "dependence": _BY_LEVEL,
    "beeswarm": (wide_beeswarm, narrow_beeswarm),
    "lineage": (wide_lineage, narrow_lineage),
}


def both_widths(spec: Spec) -> tuple[str, str]:
    """Return a chart as two SVG elements, for screens and paper and for telephones."""
    wide, narrow = KINDS[spec["kind"]]
    return wide(spec, 72 * spec.get("size", USUAL_SIZE)[0]), narrow(spec)
