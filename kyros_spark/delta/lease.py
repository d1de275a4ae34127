"""Let one driver at a time write a portfolio's tables on S3, where Delta cannot enforce that.

Delta's log of an S3 table takes the commits of one driver only: two drivers may overwrite each
other's. A writing driver therefore holds a lease beside the tables: an object `NNN.json`, of which
the highest number is in force. A conditional write creates it, so no two drivers create the same
number. Its holder rewrites it every RENEW_EVERY seconds. A lease that stays unchanged for PATIENCE
seconds belongs to a dead driver, and the next number is taken. No two clocks are compared.
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
RENEW_EVERY = 5.0  # s
PATIENCE = 30.0  # s
_NAME = re.compile(r"^[0-9]{20}\.json\Z")  # any other file there is not ours
_S3 = re.compile(r"^(s3|s3a|s3n)://")


@dataclass(frozen=True)
class _LeaseFile:
    name: str
    data: bytes

    @property
    def number(self) -> int:
        return int(self.name.partition(".")[0])

    def content(self) -> dict[str, Any]:
        """Return the file's JSON object, or {} if the file is damaged."""
        try:
            content = json.loads(self.data)
        except ValueError:
            return {}
        return content if isinstance(content, dict) else {}


class Lease:
    """The right to write, held from a step's first write until ``release``."""

    def __init__(
        self,
        store: SmallFiles,
        location: str,
        renew_every: float = RENEW_EVERY,
        patience: float = PATIENCE,
    ) -> None:
        """Take the folder of the leases.

        location: how errors name the tables. renew_every, patience: seconds.
        """
        self._store, self._location = store, location
        self._renew_every, self._patience = renew_every, patience
        self._holder = uuid.uuid4().hex
        self._number: int | None = None
        self._commits = 0
        self._content: dict[str, Any] = {}
        self._stop = threading.Event()
        self._renewer: threading.Thread | None = None
        self._writing = threading.Lock()

    def hold(self, run_id: str) -> None:
        """Take the lease, or check that it is still ours; called before each write.

        Raises:
            ConcurrentRunError: another driver holds it.
        """
        if self._number is None:
            self._take(run_id)
            return
        newest = self._newest()
        still_ours = (
            newest is not None
            and newest.number == self._number
            and newest.content().get("me") == self._holder
        )
        if not still_ours:
            self._stop_renewing()
            self._number = None
            raise ConcurrentRunError(
                f"lease on {self._location}: expected to hold it still, found that another driver "
                "took it over, as if this one had stopped; nothing more is written: give the same "
                "command again when the other has ended"
            )

    def fence(self) -> int:
        """Return a number for the next commit: higher than any of this lease, and of those before.

        Raises:
            ConcurrentRunError: the lease is not held.
        """
        if self._number is None:
            raise self._refusal(self._newest())
        self._commits += 1
        return self._number << 32 | self._commits

    def release(self) -> None:
        """Give the lease back, so that the next driver need not wait."""
        self._stop_renewing()
        if self._number is not None:
            self._renew(released=True)
            self._number = None

    def _take(self, run_id: str) -> None:
        current = self._newest()
        if current is not None and not current.content().get("released"):
            self._wait_for(current)
            current = self._newest() or current
        number = 1 if current is None else current.number + 1
        host = environment.user_and_host()[1]
        self._content = {"me": self._holder, "run_id": run_id, "host": host, "beat": 0}
        created = self._store.create(_name(number), json.dumps(self._content).encode())
        newest = self._newest()
        # A created file can be too low: since we looked, others may have taken the lease, given it
        # back and removed its file.
        if not created or (newest is not None and newest.number > number):
            raise self._refusal(newest)
        self._number = number
        for name in self._names():
            if name < _name(number):
                self._store.remove(name)
        self._stop = threading.Event()
        self._renewer = threading.Thread(
            target=self._keep_renewing, args=(self._stop,), daemon=True
        )
        self._renewer.start()

    def _wait_for(self, current: _LeaseFile) -> None:
        """Return once the holder has released the lease or left it unchanged for PATIENCE.

        Raises:
            ConcurrentRunError: the holder renewed the lease, so it is alive.
        """
        holder = current.content()
        event(
            f"lease on {self._location} is held by run {holder.get('run_id')} on "
            f"{holder.get('host')}; waiting up to {self._patience:.0f} s to see whether it is alive"
        )
        until = time.monotonic() + self._patience
        while time.monotonic() < until:
            time.sleep(min(self._renew_every / 2, self._patience / 4))
            newest = self._newest()
            if newest is None or newest.content().get("released"):
                return
            if newest != current:
                raise self._refusal(newest)
        event(f"run {holder.get('run_id')} gave no sign of life: its lease is taken over")

    def _refusal(self, lease: _LeaseFile | None) -> ConcurrentRunError:
        """Return the error that names the run which holds a lease."""
        holder = lease.content() if lease is not None else {}
        return ConcurrentRunError(
            f"lease on {self._location}: expected no other run to write there, found run "
            f"{holder.get('run_id', 'unknown')} on {holder.get('host', 'another host')}; on S3 one "
            "driver at a time writes a portfolio: wait for it to end, then give the same command "
            "again"
        )

    def _newest(self) -> _LeaseFile | None:
        names = self._names()
        while names:
            data = self._store.get(names[-1])
            if data is not None:
                return _LeaseFile(names[-1], data)
            names.pop()
        return None

    def _names(self) -> list[str]:
        return sorted(name for name in self._store.names() if _NAME.match(name))

    def _keep_renewing(self, stop: threading.Event) -> None:
        while not stop.wait(self._renew_every):
            try:
                self._renew()
            except Exception as error:  # the store may answer next time, and hold() checks anyway
                event(f"lease on {self._location} could not be renewed: {str(error)[:200]}")

    def _renew(self, released: bool = False) -> None:
        with self._writing:
            if self._number is None:
                return
            beat = self._content["beat"] + 1
            self._content = {**self._content, "beat": beat, "released": released}
            self._store.put(_name(self._number), json.dumps(self._content).encode())

    def _stop_renewing(self) -> None:
        self._stop.set()
        if self._renewer is not None:
            self._renewer.join(self._renew_every)
            self._renewer = None


def _name(number: int) -> str:
    return f"{number:020d}.json"


def lease_of(spark: SparkSession, settings: TableSettings) -> Lease | None:
    """Return the lease that writing these tables needs, or None if it needs none.

    Delta itself refuses the second of two commits where the store is not S3, and where its log
    store arbitrates between drivers (on Databricks, or with DynamoDB).
    """
    base = str(settings.base)
    scheme = _S3.match(base)
    if scheme is None or on_databricks():
        return None
    store = beside(spark, settings, FOLDER)
    if store is None:
        return None
    arbiter = spark.conf.get(f"spark.delta.logStore.{scheme[1]}.impl", None)
    if arbiter and "SingleDriver" not in arbiter:
        return None
    return Lease(store, base)
