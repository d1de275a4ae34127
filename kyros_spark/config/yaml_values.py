"""Read YAML so that a value keeps its spelling, and so that no text makes the reader itself fail.

YAML 1.1 reads 010 as eight, 12:30 as seven hundred and fifty, 2024.10 as 2024.1 and 2024-02-30 as
an error of Python's. Here a date is the text that was written, and a number knows how it was
written, since a batch id or a level is its spelling.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

_DEEPEST = 40  # sections and lists within each other; the settings themselves have nine
_LARGEST = 100_000  # values, each alias counted with all that it stands for
_LONGEST_NUMBER = 64  # characters
_INT = re.compile(r"^[-+]?(?:0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)\Z")
_FLOAT = re.compile(
    r"^[-+]?(?:(?:[0-9][0-9_]*)?\.[0-9][0-9_]*|[0-9][0-9_]*\.)(?:[eE][-+]?[0-9]+)?\Z"
    r"|^[-+]?[0-9][0-9_]*[eE][-+]?[0-9]+\Z|^[-+]?\.(?:inf|Inf|INF)\Z|^\.(?:nan|NaN|NAN)\Z"
)
_NOT_TEXT = re.compile(r"[\x00\ud800-\udfff]")


class SpelledInt(int):
    """A whole number, with the text that it was written as."""

    spelling: str


class SpelledFloat(float):
    """A number, with the text that it was written as."""

    spelling: str


class _UniqueKeys(yaml.SafeLoader):
    """Loads as yaml.safe_load does, but refuses repeated keys, deep nesting and what is no text.

    YAML would keep the last of several equal keys.
    """

    yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rpartition(":")[2] not in
                ("timestamp", "int", "float")]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }  # fmt: skip
    _depth = 0
    _open: tuple[str, ...] = ()  # the anchors of what is being read, which it may not contain

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event, depth, within = self.peek_event(), self._depth, self._open
        if depth >= _DEEPEST:
            finding = f"more than {_DEEPEST} sections and lists within each other"
            raise _refusal(finding, event.start_mark)
        anchor = event.anchor
        if self.check_event(yaml.AliasEvent) and anchor in within:
            raise _refusal(f"*{anchor} within what it stands for", event.start_mark)
        self._depth, self._open = depth + 1, (*within, anchor) if anchor else within
        node = super().compose_node(parent, index)
        self._depth, self._open = depth, within
        return node

    def get_single_node(self) -> yaml.Node | None:
        node = super().get_single_node()
        if node is not None and _size(node, {}) > _LARGEST:
            raise _refusal(f"more than {_LARGEST} values, aliases included", node.start_mark)
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise _refusal(f"{', '.join(twice)} is given twice", node.start_mark)
        return super().construct_mapping(node, deep)

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Return a text, without what no file and no table can hold."""
        value = str(self.construct_scalar(node))
        if _NOT_TEXT.search(value):
            raise _refusal("a character that is no text (NUL or half of a pair)", node.start_mark)
        return value

    def construct_int(self, node: yaml.ScalarNode) -> SpelledInt:
        """Return a whole number, decimal or 0x; anything else was not read as one."""
        spelling = self._number(node, _INT, "a whole number")
        number = SpelledInt(spelling.replace("_", ""), 16 if "x" in spelling else 10)
        number.spelling = spelling
        return number

    def construct_float(self, node: yaml.ScalarNode) -> SpelledFloat:
        """Return a number; anything else was not read as one."""
        spelling = self._number(node, re.compile(f"{_FLOAT.pattern}|{_INT.pattern}"), "a number")
        number = SpelledFloat(spelling.replace("_", "").lower().replace(".inf", "inf")
                              .replace(".nan", "nan"))  # fmt: skip
        number.spelling = spelling
        return number

    def _number(self, node: yaml.ScalarNode, pattern: re.Pattern[str], kind: str) -> str:
        spelling = str(self.construct_scalar(node))
        if len(spelling) > _LONGEST_NUMBER:
            raise _refusal(f"a number of {len(spelling)} characters", node.start_mark)
        if not pattern.match(spelling):
            raise _refusal(f"'{spelling}', which is not {kind}", node.start_mark)
        return spelling


_UniqueKeys.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_UniqueKeys.add_implicit_resolver("tag:yaml.org,2002:float", _FLOAT, list("-+0123456789."))
for _tag, _construct in (
    ("str", _UniqueKeys.construct_text),
    ("int", _UniqueKeys.construct_int),
    ("float", _UniqueKeys.construct_float),
    ("timestamp", _UniqueKeys.construct_text),
):
    _UniqueKeys.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)


def _size(node: yaml.Node, sizes: dict[int, int]) -> int:
    """Return how many values a node stands for; sizes: of the nodes counted before, by id."""
    if id(node) not in sizes:
        children = [] if isinstance(node, yaml.ScalarNode) else node.value
        flat = [n for child in children for n in (child if isinstance(child, tuple) else (child,))]
        sizes[id(node)] = 1 + sum(_size(child, sizes) for child in flat)
    return sizes[id(node)]


def _refusal(finding: str, mark: yaml.Mark) -> yaml.constructor.ConstructorError:
    return yaml.constructor.ConstructorError(None, None, finding, mark)


def yaml_value(text: str) -> Any:
    """Return what a YAML text holds: mappings, lists, texts, numbers, booleans and None.

    Raises:
        yaml.YAMLError: the text is not YAML, or holds what no setting can be.
    """
    try:
        return yaml.load(text, _UniqueKeys)  # noqa: S506 - a safe loader that refuses more
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # PyYAML's own, of a tag whose value is not of its kind (!!binary, !!set, !!omap).
        raise yaml.YAMLError(f"a value is not of the kind that its tag says ({error})") from error
    except RecursionError as error:
        raise yaml.YAMLError("it is nested too deep") from error
