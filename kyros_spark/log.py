"""Log to stderr: readable lines on a terminal, JSON lines elsewhere. Nothing goes to stdout."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

LOGGER_NAME = "kyros_spark"
_FIELDS = "fields"


def logger() -> logging.Logger:
    """Return the package's logger."""
    return logging.getLogger(LOGGER_NAME)


def configure_logging(level: int = logging.INFO) -> None:
    """Send the package's log to stderr; does nothing if the logger has handlers already."""
    package_logger = logger()
    if package_logger.handlers:
        return
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_HumanLines() if sys.stderr.isatty() else _JsonLines())
    package_logger.addHandler(handler)
    package_logger.setLevel(level)
    package_logger.propagate = False
    # PySpark repeats every failure as a page of JSON; our own error is one sentence.
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_no_interruption)


@contextmanager
def handlers_of_their_own() -> Iterator[None]:
    """Log to the stderr of now during the block, and as before after it."""
    package_logger = logger()
    before, package_logger.handlers = package_logger.handlers, []
    configure_logging()
    try:
        yield
    finally:
        package_logger.handlers = before


def event(message: str, level: int = logging.INFO, **fields: Any) -> None:
    """Log one sentence with named fields."""
    logger().log(level, message, extra={_FIELDS: fields})


def _is_no_interruption(record: logging.LogRecord) -> bool:
    """Leave out the page that py4j logs at Ctrl-C, to the root logger; the command says it."""
    return record.getMessage() != "KeyboardInterrupt while sending command."


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _HumanLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, _FIELDS, {}).items())
        text = f"{clock} {level}{record.getMessage()}" + (f"  ({fields})" if fields else "")
        return text + ("\n" + self.formatException(record.exc_info) if record.exc_info else "")
