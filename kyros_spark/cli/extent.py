"""Tell before Spark starts whether a command's work is a matter of seconds."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from pathlib import Path

from kyros_spark.config import Config, SourceSettings

# Commands that read a few rows, or small tables alone.
_SHORT = (
    "card", "doctor", "export", "health", "models", "plan", "profile", "promote", "report", "sql",
    "status",
)  # fmt: skip
_SIZED = (
    "clean", "prepare", "train", "predict", "monitor", "explain", "evaluate", "run", "benchmark"
)  # fmt: skip
# Bytes of a command's files up to which Java's fast compiler is ahead.
SMALL_FILES = 64 << 20
# Compressed files hold about so many times their bytes.
_COMPRESSED = {".gz": 6, ".bz2": 8, ".zst": 6, ".parquet": 4}


def is_short(arguments: argparse.Namespace, config: Config) -> bool:
    """Return whether the work is so small that Java's second compiler would not repay itself.

    It is decided by the command, and by the size of the files that the settings name for its
    batches. Files whose size is not known, at a remote address say, count as large.
    """
    if arguments.command in _SHORT:
        return True
    if arguments.command not in _SIZED:
        return False
    sources = [config.sources.policies, config.sources.claims]
    sizes = [
        size
        for batch in _batches(arguments, config)
        for source in sources
        if source is not None and (source.batches is None or batch in source.batches)
        for size in _sizes(source, batch)
    ]
    return bool(sizes) and None not in sizes and sum(filter(None, sizes)) <= SMALL_FILES


def _batches(arguments: argparse.Namespace, config: Config) -> tuple[str, ...]:
    given = arguments.batch
    batches = tuple(given) if isinstance(given, list) else (given,) if given else ()
    learnt = config.train.batches if config.train is not None else ()
    if arguments.command == "train":
        return learnt or batches or config.batches
    return batches or config.batches


def _sizes(source: SourceSettings, batch: str) -> Iterator[int | None]:
    """Yield the size of each of a source's files as if it were not compressed; None if unknown."""
    address = source.path.replace("{batch}", batch).removeprefix("file://").removeprefix("file:")
    path = Path(address)
    if "://" in address or source.format == "delta" or any(sign in address for sign in "*?[{"):
        yield None
        return
    try:
        files = (
            [path] if path.is_file() else [entry for entry in path.rglob("*") if entry.is_file()]
        )
        for file in files:
            yield os.stat(file).st_size * _COMPRESSED.get(file.suffix, 1)
    except OSError:
        yield None
    else:
        if not files:
            yield None
