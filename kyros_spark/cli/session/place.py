"""Keep the socket, log and lock of a user's session in a folder that nobody else can enter."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import tempfile
from pathlib import Path
from typing import IO

from kyros_spark.errors import PlatformError

_NOBODY_LISTENS = (errno.ENOENT, errno.ECONNREFUSED)


def folder() -> Path:
    """Return the folder: below XDG_RUNTIME_DIR if there is one, else in the temporary folder."""
    if runtime := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(runtime, "kyros-spark")
    return Path(tempfile.gettempdir(), f"kyros-spark-{os.getuid()}")


def make_folder() -> Path:
    """Make the folder if it is not there, and return it.

    Raises:
        PlatformError: it is not this user's alone, or cannot be made.
    """
    place = folder()
    try:
        place.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise PlatformError(
            f"session: expected to make the folder {place}, found {error.strerror}; name another "
            "place as XDG_RUNTIME_DIR"
        ) from error
    if complaint := check_folder():
        raise PlatformError(complaint)
    return place


def check_folder() -> str:
    """Return what is wrong with the folder, or "" if it is this user's alone, or not there."""
    place = folder()
    try:
        status = place.lstat()  # a symbolic link is no folder, wherever it leads
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"session: {place}: {error.strerror}"
    private = status.st_uid == os.getuid() and not status.st_mode & 0o077
    if stat.S_ISDIR(status.st_mode) and private:
        return ""
    return (
        f"session: expected {place} to be a folder that only you can enter, found "
        f"{stat.filemode(status.st_mode)} of user {status.st_uid}; remove it"
    )


def socket_path() -> Path:
    """Return the address of the session's socket."""
    return folder() / "socket"


def log_path() -> Path:
    """Return the session's log file."""
    return folder() / "session.log"


def connect(seconds: float) -> socket.socket | None:
    """Return a connection to this user's session, or None if there is none.

    A socket on which nobody listens, since its process was killed, is removed.

    Raises:
        OSError: the connection fails otherwise, also by its time.
    """
    if not socket_path().exists():
        return None
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(seconds)
    try:
        connection.connect(str(socket_path()))
    except OSError as error:
        connection.close()
        if error.errno not in _NOBODY_LISTENS:
            raise
        if error.errno == errno.ECONNREFUSED:
            remove_stale()
        return None
    return connection


def remove_stale() -> bool:
    """Remove the socket of a session that no longer lives; return whether there was one."""
    with (folder() / "lock").open("ab") as lock:
        if not locked(lock):
            return False  # a session is just starting or ending
        try:
            socket_path().unlink()
        except FileNotFoundError:
            return False
        return True


def locked(file: IO[bytes]) -> bool:
    """Return whether this process now holds the lock, which it gives back by closing the file."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def peer(connection: socket.socket) -> tuple[int, int] | None:
    """Return (pid, user) of the other side as the kernel knows them; None where it does not say."""
    if not hasattr(socket, "SO_PEERCRED"):  # then the folder's permissions alone have to do
        return None
    size = struct.calcsize("3i")
    pid, user, _ = struct.unpack(
        "3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
    )
    return pid, user


def is_ours(connection: socket.socket) -> bool:
    """Return whether the other side is a process of this user."""
    other = peer(connection)
    return other is None or other[1] == os.getuid()
