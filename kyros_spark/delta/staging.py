"""Gather a batch's rows in hidden micro-batches, and publish them in one commit.

Each micro-batch is one commit to a staging table. That table lies in the folder of the table the
rows are for (the target), so its files need not be copied: the publishing commit adds them to the
target's log and removes the files they replace, at once. Until then no reader of the target sees
any of them.

A commit to another table's log goes through Delta's own transaction class in the JVM. Where that
class cannot be reached (Spark Connect, Databricks, a table in a catalog), the caller writes in one
commit instead.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from kyros_spark.delta import log as delta_log
from kyros_spark.delta.failures import translate_concurrency_errors
from kyros_spark.delta.file_commit import FileCommit
from kyros_spark.delta.listed_files import NotCertain
from kyros_spark.delta.reach import check_files
from kyros_spark.delta.tables import DeltaTables, Written
from kyros_spark.delta.where import Where
from kyros_spark.foreign_errors import machine_failed
from kyros_spark.log import event
from kyros_spark.spark.java_class import java_class
from kyros_spark.storage.files import folder_exists, remove_folder
from kyros_spark.tables.contract import Table

# VACUUM of the target removes unpublished files after seven days: older work begins anew.
RESUMABLE_FOR = timedelta(days=6)
# Lets tasks add files to a commit, and returns what their rows add up to.
TaskFiles = Callable[[FileCommit], dict[str, Any]]


@dataclass(frozen=True)
class MicroBatch:
    """A committed micro-batch: its number, the run that wrote it, its row count.

    totals: what its writer added up, if it did.
    """

    number: int
    run_id: str
    rows: int
    totals: dict[str, Any] | None = None


class StagedWrite:
    """The hidden rows of one piece of work on one table.

    Work is identified by its fingerprint, so that a later run of the same work goes on from them.
    """

    def __init__(
        self, tables: DeltaTables, table: Table, work: str, rows_per_file: int | None = None
    ) -> None:
        """Take the target table and the fingerprint of the work.

        rows_per_file: the most rows per file; by default one file per task and partition.
        """
        self._tables, self._target, self._work = tables, table, work
        self._rows_per_file = rows_per_file
        self._choose_folder()

    def _choose_folder(self) -> None:
        """Choose the first folder of this work that is new or has a log.

        A folder without a log holds files of the target, and Delta creates no table in it.
        """
        for number in itertools.count():
            folder = f"staged-{self._work[:16]}" + (f"-{number}" if number else "")
            location = self._tables.location(f"{self._target.name}/{folder}")
            log, spark = f"{location}/_delta_log", self._tables.spark
            if folder_exists(spark, log) or not folder_exists(spark, location):
                break
        self._folder, self._log = folder, log
        self._staging = replace(self._target, name=f"{self._target.name}/{folder}")

    def parts(self) -> list[MicroBatch]:
        """Return the micro-batches that earlier runs of this work committed, in order."""
        return self._committed()[0]

    def resume(self) -> list[MicroBatch]:
        """Return the committed micro-batches, ready to be continued.

        If their log is damaged, or so old that files may be gone, the work begins anew.
        """
        micro_batches, fault = self._committed()
        if fault:
            event(f"micro-batches of an earlier run {fault}, beginning anew")
            self.discard()
            self._choose_folder()
        return micro_batches

    def _committed(self) -> tuple[list[MicroBatch], str]:
        """Return the committed micro-batches and "", or none and why they cannot be continued."""
        # Look at the folder first: Delta takes a missing table for a partition of its target.
        if not folder_exists(self._tables.spark, self._log):
            return [], ""
        try:
            commits = self._tables.history(self._staging.name)
            self.rows().limit(0).collect()
            writes = [commit for commit in commits if commit["operation"] == "WRITE"]
            micro_batches = [_micro_batch(commit) for commit in writes]
        except Exception as error:  # of any class: some reach Python as bare Java errors
            if machine_failed(error):
                raise  # the log may be sound, and must not be removed
            return [], f"cannot be read ({str(error).splitlines()[0]})"
        oldest = min((commit["timestamp"] for commit in writes), default=None)
        if oldest is not None and datetime.now() - oldest > RESUMABLE_FOR:
            return [], "are too old to be trusted"
        return sorted(micro_batches, key=lambda micro_batch: micro_batch.number), ""

    def write(self, number: int, rows: DataFrame | TaskFiles, run_id: str) -> dict[str, Any] | None:
        """Commit a micro-batch, once: Delta skips a number that it has committed already.

        Numbers must rise; Delta skips any number below the last one.
        rows: a DataFrame, or what lets tasks add files to a commit; only the latter's totals are
        kept and returned, unless another run has committed the same micro-batch meanwhile.

        Raises:
            ConcurrentRunError: another run of the same work committed meanwhile.
            TableConstraintError: a row breaks a constraint of the table.
            NotCertain: tasks cannot write files of such a table.
        """
        metadata = {"part": number, "run_id": run_id}
        if not folder_exists(self._tables.spark, self._log):
            if self._tables.version(self._target.name) is None:
                # The target comes first: Delta creates no table around another one.
                self._tables.create(self._target, run_id)
            self._tables.check(self._target)
            self._tables.create(self._staging, json.dumps(metadata))
        if callable(rows):
            return self._write_files(rows, metadata)
        once = {"txnAppId": self._work, "txnVersion": str(number)}
        text = json.dumps(metadata)
        self._tables.append(self._staging, rows, text, once, self._rows_per_file)
        return None

    def _write_files(self, write: TaskFiles, metadata: dict[str, Any]) -> dict[str, Any] | None:
        totals: list[dict[str, Any]] = []

        def written(commit: FileCommit) -> str:
            totals.append(write(commit))
            return json.dumps({**metadata, "totals": totals[0]})

        once = (self._work, int(metadata["part"]))
        if not self._tables.append_by_tasks(self._staging, written, once):
            raise NotCertain(f"table {self._staging.name} is not plain")
        return totals[0] if totals else None

    def rows(self) -> DataFrame:
        """Return the rows gathered so far."""
        return self._tables.read(self._staging.name)

    def publish(self, run_id: str, where: Where, batch: str) -> Written:
        """Replace the target's rows that match ``where`` by the gathered files, in one commit.

        where: a condition on the target's partition columns. batch: the only one it may replace.

        Raises:
            OtherBatchError: it would reach files of another batch; nothing was committed.
            ConcurrentRunError: another run changed the same rows meanwhile.
        """
        name = self._target.name
        self._tables.make(self._target, run_id)
        adds = list(self._gathered_files())
        gathered = {add["path"] for add in adds}
        check_files(name, (add["partitionValues"] for add in adds), batch)
        spark: Any = self._tables.spark
        with self._tables.stamped(run_id):
            transaction = delta_log.transaction(spark, self._tables.location(name))
            current = _files(spark, transaction, where.sql())
            # If all are there already, a killed run has published them.
            if not gathered <= {file.path() for file in current}:
                replaced = [file for file in current if file.path() not in gathered]
                check_files(name, map(_partition_of, replaced), batch)
                actions = [file.remove() for file in replaced]
                actions += [delta_log.action(spark, "add", add) for add in adds]
                manual = java_class(
                    spark, "org.apache.spark.sql.delta.DeltaOperations$ManualUpdate$"
                )
                with translate_concurrency_errors(name):
                    actions = delta_log.sequence(spark, actions)
                    transaction.commit(actions, getattr(manual, "MODULE$"))
        rows = sum(json.loads(add.get("stats") or "{}").get("numRecords", 0) for add in adds)
        version = self._tables.version(name)
        assert version is not None
        return Written(self._tables.location(name), version, rows)

    def discard(self) -> None:
        """Remove the staging table's log; files that were published belong to the target now."""
        remove_folder(self._tables.spark, self._log)
        self._tables.forget(self._staging.name)
        delta_log.forget(self._tables.spark, self._tables.location(self._staging.name))

    def _gathered_files(self) -> Iterator[dict[str, Any]]:
        """Yield the staging log's add entries, with paths relative to the target's folder."""
        lines = self._tables.spark.read.text(f"{self._log}/*.json")
        entries = lines.where(F.col("value").rlike('^\\{"(add|remove)"')).collect()
        actions = [json.loads(entry["value"]) for entry in entries]
        # Delta may have compacted the files meanwhile, if the session's settings ask for that.
        removed = {action["remove"]["path"] for action in actions if "remove" in action}
        for add in (action["add"] for action in actions if "add" in action):
            if add["path"] not in removed:
                yield {**add, "path": f"{self._folder}/{add['path']}", "dataChange": True}


def can_stage(tables: DeltaTables, name: str) -> bool:
    """Return whether a table's rows can be gathered unseen.

    That takes open-source Delta in a classic session, a table by path, and files that name columns
    as the table does.
    """
    if not tables.by_path or not delta_log.is_reachable(tables.spark):
        return False
    if tables.version(name) is None:
        return True
    return "columnMapping" not in tables.features(name)


def _micro_batch(commit: Row) -> MicroBatch:
    metadata = json.loads(commit["userMetadata"])
    rows = int(commit["operationMetrics"].get("numOutputRows", "0"))
    totals = metadata.get("totals")
    return MicroBatch(int(metadata["part"]), str(metadata["run_id"]), rows, totals)


def _partition_of(file: Any) -> dict[str, str | None]:
    """Return the partition values of a file of Delta's log, by column."""
    values: dict[str, str | None] = json.loads(file.json())["add"]["partitionValues"]
    return values


def _files(spark: Any, transaction: Any, predicate: str) -> list[Any]:
    """Return the table's files that may hold rows of a predicate on partition columns."""
    predicates = delta_log.sequence(spark, [delta_log.condition(spark, predicate)])
    files = transaction.filterFiles(predicates, False)
    return list(java_class(spark, "scala.jdk.javaapi.CollectionConverters").asJava(files))
