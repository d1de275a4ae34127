"""Commit data files that this process wrote itself, through open-source Delta's own transaction.

A DataFrame's write of forty rows costs Spark a dozen queries; this costs none. The commit is the
same: Delta's transaction class checks it against commits made meanwhile, writes the checksum and,
when it is due, the checkpoint. What Delta's writer would check of the rows, `checks` does.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import SparkSession

from kyros_spark.delta import checks, fence
from kyros_spark.delta import log as delta_log
from kyros_spark.delta.data_files import DataFiles
from kyros_spark.delta.layout import TableLayout
from kyros_spark.delta.log_files import active_files
from kyros_spark.delta.part_files import NewFiles
from kyros_spark.delta.reach import check_files, check_rows
from kyros_spark.delta.where import Where
from kyros_spark.storage.traffic import count_written
from kyros_spark.storage.whole_files import remove_quietly

_MOST_REWRITTEN = 64 << 20  # bytes of files rewritten in part, which this process holds as rows


class TooLarge(Exception):
    """More bytes would have to be rewritten than this process should hold."""


@dataclass
class FileCommit:
    """One commit on a plain table, from its opening to its end."""

    spark: SparkSession
    name: str
    transaction: Any
    folder: str
    layout: TableLayout
    rules: Mapping[str, checks.Check]
    adds: list[dict[str, Any]] = field(default_factory=list)
    removes: list[dict[str, Any]] = field(default_factory=list)
    rows: int = 0
    copied: int = 0
    deleted: int = 0
    changes_columns: bool = False

    def __post_init__(self) -> None:
        self._files = DataFiles(self.spark, self.folder, self.layout)
        self._of_tasks: NewFiles | None = None

    @property
    def version(self) -> int:
        """Return the version that the commit rests on."""
        return int(self.transaction.readVersion())

    def add(
        self,
        batches: Iterable[pa.Table],
        rows_per_file: int | None = None,
        batch: str | None = None,
    ) -> None:
        """Write rows as files of the table, checked against its constraints.

        batch: the only one that the rows may be of; None for a table of no batches.

        Raises:
            TableConstraintError: a row breaks a constraint.
            OtherBatchError: a row is of another batch.
        """
        for rows in batches:
            if batch is not None:
                check_rows(self.name, rows, batch)
            checks.check(
                self.name, rows, self.rules, self.layout.constraints(), self.layout.required()
            )
            self.adds += self._files.write(rows, rows_per_file)
            self.rows += rows.num_rows

    def files_of_tasks(
        self, partitions: Sequence[Mapping[str, str]], repeated: Sequence[str]
    ) -> NewFiles | None:
        """Return what tasks must know to write files for this commit, or None if they cannot.

        repeated: columns of few different values.
        """
        self._of_tasks = self._files.described(self.name, partitions, repeated)
        return self._of_tasks

    def take(self, adds: Sequence[Mapping[str, Any]], batch: str) -> None:
        """Add files that tasks have written. batch: the only one that they may be of.

        Raises:
            OtherBatchError: a file is of another batch.
        """
        check_files(self.name, (add["partitionValues"] for add in adds), batch)
        self.adds += map(dict, adds)
        self.rows += sum(map(_rows_of, adds))
        count_written(sum(add["size"] for add in adds))

    def read_all(self) -> pa.Table:
        """Return all rows of the table, whose files the commit replaces.

        Raises:
            TooLarge: there are more than this process should hold.
        """
        self.transaction.readWholeTable()
        files = self._active()
        if sum(add["size"] for add in files) > _MOST_REWRITTEN:
            raise TooLarge(self.name)
        self.removes += files
        schema = self.layout.schema()
        return pa.concat_tables([schema.empty_table(), *map(self._files.read, files)])

    def remove(self, where: Where, batch: str | None = None) -> None:
        """Take the rows that match a condition out of the table; others of their files stay.

        batch: the only one that the rows may be of; None for a table of no batches.

        Raises:
            TooLarge: more would have to be rewritten than this process should hold.
            OtherBatchError: the condition holds for rows of another batch.
        """
        names = self.layout.partition_by
        by_partition = where.within(names)
        self._mark_as_read(by_partition)
        files = [add for add in self._active() if _may_match(where, add)]
        whole = by_partition is not None and by_partition.conditions == where.conditions
        if whole:
            if batch is not None:
                check_files(self.name, (add["partitionValues"] for add in files), batch)
            self.removes += files
            self.deleted += sum(_rows_of(add) for add in files)
            return
        if sum(add["size"] for add in files) > _MOST_REWRITTEN:
            raise TooLarge(self.name)
        left: list[pa.Table] = []
        for add in files:
            rows = self._files.read(add)
            mask = pc.fill_null(where.mask(rows), False)
            matching = pc.sum(mask).as_py() or 0
            if matching and batch is not None:
                check_rows(self.name, rows.filter(mask), batch)
            if matching:
                self.removes.append(add)
                self.deleted += matching
                left.append(rows.filter(pc.invert(mask)))
        stays = pa.concat_tables(left) if left else self.layout.schema().empty_table()
        self.copied += stays.num_rows
        self.adds += self._files.write(stays)

    def end(
        self,
        metadata: str,
        mode: str,
        where: str | None,
        number: int | None = None,
        once: tuple[str, int] | None = None,
    ) -> int:
        """Commit, and return the version; without anything to change, the present one.

        metadata: the commit's user metadata: the run id, or a JSON text that holds it.
        mode: Append or Overwrite, as Delta's history has it.
        number: the fencing number that the commit carries, if a lease guards the table.
        once: an application's id and the version of its transaction that this commit is.

        Raises:
            ConcurrentRunError: a driver with a later lease has written to the table.
            Exception: Delta's, if another commit changed what this one rests on.
        """
        if not (self.adds or self.removes or self.changes_columns):
            return self.version
        removed = [delta_log.action(self.spark, "add", add).remove() for add in self.removes]
        added = [delta_log.action(self.spark, "add", add) for add in self.adds]
        fencing = []
        if number is not None:
            fence.refuse_passed(self.transaction, self.folder, number)
            fencing = [fence.action(self.spark, number)]
        if once is not None:
            fencing.append(fence.application_action(self.spark, *once))
        partition_by = self.layout.partition_by
        operation = delta_log.write_operation(self.spark, mode, partition_by, where, metadata)
        self._report_metrics(mode)
        actions = delta_log.sequence(self.spark, [*fencing, *removed, *added])
        return int(self.transaction.commit(actions, operation))

    def abandon(self) -> None:
        """Remove the files written so far; call it only where no commit was tried."""
        for address in self._files.written:
            remove_quietly(self.spark, address)
        if self._of_tasks is not None:
            self._of_tasks.remove()

    def _active(self) -> list[dict[str, Any]]:
        files = active_files(self.spark, self.folder, self.version)
        if files is None:  # the log is too long, or of a kind, that only Delta itself reads
            everything = delta_log.sequence(self.spark, [delta_log.condition(self.spark, "true")])
            scala = self.transaction.filterFiles(everything, False)
            files = [json.loads(scala.apply(n).json())["add"] for n in range(scala.size())]
        return files

    def _mark_as_read(self, by_partition: Where | None) -> None:
        """Let the commit fail if another one adds rows to what this one replaces."""
        if by_partition is None:
            self.transaction.readWholeTable()
            return
        predicate = delta_log.condition(self.spark, by_partition.sql())
        read = delta_log.sequence(self.spark, [predicate])
        self.transaction.trackReadPredicates(read, True, True)

    def _report_metrics(self, mode: str) -> None:
        """Give the commit the metrics that Delta's own writer gives it."""
        numbers = {
            "numFiles": len(self.adds),
            "numOutputRows": self.rows + self.copied,
            "numOutputBytes": sum(add["size"] for add in self.adds),
        }
        if mode == "Overwrite":
            numbers |= {
                "numRemovedFiles": len(self.removes),
                "numRemovedBytes": sum(add["size"] for add in self.removes),
                "numCopiedRows": self.copied,
                "numDeletedRows": self.deleted,
                "numAddedChangeFiles": 0,
            }
        delta_log.report(self.spark, self.transaction, numbers)


def _may_match(where: Where, add: Mapping[str, Any]) -> bool:
    """Return whether a file may hold rows of a condition, by its partition and its bounds."""
    partition = add["partitionValues"]
    stats = json.loads(add.get("stats") or "{}")
    least, most = stats.get("minValues") or {}, stats.get("maxValues") or {}
    return all(
        condition.may_hold(partition) and condition.may_lie(least, most)
        for condition in where.conditions
    )


def _rows_of(add: Mapping[str, Any]) -> int:
    return int(json.loads(add.get("stats") or "{}").get("numRecords") or 0)
