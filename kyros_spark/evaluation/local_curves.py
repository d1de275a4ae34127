"""Order rows of this process by a prediction or a price ratio: see curves.py."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.evaluation.curves import LORENZ_POINTS, Curves, Pair
from kyros_spark.evaluation.measures import Measures
from kyros_spark.evaluation.ordered_arrays import OrderedRows
from kyros_spark.evaluation.rows import GROUP, WHOLE
from kyros_spark.evaluation.sample import NO_GROUP
from kyros_spark.evaluation.subjects import EvaluatedModel


def local_curves(
    table: pa.Table, models: Sequence[EvaluatedModel], pairs: Sequence[Pair], count: int
) -> Curves:
    """Return the Gini of each (curve, part, group), and fine quantiles of each (curve, part)."""
    measures = Measures(table)
    curves = Curves({}, [])
    for model in models:
        _add_curve(curves, measures, model, None, count)
    for pair in pairs:
        _add_curve(curves, measures, pair.new, pair, count)
    return curves


def _add_curve(
    curves: Curves, measures: Measures, model: EvaluatedModel, pair: Pair | None, count: int
) -> None:
    rows, number = measures.rows, model.number if pair is None else pair.number
    usable = np.flatnonzero(measures.usable(model))
    values = measures.prediction(model) if pair is None else measures.price_ratio(pair)
    columns = dict(measures.sums(model))
    other = rows.nothing() if pair is None else measures.expected(pair.old)
    columns["other_expected"] = other.times(rows.stands_for)
    columns = {name: column.chosen(usable) for name, column in columns.items()}
    ordered = OrderedRows(values.values[usable])
    for part, inside in _by_part(measures, usable):
        ties = ordered.tie_groups(columns, inside)
        curves.ginis[number, part, NO_GROUP] = ties.gini()
        points = ties.quantiles(count * LORENZ_POINTS)
        curves.points.extend({"curve": number, "part": part, **point} for point in points)
        if pair is None:
            groups = rows.numbers(GROUP).values[usable[inside]].astype(int)
            drawn = {name: columns[name] for name in ("units", "observed")}
            for group in np.unique(groups[groups != NO_GROUP]).tolist():
                ties = ordered.tie_groups(drawn, inside[groups == group])
                curves.ginis[number, part, group] = ties.gini()


def _by_part(measures: Measures, usable: np.ndarray) -> Iterator[tuple[str, Any]]:
    """Yield each part that has rows, and WHOLE, with the positions of its rows in ``usable``."""
    parts = measures.parts
    codes = parts.codes[usable]
    for code, part in enumerate(parts.texts):
        inside = np.flatnonzero(codes == code)
        if inside.size:
            yield part, inside
    if usable.size:
        yield WHOLE, np.arange(usable.size)
