"""Run one command in the session as if it ran in a process of its own."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.cli.main import run_here
from kyros_spark.cli.session import frames
from kyros_spark.log import handlers_of_their_own, without_credentials
from kyros_spark.spark.interrupt import drop_java_connection
from kyros_spark.spark.java_class import java_class

_PIECE = 1 << 16  # characters a frame
_GRACE = 5.0  # s that a cancelled command has for its last writes, before it is cancelled again
_ATTEMPTS = 12


class CommandThread(threading.Thread):
    """One command; in a thread of its own, since a cancelled one leaves a half-read answer of Java.

    Each Python thread has a connection to Java of its own, which ends with it.
    """

    def __init__(
        self, base: SparkSession, request: Mapping[str, Any], connection: socket.socket
    ) -> None:
        """Take the session, the client's request, and the connection that gets the output."""
        super().__init__(name="kyros-command", daemon=True)
        self._base, self._request, self._connection = base, request, connection
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._ended = threading.Event()
        self._is_running = self._is_cancelled = self.is_done = False
        self.is_interrupted = False  # the cancellation has reached its Python
        self.code = 1

    def run(self) -> None:
        """Run the command, send its exit code, and wake the thread that reads from the client."""
        try:
            self.code = self._run()
            if self.code and self._is_cancelled:
                self.code = 130  # whatever the cancellation made of the call it met
        except BaseException as error:
            if not self._is_cancelled:
                text = f"kyros session: {without_credentials(str(error))}\n"
                self._send({"stream": "stderr", "text": text})
                raise
            self.code = 130
        finally:
            self.is_done = True
            self._ended.set()
            self._send({"code": self.code})
            with contextlib.suppress(OSError):
                self._connection.shutdown(socket.SHUT_RD)

    def _run(self) -> int:
        terminals = self._request["terminals"]
        streams = {name: _Stream(self._send, name, terminals[name]) for name in terminals}
        with ExitStack() as scene:
            scene.enter_context(_process_state(self._request))
            scene.enter_context(contextlib.redirect_stdout(streams["stdout"]))
            scene.enter_context(contextlib.redirect_stderr(streams["stderr"]))
            scene.enter_context(handlers_of_their_own())
            scene.enter_context(_spark_state(self._base, self._request["folder"]))
            try:
                with self._lock:
                    self._is_running = not self._is_cancelled
                if self._is_cancelled:
                    return 130
                return run_here(self._request["words"])
            finally:
                with self._lock:
                    self._is_running = False
                _raise_in(self, None)
                if self._is_cancelled:  # what comes after it needs Java as well
                    drop_java_connection()

    def cancel(self) -> None:
        """Stop the command as Ctrl-C would: its Spark jobs, then its Python."""
        with self._lock:
            if self._is_cancelled:
                return
            self._is_cancelled = True
        threading.Thread(target=self._cancel_until_it_ends, daemon=True).start()

    def _cancel_until_it_ends(self) -> None:
        """Cancel until it ends, since what was raised in a finaliser is lost without a word."""
        start = time.monotonic()
        for _ in range(_ATTEMPTS):
            self.is_interrupted = False
            self._interrupt()
            if self._ended.wait(_GRACE):
                return
        seconds = round(time.monotonic() - start)
        text = f"the command did not stop within {seconds} s; the session ends with it"
        self._send({"stream": "stderr", "text": f"kyros session: {text}\n"})
        self._send({"code": 130})
        os._exit(1)  # and Java with it, which reads from this process

    def _interrupt(self) -> None:
        """Return once the cancellation has reached the command's Python.

        Spark's jobs are cancelled again and again: a query that is being planned has none yet.
        """
        is_raised, deadline = False, time.monotonic() + _GRACE
        while time.monotonic() < deadline and not (self.is_interrupted or self.is_done):
            with self._lock:
                if self._is_running and not is_raised and not _is_importing(self):
                    _raise_in(self, _Cancelled)
                    is_raised = True
            with contextlib.suppress(Exception):  # the JVM may be gone
                self._base.sparkContext.cancelAllJobs()
            self._ended.wait(0.2)

    def _send(self, frame: dict[str, Any]) -> None:
        """Send a frame; a client that is gone is noticed by whoever reads from it."""
        with self._sending, contextlib.suppress(OSError):
            frames.send(self._connection, frame)


class _Cancelled(KeyboardInterrupt):
    """Ctrl-C at the client."""

    def __init__(self) -> None:
        super().__init__("cancelled by Ctrl-C")
        command = threading.current_thread()
        if isinstance(command, CommandThread):
            command.is_interrupted = True
        drop_java_connection()


_Cancelled.__name__ = KeyboardInterrupt.__name__  # for the result line it is nothing else


class _Stream(io.TextIOBase):
    """Standard output or error of a command, sent to its client."""

    encoding = "utf-8"

    def __init__(self, send: Any, name: str, is_terminal: bool) -> None:
        self._send, self._name, self._is_terminal = send, name, is_terminal

    def write(self, text: str) -> int:
        for start in range(0, len(text), _PIECE):
            piece = text[start : start + _PIECE]
            self._send({"stream": self._name, "text": piece})
        return len(text)

    def isatty(self) -> bool:
        return self._is_terminal

    def writable(self) -> bool:
        return True


@contextmanager
def _process_state(request: Mapping[str, Any]) -> Iterator[None]:
    """Take on the client's folder and environment variables; forget what was true before."""
    folder, variables = os.getcwd(), dict(os.environ)
    own = {name: os.environ[name] for name in variables if name.startswith(_OWN_VARIABLES)}
    environment.git_commit.cache_clear()
    environment.forget_peaks()
    try:
        os.chdir(request["folder"])
        os.environ.clear()
        os.environ.update(request["environment"] | own)
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        os.chdir(folder)


# What this process has set for its JVM and workers; a client's are the same, or it was refused.
_OWN_VARIABLES = ("JAVA_HOME", "PYSPARK_", "SPARK_")


@contextmanager
def _spark_state(base: SparkSession, folder: str) -> Iterator[None]:
    """Give a command a session of its own: settings and views are gone with it."""
    session, cls = base.newSession(), type(base)
    local = java_class(base, "java.net.URI").create("file:///")
    systems = java_class(base, "org.apache.hadoop.fs.FileSystem")
    files = systems.get(local, session._jsc.hadoopConfiguration())
    files.setWorkingDirectory(java_class(base, "org.apache.hadoop.fs.Path")(folder))
    _activate(cls, session)
    try:
        yield
    finally:
        _activate(cls, base)
        base.catalog.clearCache()


def _activate(cls: Any, session: SparkSession) -> None:
    """Make a session the one that Python and Java find."""
    cls._instantiatedSession = cls._activeSession = session
    sessions = java_class(session, "org.apache.spark.sql.SparkSession")
    sessions.setActiveSession(session._jsparkSession)
    sessions.setDefaultSession(session._jsparkSession)


def _raise_in(thread: threading.Thread, error: type[BaseException] | None) -> None:
    """Raise an error in a thread at its next step in Python; None takes back one not raised yet."""
    target = ctypes.c_ulong(thread.ident or 0)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(target, error and ctypes.py_object(error))


def _is_importing(thread: threading.Thread) -> bool:
    """Return whether a thread is loading a module, which would stay half loaded if it broke off."""
    frame = sys._current_frames().get(thread.ident or 0)
    while frame is not None:
        if frame.f_code.co_filename == "<frozen importlib._bootstrap>":
            return True
        frame = frame.f_back
    return False
