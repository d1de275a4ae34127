"""Compute exposure, targets, split and features as the settings define them.

Nothing is fitted here. Features are computed from policies alone, before claims are joined, so that
no information from claims can enter a feature.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import AgeSettings, FeatureSettings, PrepareSettings, SplitSettings
from kyros_spark.config.expressions import inputs_of, made_from, without_texts, words
from kyros_spark.errors import FeatureDefinitionError
from kyros_spark.foreign_errors import first_line, machine_failed
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.bins import bin_label
from kyros_spark.transforms.first_days import first_days

_SPLIT_STEPS = 1_000_000
# SQL whose value depends on more than the row: on other rows, their position, or the time.
_NOT_ROW_WISE = re.compile(
    r"\b(?:over|monotonically_increasing_id|spark_partition_id|input_file_name|rand|randn|random"
    r"|uuid|shuffle|now|curdate|current_date|current_timestamp|localtimestamp|unix_timestamp)\b",
    re.IGNORECASE,
)
_STAR = re.compile(r"(?:^|[(,.])\s*\*\s*(?:$|[,)])")


@dataclass(frozen=True)
class _Expression:
    """An expression over policies, the setting it comes from, and the type it is cast to."""

    setting: str
    sql: str
    kind: str = "string"
    is_feature: bool = False


def exposure_value(settings: PrepareSettings) -> Column:
    """Return the exposure in policy-years."""
    return F.expr(settings.exposure).cast("double").alias("exposure")


def split_value(settings: SplitSettings) -> Column:
    """Return train, valid or test, the same on every cluster and in every batch."""
    if settings.sql is not None:
        stated = F.expr(settings.sql).cast("string")
        if settings.parts:
            pairs = [F.lit(text) for pair in settings.parts.items() for text in pair]
            stated = F.element_at(F.create_map(*pairs), F.coalesce(stated, F.lit("")))
        return stated.alias("split")
    key = [F.col(name).cast("string") for name in settings.by]
    step = F.pmod(F.xxhash64(F.lit(settings.salt), *key), F.lit(_SPLIT_STEPS))
    train_end = round(settings.train * _SPLIT_STEPS)
    valid_end = round((settings.train + settings.valid) * _SPLIT_STEPS)
    part = F.when(step < train_end, "train").when(step < valid_end, "valid").otherwise("test")
    return part.alias("split")


def feature_value(name: str, settings: FeatureSettings) -> Column:
    """Return a feature: a double, the text of a level, or the label of a bin from the settings."""
    value = F.expr(expression_of(name, settings))
    if settings.kind == "levels":
        return value.cast("string").alias(name)
    number = value.cast("double")
    if not settings.is_number:
        return bin_label(number, settings.bins).alias(name)
    number = F.nanvl(number, F.lit(None).cast("double"))
    # Rounded here, before anything is fitted, so that training and scoring see the same number.
    return number.cast(settings.precision).alias(name)


def expression_of(name: str, settings: FeatureSettings) -> str:
    """Return the SQL that computes a feature; by default it is the column of the same name."""
    if settings.sql is not None:
        return settings.sql
    if settings.log is not None:
        return f"CASE WHEN {quoted(settings.log)} > 0 THEN ln({quoted(settings.log)}) END"
    if settings.ratio:
        return f"try_divide({', '.join(map(quoted, settings.ratio))})"
    if settings.age is not None:
        return _age(settings.age)
    if settings.interaction:
        # NULL where any part is NULL: a level such as "NULL x b" would claim more than is known.
        return "concat(" + ", ' x ', ".join(map(quoted, settings.interaction)) + ")"
    return quoted(settings.column or name)


def _age(age: AgeSettings) -> str:
    days = f"{quoted(age.at)}, {quoted(age.since)}"
    if age.unit == "days":
        return f"datediff({days})"
    months = f"months_between({days})"
    return f"floor({months}{' / 12' if age.unit == 'years' else ''})"


def row_wise(settings: PrepareSettings) -> bool:
    """Tell whether each row's values depend on that row alone, so that a batch may go in parts.

    Any word that names such a function makes it False, even as a column's name or in a text.
    """
    features = (expression_of(name, feature) for name, feature in settings.features.items())
    texts = (settings.exposure, settings.split.sql or "", *settings.targets.values(), *features)
    return not any(_NOT_ROW_WISE.search(sql) for sql in texts)


def check_definitions(
    policies: DataFrame, settings: PrepareSettings, derived: Mapping[str, str]
) -> None:
    """Refuse expressions that cannot be computed, and features derived from exposure or a target.

    derived: the columns of policies that clean computed, with their SQL.

    Raises:
        FeatureDefinitionError: an expression is refused; it names the setting and the reason.
    """
    expressions = list(_expressions(settings))
    # Spark analyses all at once in little more time than one, but does not say which is at fault.
    each = not _computable(policies, *expressions)
    forbidden = never_features(settings, derived, policies.columns)
    for expression in expressions:
        _check_columns_named(expression)
        if each:
            _check_computable(policies, expression)
        used = sorted(words(expression.sql) & forbidden) if expression.is_feature else []
        if used:
            raise FeatureDefinitionError(
                f"{expression.setting}: expected columns known before the year, found "
                f"{', '.join(used)}, from which exposure or a target is made; exposure is an "
                "offset or a weight, never a feature (of the dates that it is made from, the first "
                "day may be used: `days: {from: start, to: end}` says which that is)"
            )


def never_features(
    settings: PrepareSettings, derived: Mapping[str, str], columns: Collection[str]
) -> set[str]:
    """Return the columns that no feature may use, in lower case.

    They are those behind exposure and targets, and all columns derived from any of them. What is
    known on a policy's first day is not among them: that day, and an age on it.
    derived: the computed columns with their SQL. columns: all of table policies.
    """
    names = {name.lower() for name in columns}
    of_exposure = inputs_of({"exposure"} | words(settings.exposure), derived)
    of_exposure -= first_days(settings.exposure, derived, columns)
    of_targets = inputs_of(set().union(*map(words, settings.targets.values())), derived)
    return made_from((of_exposure | of_targets) & names, derived) & names


def _expressions(settings: PrepareSettings) -> Iterator[_Expression]:
    """Yield the expressions over policies, in the order of the settings."""
    yield _Expression("prepare.exposure", settings.exposure, "double")
    if settings.split.sql is not None:
        yield _Expression("prepare.split.sql", settings.split.sql)
    for column in settings.split.by:
        yield _Expression("prepare.split.by", f"`{column}`")
    for name, feature in settings.features.items():
        sql = expression_of(name, feature)
        kind = "string" if feature.kind == "levels" else "double"
        yield _Expression(f"prepare.features.{name}", sql, kind, is_feature=True)


def _check_columns_named(expression: _Expression) -> None:
    if _STAR.search(without_texts(expression.sql)):
        raise FeatureDefinitionError(
            f"{expression.setting}: '{expression.sql}': expected columns by name, found *, which "
            "is whatever the rows happen to hold; name the columns"
        )


def _computable(policies: DataFrame, *expressions: _Expression) -> bool:
    """Tell whether all can be computed together."""
    try:
        _analyse(policies, *expressions)
    except Exception as error:  # a parse error is not an AnalysisException on every Spark
        if machine_failed(error):
            raise
        return False
    return True


def _analyse(policies: DataFrame, *expressions: _Expression) -> None:
    # Added as columns, as they will be: this also refuses aggregates and generators of rows.
    computed = {f"_computed_{n}": F.expr(e.sql).cast(e.kind) for n, e in enumerate(expressions)}
    _ = policies.withColumns(computed).schema


def _check_computable(policies: DataFrame, expression: _Expression) -> None:
    setting, sql = expression.setting, expression.sql
    try:
        _analyse(policies, expression)
    except AnalysisException as error:
        line = first_line(error)
        raise FeatureDefinitionError(
            f"{setting}: '{sql}' cannot be computed from table policies "
            f"({', '.join(policies.columns)}): {line}"
        ) from error
    except Exception as error:  # a parse error is not an AnalysisException on every Spark
        if machine_failed(error):
            raise
        raise FeatureDefinitionError(f"{setting}: '{sql}' is not Spark SQL: {error}") from error
