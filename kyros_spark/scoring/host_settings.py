"""Read from the environment where this host keeps models, and how many bytes of them."""

from __future__ import annotations

import os
import re
import tempfile
from pathlib import Path

from kyros_spark.errors import HostStoreError

DEFAULT_LIMIT_BYTES = 8 << 30


def store_folder() -> Path:
    """Return the folder for this user's models on this host; it may not exist yet."""
    configured = os.environ.get("KYROS_MODEL_CACHE")
    return Path(configured or Path(tempfile.gettempdir()) / f"kyros-models-{os.getuid()}")


def configured_limit() -> int:
    """Return how many bytes of models this host may hold.

    Raises:
        HostStoreError: KYROS_MODEL_CACHE_BYTES is no whole number above 0.
    """
    limit = os.environ.get("KYROS_MODEL_CACHE_BYTES", str(DEFAULT_LIMIT_BYTES))
    if not re.fullmatch(r"[1-9][0-9]{0,17}", limit):
        raise HostStoreError(
            f"KYROS_MODEL_CACHE_BYTES: expected bytes, such as {DEFAULT_LIMIT_BYTES}, found "
            f"{limit[:100]!r}"
        )
    return int(limit)
