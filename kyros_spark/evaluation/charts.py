"""Word sums as rows of `evaluation_lift` and `evaluation_factors`: by quantile, by level."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kyros_spark.evaluation.curves import CURVE_SUMS, LORENZ_POINTS, Pair
from kyros_spark.evaluation.factors import BANDS
from kyros_spark.evaluation.metrics import added, ratio
from kyros_spark.evaluation.results import EvaluationContext
from kyros_spark.evaluation.rows import SUMS, WHOLE
from kyros_spark.evaluation.subjects import EvaluatedModel


def curve_rows(
    judging: EvaluationContext,
    points: Sequence[Mapping[str, Any]],
    subjects: Sequence[EvaluatedModel],
    pairs: Sequence[Pair],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_lift` that are ordered by a prediction, or by a ratio."""
    of = {one.number: (one, "") for one in subjects}
    of |= {pair.number: (pair.new, pair.old.reference) for pair in pairs}
    for number, (one, other) in of.items():
        for part in judging.parts:
            mine = [r for r in points if r["curve"] == number and r["part"] == part]
            if mine:
                chart = "double_lift" if other else "calibration"
                yield from _chart(judging, one, part, _coarse(mine), chart, other)
                if not other and one.labelled:
                    yield from _chart(judging, one, part, mine, "lorenz", "")


def _coarse(points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    groups: dict[int, list[Mapping[str, Any]]] = {}
    for row in points:
        groups.setdefault((row["quantile"] - 1) // LORENZ_POINTS + 1, []).append(row)
    return [
        {
            **added(rows, CURVE_SUMS),
            "quantile": number,
            "least": rows[0]["least"],
            "most": rows[-1]["most"],
        }
        for number, rows in groups.items()
    ]


def _chart(
    judging: EvaluationContext,
    one: EvaluatedModel,
    part: str,
    points: Sequence[Mapping[str, Any]],
    chart: str,
    other: str,
) -> Iterator[dict[str, Any]]:
    total = added(points, CURVE_SUMS)
    mean = ratio(total["observed"], total["units"])
    units = seen = 0.0
    for row in points:
        units, seen = units + row["units"], seen + (row["observed"] or 0.0)
        told = judging.row(one, part, row)
        yield {
            **told,
            "chart": chart,
            "other_model": other,
            "segment": "",
            "level": "",
            "quantile": row["quantile"],
            "least": row["least"],
            "most": row["most"],
            "other_expected": row["other_expected"],
            "other_actual_expected": ratio(row["observed"], row["other_expected"]),
            "lift": ratio(told["observed_mean"], mean),
            "units_share": ratio(units, total["units"]),
            "observed_share": ratio(seen, total["observed"]) if one.labelled else None,
        }


def factor_rows(
    judging: EvaluationContext,
    one: EvaluatedModel,
    found: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_factors` of a model."""
    names = {f"{name}_{one.number}": name for name in SUMS}
    for part in judging.parts:
        sums = _by_level(found, part, names)
        for factor, order in levels.items():
            known = [(n, level, sums[factor, level]) for n, level in enumerate(order, start=1)
                     if sums.get((factor, level), {}).get("rows")]  # fmt: skip
            total = added([told for *_, told in known], ("units",))["units"]
            for number, level, told in known:
                yield {
                    **judging.row(one, part, told),
                    "factor": factor,
                    "used": factor in one.used,
                    "level": level,
                    "level_order": number,
                    "units_share": ratio(told["units"], total),
                }


def dislocation_rows(
    judging: EvaluationContext,
    pair: Pair,
    found: Sequence[Mapping[str, Any]],
    levels: Mapping[str, Sequence[str]],
) -> Iterator[dict[str, Any]]:
    """Return the rows of `evaluation_lift` that say how prices move, new over old, by segment."""
    moved, bands = f"moved_{pair.number}", [f"band{n}_{pair.number}" for n in range(len(BANDS))]
    names = {name: name for name in ("_size", moved, *bands)}
    for part in judging.parts:
        sums = _by_level(found, part, names)
        first = next(iter(levels))  # any factor's levels add up to all rows
        whole = added([v for (factor, _), v in sums.items() if factor == first], list(names))
        told = [("", "", 0, whole)]
        told += [(f, level, n, sums[f, level]) for f, order in levels.items()
                 for n, level in enumerate(order, start=1) if (f, level) in sums]  # fmt: skip
        for factor, level, number, row in told:
            if row["_size"]:
                yield {
                    "model_name": pair.new.name,
                    "model_version": pair.new.version,
                    "part": part,
                    **judging.common,
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


def _by_level(
    found: Sequence[Mapping[str, Any]], part: str, names: Mapping[str, str]
) -> dict[tuple[str, str], dict[str, Any]]:
    rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found:
        if part in (row["part"], WHOLE):
            told = {name: row[column] for column, name in names.items()}
            rows.setdefault((row["factor"], row["level"]), []).append(told)
    return {of: added(each, list(names.values())) for of, each in rows.items()}
