"""Read the segments of a model's file as rows of tables `segments` and `relativities`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from kyros_spark.fitting.design import INTERCEPT
from kyros_spark.fitting.relativities import MAX_EXPONENT
from kyros_spark.fitting.segments.reasons import FITTED, REASONS
from kyros_spark.kernels import small_fits
from kyros_spark.model.artefact import Model
from kyros_spark.model.segments import FACT_NAMES, coarser, key_strides, rows_of_keys

ALL, JOINER = "(all)", " / "
ROWS_PER_BATCH = 200_000


@dataclass(frozen=True)
class StoredSegments:
    """The segments of a model's file, as arrays with names. S segments, R sets, t terms."""

    model: Model

    @property
    def terms(self) -> int:
        """Return t: a constant, and the coefficients of all features but the keys."""
        manifest = self.model.manifest
        rated = len(manifest.features) - len(manifest.by)
        return 1 + int(self.model.arrays["table_start"][rated])

    def per_term(self, name: str) -> np.ndarray:
        """Return what a file says of each term, float64[R, t]."""
        return self.model.arrays[name].reshape(-1, self.terms)

    @cached_property
    def facts(self) -> dict[str, np.ndarray]:
        """Return the columns of FACT_NAMES, float64[S] each."""
        columns = self.model.arrays["segment_facts"].reshape(-1, len(FACT_NAMES)).T
        return dict(zip(FACT_NAMES, columns, strict=True))

    @cached_property
    def kept(self) -> np.ndarray:
        """Return how many keys each segment has, int64[S]."""
        keys, strides = self.model.arrays["segment_key"], self._strides
        counts = np.zeros(keys.size, np.int64)
        for number in range(strides.size):
            counts[coarser(keys, strides, number) != keys] = number + 1
        return counts

    @cached_property
    def parent_row(self) -> np.ndarray:
        """Return the set of coefficients of each segment's parent, int64[S]."""
        arrays = self.model.arrays
        rows = np.zeros(self.kept.size, np.int64)
        for kept in range(1, self._strides.size + 1):
            at = self.kept == kept
            parents = coarser(arrays["segment_key"][at], self._strides, kept - 1)
            rows[at] = rows_of_keys(
                parents, self._strides, arrays["segment_key"], arrays["segment_row"]
            )
        return rows

    @property
    def has_own(self) -> np.ndarray:
        """Tell which segments have coefficients of their own, bool[S]."""
        own: np.ndarray = self.model.arrays["segment_row"] != self.parent_row
        return own

    def labels(self) -> tuple[list[str], list[str], list[str]]:
        """Return each segment's keys, its levels, and its parent's levels, as texts."""
        manifest = self.model.manifest
        features = manifest.features[len(manifest.features) - len(manifest.by) :]
        keys, names, levels, parents = self.model.arrays["segment_key"], [], [], []
        codes = [
            keys // stride % len(f.levels)
            for f, stride in zip(features, self._strides, strict=True)
        ]
        texts = [np.array(f.levels, object)[code] for f, code in zip(features, codes, strict=True)]
        for n, kept in enumerate(self.kept.tolist()):
            of_segment = [str(text[n]) for text in texts[:kept]]
            names.append(JOINER.join(manifest.by[:kept]))
            levels.append(JOINER.join(of_segment))
            parents.append(JOINER.join(of_segment[:-1]) or ALL)
        return names, levels, parents

    @property
    def _strides(self) -> np.ndarray:
        manifest = self.model.manifest
        return key_strides(manifest.features[len(manifest.features) - len(manifest.by) :])


def segments_rows(stored: StoredSegments, identity: dict[str, Any]) -> pa.RecordBatch:
    """Return a version's rows of table `segments`. identity: columns that all rows share."""
    facts, (names, levels, parents) = stored.facts, stored.labels()
    reason = facts["reason"].astype(np.int64)
    is_fitted = reason == FITTED
    was_tried = reason <= small_fits.NO_MEAN
    status = np.where(is_fitted, "fitted", np.where(stored.has_own, "level", "parent"))

    def where(rows: np.ndarray, values: np.ndarray) -> pa.Array:
        return pa.array(values, mask=~rows)

    columns = {
        "segment_by": pa.array(names),
        "segment": pa.array(levels),
        "parent": pa.array(parents),
        "status": pa.array(status.tolist()),
        "reason": pa.array([REASONS[code] for code in reason.tolist()], pa.string()),
        "rows": pa.array(facts["rows"].astype(np.int64)),
        **{name: pa.array(facts[name]) for name in ("exposure", "observed", "claims", "expected")},
        "credibility": pa.array(facts["level_weight"]),
        "converged": where(was_tried, is_fitted),
        "iterations": where(was_tried, facts["iterations"].astype(np.int32)),
        "coefficients": where(is_fitted, facts["columns"].astype(np.int32)),
        **{n: where(is_fitted, facts[n]) for n in ("deviance", "null_deviance", "dispersion")},
    }
    return pa.RecordBatch.from_pydict(_shared(identity, reason.size) | columns)


def relativities_of_segments(
    stored: StoredSegments, identity: dict[str, Any]
) -> Iterator[pa.RecordBatch]:
    """Yield rows of table `relativities`: of every segment that has coefficients of its own."""
    own = np.flatnonzero(stored.has_own)
    names, levels, _ = stored.labels()
    step = max(1, ROWS_PER_BATCH // stored.terms)
    for first in range(0, own.size, step):
        chosen = own[first : first + step]
        yield _relativities(stored, chosen, names, levels, identity)


def _values(stored: StoredSegments) -> np.ndarray:
    values = stored.per_term("segment_value").copy()
    values[:, 0] += stored.model.manifest.intercept
    return values


def _relativities(
    stored: StoredSegments,
    chosen: np.ndarray,
    names: list[str],
    levels: list[str],
    identity: dict[str, Any],
) -> pa.RecordBatch:
    manifest, terms = stored.model.manifest, _terms(stored)
    rows = stored.model.arrays["segment_row"][chosen]
    value = _values(stored)[rows].ravel()
    count, exposure, observed, weight, error = (
        stored.per_term(f"segment_{name}")[rows].ravel()
        for name in ("count", "exposure", "observed", "weight", "error")
    )
    segment, term = np.repeat(chosen, stored.terms), np.tile(np.arange(stored.terms), chosen.size)
    settings = manifest.training.get("settings", {})
    reach = NormalDist().inv_cdf(0.5 + settings.get("glm", {}).get("confidence", 0.95) / 2)
    is_base = np.tile(np.array(terms["is_base"]), chosen.size)
    is_own = error > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        z = value / error
    ends = {"relativity": value, "lower": value - reach * error, "upper": value + reach * error}
    if manifest.link == "log":
        ends = {n: np.exp(np.minimum(v, MAX_EXPONENT)) for n, v in ends.items()}
    shrinks = settings.get("credibility", "none") == "buhlmann_straub"
    tested = is_own & (not shrinks)
    columns = {
        "segment_by": pa.array(names).take(pa.array(segment)),
        "segment": pa.array(levels).take(pa.array(segment)),
        "feature": pa.array(terms["feature"]).take(pa.array(term)),
        "level": pa.array(terms["level"], pa.string()).take(pa.array(term)),
        "is_base": pa.array(is_base),
        "aliased": pa.array(~is_base & ~is_own & (not shrinks) & bool((error > 0).any())),
        "coefficient": pa.array(value),
        "standard_error": pa.array(error, mask=~is_own),
        "z": pa.array(z, mask=~tested),
        "p_value": pa.array(_two_sided(z), mask=~tested),
        "relativity": pa.array(
            ends["relativity"], mask=np.full(value.size, manifest.link != "log")
        ),
        "lower": pa.array(ends["lower"], mask=~is_own),
        "upper": pa.array(ends["upper"], mask=~is_own),
        "rows": pa.array(count.astype(np.int64)),
        "exposure": pa.array(exposure),
        "observed": pa.array(observed),
        "credibility": pa.array(weight, mask=is_base),
    }
    return pa.RecordBatch.from_pydict(_shared(identity, value.size) | columns)


def _terms(stored: StoredSegments) -> dict[str, list[Any]]:
    """Return the feature, the level and whether it is the base of each term, in order."""
    manifest = stored.model.manifest
    terms: dict[str, list[Any]] = {"feature": [INTERCEPT], "level": [None], "is_base": [False]}
    for feature in manifest.features[: len(manifest.features) - len(manifest.by)]:
        levels: list[str | None] = list(feature.levels) or [None]
        terms["feature"] += [feature.name] * len(levels)
        terms["level"] += levels
        terms["is_base"] += [
            bool(feature.levels) and code == feature.base_code for code in range(len(levels))
        ]
    return terms


def _two_sided(z: np.ndarray) -> np.ndarray:
    """Return the probability of a normal value further from 0, float64[n]."""
    return np.array([math.erfc(abs(value) / math.sqrt(2.0)) for value in z.tolist()])


def _shared(identity: dict[str, Any], count: int) -> dict[str, pa.Array]:
    return {name: pa.repeat(pa.scalar(value), count) for name, value in identity.items()}
