"""Make changes of table models in one commit: new versions, a new champion, the old one's end.

The commit is its own lock. It fails, and nothing is written, if a version number is taken, the
champion is not the one that the gate compared with, or the table was changed since it was read. Two
processes that change the table at the same time can therefore neither leave two champions of a name
nor overwrite a version. Where this process cannot write the table's file, a MERGE of the same
meaning does it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from kyros_spark import environment
from kyros_spark.delta.tables import DeltaTables, Written
from kyros_spark.errors import ConcurrentRunError, KyrosError
from kyros_spark.log import event
from kyros_spark.registry.entry import Entry
from kyros_spark.tables.models import MODELS

Row = dict[str, Any]
_P = ParamSpec("_P")
_T = TypeVar("_T")
_OVERTAKEN = "KYROS_REGISTRY_CHANGED"
_ATTEMPTS = 10
_STAMP = ("promoted_at", "promoted_by", "promoted_reason")
_MATCH = (
    "t.model_name = s.model_name AND (t.model_version = s.model_version OR "
    "(s.action = 'retire' AND t.status = 'champion' AND t.model_version <> s.keep))"
)
_FAIL = f"UPDATE SET status = CAST(raise_error('{_OVERTAKEN}') AS STRING)"
_CLAUSES = (
    f"WHEN MATCHED AND s.action = 'new' THEN {_FAIL}",
    f"WHEN MATCHED AND s.action = 'retire' AND NOT t.model_version <=> s.reigning THEN {_FAIL}",
    "WHEN MATCHED AND s.action = 'retire' THEN UPDATE SET status = 'retired'",
    "WHEN MATCHED AND s.action = 'promote' THEN UPDATE SET status = 'champion', "
    + ", ".join(f"{name} = s.{name}" for name in _STAMP),
    f"WHEN NOT MATCHED AND s.action = 'new' THEN INSERT ({', '.join(MODELS.names)}) "
    f"VALUES ({', '.join(f's.{name}' for name in MODELS.names)})",
)


def new(row: Mapping[str, Any]) -> Row:
    """Return the change that adds a version."""
    return {**row, "action": "new"}


def promote(entry: Entry, stamp: Mapping[str, Any]) -> Row:
    """Return the change that makes a registered version the champion."""
    return {
        "model_name": entry.name,
        "model_version": entry.version,
        **stamp,
        "action": "promote",
    }


def retire(name: str, keep: int, champion: Entry | None) -> Row:
    """Return the change that retires the champion of a name.

    keep: the version that succeeds it; champion: the expected one, None where there should be none
    """
    reigning = champion.version if champion is not None else None
    return {"model_name": name, "keep": keep, "reigning": reigning, "action": "retire"}


def stamp(reason: str) -> Row:
    """Return when, by whom and why a version becomes the champion."""
    user = environment.user_and_host()[0]
    return dict(zip(_STAMP, (datetime.now(UTC), user, reason), strict=True))


class _Overtaken(Exception):
    """The table is not as the changes expect: another process changed it."""

    def __init__(self) -> None:
        super().__init__(_OVERTAKEN)


def write(tables: DeltaTables, changes: Iterable[Row], run_id: str) -> Written:
    """Make all changes in one commit, or none of them."""
    changes = list(changes)
    written = tables.rewrite_rows(MODELS, run_id, lambda rows: changed(rows, changes))
    return written if written is not None else _merge(tables, changes, run_id)


def changed(rows: list[Row], changes: Iterable[Row]) -> list[Row]:
    """Return the rows of the table after the changes, which all see it as it is before them.

    Raises:
        Exception: the table is not as the changes expect.
    """
    after = {(row["model_name"], row["model_version"]): row for row in rows}
    for change in changes:
        name, version = change["model_name"], change.get("model_version")
        if change["action"] == "new":
            if (name, version) in after:
                raise _Overtaken
            after[name, version] = {column: change.get(column) for column in MODELS.names}
        elif change["action"] == "promote" and (name, version) in after:
            stamp = {column: change[column] for column in _STAMP}
            after[name, version] = {**after[name, version], **stamp, "status": "champion"}
        elif change["action"] == "retire":
            for row in rows:
                if _reigns(row, name, change["keep"]):
                    if row["model_version"] != change["reigning"]:
                        raise _Overtaken
                    after[name, row["model_version"]] = {**row, "status": "retired"}
    return list(after.values())


def _reigns(row: Row, name: str, besides: int) -> bool:
    """Return whether a row is the champion of a name, besides the version that succeeds it."""
    is_champion = row["model_name"] == name and row["status"] == "champion"
    return is_champion and row["model_version"] != besides


def _merge(tables: DeltaTables, changes: Iterable[Row], run_id: str) -> Written:
    """Make all changes by a MERGE."""
    schema = ", ".join(f"`{column.name}` {column.type}" for column in MODELS.columns)
    schema += ", action string, keep int, reigning int"
    names = [*MODELS.names, "action", "keep", "reigning"]
    rows = [tuple(change.get(name) for name in names) for change in changes]
    frame = tables.spark.createDataFrame(rows, schema).coalesce(1)
    return tables.merge(MODELS, frame, run_id, _MATCH, _CLAUSES)


def until_done(work: Callable[_P, _T]) -> Callable[_P, _T]:
    """Repeat a read, judge and write that another process's change of the table has overtaken."""

    @functools.wraps(work)
    def repeated(*arguments: _P.args, **keywords: _P.kwargs) -> _T:
        attempt = 1
        while True:
            try:
                return work(*arguments, **keywords)
            except ConcurrentRunError:
                if attempt == _ATTEMPTS:
                    raise
            except KyrosError:
                raise
            except Exception as error:
                if attempt == _ATTEMPTS or _OVERTAKEN not in str(error):
                    raise
            attempt += 1
            event(f"table models was changed at the same time; attempt {attempt}")

    return repeated
