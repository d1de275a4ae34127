"""Write what a GLM's coefficients are into tables `relativities` and `segments`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from kyros_spark.delta.where import combinations
from kyros_spark.fitting.relativities import relativities
from kyros_spark.fitting.segments.reasons import FITTED
from kyros_spark.fitting.segments.results import (
    StoredSegments,
    relativities_of_segments,
    segments_rows,
)
from kyros_spark.model.artefact import Model
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.tables.relativities import RELATIVITIES
from kyros_spark.tables.segments import SEGMENTS


def write_coefficients(portfolio: Portfolio, run: Run, entries: Sequence[Entry]) -> None:
    """Write the coefficients of these GLMs' versions, from the models' own files.

    Of kept ones too: a run may have been killed between registering and here.
    """
    rows: list[dict[str, Any]] = []
    with_segments: list[tuple[Entry, StoredSegments]] = []
    for entry in entries:
        model = portfolio.registry.load(entry)[0]
        of_whole = relativities(model.manifest, entry.version, run.batch, run.run_id)
        if model.manifest.by:
            _add_stability(of_whole, model)
            with_segments.append((entry, StoredSegments(model)))
        rows += of_whole
    versions = sorted({(row["model_name"], row["model_version"]) for row in rows})
    if not rows:
        return
    where = combinations(["model_name", "model_version"], versions)
    tables = portfolio.tables
    if not with_segments:
        run.outputs["relativities"] = tables.replace_rows(
            RELATIVITIES, rows, run.run_id, where,
            batch=None,  # of a model, whatever its batches
        )  # fmt: skip
        return

    def batches() -> Iterator[pa.RecordBatch]:
        yield pa.RecordBatch.from_pylist(rows)
        for entry, stored in with_segments:
            yield from relativities_of_segments(stored, _identity(entry, run))

    run.outputs["relativities"] = tables.replace_arrow(
        RELATIVITIES, batches(), run.run_id, where, batch=None
    )
    versions = [(entry.name, entry.version) for entry, _ in with_segments]
    run.outputs["segments"] = tables.replace_arrow(
        SEGMENTS,
        (segments_rows(stored, _identity(entry, run)) for entry, stored in with_segments),
        run.run_id,
        combinations(["model_name", "model_version"], versions),
        batch=None,
    )


def segment_counts(model: Model) -> dict[str, int]:
    """Return how many segments a model has, and what became of them."""
    stored = StoredSegments(model)
    fitted = stored.facts["reason"] == FITTED
    own = stored.has_own
    return {
        "fitted": int(fitted.sum()),
        "level": int((own & ~fitted).sum()),
        "parent": int((~own).sum()),
    }


def _identity(entry: Entry, run: Run) -> dict[str, Any]:
    return {
        "model_name": entry.name,
        "model_version": entry.version,
        "batch_id": run.batch,
        "run_id": run.run_id,
    }


def _add_stability(rows: Sequence[dict[str, Any]], model: Model) -> None:
    """Add to the whole's rows how each coefficient varies over segments."""
    for row, entry in zip(rows, model.manifest.training["stability"], strict=True):
        if not row["is_base"] and entry["segments"]:
            row |= {**entry, "segments": int(entry["segments"])}
