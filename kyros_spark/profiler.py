"""Sample where a process spends its time, and write files that a flame-graph viewer opens.

Spark's own UDF profiler refuses functions that take an iterator of batches, as all of ours do.
Driver and workers therefore sample themselves: folded stacks with file and line, weighted by
microseconds.
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
_SAMPLES: dict[str, Counter[str]] = {}  # file -> microseconds by stack; a worker's tasks add up


@contextmanager
def profiled(name: str) -> Iterator[None]:
    """Sample the calling thread while the block runs, if KYROS_PROFILE names a folder.

    Writes NAME-HOST-PID.folded there, with one line per stack: its frames from the outermost in,
    and microseconds.
    """
    folder = os.environ.get(FOLDER)
    if not folder:
        yield
        return
    path = Path(folder) / f"{name}-{socket.gethostname()}-{os.getpid()}.folded"
    samples = _SAMPLES.setdefault(str(path), Counter())
    done = threading.Event()
    arguments = (threading.get_ident(), samples, done)
    sampler = threading.Thread(target=_sample, args=arguments, name="kyros-profiler", daemon=True)
    sampler.start()
    try:
        yield
    finally:
        done.set()
        sampler.join()
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{stack} {micro}\n" for stack, micro in sorted(samples.items())))


def _sample(thread: int, samples: Counter[str], done: threading.Event) -> None:
    """Add a thread's stacks to ``samples`` until ``done``, each with the time since the last."""
    # Compiled code may hold the interpreter's lock for longer than _EVERY, so measured time counts.
    before = time.perf_counter()
    while not done.wait(_EVERY):
        frame = sys._current_frames().get(thread)
        now = time.perf_counter()
        if frame is not None:
            samples[_folded(frame)] += round((now - before) * 1e6)
        before = now


def _folded(innermost: FrameType) -> str:
    """Return a stack as frames joined by semicolons, the outermost first."""
    frames: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None:
        code = frame.f_code
        file = "/".join(Path(code.co_filename).parts[-2:])
        frames.append(f"{code.co_qualname} ({file}:{frame.f_lineno})".replace(";", ","))
        frame = frame.f_back
    return ";".join(reversed(frames))
