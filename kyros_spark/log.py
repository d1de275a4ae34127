"""Log to stderr: readable lines on a terminal, JSON lines elsewhere. Nothing goes to stdout.

What leaves this process as text (log, result line, ledger) goes through `masked` first: an address
may hold a user and a password, or a signature.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

LOGGER_NAME = "kyros_spark"
# What every line is about: asked for when a line is written, since a run learns of its models late.
_ABOUT: ContextVar[Callable[[], Mapping[str, Any]] | None] = ContextVar("about", default=None)
_FIELDS = "fields"
_MASK = "***"
# user:password@ or token@ behind the scheme. A secret key of Amazon's may hold a slash; elsewhere a
# number between a colon and a slash is a port. Before the @ of an abfss:// address is a container.
_USER_INFO = re.compile(
    r"(?P<scheme>\b[A-Za-z][A-Za-z0-9+.-]*://)"
    r"(?P<user>[^\s/?#@:'\"<>]*)(?P<password>:[^\s'\"<>]*)?@"
)
_PORT = re.compile(r":\d{1,5}/")
_WITHOUT_PORTS = ("s3", "gs", "abfs", "wasb")
_WITH_CONTAINER = ("abfs", "wasb")
_IN_QUERY = re.compile(
    r"(?P<name>[?&;][^=&;#\s'\"]*(?:sig|signature|token|passw(?:or)?d|secret|credential|key)=)"
    r"[^&;#\s'\"]+",
    re.IGNORECASE,
)


def without_credentials(text: str) -> str:
    """Return a text in which addresses show neither user and password nor a signature."""
    if "://" not in text:
        return text

    def user_info(match: re.Match[str]) -> str:
        scheme, password = match["scheme"].lower(), match["password"] or ""
        is_container = not password and scheme.startswith(_WITH_CONTAINER)
        is_port = _PORT.match(password) is not None and not scheme.startswith(_WITHOUT_PORTS)
        return match[0] if is_container or is_port else f"{match['scheme']}{_MASK}@"

    return _IN_QUERY.sub(rf"\g<name>{_MASK}", _USER_INFO.sub(user_info, text))


def masked(value: Any) -> Any:
    """Return a value of JSON's kinds with every text in it `without_credentials`."""
    if isinstance(value, str):
        return without_credentials(value)
    if isinstance(value, Mapping):
        return {masked(name): masked(content) for name, content in value.items()}
    if isinstance(value, list | tuple):
        return [masked(content) for content in value]
    return value


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
    # PySpark repeats every failure as a page of JSON; our own error is one sentence, and masked.
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger().addFilter(_is_no_interruption)


def write_log_by(write: Callable[[str], Any]) -> None:
    """Hand every line from now on to a function; if that fails, it goes to stderr as before."""
    for handler in logger().handlers:
        if isinstance(handler, logging.StreamHandler):
            handler.setStream(_Written(write))


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


@contextmanager
def about(fields: Callable[[], Mapping[str, Any]]) -> Iterator[None]:
    """Give every JSON line of the block, in this thread, the fields that a function returns."""
    token = _ABOUT.set(fields)
    try:
        yield
    finally:
        _ABOUT.reset(token)


def event(
    message: str, level: int = logging.INFO, cause: BaseException | None = None, **fields: Any
) -> None:
    """Log one sentence with named fields. cause: an error whose traceback is logged as well."""
    logger().log(level, message, extra={_FIELDS: fields}, exc_info=cause)


def _is_no_interruption(record: logging.LogRecord) -> bool:
    """Leave out the page that py4j logs at Ctrl-C, to the root logger; the command says it."""
    return record.getMessage() != "KeyboardInterrupt while sending command."


def _about() -> Mapping[str, Any]:
    fields = _ABOUT.get()
    return fields() if fields is not None else {}


class _Written:
    """A stream whose texts a function writes."""

    def __init__(self, write: Callable[[str], Any]) -> None:
        self._write = write

    def write(self, text: str) -> None:
        try:
            self._write(text)
        except Exception:  # Java is gone, and there is more to be said than that
            sys.stderr.write(text)

    def flush(self) -> None:
        """Do nothing: each text is written at once."""


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **_about(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(masked(json.loads(json.dumps(line, default=str))))


class _HumanLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        clock = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        fields = " ".join(f"{name}={value}" for name, value in getattr(record, _FIELDS, {}).items())
        text = f"{clock} {level}{record.getMessage()}" + (f"  ({fields})" if fields else "")
        text += "\n" + self.formatException(record.exc_info) if record.exc_info else ""
        return without_credentials(text)
