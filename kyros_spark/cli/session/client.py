"""Hand a command to the session that stays, if there is one; import nothing heavy.

Output and exit code are passed through. Whatever speaks against the session, a command then goes
on alone, and says why.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from kyros_spark.cli.session import frames, place
from kyros_spark.cli.session.identity import identity
from kyros_spark.errors import SparkLostError
from kyros_spark.log import event

HANDSHAKE = 2.0  # s; a session that hangs is left alone after them
_OWN = ("doctor", "session")  # they look at this process, or at the session itself
# Where Spark is there already, or is not this machine's.
_ELSEWHERE = (
    "PYSPARK_GATEWAY_PORT", "SPARK_REMOTE", "SPARK_CONNECT_MODE_ENABLED",
    "DATABRICKS_RUNTIME_VERSION", "KYROS_PROFILE",
)  # fmt: skip


def run_in_session(words: Sequence[str], arguments: Namespace) -> int | None:
    """Return the exit code of a command that the session ran, or None if there is none to run it.

    Raises:
        SparkLostError: the session ended during the command.
    """
    if not _is_wanted(arguments):
        return None
    if complaint := place.check_folder():
        event(f"{complaint}; this command starts a Spark of its own", level=30)
        return None
    connection = _accepted(words)
    if connection is None:
        return None
    with connection:
        return _pass_through(connection, arguments.command)


def _accepted(words: Sequence[str]) -> socket.socket | None:
    """Return a connection to the session once it has taken the command; None if it does not."""
    connection = None
    try:
        connection = place.connect(HANDSHAKE)
        if connection is None:
            return None
        reason = _refusal(connection, words)
    except TimeoutError:
        reason = f"no answer within {HANDSHAKE:.0f} s (kyros session stop ends one that hangs)"
    except OSError as error:
        reason = str(error)
    if connection is not None and not reason:
        connection.settimeout(None)
        return connection
    if connection is not None:
        connection.close()
    event(f"the session is not used: {reason}; this command starts a Spark of its own")
    return None


def _is_wanted(arguments: Namespace) -> bool:
    """Return whether a command may run elsewhere at all."""
    if os.environ.get("KYROS_SESSION", "").lower() in ("off", "0", "no"):
        return False
    if "pyspark" in sys.modules or any(name in os.environ for name in _ELSEWHERE):
        return False
    prompt = arguments.command == "sql" and not (arguments.execute or arguments.views)
    profiled = getattr(arguments, "profile", None) is not None
    return arguments.command not in _OWN and not prompt and not profiled


def _refusal(connection: socket.socket, words: Sequence[str]) -> str:
    """Offer a command, and return why the session does not take it, or ""."""
    if not place.is_ours(connection):
        return "it belongs to another user"
    request = {
        "kind": "command",
        "words": list(words),
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "terminals": {"stdout": sys.stdout.isatty(), "stderr": sys.stderr.isatty()},
        "identity": identity(),
    }
    frames.send(connection, request)
    answer = frames.receive(connection)
    if answer is None:
        return "it closed the connection"
    return str(answer.get("refused", ""))


def _pass_through(connection: socket.socket, command: str) -> int:
    """Write what a command writes, and return its exit code."""
    with _interrupts_sent_to(connection):
        while True:
            try:
                frame = frames.receive(connection)
            except OSError:
                frame = None
            if frame is None:
                raise SparkLostError(
                    f"kyros {command}: expected the session to finish it, found its process gone: "
                    "it was killed, often for memory; give the same command again (it starts a "
                    "Spark of its own), what was committed before is kept; kyros session start "
                    "starts another session"
                )
            if "code" in frame:
                return int(frame["code"])
            stream = sys.stderr if frame.get("stream") == "stderr" else sys.stdout
            stream.write(str(frame.get("text", "")))
            stream.flush()


@contextmanager
def _interrupts_sent_to(connection: socket.socket) -> Iterator[None]:
    """Make Ctrl-C stop the command in the session; the third one leaves it to itself."""
    times = 0

    def interrupt(number: int, frame: Any) -> None:
        nonlocal times
        times += 1
        if times > 2:
            raise KeyboardInterrupt
        frames.send(connection, {"kind": "cancel"})

    try:
        before = signal.signal(signal.SIGINT, interrupt)
    except ValueError:  # not the main thread, which alone gets signals
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
