"""Make `feature_log`: the definition of each feature of a prepared batch, and its counts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import Column
from pyspark.sql import functions as F

from kyros_spark.aggregates.extremes import extremes
from kyros_spark.config import FeatureSettings, PrepareSettings
from kyros_spark.errors import KyrosError
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.registry import Registry
from kyros_spark.runs.run import Run
from kyros_spark.tables.prepared import targets
from kyros_spark.transforms.definitions import definition_hash, schema_hash
from kyros_spark.transforms.encode import is_unseen

FrozenFeatures = dict[str, list[Feature]]


def champion_features(registry: Registry, settings: PrepareSettings) -> FrozenFeatures:
    """Return, by name, the champions' frozen features whose definition is the one now in force.

    A champion whose file cannot be read is left out here; predict refuses it by name.
    """
    frozen: FrozenFeatures = {}
    for entry in registry.entries():
        if entry.status != "champion":
            continue
        try:
            model, _ = registry.load(entry)
        except KyrosError as error:
            event(f"unseen levels are not counted for {entry.name}: {error}", level=30)
            continue
        for feature in model.manifest.features:
            defined = settings.features.get(feature.name)
            if defined is not None and definition_hash(defined) == feature.definition_hash:
                frozen.setdefault(feature.name, []).append(feature)
    return frozen


def value_counts(settings: PrepareSettings, frozen: FrozenFeatures) -> list[Column]:
    """Return the aggregates over a batch: rows, unknown targets, and values by feature.

    Per feature they count what is missing and unseen, and have the extremes.
    """
    aggregates = [F.count(F.lit(1)).alias("_rows")]
    aggregates += [
        F.count_if(F.col(target.name).isNull()).alias(f"_unknown_{target.name}")
        for target in targets(settings)
    ]
    for name, feature in settings.features.items():
        value = F.col(name)
        # The extremes only serve to see whether all values are equal; a text is hashed for that,
        # because Spark sorts to find the extremes of texts.
        number = value if feature.is_number else F.when(value.isNotNull(), F.xxhash64(value))
        aggregates += [
            F.count_if(value.isNull()).alias(name),
            F.min(number).alias(f"_least_{name}"),
            F.max(number).alias(f"_most_{name}"),
        ]
    marks = unseen_marks(settings, frozen).items()
    return [*aggregates, *(F.count_if(unseen).alias(name) for name, unseen in marks)]


def unseen_marks(settings: PrepareSettings, frozen: FrozenFeatures) -> dict[str, Column]:
    """Return by name whether a champion never saw a row's level; champions count once together."""
    marks = {}
    for name in settings.features:
        # Champions with equal levels are asked once.
        distinct = {f.model_dump_json(): f for f in frozen.get(name, ()) if f.kind == "levels"}
        if distinct:
            marks[f"_unseen_{name}"] = F.greatest(*map(is_unseen, distinct.values()), F.lit(False))
    return marks


def counted_rows(settings: PrepareSettings, rows: pa.Table) -> dict[str, Any]:
    """Return the values of `value_counts` for rows that the driver holds.

    rows: the columns of `prepared` and those of `unseen_marks`.
    """
    counts: dict[str, Any] = {"_rows": rows.num_rows}
    counts |= {f"_unknown_{t.name}": rows[t.name].null_count for t in targets(settings)}
    for name in settings.features:
        least, most = extremes(rows[name])
        extremes_of = {f"_least_{name}": least, f"_most_{name}": most}
        counts |= {name: rows[name].null_count, **extremes_of}
    marks = [name for name in rows.column_names if name.startswith("_unseen_")]
    return counts | {name: pc.sum(rows[name]).as_py() or 0 for name in marks}


def tell_unknown_targets(run: Run, settings: PrepareSettings, counts: Mapping[str, Any]) -> None:
    """Count the policies whose target is unknown into the run, and warn of them.

    A target that no policy has is one that is not known yet, such as the claims of this year.
    counts: the values of ``value_counts`` over the batch.
    """
    unknown = {t.name: counts[f"_unknown_{t.name}"] for t in targets(settings)}
    some = {name: rows for name, rows in unknown.items() if 0 < rows < counts["_rows"]}
    if some:
        run.details["unknown_targets"] = some
        sums = ", ".join(f"{name} of {rows}" for name, rows in some.items())
        event(
            f"prepare {run.batch}: unknown is {sums} of {counts['_rows']} policies, since a value "
            "it is made of is missing; no model of that target sees them",
            level=30,
        )


def log_rows(
    run: Run,
    settings: PrepareSettings,
    counts: Mapping[str, Any],
    frozen: FrozenFeatures,
    tables: Mapping[str, int],
) -> list[dict[str, Any]]:
    """Return the rows of table feature_log for one prepared batch.

    counts: the values of ``value_counts`` over the batch. tables: the versions that were read.
    """
    now = datetime.now(UTC)
    rows = []
    for name, feature in settings.features.items():
        # A number is never unseen, but only a champion can say so.
        unseen = counts.get(f"_unseen_{name}", 0) if name in frozen else None
        row = {
            "batch_id": run.batch,
            "feature": name,
            "type": feature.kind,
            "definition": definition_text(feature),
            "definition_hash": definition_hash(feature),
            "feature_version": feature.version,
            "tables": tables,
            "status": _status(name, counts, unseen),
            "schema_hash": schema_hash(settings),
            "null_count": counts[name],
            "unseen_count": unseen,
            "row_count": counts["_rows"],
            "logged_at": now,
            "run_id": run.run_id,
        }
        rows.append(row)
    return rows


def definition_text(feature: FeatureSettings) -> str:
    """Return a feature's definition as the log holds it."""
    return json.dumps(feature.model_dump(mode="json", exclude_defaults=True))


def _status(name: str, counts: Mapping[str, Any], unseen: int | None) -> str:
    if counts[name] == counts["_rows"]:
        return "all missing"
    if unseen:
        return "unseen levels"
    constant = counts[f"_least_{name}"] == counts[f"_most_{name}"]
    return "constant" if constant else "ok"
