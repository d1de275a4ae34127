"""Fit the benchmark's segments as train does with rows in its own process."""

import numpy as np
import pyarrow as pa

from benchmarks.segments_rows import Rows
from kyros_spark.aggregates.rows import DriverRows
from kyros_spark.config import ModelSettings
from kyros_spark.fitting.glm import fit_glm
from kyros_spark.fitting.segments.model import with_segments
from kyros_spark.fitting.segments.results import StoredSegments
from kyros_spark.model.glm import glm_model
from kyros_spark.model.manifest import Feature, Manifest, Source
from kyros_spark.model.segments import key_feature


def fitted(rows: Rows, most: int | None = None) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Return coefficients, standard errors and deviance of each segment."""
    begins = rows.begins[: most + 1] if most else rows.begins
    count, segments = begins[-1], begins.size - 1
    factors = [f"f{k}" for k in range(len(rows.levels))]
    numbers = [f"x{k}" for k in range(rows.numbers.shape[1])]
    levels = [tuple(f"l{k:03d}" for k in range(n)) for n in rows.levels]
    texts = {
        name: pa.DictionaryArray.from_arrays(pa.array(rows.codes[:count, k]), list(levels[k]))
        for k, name in enumerate(factors)
    }
    names = [f"s{k:06d}" for k in range(segments)]
    key = np.repeat(np.arange(segments, dtype=np.int32), np.diff(begins))
    table = pa.table(
        {
            **texts,
            **{name: rows.numbers[:count, k] for k, name in enumerate(numbers)},
            "segment": pa.DictionaryArray.from_arrays(pa.array(key), names),
            "_label": rows.claims[:count],
            "_weight": np.ones(count),
            "_offset": np.log(rows.units[:count]),
        }
    )
    features = (
        *(Feature(name=n, kind="levels", levels=v) for n, v in zip(factors, levels, strict=True)),
        *(Feature(name=name, impute=0.0) for name in numbers),
    )
    settings = ModelSettings(
        method="glm", family="poisson", target="claims", per="units", by=("segment",),
        features=(*factors, *numbers), min_rows=1, min_claims=0,
    )  # fmt: skip
    source = DriverRows(table)
    fit = fit_glm(source, features, settings)
    manifest = Manifest(
        name="bench", kind="glm", source=Source(library="kyros-spark", version="bench"),
        family="poisson", link="log", target="claims", intercept=fit.intercept, features=features,
    )  # fmt: skip
    keys = (key_feature(Feature(name="segment", kind="levels", levels=tuple(names))),)
    parent = glm_model(manifest, fit.tables, fit.slopes)
    stored = StoredSegments(with_segments(parent, fit, source, keys, settings))
    values = stored.per_term("segment_value").copy()
    values[:, 0] += fit.intercept
    errors, row = stored.per_term("segment_error"), stored.model.arrays["segment_row"]
    starts = 1 + np.concatenate([[0], np.cumsum(rows.levels)]).astype(int)
    is_base = np.isin(np.arange(stored.terms), starts[: len(rows.levels)])
    deviance = stored.facts["deviance"]
    return [(values[r][~is_base], errors[r][~is_base], deviance[n]) for n, r in enumerate(row)]
