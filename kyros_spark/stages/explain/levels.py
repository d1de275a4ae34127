"""Give each policy the level of a feature by which contributions are summed up.

Levels and bins of a model are as they are. A number has the range of its leading bits, eight ranges
from each power of two to the next, so that every batch and model has the same ones and no pass over
the rows is needed to find them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from kyros_spark.errors import DataContractError
from kyros_spark.model.bin_labels import bin_labels
from kyros_spark.model.manifest import MISSING_LEVEL, Feature
from kyros_spark.scoring.arrow_features import as_doubles, levels_of

UNSEEN_LEVEL = "(unseen)"
MOST_LEVELS = 10_000  # of a segment that no model uses, and whose levels nothing else bounds
_PER_OCTAVE = 8


@dataclass(frozen=True)
class LevelsOf:
    """How a feature's levels are named and ordered.

    known: the levels of all models that use it; None where no model does, and all are kept.
    """

    name: str
    cuts: tuple[float, ...] = ()
    known: tuple[str, ...] | None = None
    is_number: bool = False

    def levels(self, column: pa.Array) -> tuple[list[str], np.ndarray]:
        """Return the levels' keys, and each row's number among them, int64[n]."""
        if self.is_number:
            return _ranges(as_doubles(column))
        texts, codes = levels_of(column, self.cuts)
        if self.known is not None:
            known = set(self.known)
            texts = [text if text in known else UNSEEN_LEVEL for text in texts]
        elif len(texts) > MOST_LEVELS:
            raise DataContractError(
                f"prepared, feature {self.name}: expected at most {MOST_LEVELS} levels of a "
                f"segment, found {len(texts)}; leave it out of explain.segments"
            )
        places = {text: n for n, text in enumerate(dict.fromkeys([*texts, MISSING_LEVEL]))}
        of_code = np.array([*(places[text] for text in texts), places[MISSING_LEVEL]], np.int64)
        return list(places), of_code[codes]

    def ordered(self, keys: Iterable[str]) -> list[str]:
        """Return keys in the order in which they are shown: special levels last."""
        if self.is_number:
            return sorted(keys, key=lambda key: (key == MISSING_LEVEL, _number(key)))
        known = {text: n for n, text in enumerate(self.known or ())}
        last = len(known)
        return sorted(keys, key=lambda key: (_is_special(key), known.get(key, last), key))

    def label(self, key: str) -> str:
        """Return a level as a person reads it."""
        return _range_label(float(key)) if self.is_number and key != MISSING_LEVEL else key


def levels_by_feature(
    features: Iterable[Feature], segments: Mapping[str, bool]
) -> dict[str, LevelsOf]:
    """Return how the levels of the models' features, and of segments, are named.

    features: of all models, a name once per model that has it.
    segments: names, and whether table `prepared` holds numbers there.
    """
    result: dict[str, LevelsOf] = {}
    for feature in features:
        if feature.kind == "numeric":
            result.setdefault(feature.name, LevelsOf(feature.name, is_number=True))
            continue
        own = tuple(bin_labels(feature.cuts)) if feature.cuts else feature.levels
        before = result.get(feature.name)
        if before is None or before.is_number:
            result[feature.name] = LevelsOf(feature.name, feature.cuts, own)
        elif before.cuts == feature.cuts and before.known is not None:
            known = tuple(dict.fromkeys([*before.known, *own]))
            result[feature.name] = LevelsOf(feature.name, feature.cuts, known)
    for name, is_number in segments.items():
        result.setdefault(name, LevelsOf(name, is_number=is_number))
    return result


def _ranges(values: np.ndarray) -> tuple[list[str], np.ndarray]:
    """Return the ranges of numbers, each by its end nearer to 0, and each number's range."""
    mantissa, exponent = np.frexp(np.abs(values))
    step = np.floor((mantissa - 0.5) * 2 * _PER_OCTAVE)
    near = np.sign(values) * np.ldexp(0.5 + step / (2 * _PER_OCTAVE), exponent)
    near = np.where(np.isinf(values) | (values == 0), values, near)
    distinct, codes = np.unique(near, return_inverse=True)
    keys = [MISSING_LEVEL if np.isnan(key) else repr(float(key) + 0.0) for key in distinct]
    return keys, codes.ravel().astype(np.int64)


def _range_label(near: float) -> str:
    if near == 0 or np.isinf(near):
        return f"{near:g}"
    _, exponent = np.frexp(abs(near))
    far = abs(near) + float(np.ldexp(1.0, exponent)) / (2 * _PER_OCTAVE)
    return f"{near:.6g}-<{far:.6g}" if near > 0 else f"{-far:.6g} to {near:.6g}"


def _number(key: str) -> float:
    return 0.0 if key == MISSING_LEVEL else float(key)


def _is_special(key: str) -> int:
    return {MISSING_LEVEL: 1, UNSEEN_LEVEL: 2}.get(key, 0)
