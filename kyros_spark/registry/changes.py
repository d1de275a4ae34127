"""Make changes of table models in one MERGE: new versions, a new champion, the old one's end.

The statement is its own lock. It fails, and nothing is written, if a version number is taken or the
champion is not the one that the gate compared with. Two processes that change the table at the same
time can therefore neither leave two champions of a name nor overwrite a version.
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


def write(tables: DeltaTables, changes: Iterable[Row], run_id: str) -> Written:
    """Make all changes in one commit, or none of them."""
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
