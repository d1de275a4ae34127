"""Describe a Delta table by the metadata and the protocol in its log."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

# Features under which a data file holds the table's rows under the table's names, and nothing else
# needs to be written beside it.
_PLAIN_FEATURES = frozenset({"appendOnly", "invariants", "checkConstraints"})
_PLAIN_FIELD = frozenset({"comment"})
_OFF = ("", "none", "false")
# Table properties of which each changes what a data file or a commit has to hold.
_NOT_PLAIN = (
    "delta.columnMapping.mode",
    "delta.enableChangeDataFeed",
    "delta.enableDeletionVectors",
    "delta.enableRowTracking",
    "delta.enableTypeWidening",
    "delta.enableInCommitTimestamps",
    "delta.enableIcebergCompatV1",
    "delta.enableIcebergCompatV2",
    "delta.universalFormat.enabledFormats",
    "delta.randomizeFilePrefixes",
)
_ARROW = {
    "string": pa.string(),
    "long": pa.int64(),
    "integer": pa.int32(),
    "short": pa.int16(),
    "byte": pa.int8(),
    "double": pa.float64(),
    "float": pa.float32(),
    "boolean": pa.bool_(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", tz="UTC"),
}
# The types whose values have only one text.
_PARTITIONS = (pa.string(), pa.int64(), pa.int32(), pa.date32())
_DECIMAL = re.compile(r"^decimal\((\d+),\s*(\d+)\)$")


@dataclass(frozen=True)
class TableLayout:
    """A table's columns, partitioning, properties and features.

    metadata, protocol: the JSON objects of its log.
    """

    metadata: Mapping[str, Any]
    protocol: Mapping[str, Any]

    @cached_property
    def fields(self) -> list[dict[str, Any]]:
        """Return the columns as Delta's JSON describes them."""
        fields: list[dict[str, Any]] = json.loads(self.metadata["schemaString"])["fields"]
        return fields

    def spark_schema(self) -> StructType:
        """Return the columns as Spark has them."""
        return StructType.fromJson(json.loads(self.metadata["schemaString"]))

    @property
    def partition_by(self) -> list[str]:
        """Return the columns that the table is partitioned by."""
        return list(self.metadata.get("partitionColumns") or [])

    @property
    def properties(self) -> dict[str, str]:
        """Return the table's properties."""
        return dict(self.metadata.get("configuration") or {})

    @property
    def features(self) -> set[str]:
        """Return the features that readers and writers must know; an old protocol implies some."""
        named = {*self.protocol.get("readerFeatures", ()), *self.protocol.get("writerFeatures", ())}
        writer = int(self.protocol.get("minWriterVersion", 1))
        if int(self.protocol.get("minReaderVersion", 1)) == 2 or writer in (5, 6):
            named.add("columnMapping")
        if writer in (4, 5, 6):
            named |= {"generatedColumns", "changeDataFeed"}
        return named | ({"identityColumns"} if writer == 6 else set())

    def is_plain(self) -> bool:
        """Return whether a Parquet file of the table's columns is all that a commit has to add."""
        off = all(self.properties.get(name, "").lower() in _OFF for name in _NOT_PLAIN)
        return (
            self.features <= _PLAIN_FEATURES
            and off
            and all(set(field.get("metadata", {})) <= _PLAIN_FIELD for field in self.fields)
            and all(arrow_type(field["type"]) is not None for field in self.fields)
            and all(self.schema().field(n).type in _PARTITIONS for n in self.partition_by)
        )

    def schema(self) -> pa.Schema:
        """Return the columns as Arrow has them; call it of a plain table only."""
        return pa.schema([_arrow_field(field) for field in self.fields])

    def required(self) -> list[str]:
        """Return the columns that must not be NULL."""
        return [field["name"] for field in self.fields if not field["nullable"]]

    def with_columns(self, added: list[dict[str, Any]]) -> TableLayout:
        """Return the layout with more columns. added: as Delta's JSON describes them."""
        schema = {"type": "struct", "fields": [*self.fields, *added]}
        return TableLayout({**self.metadata, "schemaString": json.dumps(schema)}, self.protocol)

    def constraints(self) -> dict[str, str]:
        """Return the table's CHECK constraints: name -> condition in SQL."""
        start = "delta.constraints."
        return {
            name.removeprefix(start): condition
            for name, condition in self.properties.items()
            if name.startswith(start)
        }


def arrow_type(delta_type: Any) -> pa.DataType | None:
    """Return a type of Delta's JSON as Arrow has it; None for one whose files are not plain."""
    if isinstance(delta_type, str):
        decimal = _DECIMAL.match(delta_type)
        if decimal is not None:
            return pa.decimal128(int(decimal[1]), int(decimal[2]))
        return _ARROW.get(delta_type)
    kind = delta_type["type"]
    if kind == "array":
        element = arrow_type(delta_type["elementType"])
        return pa.list_(element) if element is not None and delta_type["containsNull"] else None
    if kind == "map":
        key, value = arrow_type(delta_type["keyType"]), arrow_type(delta_type["valueType"])
        known = key is not None and value is not None and delta_type["valueContainsNull"]
        return pa.map_(key, value) if known else None
    if kind != "struct" or any(not field["nullable"] for field in delta_type["fields"]):
        return None
    children = [(field["name"], arrow_type(field["type"])) for field in delta_type["fields"]]
    return pa.struct(children) if all(child is not None for _, child in children) else None


def _arrow_field(field: Mapping[str, Any]) -> pa.Field:
    return pa.field(field["name"], arrow_type(field["type"]), nullable=True)
