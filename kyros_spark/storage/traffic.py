"""Count the bytes of data files that this process reads and writes itself, beside Spark's own."""

from __future__ import annotations

_moved = {"bytes_read": 0, "bytes_written": 0}


def count_read(size: int) -> None:
    """Add the bytes of a file, or of the part of it, that was read."""
    _moved["bytes_read"] += size


def count_written(size: int) -> None:
    """Add the bytes of a file that was written."""
    _moved["bytes_written"] += size


def bytes_moved() -> dict[str, int]:
    """Return the bytes so far, named as in a run's resources."""
    return dict(_moved)
