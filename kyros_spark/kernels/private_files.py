"""Say whether a folder or a file is this user's alone, and name files that are nobody else's.

Both are asked when they are used, not once: a folder may be loosened, or replaced by a link, long
after it was made.
"""

import os
import stat
import uuid
from pathlib import Path
from typing import IO

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder_fault(folder: Path) -> str:
    """Return why others could put files into a folder, or "" if only this user can.

    Raises OSError if there is no such folder.
    """
    status = folder.lstat()  # a symbolic link is no folder, wherever it leads
    if not stat.S_ISDIR(status.st_mode):
        return f"{folder} is not a folder"
    return _fault(str(folder), status, "belongs to", f"chmod 700 {folder}")


def file_fault(path: Path, status: os.stat_result) -> str:
    """Return why a file may hold what others wrote, or "" if only this user can have written it."""
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.getuid():
        return f"{path} is not a file of user {os.getuid()}; remove it"
    return _fault(str(path), status, "is of", "remove it")


def open_private(path: Path) -> IO[bytes]:
    """Open a file of this user's for reading; a symbolic link is not followed.

    Raises PermissionError if others could have written it, OSError if it cannot be opened.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    fault = file_fault(path, os.fstat(handle))
    if fault:
        os.close(handle)
        raise PermissionError(fault)
    return os.fdopen(handle, "rb")


def partial_beside(path: Path) -> Path:
    """Return a name beside a file under which to write it, before it takes the file's own name.

    No other process takes it: process ids repeat from container to container on a shared volume.
    """
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")


def _fault(name: str, status: os.stat_result, verb: str, remedy: str) -> str:
    if status.st_uid != os.getuid():
        return f"{name} {verb} user {status.st_uid}, not {os.getuid()}"
    if status.st_mode & _OTHERS_WRITE:
        return f"{name} can be written by others: {remedy}"
    return ""
