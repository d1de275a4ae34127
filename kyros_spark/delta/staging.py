"""Gather a batch's rows micro-batch by micro-batch, unseen, and show them in one commit.

Each micro-batch is one commit to a Delta table that lies in the folder of the table it is for, so
that its files need not be copied: the last commit names them in the real table's log, and takes
what they replace out of it, at once. Until then no reader of the real table sees any of them.

A commit to another's log goes through Delta's own transaction class in the JVM. Where there is none
to be had (Spark Connect, Databricks, a catalog's table), the caller writes in one commit instead.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from kyros_spark.delta import log as delta_log
from kyros_spark.delta.failures import translate_concurrency_errors
from kyros_spark.delta.tables import DeltaTables, Written
from kyros_spark.errors import machine_failed
from kyros_spark.log import event
from kyros_spark.storage.files import folder_exists, remove_folder
from kyros_spark.tables.contract import Table

# VACUUM of the real table takes what its log does not name after seven days: begin anew before.
KEPT = timedelta(days=6)


@dataclass(frozen=True)
class MicroBatch:
    """A micro-batch that was committed: its number, the run that did it, its rows."""

    number: int
    run_id: str
    rows: int


class StagedWrite:
    """The unseen rows of one piece of work on one table; ``work`` is the work's fingerprint."""

    def __init__(
        self, tables: DeltaTables, table: Table, work: str, rows_per_file: int | None = None
    ) -> None:
        """Take the table that the rows are for; a file holds at most so many, if that is given."""
        self._tables, self._shown, self._work = tables, table, work
        self._rows_per_file = rows_per_file
        self._choose()

    def _choose(self) -> None:
        """Take the first folder of this work that is new, or whose log is there.

        One without a log holds files of the real table: Delta makes no table in it.
        """
        for number in itertools.count():
            folder = f"staged-{self._work[:16]}" + (f"-{number}" if number else "")
            place = self._tables.location(f"{self._shown.name}/{folder}")
            log, spark = f"{place}/_delta_log", self._tables.spark
            if folder_exists(spark, log) or not folder_exists(spark, place):
                break
        self._folder, self._log = folder, log
        self._table = replace(self._shown, name=f"{self._shown.name}/{folder}")

    def parts(self) -> list[MicroBatch]:
        """Return the micro-batches that earlier runs of this work committed, in their order."""
        return self._found()[0]

    def resume(self) -> list[MicroBatch]:
        """Return the same, before going on behind them.

        Where their log is damaged, or so old that files may be gone, the work begins anew.
        """
        parts, fault = self._found()
        if fault:
            event(f"micro-batches of an earlier run {fault}, beginning anew")
            self.discard()
            self._choose()
        return parts

    def _found(self) -> tuple[list[MicroBatch], str]:
        """Return the micro-batches that are there, or why they cannot be gone on from."""
        # Asked of the folder: Delta takes what is not there for a partition of the table around it.
        if not folder_exists(self._tables.spark, self._log):
            return [], ""
        try:
            commits = self._tables.history(self._table.name)
            self.rows().limit(0).collect()
            written = [commit for commit in commits if commit["operation"] == "WRITE"]
            parts = [_part(commit) for commit in written]
        except Exception as error:  # whatever is wrong with it: some reach Python as Java errors
            if machine_failed(error):
                raise  # it says nothing of the log, which would be removed
            return [], f"cannot be read ({str(error).splitlines()[0]})"
        if written and datetime.now() - min(c["timestamp"] for c in written) > KEPT:
            return [], "are too old to be trusted"
        return sorted(parts, key=lambda part: part.number), ""

    def write(self, number: int, rows: DataFrame, run_id: str) -> None:
        """Commit a micro-batch, once: Delta leaves out a number that is there.

        Numbers rise; Delta takes none below the last.

        Raises:
            ConcurrentRunError: another run of the same work committed meanwhile.
            TableConstraintError: a row breaks a constraint of the table.
        """
        told = json.dumps({"part": number, "run_id": run_id})
        once = {"txnAppId": self._work, "txnVersion": str(number)}
        if not folder_exists(self._tables.spark, self._log):
            if self._tables.version(self._shown.name) is None:
                self._tables.create(self._shown, run_id)  # Delta makes no table around another
            self._tables.check(self._shown)
            self._tables.create(self._table, told)
        self._tables.append(self._table, rows, told, once, self._rows_per_file)

    def rows(self) -> DataFrame:
        """Return the rows gathered so far."""
        return self._tables.read(self._table.name)

    def publish(self, run_id: str, where: str) -> Written:
        """Put the gathered files in the place of the rows that match ``where``, in one commit.

        where: a condition on the table's partition columns.

        Raises:
            ConcurrentRunError: another run changed the same rows meanwhile.
        """
        name = self._shown.name
        self._tables.make(self._shown, run_id)
        adds = list(self._added())
        own = {add["path"] for add in adds}
        with _transaction(self._tables, name, run_id) as (transaction, jvm, parse):
            there = _files(jvm, transaction, parse(where))
            if not own <= {file.path() for file in there}:  # else a killed run has shown them
                actions = [file.remove() for file in there if file.path() not in own]
                action = jvm.org.apache.spark.sql.delta.actions.Action
                actions += [action.fromJson(json.dumps({"add": add})) for add in adds]
                manual = getattr(jvm.org.apache.spark.sql.delta, "DeltaOperations$ManualUpdate$")
                with translate_concurrency_errors(name):
                    transaction.commit(_sequence(jvm, actions), getattr(manual, "MODULE$"))
        rows = sum(json.loads(add.get("stats") or "{}").get("numRecords", 0) for add in adds)
        version = self._tables.version(name)
        assert version is not None
        return Written(self._tables.location(name), version, rows)

    def discard(self) -> None:
        """Remove the log that lists the gathered files; those shown belong to the table now."""
        remove_folder(self._tables.spark, self._log)
        self._tables.forget(self._table.name)
        delta_log.forget(self._tables.spark, self._tables.location(self._table.name))

    def _added(self) -> Iterator[dict[str, Any]]:
        """Return the log's entries of the gathered files, by their path from the real table."""
        lines = self._tables.spark.read.text(f"{self._log}/*.json")
        told = lines.where(F.col("value").rlike('^\\{"(add|remove)"')).collect()
        actions = [json.loads(line["value"]) for line in told]
        # Delta may have compacted them meanwhile, if the session asks for that.
        gone = {action["remove"]["path"] for action in actions if "remove" in action}
        for add in (action["add"] for action in actions if "add" in action):
            if add["path"] not in gone:
                yield {**add, "path": f"{self._folder}/{add['path']}", "dataChange": True}


def can_stage(tables: DeltaTables, name: str) -> bool:
    """Tell whether a table's rows can be gathered unseen.

    That takes open-source Delta, by path, in a classic session, and files that name columns as the
    table does.
    """
    if not tables.by_path or not delta_log.can_be_asked(tables.spark):
        return False
    if tables.version(name) is None:
        return True
    detail = tables.spark.sql(f"DESCRIBE DETAIL {tables.reference(name)}").first()
    return detail is not None and "columnMapping" not in (detail["tableFeatures"] or ())


def _part(commit: Any) -> MicroBatch:
    told = json.loads(commit["userMetadata"])
    rows = int(commit["operationMetrics"].get("numOutputRows", "0"))
    return MicroBatch(int(told["part"]), str(told["run_id"]), rows)


@contextmanager
def _transaction(tables: DeltaTables, name: str, run_id: str) -> Iterator[tuple[Any, Any, Any]]:
    """Open a transaction of Delta's on a table, whose commit carries the run id."""
    spark: Any = tables.spark
    parse = spark._jsparkSession.sessionState().sqlParser().parseExpression
    with tables.stamped(run_id):
        yield delta_log.transaction(spark, tables.location(name)), spark._jvm, parse


def _files(jvm: Any, transaction: Any, predicate: Any) -> list[Any]:
    found = transaction.filterFiles(_sequence(jvm, [predicate]), False)
    return list(jvm.scala.jdk.javaapi.CollectionConverters.asJava(found))


def _sequence(jvm: Any, values: Iterable[Any]) -> Any:
    held = jvm.java.util.ArrayList()
    for value in values:
        held.add(value)
    return jvm.scala.jdk.javaapi.CollectionConverters.asScala(held).toSeq()
