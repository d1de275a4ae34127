"""Keep what a baseline holds beside the models, so that no later batch has to measure it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from kyros_spark.errors import KyrosError
from kyros_spark.log import event
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.storage.files import read_file, write_file

Content = TypeVar("Content")


def kept(
    portfolio: Portfolio,
    key: str,
    read: Callable[[Mapping[str, Any]], Content],
    compute: Callable[[], Content],
    to_json: Callable[[Content], Mapping[str, Any]],
) -> Content:
    """Return what is kept under a key, a digest of all that it rests on; else compute and keep it.

    A file that is missing, damaged or of another format is written again; one that cannot be
    written costs nothing but the next batch's time.
    """
    address = f"{portfolio.config.tables.artefact_folder()}/monitor/{key}.json"
    try:
        return read(json.loads(read_file(portfolio.spark, address)))
    except (KyrosError, ValueError, KeyError, TypeError):
        content = compute()
    try:
        text = json.dumps(to_json(content), allow_nan=False)
        write_file(portfolio.spark, address, text.encode())
    except (KyrosError, ValueError) as error:
        event(f"the baseline of monitor is measured again next time: {error}", level=30)
    return content
