"""Start, stop and look at the session that stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

from kyros_spark.cli.session import frames, place
from kyros_spark.cli.session.client import HANDSHAKE
from kyros_spark.cli.session.identity import identity
from kyros_spark.config import SparkSettings
from kyros_spark.errors import PlatformError, UsageError
from kyros_spark.log import event

_START = 180.0  # s
_END = 120.0  # s: a command that is running is stopped first


def start(settings: SparkSettings, idle_minutes: float) -> dict[str, Any]:
    """Start the session in the background, unless one with this code and these settings runs.

    Raises:
        UsageError: another one is busy.
        PlatformError: the session did not start, or its folder is not safe.
    """
    place.make_folder()
    state = status()
    if state["status"] == "done":
        refused = _ask({**_mine(), "kind": "check", "spark": settings.model_dump(mode="json")})
        if refused is not None and not refused.get("refused"):
            return state | {"status": "skipped"}
        if state["busy_with"]:
            raise UsageError(
                f"session: expected an idle session to replace, found it busy with kyros "
                f"{state['busy_with']}; wait, or stop it first: kyros session stop"
            )
        event("the session of other code or settings is replaced")
        stop()
    _start_server(settings, idle_minutes)
    return status()


def status() -> dict[str, Any]:
    """Return what the session is doing; status `skipped` means that there is none.

    Raises:
        PlatformError: the session's folder is not safe, or the session does not answer.
    """
    answer = _ask({"kind": "status"})
    if answer is None:
        return {"stage": "session", "status": "skipped", "state": "none"}
    since = answer.pop("since")
    return {"stage": "session", "status": "done", "state": "running", **answer} | {
        "seconds": round(time.time() - since, 1),
        "log": str(place.log_path()),
    }


def stop() -> dict[str, Any]:
    """End the session, and kill it if it does not answer.

    Raises:
        PlatformError: the session's folder is not safe, or its process cannot be ended.
    """
    line = {"stage": "session", "status": "done", "state": "stopped"}
    if complaint := place.check_folder():
        raise PlatformError(complaint)
    try:
        if _ask({"kind": "stop"}) is None:
            return line | {"status": "skipped", "state": "none"}
    except PlatformError:
        if not _kill():
            raise
        event("the session did not answer and was killed", level=30)
    with (place.folder() / "lock").open("ab") as lock:
        _wait_for(lock)
    place.remove_stale()
    return line


def _ask(request: dict[str, Any]) -> dict[str, Any] | None:
    """Return the session's answer, or None if there is no session.

    Raises:
        PlatformError: the folder is not safe, or there is no answer.
    """
    if complaint := place.check_folder():
        raise PlatformError(complaint)
    try:
        connection = place.connect(HANDSHAKE)
        if connection is None:
            return None
        with connection:
            frames.send(connection, request)
            answer = frames.receive(connection)
    except OSError as error:
        raise PlatformError(
            f"session: expected an answer within {HANDSHAKE:.0f} s, found {error or 'none'}; "
            f"kyros session stop ends it, {place.log_path()} is its log"
        ) from error
    return answer or {}


def _mine() -> dict[str, Any]:
    return {"identity": identity(), "environment": dict(os.environ)}


def _start_server(settings: SparkSettings, idle_minutes: float) -> None:
    """Start the process and wait until it answers."""
    command = [sys.executable, "-m", "kyros_spark.cli.session.server", str(idle_minutes)]
    with _log() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
            start_new_session=True,
            text=True,
        )
    assert process.stdin is not None
    with process.stdin as channel:
        channel.write(settings.model_dump_json())
    deadline = time.monotonic() + _START
    while time.monotonic() < deadline:
        if _ask({"kind": "status"}) is not None:
            return
        if process.poll() is not None:
            raise PlatformError(f"session: expected it to start, found {_last_line(process)}")
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGKILL)
    raise PlatformError(
        f"session: expected it to start within {_START:.0f} s, found no answer; "
        f"its log is {place.log_path()}"
    )


def _log() -> IO[bytes]:
    """Open the log; a log that cannot be written is no reason not to start."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW
    try:
        return os.fdopen(os.open(place.log_path(), flags, 0o600), "ab")
    except OSError as error:
        event(f"the session keeps no log: {place.log_path()}: {error.strerror}", level=30)
        return Path(os.devnull).open("ab")


def _last_line(process: subprocess.Popen[str]) -> str:
    try:
        lines = place.log_path().read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    written = [line for line in lines if line.strip()]
    return written[-1] if written else f"exit code {process.returncode}"


def _kill() -> bool:
    """Kill a session that hangs, with its JVM, in its process group; return whether that worked."""
    try:
        connection = place.connect(HANDSHAKE)
    except OSError:
        return False
    if connection is None:
        return True
    with connection:
        other = place.peer(connection)
    if other is None or other[1] != os.getuid() or os.getpgid(other[0]) != other[0]:
        return False
    os.killpg(other[0], signal.SIGKILL)
    return True


def _wait_for(lock: IO[bytes]) -> None:
    """Wait until the session's process has ended, which holds the lock to its end."""
    deadline = time.monotonic() + _END
    while not place.locked(lock):
        if time.monotonic() > deadline:
            raise PlatformError(
                f"session: expected it to end within {_END:.0f} s, found it alive; its log is "
                f"{place.log_path()}"
            )
        time.sleep(0.05)
