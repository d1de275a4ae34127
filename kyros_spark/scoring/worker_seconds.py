"""Measure, on a worker, what it spends its seconds on."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
KINDS = ("exchange", "conversion", "quantise", "kernel")


class WorkerSeconds:
    """Seconds by kind.

    ``exchange`` is everything outside our code: moving rows from Spark and back, converting Arrow
    to pandas and back, and waiting for either.
    """

    def __init__(self) -> None:
        """Start with zero seconds of each kind."""
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self._since = time.perf_counter()

    def charge(self, kind: str) -> float:
        """Add the seconds since the last call to a kind, and return them."""
        now = time.perf_counter()
        elapsed, self._since = now - self._since, now
        self.seconds[kind] += elapsed
        return elapsed

    def exchanged(self, batches: Iterable[T]) -> Iterator[T]:
        """Yield the batches; charge waiting for them, and sending results, to `exchange`."""
        for batch in batches:
            self.charge("exchange")
            yield batch

    def split_out(self, whole: str, part: str, seconds: Iterable[float]) -> dict[str, float]:
        """Return the seconds with those of `part` moved out of the kind `whole`."""
        part_seconds = sum(seconds)
        return {**self.seconds, whole: self.seconds[whole] - part_seconds, part: part_seconds}
