"""Sum up contributions by feature, by level and by segment, without keeping a row."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.aggregates.keyed_sums import ROWS, Grouped, KeyedSums, Totals
from kyros_spark.explanation.explaining_pass import Explain
from kyros_spark.explanation.price import Price
from kyros_spark.scoring.arrow_features import as_doubles
from kyros_spark.stages.explain.levels import LevelsOf

EXPOSURE, SUM, ABSOLUTE = "exposure", "sum", "absolute"
_MEASURES = (EXPOSURE, SUM, ABSOLUTE)
_BY_LEVEL = ""  # the segment of the sums by a feature's own levels


@dataclass(frozen=True)
class SummaryPlan:
    """What is summed up: the prices, how levels are named, and the segments."""

    prices: tuple[Price, ...]
    levels: Mapping[str, LevelsOf]
    segments: tuple[str, ...]

    def state(self, explain: Explain) -> KeyedSums:
        """Return sums of no rows."""
        return KeyedSums(_MEASURES, lambda batch: self._grouped(batch, explain))

    def _grouped(self, batch: pa.RecordBatch, explain: Explain) -> Iterator[Grouped]:
        exposure = as_doubles(batch.column("exposure"))
        used = dict.fromkeys([*(f for p in self.prices for f in p.features), *self.segments])
        by_name = {name: self.levels[name].levels(batch.column(name)) for name in used}
        for number, explained in enumerate(explain(batch)):
            for feature, values in zip(
                self.prices[number].features, explained.values.T, strict=True
            ):
                with np.errstate(invalid="ignore"):
                    weighted = values * exposure
                measures = {EXPOSURE: exposure, SUM: weighted, ABSOLUTE: np.abs(weighted)}
                for segment in (_BY_LEVEL, *self.segments):
                    texts, codes = by_name[segment or feature]
                    part = json.dumps([number, segment, feature])
                    yield Grouped(part, texts, codes, measures)

    def policies(self, sums: KeyedSums) -> int:
        """Return the number of policies behind the sums; 0 where no price has a feature."""
        for by_level in sums.by_part().values():
            return int(_added(by_level.values())[ROWS])
        return 0

    def rows(self, sums: KeyedSums, batch: str, run_id: str) -> list[dict[str, Any]]:
        """Return the rows of table `explanation_summary`."""
        rows: list[dict[str, Any]] = []
        for part, by_level in sums.by_part().items():
            number, segment, feature = json.loads(part)
            price = self.prices[number]
            shared = {
                "model_name": price.name, "model_version": price.version, "link": price.link,
                "feature": feature, "batch_id": batch, "run_id": run_id,
            }  # fmt: skip
            levels = self.levels[segment or feature]
            if segment == _BY_LEVEL:
                rows.append(shared | _means(_added(by_level.values()), price))
            for order, key in enumerate(levels.ordered(by_level), start=1):
                label = levels.label(key)
                named: dict[str, Any] = {"segment": segment, "segment_level": label}
                if segment == _BY_LEVEL:
                    named = {"level": label, "level_order": order}
                rows.append(shared | named | _means(by_level[key], price))
        return rows


def no_sums() -> KeyedSums:
    """Return sums that only others are merged into."""
    return KeyedSums(_MEASURES, lambda batch: ())


def mean_terms(sums: KeyedSums, features: Sequence[str], number: int = 0) -> np.ndarray:
    """Return the mean contribution of each feature of a price, float64[features]."""
    by_part = sums.by_part()
    totals = (_added(by_part[json.dumps([number, _BY_LEVEL, f])].values()) for f in features)
    return np.array([total[SUM] / total[EXPOSURE] for total in totals])


def _added(totals: Iterable[Totals]) -> Totals:
    """Return the totals of several levels together; their sums are exact before they are added."""
    lists: dict[str, list[float]] = {}
    for total in totals:
        for name, value in total.items():
            lists.setdefault(name, []).append(value)
    return {name: _sum(values) for name, values in lists.items()}


def _sum(values: Sequence[float]) -> float:
    return math.fsum(values) if all(map(math.isfinite, values)) else float(np.sum(values))


def _means(totals: Totals, price: Price) -> dict[str, Any]:
    mean, absolute = (_finite(totals[n] / totals[EXPOSURE]) for n in (SUM, ABSOLUTE))
    relativity = float(np.exp(mean)) if price.multiplies and mean is not None else None
    return {
        "rows": int(totals[ROWS]), "exposure": totals[EXPOSURE], "mean": mean,
        "mean_absolute": absolute, "relativity": relativity,
    }  # fmt: skip


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
