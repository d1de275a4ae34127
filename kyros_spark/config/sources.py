"""Settings of the extract: where its files lie, and what their columns must hold.

Paths may hold ``{batch}``, which is replaced by the batch id, and are anything Spark's file
systems read.
"""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kyros_spark.config.base import NAME_PATTERN, RESERVED, Bound, Section, Text, alike


class ColumnSettings(Section):
    """One column of a source: its type, where it comes from, and what its values may be."""

    type: str
    source: str | None = Field(default=None, alias="from")
    sql: str | None = None
    required: bool = False
    min: Bound = None
    max: Bound = None
    allowed: tuple[Text, ...] | None = None
    missing: tuple[Text, ...] = ()
    format: str | None = None
    description: str = ""

    @field_validator("type")
    @classmethod
    def _known_type(cls, value: str) -> str:
        known = "string, int, long, double, date, timestamp, boolean or decimal(p,s)"
        if not re.fullmatch(
            r"string|int|long|double|date|timestamp|boolean|decimal\(\d+,\s*\d+\)", value
        ):
            raise ValueError(f"expected {known}, found '{value}'")
        return value


class SourceSettings(Section):
    """One source table: where its files lie, how they are read, and what they must hold."""

    format: Literal["csv", "parquet", "json", "delta"] = "csv"
    path: str
    options: dict[str, Text] = {}
    batches: tuple[Text, ...] | None = None
    key: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    duplicates: Literal["remove", "keep"] = "remove"
    duplicate_decimals: int = Field(default=6, ge=0, le=15)
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    columns: dict[str, ColumnSettings]

    @model_validator(mode="after")
    def _names_exist(self) -> SourceSettings:
        for name in self.columns:
            if not NAME_PATTERN.match(name) or name.lower() in RESERVED or name.startswith("_"):
                raise ValueError(f"column name '{name}' is reserved or not a plain SQL name")
        if twice := alike(self.columns):
            raise ValueError(f"columns differ by case only: {', '.join(twice)} (SQL ignores case)")
        for name in (*self.key, *self.reference):
            if name not in self.columns:
                raise ValueError(f"key or reference names '{name}', which is not among the columns")
        if not any(c.sql is None for c in self.columns.values()):
            raise ValueError("at least one column must come from the source itself")
        return self

    def holds(self, batch: str) -> bool:
        """Tell whether this source exists for the batch (claims of the last year may not yet)."""
        return self.batches is None or batch in self.batches


class Sources(Section):
    """The extract: policies, and claims where they come as their own table."""

    policies: SourceSettings
    claims: SourceSettings | None = None

    @model_validator(mode="after")
    def _keys(self) -> Sources:
        if not self.policies.key:
            raise ValueError("sources.policies.key is empty: name the columns that identify a row")
        claims = self.claims
        if claims is not None and len(claims.reference) != len(self.policies.key):
            raise ValueError(
                "sources.claims.reference must name as many columns as sources.policies.key, "
                "in the same order"
            )
        return self


class CleanSettings(Section):
    """How much may be refused before the batch is."""

    max_rejected_share: float = Field(default=0.05, ge=0.0, le=1.0)
