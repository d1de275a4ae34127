"""Read Universal Binary JSON (ubjson.org, draft 12), as XGBoost writes it.

This is a small reader of our own: the available libraries are unmaintained, and turn XGBoost's
typed arrays of millions of numbers into lists.
"""

from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError

MAX_DEPTH = 64
NUMBERS = {"i": ">i1", "U": ">u1", "I": ">i2", "l": ">i4", "L": ">i8", "d": ">f4", "D": ">f8"}
CONSTANTS = {"Z": None, "T": True, "F": False}


def read_ubjson(data: bytes) -> Any:
    """Return the document; typed number arrays become NumPy arrays.

    Raises ModelFormatError for a damaged document.
    """
    reader = _Reader(data)
    value = reader.value(reader.marker(), 0)
    if reader.offset != len(data):
        raise ModelFormatError(
            f"UBJSON: {len(data) - reader.offset} bytes after the document's end"
        )
    return value


class _Reader:
    """Read values from `data`, from `offset` on."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.offset = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.offset + count > len(self.data):
            raise ModelFormatError(
                f"UBJSON: {count} bytes wanted at {self.offset}, file ends before"
            )
        self.offset += count
        return self.data[self.offset - count : self.offset]

    def marker(self) -> str:
        while True:
            mark = chr(self.take(1)[0])
            if mark != "N":  # a no-op
                return mark

    def number(self, mark: str) -> Any:
        kind = np.dtype(NUMBERS[mark])
        return np.frombuffer(self.take(kind.itemsize), kind)[0].item()

    def length(self) -> int:
        mark = self.marker()
        if mark not in NUMBERS or mark in "dD":
            raise ModelFormatError(f"UBJSON: length of type {mark!r} at byte {self.offset}")
        return self.number(mark)

    def text(self) -> str:
        try:
            return self.take(self.length()).decode()
        except UnicodeDecodeError as error:
            raise ModelFormatError(f"UBJSON: text at byte {self.offset} is not UTF-8") from error

    def value(self, mark: str, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ModelFormatError(f"UBJSON: nested deeper than {MAX_DEPTH}")
        if mark in NUMBERS:
            return self.number(mark)
        if mark in CONSTANTS:
            return CONSTANTS[mark]
        if mark in "SH":
            return self.text()
        if mark == "C":
            return chr(self.take(1)[0])
        if mark == "[":
            return self.array(depth)
        if mark == "{":
            return self.object(depth)
        raise ModelFormatError(f"UBJSON: unknown type {mark!r} at byte {self.offset}")

    def header(self) -> tuple[str | None, int | None, str | None]:
        """Read an array's or object's optional type and count, or else its first inner marker."""
        kind: str | None = None
        count: int | None = None
        mark: str | None = self.marker()
        if mark == "$":
            kind, mark = self.marker(), self.marker()
            if mark != "#":
                raise ModelFormatError(f"UBJSON: typed container without a count at {self.offset}")
        if mark == "#":
            count, mark = self.length(), None
            # Every value takes a byte at least, unless the type in front is null, true or false: a
            # few bytes would become a long list. XGBoost writes no such array.
            if kind in CONSTANTS or not 0 <= count <= len(self.data) - self.offset:
                raise ModelFormatError(
                    f"UBJSON: container of {count} values of type {kind} at byte {self.offset}"
                )
        return kind, count, mark

    def array(self, depth: int) -> Any:
        kind, count, mark = self.header()
        if count is None:
            values = []
            while mark != "]":
                values.append(self.value(mark or "", depth + 1))
                mark = self.marker()
            return values
        if kind in NUMBERS:
            dtype = np.dtype(NUMBERS[kind])
            array = np.frombuffer(self.take(count * dtype.itemsize), dtype)
            return array.astype(dtype.newbyteorder("="))
        return [self.value(kind or self.marker(), depth + 1) for _ in range(count)]

    def object(self, depth: int) -> dict[str, Any]:
        kind, count, mark = self.header()
        values: dict[str, Any] = {}
        while mark != "}" if count is None else len(values) < count:
            if count is None:
                self.offset -= 1  # the marker just read belongs to the key's length
            key = self.text()
            if key in values:
                raise ModelFormatError(f"UBJSON: key {key!r} occurs twice")
            values[key] = self.value(kind or self.marker(), depth + 1)
            mark = self.marker() if count is None else None
        return values
