"""Find the smallest and the largest value of an Arrow column as Spark's min and max do."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def extremes(values: pa.ChunkedArray) -> tuple[Any, Any]:
    """Return both as Spark would collect them, or None where no value is given.

    NaN is above all other numbers. A time stands without a zone, in that of this process.
    """
    ends = pc.min_max(values).as_py()
    least, most = (_as_collected(ends[end]) for end in ("min", "max"))
    if pa.types.is_floating(values.type) and pc.any(pc.is_nan(values)).as_py():
        most = math.nan  # Arrow leaves it out unless there is nothing else
    return least, most


def _as_collected(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo is not None:
        return value.astimezone().replace(tzinfo=None)
    return value
