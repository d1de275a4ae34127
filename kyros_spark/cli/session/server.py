"""Hold a Spark session, and run this user's commands in it, one at a time.

`kyros session start` starts `python -m kyros_spark.cli.session.server MINUTES`, with the settings
under `spark:` as JSON on standard input, since other users can read a command line.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import threading
import time
from typing import Any

from pyspark import SparkContext
from pyspark.sql import SparkSession

from kyros_spark.cli.parser import parser
from kyros_spark.cli.session import frames, place
from kyros_spark.cli.session.identity import difference, identity
from kyros_spark.cli.session.work import CommandThread
from kyros_spark.config import SparkSettings, is_remote, load_config
from kyros_spark.errors import KyrosError
from kyros_spark.spark.session import get_session, start_seconds

_HANDSHAKE = 10.0  # s in which a client must have said what it wants


class SessionServer:
    """The session's state: what it runs on, what it is doing, and since when it is idle."""

    def __init__(
        self,
        spark: SparkSession,
        settings: SparkSettings,
        variables: dict[str, str],
        idle_minutes: float,
    ) -> None:
        """Take a session, and the settings and environment variables it was started with."""
        self._spark, self._settings, self._idle = spark, settings, idle_minutes * 60
        self._variables, self._identity = variables, identity()
        self._free, self._ended = threading.Lock(), threading.Event()
        self._work: CommandThread | None = None
        self._command, self._since, self._commands = "", time.time(), 0
        self._last = time.monotonic()

    def serve(self, listener: socket.socket) -> None:
        """Answer clients until the session is stopped, has been idle too long, or lost its JVM."""
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()
        while not self._ended.wait(0.5):
            over = time.monotonic() - self._last > self._idle or not _java_lives()
            if over and self._free.acquire(blocking=False):  # and never given back
                self._command = "session, which is ending"
                return

    def _accept(self, listener: socket.socket) -> None:
        while not self._ended.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:  # closed at the end
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(_HANDSHAKE)
            if not place.is_ours(connection):
                return
            request = frames.receive(connection) or {}
            if request.get("kind") == "status":
                frames.send(connection, self._status())
            elif request.get("kind") == "stop":
                self._stop(connection)
            elif request.get("kind") == "check":
                wanted = SparkSettings.model_validate(request["spark"])
                frames.send(connection, {"refused": self._misfit(request, wanted)})
            elif request.get("kind") == "command":
                self._take(connection, request)

    def _take(self, connection: socket.socket, request: dict[str, Any]) -> None:
        """Run a command if it fits this session and no other is running."""
        wanted = _spark_settings(request["words"], request["folder"])
        refusal = self._misfit(request, wanted)
        if not refusal and not self._free.acquire(timeout=self._patience()):
            refusal = f"it is busy with kyros {self._command}"
        if refusal:
            frames.send(connection, {"refused": refusal})
            return
        try:
            self._command = " ".join(request["words"])
            frames.send(connection, {"accepted": os.getpid()})
            connection.settimeout(None)
            self._run(connection, request)
        finally:
            self._work, self._command, self._last = None, "", time.monotonic()
            self._commands += 1
            self._free.release()

    def _patience(self) -> float:
        """Return how long to wait for the last command, whose client may know of its end before."""
        work = self._work
        return 1.0 if work is None or work.is_done else 0.0

    def _run(self, connection: socket.socket, request: dict[str, Any]) -> None:
        """Run a command, and meanwhile listen to its client."""
        self._work = work = CommandThread(self._spark, request, connection)
        work.start()
        with contextlib.suppress(OSError):
            while (frame := frames.receive(connection)) is not None:
                if frame.get("kind") == "cancel":
                    work.cancel()
        if not work.is_done:  # the client was killed, or its terminal closed
            work.cancel()
        work.join()

    def _misfit(self, request: dict[str, Any], wanted: SparkSettings) -> str:
        """Return why a request does not fit this session, or ""."""
        if differs := difference(
            self._identity, request["identity"], self._variables, request["environment"]
        ):
            return differs
        mine = self._settings
        alike = (wanted.driver_memory, wanted.conf) == (mine.driver_memory, mine.conf)
        return "" if alike else "it was started with other settings under spark:"

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "since": self._since,
            "commands": self._commands,
            "busy_with": self._command or None,
            "idle_minutes": round(self._idle / 60, 3),
            "idle_seconds": 0.0 if self._command else round(time.monotonic() - self._last, 1),
            "spark": {"version": self._spark.version, **self._settings.model_dump(mode="json")},
        }

    def _stop(self, connection: socket.socket) -> None:
        """End the session; a command that is running is stopped as by Ctrl-C first."""
        frames.send(connection, {"stopping": os.getpid()})
        if (work := self._work) is not None:
            work.cancel()
            work.join(60)
        self._ended.set()


def _spark_settings(words: list[str], folder: str) -> SparkSettings:
    """Return the settings under `spark:` that a command would start a session with."""
    try:
        arguments = parser().parse_args(words)
        address = getattr(arguments, "config", None)
        if address is None or is_remote(address):
            return SparkSettings()
        return load_config(os.path.join(folder, address), arguments.set).spark
    except KyrosError:  # the command itself says what is wrong with them
        return SparkSettings()


def _java_lives() -> bool:
    gateway: Any = SparkContext._gateway
    return gateway is not None and gateway.proc.poll() is None


def _listen() -> socket.socket:
    place.socket_path().unlink(missing_ok=True)  # of a session that was killed: the lock is ours
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(place.socket_path()))
    finally:
        os.umask(before)
    listener.listen(16)
    return listener


def main(idle_minutes: float, settings: SparkSettings) -> int:
    """Hold a session until it is stopped; return 1 if another one of this user is alive."""
    variables = dict(os.environ)
    with (place.make_folder() / "lock").open("ab") as lock:
        if not place.locked(lock):
            return 1
        logging.basicConfig()  # py4j's pages about cancelled calls are for the session's log
        import kyros_spark.stages.pipeline  # noqa: F401  here, so that no command waits for it

        spark = get_session(settings, "kyros session")
        start_seconds()  # no command has waited for it
        listener = _listen()
        try:
            SessionServer(spark, settings, variables, idle_minutes).serve(listener)
        finally:
            place.socket_path().unlink(missing_ok=True)
            listener.close()
            if _java_lives():
                spark.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), SparkSettings.model_validate_json(sys.stdin.read())))
