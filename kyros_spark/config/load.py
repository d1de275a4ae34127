"""Read a settings file, apply ``--set`` overrides, and report exactly what is wrong with it."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Sequence
from pathlib import Path
from types import UnionType
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from kyros_spark.config.settings import Config
from kyros_spark.config.yaml_values import yaml_value
from kyros_spark.errors import ConfigError, UsageError
from kyros_spark.foreign_errors import unreachable
from kyros_spark.log import without_credentials
from kyros_spark.spark_version import condition_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DEEPEST_KEY = 20  # sections of --set; the settings have nine
_LARGEST = 4 << 20  # bytes of a settings file


def load_config(
    uri: str, overrides: Sequence[str] = (), spark: SparkSession | None = None
) -> Config:
    """Read and check the settings of a portfolio.

    Args:
        uri: a local path, or any address Spark's file systems read (then ``spark`` is needed).
        overrides: ``section.key=value`` texts, whose values are read as YAML.
        spark: the session that reads a remote file.

    Raises:
        ConfigError: the file is missing, is not YAML, or a key or value is wrong.
    """
    return parse_config(_read_text(uri, spark), overrides, name=uri)


def parse_config(text: str, overrides: Sequence[str] = (), name: str = "settings") -> Config:
    """Check settings given as YAML text; errors name ``name`` as the file."""
    try:
        tree = yaml_value(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {error}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"{name}: expected sections such as 'tables:' and 'sources:', found none")
    for override in overrides:
        _apply(tree, override)
    _check_addresses(name, tree)
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        lines = [_sentence(detail) for detail in error.errors()]
        raise ConfigError(f"{name}: " + "; ".join(lines)) from error


def _check_addresses(name: str, tree: Any, setting: str = "") -> None:
    """Refuse an address with user and password, which tables, logs and messages would show.

    Raises:
        ConfigError: names the setting, not its value.
    """
    if isinstance(tree, str) and without_credentials(tree) != tree:
        raise ConfigError(
            f"{name}: '{setting}': expected an address without user, password or signature, found "
            "them in it; let the provider chain find them (docs/deploy.md, Tables on S3)"
        )
    if setting == "spark.conf":  # for Spark itself, and shown nowhere
        return
    children = dict(enumerate(tree)) if isinstance(tree, list) else tree
    for key, value in children.items() if isinstance(children, dict) else ():
        _check_addresses(name, value, f"{setting}.{key}" if setting else str(key))


def is_remote(uri: str) -> bool:
    """Tell whether the address needs Spark's file systems (it names a scheme other than file)."""
    return "://" in uri and not uri.startswith("file:")


def _read_text(uri: str, spark: SparkSession | None) -> str:
    if not is_remote(uri):
        return _read_local(uri)
    if spark is None:
        raise UsageError(f"{uri} needs a Spark session to be read")
    from pyspark.errors import PySparkException

    try:
        rows = spark.read.text(uri, wholetext=True).collect()
    except PySparkException as error:
        raise ConfigError(f"{uri}: cannot be read ({condition_of(error)})") from error
    except Exception as error:  # the store's own classes reach Python as bare Java errors
        if cause := unreachable(error):
            raise ConfigError(f"{uri}: cannot be read ({cause})") from error
        raise
    return str(rows[0][0]) if rows else ""


def _read_local(uri: str) -> str:
    try:
        with Path(uri.removeprefix("file://").removeprefix("file:")).open("rb") as file:
            data = file.read(_LARGEST + 1)
        if len(data) > _LARGEST:
            raise ConfigError(f"{uri}: expected a settings file, found more than {_LARGEST} bytes")
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{uri}: expected UTF-8 text, found other bytes") from error
    except (OSError, ValueError) as error:  # a path with NUL in it is a ValueError
        raise ConfigError(
            f"{uri}: expected a settings file, found none "
            f"({getattr(error, 'strerror', None) or error}); "
            "name yours with --config (conf/demo.yaml of the project is an example)"
        ) from error


def _apply(tree: dict[str, Any], override: str) -> None:
    key, sign, value = override.partition("=")
    parts = key.strip().split(".")
    if not sign or not all(parts) or len(parts) > _DEEPEST_KEY:
        raise UsageError(f"--set {override[:200]}: expected section.key=value")
    node = tree
    for depth, part in enumerate(parts[:-1]):
        child = node.setdefault(part, {})
        if not isinstance(child, dict):
            section = ".".join(parts[: depth + 1])
            raise UsageError(f"--set {override}: {section} is a value, not a section")
        node = child
    try:
        node[parts[-1]] = yaml_value(value)
    except yaml.YAMLError as error:
        reason = getattr(error, "problem", None) or str(error)
        raise UsageError(f"--set {override[:200]}: the value is not YAML: {reason}") from error


def _sentence(detail: ErrorDetails) -> str:
    setting = ".".join(str(part) for part in detail["loc"]) or "settings"
    if detail["type"] == "extra_forbidden":
        keys = _known_keys(Config, detail["loc"][:-1])
        near = difflib.get_close_matches(str(detail["loc"][-1]), keys, n=1, cutoff=0.5)
        hint = f"the nearest known one is '{near[0]}'" if near else f"known: {', '.join(keys)}"
        return f"unknown setting '{setting}'; {hint}"
    if detail["type"] == "missing":
        return f"'{setting}' is missing"
    message = without_credentials(detail["msg"].removeprefix("Value error, "))
    value = detail["input"]
    ending = f", found {value!r}" if isinstance(value, (str, int, float, bool)) else ""
    return f"'{setting}': {message}" + ("" if "found" in message else ending)


def _known_keys(model: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Return the keys that the section at ``loc`` accepts."""
    kind: Any = model
    for part in loc:
        kind = _plain(kind)
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            kind = kind.model_fields[str(part)].annotation
        else:  # dict[str, X] or tuple[X, ...]: step into X
            kind = [arg for arg in typing.get_args(kind) if arg is not Ellipsis][-1]
    kind = _plain(kind)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return [field.alias or name for name, field in kind.model_fields.items()]
    return []


def _plain(kind: Any) -> Any:
    """Return X for ``X | None``, and any other type as it is."""
    if typing.get_origin(kind) in (UnionType, typing.Union):
        return next(arg for arg in typing.get_args(kind) if arg is not type(None))
    return kind
