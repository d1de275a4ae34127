"""Let one driver at a time write the tables of a portfolio on S3, where Delta cannot see to it.

Delta's log of an S3 table takes commits of one driver only: two at once may overwrite each other's.
Who writes holds a lease beside the tables, an object `NNN.json`, the highest number being in force.
It is made by a conditional write (nobody else can make the same number), and its holder changes it
every few seconds. What did not change for PATIENCE is of a dead driver, and the next number is
taken. No clock is compared with another.
"""

from __future__ import annotations

import json
import re
import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.config import TableSettings
from kyros_spark.errors import ConcurrentRunError
from kyros_spark.log import event
from kyros_spark.spark_version import on_databricks
from kyros_spark.storage.small_files import SmallFiles, beside

FOLDER = "_kyros_lease"
BEAT = 5.0
PATIENCE = 30.0
_S3 = re.compile(r"^(s3|s3a|s3n)://")


@dataclass(frozen=True)
class _Told:
    name: str
    data: bytes

    @property
    def number(self) -> int:
        return int(self.name.partition(".")[0])

    def says(self) -> dict[str, Any]:
        try:
            said = json.loads(self.data)
        except ValueError:
            return {}
        return said if isinstance(said, dict) else {}


class Lease:
    """The right to write, held from the first write of a step until ``release``."""

    def __init__(self, store: SmallFiles, place: str, beat: float = BEAT, wait: float = PATIENCE):
        """Take where leases lie; ``place`` is how errors name it, times are seconds."""
        self._store, self._place, self._every, self._patience = store, place, beat, wait
        self._me = uuid.uuid4().hex
        self._number: int | None = None
        self._said: dict[str, Any] = {}
        self._stop = threading.Event()
        self._beating: threading.Thread | None = None
        self._own = threading.Lock()

    def hold(self, run_id: str) -> None:
        """Take the lease, or see that it is still ours; called before each write.

        Raises:
            ConcurrentRunError: another driver holds it.
        """
        if self._number is None:
            self._take(run_id)
            return
        newest = self._newest()
        if newest is None or newest.number != self._number or newest.says().get("me") != self._me:
            self._quiet()
            self._number = None
            raise ConcurrentRunError(
                f"lease on {self._place}: expected to hold it still, found that another driver "
                "took it over, as if this one had stopped; nothing more is written: give the same "
                "command again when the other has ended"
            )

    def release(self) -> None:
        """Give the lease back; the next driver need not wait."""
        self._quiet()
        if self._number is not None:
            self._put(released=True)
            self._number = None

    def _take(self, run_id: str) -> None:
        told = self._newest()
        if told is not None and not told.says().get("released"):
            self._wait_for(told)
            told = self._newest() or told
        number = 1 if told is None else told.number + 1
        self._said = {
            "me": self._me, "run_id": run_id, "host": environment.user_and_host()[1], "beat": 0,
        }  # fmt: skip
        made = self._store.create(_name(number), json.dumps(self._said).encode())
        newest = self._newest()
        # Made, but lower: others took it, gave it back and cleared it away since we looked.
        if not made or (newest is not None and newest.number > number):
            raise self._held_by(newest)
        self._number = number
        for name in self._store.names():
            if name < _name(number):
                self._store.remove(name)
        self._stop = threading.Event()
        self._beating = threading.Thread(target=self._beat, args=(self._stop,), daemon=True)
        self._beating.start()

    def _wait_for(self, told: _Told) -> None:
        """Return once the holder is seen to be gone: it released the lease, or changed nothing."""
        said = told.says()
        event(
            f"lease on {self._place} is held by run {said.get('run_id')} on {said.get('host')}; "
            f"waiting up to {self._patience:.0f} s to see whether it is alive"
        )
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            time.sleep(min(self._every / 2, self._patience / 4))
            now = self._newest()
            if now is None or now.says().get("released"):
                return
            if now != told:
                raise self._held_by(now)
        event(f"run {said.get('run_id')} gave no sign of life: its lease is taken over")

    def _held_by(self, told: _Told | None) -> ConcurrentRunError:
        said = told.says() if told is not None else {}
        return ConcurrentRunError(
            f"lease on {self._place}: expected no other run to write there, found run "
            f"{said.get('run_id', 'unknown')} on {said.get('host', 'another host')}; on S3 one "
            "driver at a time writes a portfolio: wait for it to end, then give the same command "
            "again"
        )

    def _newest(self) -> _Told | None:
        names = sorted(n for n in self._store.names() if n.endswith(".json"))
        while names:
            data = self._store.get(names[-1])
            if data is not None:
                return _Told(names[-1], data)
            names.pop()
        return None

    def _beat(self, stop: threading.Event) -> None:
        while not stop.wait(self._every):
            try:
                self._put()
            except Exception as error:  # the store may answer the next time; hold() looks anyway
                event(f"lease on {self._place} could not be renewed: {str(error)[:200]}")

    def _put(self, released: bool = False) -> None:
        with self._own:
            if self._number is None:
                return
            self._said = {**self._said, "beat": self._said["beat"] + 1, "released": released}
            self._store.put(_name(self._number), json.dumps(self._said).encode())

    def _quiet(self) -> None:
        self._stop.set()
        if self._beating is not None:
            self._beating.join(self._every)
            self._beating = None


def _name(number: int) -> str:
    return f"{number:020d}.json"


def lease_of(spark: SparkSession, settings: TableSettings) -> Lease | None:
    """Return the lease that writing these tables needs, or None where it needs none.

    Where Delta has a log store that arbitrates between drivers (Databricks; DynamoDB's), or the
    store is not S3, Delta itself refuses the second of two commits.
    """
    base = str(settings.base)
    scheme, store = _S3.match(base), beside(spark, settings, FOLDER)
    if scheme is None or store is None or on_databricks():
        return None
    arbiter = spark.conf.get(f"spark.delta.logStore.{scheme[1]}.impl", None)
    if arbiter and "SingleDriver" not in arbiter:
        return None
    return Lease(store, base)
