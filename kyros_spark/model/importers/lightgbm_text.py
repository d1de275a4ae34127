"""Split LightGBM's text into its lines, as LightGBM itself does, and read the numbers in them.

LightGBM knows spaces and line ends, and plain numbers. Python's own functions take more for these
(a form feed, 1_000, Arabic digits), and would read another model than LightGBM does.
"""

import re
from typing import Any

import numpy as np

from kyros_spark.errors import ModelFormatError

Block = dict[str, str]

_WHOLE = r"-?[0-9]{1,19}"
# A text is one of these in one way only: in several, a long list with one wrong number at its end
# would be tried in all combinations.
_DECIMAL = r"-?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|inf|nan)"
_LISTS: dict[type, re.Pattern[str]] = {
    kind: re.compile(f"(?:{number}(?: {number})*)?")
    for kind, number in ((np.int64, _WHOLE), (np.float64, _DECIMAL))
}


def read_blocks(text: str) -> tuple[Block, list[Block]]:
    """Return the header's entries, and those of every tree.

    Raises ModelFormatError for a text that LightGBM would read otherwise, or not to its end.
    """
    if "\0" in text:  # LightGBM stops reading there
        raise ModelFormatError("LightGBM model: the text holds a zero byte")
    head, end, rest = text.partition("\nend of trees")
    if not head.startswith("tree"):
        raise ModelFormatError("LightGBM model: expected the first line 'tree', found another")
    if not end:
        raise ModelFormatError("LightGBM model: the text ends before the line 'end of trees'")
    if "\nTree=" in rest:  # LightGBM would read it, too
        raise ModelFormatError("LightGBM model: a tree after the line 'end of trees'")
    first, *trees = head.split("\nTree=")
    lines = [line for line in first.split("\n")[1:] if line.strip()]
    header = _keys(lines)
    if len(header) != len(lines):
        raise ModelFormatError("LightGBM model: a line of the header occurs twice")
    blocks = [_tree_keys(number, part) for number, part in enumerate(trees)]
    sizes = header.get("tree_sizes")  # absent in old texts
    if sizes is not None:
        _check_sizes(sizes.split(), head)
    return header, blocks


def _tree_keys(number: int, part: str) -> Block:
    """Return a tree's entries, up to its first empty line, where LightGBM stops reading.

    Raises ModelFormatError when lines follow it, a line occurs twice or the tree's number is wrong.
    """
    own_number, *lines = part.rstrip().split("\n")
    bare = next((line for line in lines if line.strip() and "=" not in line), None)
    if bare is not None:  # such as 'tree', behind which LightGBM reads no further trees
        raise ModelFormatError(
            f"LightGBM model: tree {number}: expected NAME=VALUE, found {bare[:50]!r}"
        )
    block = _keys(lines)
    if own_number.strip() != str(number) or len(block) != len(lines):
        raise ModelFormatError(
            f"LightGBM model: tree {number}: its number, an empty line or a line twice: damaged"
        )
    return block


def _check_sizes(sizes: list[str], head: str) -> None:
    """Refuse trees that do not lie where the header says, since LightGBM reads them there."""
    _, *blocks = head.split("\nTree=")
    actual_sizes = [len(f"Tree={block}\n".encode()) for block in blocks]
    if [whole(size, "tree_sizes") for size in sizes] != actual_sizes:
        raise ModelFormatError(
            f"LightGBM model: tree_sizes {' '.join(sizes[:3])} ... for {len(actual_sizes)} trees "
            f"of sizes {actual_sizes[:3]} ...; leave the line tree_sizes out of a text edited by "
            "hand"
        )


def _keys(lines: list[str]) -> Block:
    pairs = (line.partition("=") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs if key.strip()}


def numbers_of(tree: int, block: Block, name: str, kind: type, size: int) -> np.ndarray:
    """Return one line's numbers; a tree of one leaf has no lines for splits.

    kind  np.int64 or np.float64

    Raises ModelFormatError for another count than `size`, and for words that are no numbers.
    """
    line = block.get(name, "") if size else ""
    words = line.split(" ") if line else []
    if len(words) != size or not _LISTS[kind].fullmatch(line):
        raise ModelFormatError(
            f"LightGBM model: tree {tree}: expected {size} values of {name}, found {line[:50]!r}"
        )
    parse: Any = float if kind is np.float64 else int
    return np.array([parse(word) for word in words], kind)


def whole(text: str, name: str) -> int:
    """Return a whole number; raises ModelFormatError, which names it."""
    if not re.fullmatch(_WHOLE, text):
        raise ModelFormatError(f"LightGBM model: {name}: expected a number, found {text[:50]!r}")
    return int(text)
