"""Keep `feature_log`: what each feature of a prepared batch is, and what the batch holds of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from kyros_spark.config import FeatureSettings, PrepareSettings
from kyros_spark.errors import KyrosError
from kyros_spark.log import event
from kyros_spark.model.manifest import Feature
from kyros_spark.registry import Registry
from kyros_spark.runs.run import Run
from kyros_spark.tables.feature_log import FEATURE_LOG
from kyros_spark.transforms.definitions import definition_hash, schema_hash
from kyros_spark.transforms.encode import is_unseen

Frozen = dict[str, list[Feature]]


def champions_features(registry: Registry, settings: PrepareSettings) -> Frozen:
    """Return, by name, the champions' frozen features of the definitions now in force.

    A champion whose file cannot be read says nothing here; predict refuses it by name.
    """
    found: Frozen = {}
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
                found.setdefault(feature.name, []).append(feature)
    return found


def counted(settings: PrepareSettings, frozen: Frozen) -> list[Column]:
    """Return what is counted of a batch's features, rows together."""
    found = [F.count(F.lit(1)).alias("_rows")]
    for name, feature in settings.features.items():
        value = F.col(name)
        # Whether all are alike is all that is asked: Spark takes a text's extremes by sorting.
        told = value if feature.is_number else F.when(value.isNotNull(), F.xxhash64(value))
        found += [F.count_if(value.isNull()).alias(name), F.min(told).alias(f"_least_{name}")]
        found.append(F.max(told).alias(f"_most_{name}"))
        # Champions of like levels ask once.
        asked = {f.model_dump_json(): f for f in frozen.get(name, ()) if f.kind == "levels"}
        if asked:
            unseen = F.greatest(*map(is_unseen, asked.values()), F.lit(False))
            found.append(F.count_if(unseen).alias(f"_unseen_{name}"))
    return found


def log_rows(
    spark: SparkSession,
    run: Run,
    settings: PrepareSettings,
    seen: Mapping[str, Any],
    frozen: Frozen,
    tables: Mapping[str, int],
) -> DataFrame:
    """Return the rows of table feature_log of one prepared batch."""
    now = datetime.now(UTC)
    rows = []
    for name, feature in settings.features.items():
        # A number is never unseen, but only a champion can say so.
        unseen = seen.get(f"_unseen_{name}", 0) if name in frozen else None
        told = {
            "batch_id": run.batch,
            "feature": name,
            "type": feature.kind,
            "definition": _definition(feature),
            "definition_hash": definition_hash(feature),
            "feature_version": feature.version,
            "tables": tables,
            "status": _status(name, seen, unseen),
            "schema_hash": schema_hash(settings),
            "null_count": seen[name],
            "unseen_count": unseen,
            "row_count": seen["_rows"],
            "logged_at": now,
            "run_id": run.run_id,
        }
        rows.append(told)
    schema = ", ".join(f"{column.name} {column.type}" for column in FEATURE_LOG.columns)
    return spark.createDataFrame(rows, schema).coalesce(1)


def _definition(feature: FeatureSettings) -> str:
    return json.dumps(feature.model_dump(mode="json", exclude_defaults=True))


def _status(name: str, seen: Mapping[str, Any], unseen: int | None) -> str:
    if seen[name] == seen["_rows"]:
        return "all missing"
    if unseen:
        return "unseen levels"
    constant = seen[f"_least_{name}"] == seen[f"_most_{name}"]
    return "constant" if constant else "ok"
