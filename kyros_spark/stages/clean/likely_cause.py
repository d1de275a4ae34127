"""Name the setting that a refused batch is likely to lack, by an example of its values."""

from __future__ import annotations

import re

from kyros_spark.config import ColumnSettings
from kyros_spark.transforms.raw_texts import date_format

MOST = 0.5  # of the rows: a rule that so many break is more likely wrong than they are

# What a number looks like that another notation would read, and the settings of that notation.
_NOTATIONS = (
    (re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+"), 'decimal: "," and thousands: "."'),
    (re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+,\d+"), 'decimal: "," and thousands: " "'),
    (re.compile(r"[+-]?\d{1,3}(?:,\d{3})+(?:\.\d*)?"), 'thousands: ","'),
    (re.compile(r"[+-]?\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?:\.\d*)?"), 'thousands: " "'),
    (re.compile(r"[+-]?\d{1,3}(?:['\u2019]\d{3})+(?:\.\d*)?"), 'thousands: "\'"'),
    (re.compile(r"[+-]?\d+,\d+"), 'decimal: ","'),
)


def likely_setting(column: ColumnSettings, example: str) -> str | None:
    """Return the column's setting with which rule `type` would take the example, if one is known.

    A text such as 1,500 is a number with a decimal comma as well as one of thousands; the setting
    is a proposal, and the error says so.
    """
    value = example.strip()
    if column.kind == "number":
        fitting = (setting for shape, setting in _NOTATIONS if shape.fullmatch(value))
        return next(fitting, None)
    if column.type in ("date", "timestamp"):
        import pandas as pd  # takes half a second, and few batches come to this

        written = date_format(pd.Series([value]))
        return None if written is None else f"format: {written.spark or _DEFAULT[column.type]}"
    return None


_DEFAULT = {"date": "yyyy-MM-dd", "timestamp": "yyyy-MM-dd HH:mm:ss"}
