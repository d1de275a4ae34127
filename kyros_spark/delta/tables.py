"""Write Delta tables, from DataFrames or from rows that the driver holds.

Rows that Spark computes are written by the DataFrame writer. Rows that the driver holds are written
by this process where it can (`file_commit`), else by the DataFrame writer as well: the guarantees
are the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from kyros_spark.delta.arrow_rows import arrow_as_table, rows_as_arrow
from kyros_spark.delta.failures import translate_concurrency_errors
from kyros_spark.delta.file_commit import FileCommit, TooLarge
from kyros_spark.delta.frame_writer import FrameWriter, Written
from kyros_spark.delta.frames import arrow_as_frame, rows_as_frame
from kyros_spark.delta.open_commit import begin
from kyros_spark.delta.reach import check_given
from kyros_spark.delta.where import Where
from kyros_spark.tables.contract import Table

__all__ = ["DeltaTables", "Written"]


class DeltaTables(FrameWriter):
    """Read and write access to the tables of one portfolio."""

    def replace_rows(
        self,
        table: Table,
        rows: Sequence[Mapping[str, Any]],
        run_id: str,
        where: Where,
        *,
        batch: str | None,
    ) -> Written:
        """Replace the rows that match ``where`` by rows that the driver holds, in one commit.

        Nothing by nothing is no commit. rows: column name -> value; a missing column is NULL.
        batch: the only batch whose rows it may replace; None for a table of no batches.

        Raises:
            OtherBatchError: it would reach rows of another batch; nothing was written.
            TableSchemaError: the table has a column of another type.
            TableConstraintError: a row breaks a constraint; nothing was written.
            ConcurrentRunError: another run changed the same rows meanwhile.
        """

        def write(commit: FileCommit) -> None:
            commit.remove(where, batch)
            commit.add(
                [rows_as_arrow(table, rows, commit.layout.schema())] if rows else [], batch=batch
            )

        check_given(table, batch)
        written = self._by_files(table, run_id, write, where)
        if written is None:
            frame = rows_as_frame(self.spark, table, rows)
            written = self.replace(table, frame, run_id, where, batch=batch)
        # Delta's writer counts the rows that it copied as well.
        return Written(written.location, written.version, len(rows))

    def append_rows(self, table: Table, rows: Sequence[Mapping[str, Any]], run_id: str) -> Written:
        """Append rows that the driver holds, in one commit.

        Raises:
            TableSchemaError, TableConstraintError, ConcurrentRunError: as for ``replace_rows``.
        """

        def write(commit: FileCommit) -> None:
            commit.add([rows_as_arrow(table, rows, commit.layout.schema())] if rows else [])

        written = self._by_files(table, run_id, write, None)
        if written is None:
            self._ensure(table, run_id)
            before = self._seen[table.name]
            self.append(table, rows_as_frame(self.spark, table, rows), run_id)
            written = self._committed(table.name, run_id, before)
        return written

    def replace_arrow(
        self,
        table: Table,
        rows: pa.Table | Iterable[pa.RecordBatch],
        run_id: str,
        where: Where,
        rows_per_file: int | None = None,
        *,
        batch: str | None,
    ) -> Written:
        """Replace the rows that match ``where`` by rows that the driver holds as Arrow.

        rows: with at least the contract's columns; batches are written as they come, each into
        files of its own. rows_per_file: the most rows per file. batch: as for ``replace_rows``.

        Raises:
            OtherBatchError, TableSchemaError, TableConstraintError, ConcurrentRunError: as there.
        """
        batches = [rows] if isinstance(rows, pa.Table) else rows

        def write(commit: FileCommit) -> None:
            commit.remove(where, batch)
            schema = commit.layout.schema()
            tables = (arrow_as_table(table, rows, schema) for rows in batches)
            commit.add(tables, rows_per_file, batch)

        check_given(table, batch)
        written = self._by_files(table, run_id, write, where)
        if written is None:
            frame = arrow_as_frame(self.spark, table, batches)
            written = self.replace(table, frame, run_id, where, rows_per_file, batch=batch)
        return written

    def replace_by_tasks(
        self,
        table: Table,
        run_id: str,
        where: Where,
        write: Callable[[FileCommit], None],
        *,
        batch: str,
    ) -> Written | None:
        """Replace the rows that match ``where`` by files that tasks write, in one commit.

        None where the table is not for files of ours: nothing was done then.
        write: adds the files to the commit.

        Raises:
            OtherBatchError, TableSchemaError, ConcurrentRunError: as for ``replace_rows``.
        """

        def write_all(commit: FileCommit) -> None:
            commit.remove(where, batch)
            write(commit)

        check_given(table, batch)
        return self._by_files(table, run_id, write_all, where)

    def append_by_tasks(
        self,
        table: Table,
        write: Callable[[FileCommit], str],
        once: tuple[str, int],
    ) -> bool:
        """Append files that tasks write, in one commit, unless this one was made before.

        False where the table is not for files of ours: nothing was done then.
        write: adds the files to the commit, and returns its user metadata.
        once: an application's id, and the number of the commit among its own.

        Raises:
            ConcurrentRunError: another commit of the same application came between.
        """
        self.hold(once[0])
        commit = begin(self.spark, self.location(table.name), table.name, ())
        if commit is None:
            return False
        if int(commit.transaction.txnVersion(once[0])) >= once[1]:
            return True
        try:
            metadata = write(commit)
        except BaseException:
            commit.abandon()
            raise
        with translate_concurrency_errors(table.name):
            self._seen[table.name] = commit.end(metadata, "Append", None, self.fence(), once)
        return True

    def rewrite_rows(
        self,
        table: Table,
        run_id: str,
        change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]],
    ) -> Written | None:
        """Replace all rows of a small table by what ``change`` makes of them, in one commit.

        None where this process cannot: nothing was done then.

        Raises:
            ConcurrentRunError: the table was changed meanwhile; nothing was written.
        """

        def write(commit: FileCommit) -> None:
            rows = change(commit.read_all().to_pylist())
            commit.add([rows_as_arrow(table, rows, commit.layout.schema())])

        return self._by_files(table, run_id, write, Where(()))

    def _by_files(
        self,
        table: Table,
        run_id: str,
        write: Callable[[FileCommit], None],
        where: Where | None,
    ) -> Written | None:
        """Write in this process, or return None if that is for Delta's own writer.

        where: what the commit replaces; None if it appends.
        """
        if not self.by_path:
            return None
        new = self._ensure(table, run_id)
        self.hold(run_id)
        commit = begin(self.spark, self.location(table.name), table.name, new)
        if commit is None:
            return None
        try:
            write(commit)
        except BaseException as error:
            commit.abandon()
            if isinstance(error, TooLarge):
                return None
            raise
        with translate_concurrency_errors(table.name):
            mode = "Append" if where is None else "Overwrite"
            sql = where.sql() or None if where is not None else None
            version = commit.end(run_id, mode, sql, self.fence())
        self._seen[table.name], self._complete[table.name] = version, table
        return Written(self.location(table.name), version, commit.rows)
