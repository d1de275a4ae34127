"""Check the options of an import, and complete them from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError

from kyros_spark.config import Config
from kyros_spark.config.base import NAME_PATTERN, Section
from kyros_spark.config.names import target_names
from kyros_spark.errors import ConfigError, UsageError
from kyros_spark.model.importers import recognise
from kyros_spark.model.manifest import Family, Link


class ImportSettings(Section):
    """The options of an import; None leaves it to the model file.

    features    the inputs' names in the model's order, for a file without them
    categories  the inputs that pandas held as a category, for a LightGBM file that leaves a choice
    iterations  the first so many boosting rounds
    intercept   what the sum starts from: 0 for an XGBoost model fitted with a base margin
    """

    name: str
    target: str
    per: str | None = None
    format: recognise.Format | None = None
    features: tuple[str, ...] | None = None
    categories: tuple[str, ...] | None = None
    iterations: int | None = None
    family: Family | None = None
    link: Link | None = None
    intercept: float | None = None
    status: Literal["candidate", "champion"] = "champion"


def import_settings(config: Config, options: Mapping[str, Any]) -> ImportSettings:
    """Check the command line's options; target and unit default to train's model of that name.

    Raises:
        UsageError: an option is missing, or has a value it does not take.
        ConfigError: target or unit is no column of table prepared.
    """
    trained = config.train.models.get(options["name"]) if config.train is not None else None
    values = {key: options.get(key) for key in ImportSettings.model_fields}
    values["target"] = values["target"] or (trained.target if trained is not None else None)
    values["per"] = values["per"] or (trained.per if trained is not None else None)
    for key in ("features", "categories"):
        names = values[key]
        values[key] = None if names is None else tuple(name.strip() for name in names.split(","))
    if values["target"] is None:
        raise UsageError("import: give --target, the column of prepared that the model predicts")
    try:
        settings = ImportSettings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        option, value = first["loc"][0], first["input"]
        raise UsageError(f"import --{option} {value}: {first['msg']}") from error
    check_import(config, settings)
    return settings


def check_import(config: Config, settings: ImportSettings) -> None:
    """Refuse a name that is none, and a target or unit that table prepared does not have.

    Raises:
        UsageError, ConfigError: names the option, what was expected, and its value.
    """
    if not NAME_PATTERN.match(settings.name):
        raise UsageError(f"import --name {settings.name}: expected letters, digits and _")
    columns = target_names(config.prepare)
    for option, column in (("target", settings.target), ("per", settings.per)):
        if column is not None and column not in columns:
            raise ConfigError(
                f"import --{option}: expected one of {', '.join(sorted(columns))}, found '{column}'"
            )
