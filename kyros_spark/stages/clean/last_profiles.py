"""Know the profiles that were written last, without a query where a cached answer is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pyspark.sql import Window
from pyspark.sql import functions as F

from kyros_spark.delta.tables import DeltaTables
from kyros_spark.tables.profiles import PROFILES

_KEPT = 2  # batches per source: without the one that is cleaned again, one is left
_NOT_COMPARED = ("profiled_at", "run_id")

Profile = list[dict[str, Any]]


class LastProfiles:
    """By source, the profiles of the batches that were profiled last, the newest first."""

    def __init__(self, tables: DeltaTables) -> None:
        """Ask the cache, or else the table."""
        self._tables, self._cache = tables, tables.version_cache(PROFILES.name)
        self._version = self._cache.now()
        latest = self._cache.get_or_compute(self._version, self._query)
        self._latest: dict[str, list[Profile]] = latest

    def before(self, source: str, batch: str) -> Profile:
        """Return the profile of the batch that was profiled last before this one, if any."""
        others = (p for p in self._latest.get(source, []) if p[0]["batch_id"] != batch)
        return next(others, [])

    def keep(self, written: Iterable[Mapping[str, Any]]) -> None:
        """Cache what the table holds after the one commit that wrote these rows."""
        version = self._cache.next_to(self._version)
        new: dict[str, Profile] = {}
        for row in written:
            compared = {name: row.get(name) for name in PROFILES.names if name not in _NOT_COMPARED}
            new.setdefault(row["source"], []).append(compared)
        latest = dict(self._latest)
        for source, rows in new.items():
            before = self.before(source, rows[0]["batch_id"])
            latest[source] = [rows, before] if before else [rows]
        self._cache.put(version, latest)

    def _query(self) -> dict[str, list[Profile]]:
        profiles = self._tables.find(PROFILES.name)
        if profiles is None:
            return {}
        newest = Window.partitionBy("source").orderBy(
            F.desc("profiled_at"), F.desc("batch_id")
        )  # all rows of a batch and source have one time
        ranked = profiles.withColumn("_place", F.dense_rank().over(newest))
        latest: dict[str, dict[int, Profile]] = {}
        for row in ranked.where(F.col("_place") <= _KEPT).drop(*_NOT_COMPARED).collect():
            values = row.asDict(recursive=True)
            place = values.pop("_place")
            latest.setdefault(values["source"], {}).setdefault(place, []).append(values)
        return {s: [by_place[n] for n in sorted(by_place)] for s, by_place in latest.items()}
