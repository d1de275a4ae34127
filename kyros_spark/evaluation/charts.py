"""Turn sums into rows of `evaluation_lift` and `evaluation_factors`: by quantile, by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.curves import CURVE_SUMS, LORENZ_POINTS, Pair
from kyros_spark.evaluation.factors import BANDS
from kyros_spark.evaluation.metrics import column_sums, ratio
from kyros_spark.evaluation.results import EvaluationContext
from kyros_spark.evaluation.rows import SUMS, WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel


def curve_rows(
    context: EvaluationContext,
    points: Sequence[Mapping[str, Any]],
    models: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_lift` that are ordered by a prediction or by a ratio.

    points: the fine quantiles of each curve and part (see curves.curve_points).
    """
    curves = {model.number: (model, "") for model in models}
    curves |= {pair.number: (pair.new, pair.old.reference) for pair in pairs}
    for number, (model, other) in curves.items():
        for part in context.parts:
            fine = [r for r in points if r["curve"] == number and r["part"] == part]
            if fine:
                chart = "double_lift" if other else "calibration"
                yield from _chart(context, model, part, _coarse(fine), chart, other)
                if not other and model.labelled:
                    yield from _chart(context, model, part, fine, "lorenz", "")


def _coarse(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Add up LORENZ_POINTS fine quantiles each into the quantiles that charts show."""
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in points:
        groups.setdefault((row["quantile"] - 1) // LORENZ_POINTS + 1, []).append(row)
    return [
        {
            **column_sums(rows, CURVE_SUMS),
            "quantile": number,
            "least": rows[0]["least"],
            "most": rows[-1]["most"],
        }
        for number, rows in groups.items()
    ]


def _chart(
    context: EvaluationContext,
    model: EvaluatedModel,
    part: str,
    points: Sequence[Mapping[str, Any]],
    chart: str,
    other: str,
) -> Iterator[dict[str, Any]]:
    total = column_sums(points, CURVE_SUMS)
    mean = ratio(total["observed"], total["units"])
    units = observed = 0.0
    for point in points:
        units, observed = units + point["units"], observed + (point["observed"] or 0.0)
        row = context.row(model, part, point)
        yield {
            **row,
            "chart": chart,
            "other_model": other,
            "segment": "",
            "level": "",
            "quantile": point["quantile"],
            "least": point["least"],
            "most": point["most"],
            "other_expected": point["other_expected"],
            "other_actual_expected": ratio(point["observed"], point["other_expected"]),
            "lift": ratio(row["observed_mean"], mean),
            "units_share": ratio(units, total["units"]),
            "observed_share": ratio(observed, total["observed"]) if model.labelled else None,
        }


def factor_rows(
    context: EvaluationContext,
    model: EvaluatedModel,
    sums: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_factors` for one model.

    sums: by factor, level and part (see factors.factor_sums). levels: each factor's, in order.
    """
    names = {f"{name}_{model.number}": name for name in SUMS}
    for part in context.parts:
        by_level = sums_by_level(sums, part, names)
        for factor, order in levels.items():
            filled = [(n, level, by_level[factor, level])
                      for n, level in enumerate(order, start=1)
                      if by_level.get((factor, level), {}).get("rows")]  # fmt: skip
            total = column_sums([level_sums for *_, level_sums in filled], ("units",))["units"]
            for number, level, level_sums in filled:
                yield {
                    **context.row(model, part, level_sums),
                    "factor": factor,
                    "used": factor in model.used,
                    "level": level,
                    "level_order": number,
                    "units_share": ratio(level_sums["units"], total),
                }


def dislocation_rows(
    context: EvaluationContext,
    pair: Pair,
    sums: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_lift` that show how prices move, new over old, by segment.

    sums, levels: as for factor_rows. The first row of a part is the whole part: segment "".
    """
    moved, bands = f"moved_{pair.number}", [f"band{n}_{pair.number}" for n in range(len(BANDS))]
    names = {name: name for name in ("_size", moved, *bands)}
    for part in context.parts:
        by_level = sums_by_level(sums, part, names)
        first = next(iter(levels))  # the levels of any one factor add up to all rows
        whole = column_sums(
            [v for (factor, _), v in by_level.items() if factor == first], list(names)
        )
        segments = [("", "", 0, whole)]
        segments += [(f, level, n, by_level[f, level])
                     for f, order in levels.items()
                     for n, level in enumerate(order, start=1)
                     if (f, level) in by_level]  # fmt: skip
        for factor, level, number, row in segments:
            if row["_size"]:
                yield {
                    "model_name": pair.new.name,
                    "model_version": pair.new.version,
                    "part": part,
                    **context.common,
                    "chart": "dislocation",
                    "other_model": pair.old.reference,
                    "segment": factor,
                    "level": level,
                    "quantile": number,
                    "units": row["_size"],
                    "mean_ratio": ratio(row[moved], row["_size"]),
                    "bands": {
                        label: row[band] / row["_size"]
                        for band, (_, label) in zip(bands, BANDS, strict=True)
                    },
                }


def sums_by_level(
    sums: Sequence[Mapping[str, Any]],
    part: str,
    names: Mapping[str, str],
    by: Sequence[str] = ("factor", "level"),
) -> dict[tuple[str, ...], dict[str, Any]]:
    """Return the sums of a part (or of all parts) by factor and level, columns renamed.

    names: the new name of each column that is summed. by: the columns of the key.
    """
    rows: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in sums:
        if part in (row["part"], WHOLE):
            renamed = {name: row[column] for column, name in names.items()}
            rows.setdefault(tuple(row[name] for name in by), []).append(renamed)
    return {key: column_sums(level_rows, list(names.values())) for key, level_rows in rows.items()}
