"""Sample where a process spends its time, into files that a flame-graph viewer opens.

Spark's own UDF profiler refuses functions that take an iterator of batches, as all of ours do, so
driver and workers sample themselves: stacks with file and line, folded, weighed by microseconds.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

FOLDER = "KYROS_PROFILE"
_EVERY = 0.01  # s
_SEEN: dict[str, Counter[str]] = {}  # by file: a worker's tasks add up


@contextmanager
def profiled(name: str) -> Iterator[None]:
    """Sample the calling thread while the block runs, if KYROS_PROFILE names a folder.

    Writes NAME-HOST-PID.folded there, one line a stack: frames from the outermost in, and
    microseconds.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        yield
        return
    path = Path(folder) / f"{name}-{socket.gethostname()}-{os.getpid()}.folded"
    seen = _SEEN.setdefault(str(path), Counter())
    done = threading.Event()
    watcher = threading.Thread(
        target=_watch, args=(threading.get_ident(), seen, done), name="kyros-profiler", daemon=True
    )
    watcher.start()
    try:
        yield
    finally:
        done.set()
        watcher.join()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stack} {micro}\n" for stack, micro in sorted(seen.items())))


def _watch(thread: int, seen: Counter[str], done: threading.Event) -> None:
    # Compiled code may hold the lock for longer than a sample: what passed is what counts.
    before = time.perf_counter()
    while not done.wait(_EVERY):
        frame = sys._current_frames().get(thread)
        now = time.perf_counter()
        if frame is not None:
            seen[_folded(frame)] += round((now - before) * 1e6)
        before = now


def _folded(innermost: FrameType) -> str:
    frames: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None:
        code = frame.f_code
        file = "/".join(Path(code.co_filename).parts[-2:])
        frames.append(f"{code.co_qualname} ({file}:{frame.f_lineno})".replace(";", ","))
        frame = frame.f_back
    return ";".join(reversed(frames))
