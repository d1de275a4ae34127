"""Read the raw extract as it came: every declared column by its declared name, nothing converted.

Text formats are read as text. A header other than the declared one is refused. A record with too
few or too many fields keeps its text in `MALFORMED` and is refused later, as a row.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from pyspark.sql import Column, DataFrame, DataFrameReader, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from kyros_spark.config import ListSettings, SourceSettings
from kyros_spark.errors import SourceSchemaError
from kyros_spark.stages.clean.row_numbers import with_row_numbers
from kyros_spark.stages.clean.source_files import source_path, translate_source_errors
from kyros_spark.tables.ddl import quoted
from kyros_spark.transforms.values import MALFORMED

QUOTE = '"'  # within quotes it stands doubled for itself, as in RFC 4180; Spark expects \\"


def read_raw(spark: SparkSession, name: str, source: SourceSettings, batch: str) -> DataFrame:
    """Return the declared columns under their declared names, and the text of malformed records.

    Columns that hold the row's number are added last.

    Raises:
        SourceNotFoundError: there is nothing at the path, or it cannot be read.
        SourceSchemaError: a column is missing, or there is one that is not declared.
    """
    path = source_path(source, batch)
    with translate_source_errors(name, path):
        frame, header = _read(spark, source, path)
    origins = {n: c.source or n for n, c in source.columns.items() if c.is_read}
    wanted = list(dict.fromkeys(origins.values()))
    _check_header(name, source, path, header, wanted)
    if source.format in ("csv", "json"):
        # CSV is read by position, so its undeclared columns stay in the schema; JSON by name.
        named = header if source.format == "csv" else wanted
        fields = [StructField(column, StringType()) for column in named]
        schema = StructType([*fields, StructField(MALFORMED, StringType())])
        frame = _text_reader(spark, source).schema(schema).load(path)
    columns = [frame[quoted(c)].alias(n) for n, c in origins.items()]
    columns.append(_malformed(source, frame))
    if not source.numbers:
        return frame.select(*columns)
    with translate_source_errors(name, path):
        return with_row_numbers(frame, columns, source.numbers)


def source_types(source: SourceSettings, raw: DataFrame) -> dict[str, str]:
    """Return the types that the source gives its columns, by declared name; text gives none."""
    if source.format not in ("parquet", "delta"):
        return {}
    return {f.name: f.dataType.simpleString() for f in raw.schema if f.name != MALFORMED}


def read_list(spark: SparkSession, rule: str, listed: ListSettings, batch: str) -> DataFrame:
    """Return the table of the values that may occur; text formats are read as text.

    Raises:
        SourceNotFoundError: there is nothing at the path, or it cannot be read.
        SourceSchemaError: a column of the list is missing.
    """
    path = listed.path.replace("{batch}", batch)
    with translate_source_errors(f"rule {rule}", path):
        reader = spark.read.format(listed.format)
        if listed.format == "csv":
            reader = reader.option("escape", QUOTE)
        reader = reader.options(**listed.options)
        if listed.format == "csv":
            reader = reader.option("header", "true")
        frame = reader.load(path)
    missing = [column for column in listed.columns.values() if column not in frame.columns]
    if missing:
        raise SourceSchemaError(
            f"rule {rule}, column {', '.join(missing)}: expected in {path}, found only "
            f"{', '.join(frame.columns)}; correct the list, or the rule's listed_in.columns"
        )
    return frame


def first_lines(spark: SparkSession, path: str, count: int) -> list[str]:
    """Return the first lines of a text source, wherever it lies and however it is compressed.

    Raises:
        SourceNotFoundError: there is nothing at the path, or it cannot be read.
    """
    with translate_source_errors("source", path):
        return [row["value"] for row in spark.read.text(path).limit(count).collect()]


def read_undeclared(
    spark: SparkSession, path: str, format_: str, options: Mapping[str, str]
) -> DataFrame:
    """Return a source whose columns nobody has declared yet; text formats as text.

    options: of the Spark reader, such as a CSV file's `sep`.

    Raises:
        SourceNotFoundError: there is nothing at the path, or it cannot be read.
    """
    with translate_source_errors("source", path):
        reader = spark.read.format(format_)
        if format_ == "csv":
            reader = reader.options(**{"header": "true", "escape": QUOTE, **options})
        elif format_ == "json":
            reader = reader.option("primitivesAsString", "true")
        return reader.load(path)


def _malformed(source: SourceSettings, frame: DataFrame) -> Column:
    is_text = source.format in ("csv", "json")
    return (frame[MALFORMED] if is_text else F.lit(None).cast("string")).alias(MALFORMED)


def _text_reader(spark: SparkSession, source: SourceSettings) -> DataFrameReader:
    reader = spark.read.format(source.format)
    if source.format == "csv":
        reader = reader.option("escape", QUOTE).option("header", "true")
    reader = reader.options(**source.options)  # header: "false" names the columns _c0, _c1 ...
    reader = reader.option("columnNameOfCorruptRecord", MALFORMED).option("mode", "PERMISSIVE")
    if source.format == "csv":
        # Each file's header is checked against the schema; pruning would hide short records.
        return reader.option("enforceSchema", "false").option("columnPruning", "false")
    return reader.option("primitivesAsString", "true")


def _read(spark: SparkSession, source: SourceSettings, path: str) -> tuple[DataFrame, list[str]]:
    if source.format == "delta":
        frame = spark.read.format("delta").load(path)
    elif source.format == "parquet":
        frame = spark.read.options(**source.options).parquet(path)
    else:
        frame = _text_reader(spark, source).load(path)
    return frame, [column for column in frame.columns if column != MALFORMED]


def _check_header(
    name: str, source: SourceSettings, path: str, header: list[str], wanted: list[str]
) -> None:
    # A column that is not known yet may be there all the same, empty or half filled.
    unread = {c.source for c in source.columns.values() if not c.is_read}
    missing = [column for column in wanted if column not in header]
    extra = [column for column in header if column not in wanted and column not in unread]
    if missing:
        only = ", ".join(header) or "no columns"
        raise SourceSchemaError(
            f"{name}, column {', '.join(missing)}: expected in {path}, found only "
            f"{only}{_renamed(missing, extra)}; correct the extract, or "
            f"sources.{name}.columns"
        )
    if extra and source.extra_columns == "refuse":
        raise SourceSchemaError(
            f"{name}, column {', '.join(extra)}: found in {path}, but not declared; declare it in "
            f"sources.{name}.columns, or set sources.{name}.extra_columns: ignore"
        )


def _renamed(missing: list[str], extra: list[str]) -> str:
    """Suggest which new column may be which missing one: by a similar name, or as the only one."""
    pairs: dict[str, str] = {}
    for column in missing:
        near = difflib.get_close_matches(column, extra, n=1, cutoff=0.6)
        alone = extra if len(missing) == len(extra) == 1 else []
        pairs |= {column: (near or alone)[0]} if near or alone else {}
    hints = [f"{column} may now be called {new}" for column, new in pairs.items()]
    others = [column for column in extra if column not in pairs.values()]
    hints += [f"new: {', '.join(others)}"] if others else []
    return "".join(f"; {hint}" for hint in hints)
