"""Read the SQL of the settings without Spark: its words, and what no setting may call."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

_TEXT = re.compile(r"'(?:[^'\\]|\\.)*'")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Their values depend on how the rows lie in files and partitions, or on chance: another cluster, or
# the same one on another day, gives the same row another value. A seed does not help, since Spark
# adds the partition's number to it.
_OF_PARTITIONS = re.compile(
    r"\b(monotonically_increasing_id|spark_partition_id|rand|randn|random|randstr|uniform|uuid"
    r"|shuffle|input_file_name|input_file_block_start|input_file_block_length)\s*\(",
    re.IGNORECASE,
)


def without_texts(sql: str) -> str:
    """Return the SQL without the texts in it."""
    return _TEXT.sub(" ", sql)


def words(sql: str) -> set[str]:
    """Return the words of an SQL text in lower case: columns, functions and keywords."""
    return {word.lower() for word in _WORD.findall(without_texts(sql))}


def check_row_decides(setting: str, sql: str | None) -> None:
    """Refuse SQL whose value depends on partitions or chance rather than on the row.

    Raises:
        ValueError: names the setting and the function.
    """
    match = _OF_PARTITIONS.search(without_texts(sql)) if sql is not None else None
    if match is not None:
        raise ValueError(
            f"{setting}: expected values that the row itself decides, found {match[1]}(), which "
            "depends on how rows lie in partitions, or on chance; a source without a key has its "
            "rows numbered, the same on any cluster"
        )


def inputs_of(names: Iterable[str], computed: Mapping[str, str]) -> set[str]:
    """Return these columns and all from which they are computed, in lower case.

    computed: the SQL of computed columns by name.
    """
    inputs = {name.lower(): words(sql) for name, sql in computed.items()}
    used = {name.lower() for name in names}
    for _ in inputs:  # at most as many steps as there are columns
        used = used.union(*(inputs[name] for name in used & set(inputs)))
    return used


def made_from(names: Iterable[str], computed: Mapping[str, str]) -> set[str]:
    """Return these columns and all that are computed from any of them, in lower case."""
    inputs = {name.lower(): words(sql) for name, sql in computed.items()}
    made = {name.lower() for name in names}
    for _ in inputs:
        made |= {name for name, used in inputs.items() if used & made}
    return made
