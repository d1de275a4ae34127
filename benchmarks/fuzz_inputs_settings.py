"""Damage settings files, as trees and as texts, and read them.

Whatever the damage, reading ends in settings or in one of the two errors that name what is wrong.
"""

import copy
import random
from pathlib import Path

import yaml

from kyros_spark.config import parse_config
from kyros_spark.errors import ConfigError, UsageError

# Addresses that hold what no message may tell.
SECRET = "geheim"
ADDRESSES = (
    f"s3a://KEY:{SECRET}/x+y@bucket/policies.csv", f"https://user:{SECRET}@host/x",
    f"https://{SECRET}@host/x", f"https://host/x?a=1&sig={SECRET}",
    f"abfss://container:{SECRET}@account/x",
)  # fmt: skip
START = (Path(__file__).parents[1] / "conf" / "demo.yaml").read_text(encoding="utf-8")
VALUES = (
    None, True, False, 0, -1, 1.5, 10**30, float("inf"), float("nan"), "", " ", "x" * 5000, "a`b",
    "x' OR '1'='1", 'x" OR "1"="1', "a.b", "../x", "a\nb", "é\u202eb", "8G", "2024-02-30", "12:30",
    "010", "$(id)", "{batch}", f"s3a://KEY:{SECRET}/x@bucket/x", "\\", "%s", [], {}, [[]], [None],
    [{"a": [1]}], {"a": {"b": {}}}, ["a", "a"], {"sql": "1); DROP TABLE x --"}, "🦀", "NO", "~",
)  # fmt: skip
FRAGMENTS = (
    "2024-02-30", "9" * 5000, "0x" + "f" * 5000, "[" * 3000, "{a: " * 3000, "!!int x", "!!float x",
    "!!timestamp x", "!!binary '*'", "!!set {a: 1}", "!!omap [a]", "!!python/object:os.system ''",
    "&a [*a]", "*nothing", "<<: 1", "? [1]\n: 2", "'\\", '"\\ud800"', '"\\0"', "\t", "\ufeff",
    "%YAML 9",
    "---\n---", "- - - -", "1_000", "1e999", "._", "-.inf", "12:30:45", "0o17", "yes", "=", "!",
    "|\n",
)  # fmt: skip


def damaged(chance):
    """Return a damaged settings text and overrides; ``chance``: a random.Random."""
    tree = yaml.safe_load(START)
    for _ in range(chance.randint(0, 3)):
        _damage_tree(tree, chance)
    text = yaml.safe_dump(tree, sort_keys=False) if chance.random() < 0.9 else START
    for _ in range(chance.choice((0, 0, 1, 2))):
        text = _damage_text(text, chance)
    return text, [_override(tree, chance) for _ in range(chance.choice((0, 0, 1, 2)))]


def _damage_tree(tree, chance):
    node = tree
    while True:
        keys = list(node) if isinstance(node, dict) else list(range(len(node)))
        if not keys:
            return
        key = chance.choice(keys)
        if isinstance(node[key], dict | list) and chance.random() < 0.75:
            node = node[key]
            continue
        how = chance.random()
        if how < 0.6:
            node[key] = copy.deepcopy(chance.choice(VALUES))
        elif how < 0.8:
            del node[key]
        elif isinstance(node, dict):
            node[chance.choice(("", "a b", 1, None, True, f"{key}x", str(key).upper()))] = node[key]
        return


def _damage_text(text, chance):
    lines, at = text.splitlines(), chance.randrange(len(text.splitlines()) + 1)
    how = chance.randrange(5)
    if how == 0:
        return "\n".join([*lines[:at], chance.choice(FRAGMENTS), *lines[at:]])
    if how == 1 and lines:
        line = chance.choice(lines)
        return "\n".join([*lines[:at], line.partition(":")[0] + ": " + chance.choice(FRAGMENTS),
                          *lines[at:]])  # fmt: skip
    if how == 2 and lines:
        return "\n".join([*lines[:at], chance.choice(lines), *lines[at:]])
    if how == 3:
        return text[: chance.randrange(len(text) + 1)]
    place = chance.randrange(len(text) + 1)
    return (
        text[:place] + chr(chance.choice((0, 9, 58, 123, 34, 0x7F, 0x2028, 0x1F980))) + text[place:]
    )


def _override(tree, chance):
    section = chance.choice([str(key) for key in tree] or ["x"])
    key = chance.choice(("", ".x", ".a.b.c", ".0", "..", ".base", ".max_rejected_share"))
    return f"{section}{key}{chance.choice(('=', '=', '=', ''))}{chance.choice(FRAGMENTS)}"


def outcome(text, overrides):
    """Return how reading ended: read, or the class of the named error.

    Raises:
        AssertionError: in any other way, or the message names nothing or tells a secret.
    """
    try:
        parse_config(text, overrides, name="settings.yaml")
    except (ConfigError, UsageError) as error:
        message = str(error)
        assert message.strip() and SECRET not in message, message[:300]
        return type(error).__name__
    except BaseException as error:
        raise AssertionError(f"{type(error).__name__}: {error}"[:300]) from error
    return "read"


def fuzz(count, seed=20):
    """Read so many damaged settings; return how they ended, and those that ended otherwise."""
    ended, broken = {}, []
    for number in range(count):
        text, overrides = damaged(random.Random(f"{seed} {number}"))
        try:
            how = outcome(text, overrides)
            ended[how] = ended.get(how, 0) + 1
        except AssertionError as error:
            broken.append({"number": number, "error": str(error), "overrides": overrides})
    return ended, broken
