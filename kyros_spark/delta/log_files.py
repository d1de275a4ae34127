"""Read a table's log by file calls: its commits, and the files of a version. No query is made."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from kyros_spark.delta.layout import TableLayout
from kyros_spark.storage.whole_files import read_whole

_ADD = (
    "path", "partitionValues", "size", "modificationTime", "dataChange", "stats", "deletionVector",
)  # fmt: skip
_DESCRIBING = ("metaData", "protocol")
_MOST_COMMITS = 200  # behind the last checkpoint; beyond it, Delta itself is asked


def commit_address(folder: str, version: int) -> str:
    """Return the address of a commit's file. folder: the table's, as Hadoop qualifies it."""
    return f"{folder}/_delta_log/{version:020d}.json"


def actions(spark: SparkSession, folder: str, version: int) -> list[dict[str, Any]] | None:
    """Return the actions of a commit, or None if its file is not there."""
    data = read_whole(spark, commit_address(folder, version))
    return None if data is None else [json.loads(line) for line in data.splitlines() if line]


def commits_behind(
    spark: SparkSession, folder: str, version: int
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the version and the commit info of every commit behind ``version``, in order."""
    while (data := read_whole(spark, commit_address(folder, version + 1))) is not None:
        version += 1
        # Delta writes it first; a commit of another writer may have none.
        line = next(
            (line for line in data.splitlines() if line.startswith(b'{"commitInfo"')), b"{}"
        )
        yield version, json.loads(line).get("commitInfo", {})


def active_files(spark: SparkSession, folder: str, version: int) -> list[dict[str, Any]] | None:
    """Return the add actions of the files that make up a version.

    None if the log cannot be read so: a checkpoint is of another kind, or a commit is missing.
    """
    replay = _replay(spark, folder, version)
    if replay is None:
        return None
    checkpoint, commits = replay
    files = {add["path"]: add for add in _checkpoint_adds(checkpoint)} if checkpoint else {}
    for commit in commits:
        # Within a commit the order has no meaning, and no path is both added and removed.
        for action in commit:
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
        for action in commit:
            if "add" in action:
                files[action["add"]["path"]] = action["add"]
    return list(files.values())


def layout_at(spark: SparkSession, folder: str, version: int) -> TableLayout | None:
    """Return how a version of a table is described; None if the log cannot be read so."""
    replay = _replay(spark, folder, version)
    if replay is None:
        return None
    checkpoint, commits = replay
    seen = {kind: _checkpoint_action(checkpoint, kind) for kind in _DESCRIBING}
    for commit in commits:
        seen |= {kind: action[kind] for action in commit for kind in _DESCRIBING if kind in action}
    metadata, protocol = (seen[kind] for kind in _DESCRIBING)
    return TableLayout(metadata, protocol) if metadata and protocol else None


def _replay(
    spark: SparkSession, folder: str, version: int
) -> tuple[pq.ParquetFile | None, list[list[dict[str, Any]]]] | None:
    """Return the last checkpoint, if there is one, and the commits behind it up to a version.

    Of a version before the last checkpoint, or of one of another kind, all commits from the first.
    """
    start, checkpoint = 0, None
    last = json.loads(read_whole(spark, f"{folder}/_delta_log/_last_checkpoint") or b"{}")
    if last and _is_usable(last, version):
        name = f"{int(last['version']):020d}.checkpoint.parquet"
        data = read_whole(spark, f"{folder}/_delta_log/{name}")
        if data is None:
            return None
        start, checkpoint = int(last["version"]) + 1, pq.ParquetFile(io.BytesIO(data))
    if version - start > _MOST_COMMITS:
        return None
    commits = [actions(spark, folder, number) for number in range(start, version + 1)]
    present = [commit for commit in commits if commit is not None]
    return (checkpoint, present) if len(present) == len(commits) else None


def _is_usable(checkpoint: dict[str, Any], version: int) -> bool:
    return (
        int(checkpoint["version"]) <= version
        and not checkpoint.get("parts")
        and not checkpoint.get("v2Checkpoint")
    )


def _checkpoint_adds(file: pq.ParquetFile) -> list[dict[str, Any]]:
    present = {field.name for field in file.schema_arrow.field("add").type}
    rows = file.read(columns=[f"add.{name}" for name in _ADD if name in present])
    adds = rows["add"].combine_chunks() if rows.num_rows else pa.array([])
    return [
        {
            **{key: value for key, value in add.items() if value is not None},
            "partitionValues": dict(add["partitionValues"] or ()),
            "dataChange": True,
        }
        for add in adds.to_pylist()
        if add is not None and add.get("path") is not None
    ]


def _checkpoint_action(file: pq.ParquetFile | None, kind: str) -> dict[str, Any]:
    """Return the one action of a kind that a checkpoint has, without what is NULL in it."""
    if file is None:
        return {}
    actions_of_kind = file.read(columns=[kind])[kind].drop_null().to_pylist()
    first: dict[str, Any] = next(iter(actions_of_kind), {})
    action = {key: value for key, value in first.items() if value is not None}
    if "configuration" in action:  # a map, which Arrow gives as pairs
        action["configuration"] = dict(action["configuration"])
    return action
