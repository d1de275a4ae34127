"""Settings of the extract: where its files are, and what their columns must hold.

A path is any address that Spark's file systems read; ``{batch}`` in it is replaced by the batch id.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import NAME_PATTERN, RESERVED, Section, Text, alike
from kyros_spark.config.columns import ColumnSettings
from kyros_spark.config.expressions import check_row_decides, made_from
from kyros_spark.config.reconcile import ReconcileSettings, check_reconcile
from kyros_spark.config.rules import AmountSettings, CoverSettings, RuleSettings

ROW_NUMBER = "row_number"  # the key of a source whose settings name none
_NUMBER = {
    "type": "long",
    "row_number": True,
    "required": True,
    "description": "the row's number in the source, whose files are taken in order of their names",
}


class SourceSettings(Section):
    """One source table: where its files are, how they are read, and what they must hold."""

    format: Literal["csv", "parquet", "json", "delta"] = "csv"
    path: str
    options: dict[str, Text] = {}
    batches: tuple[Text, ...] | None = None
    key: tuple[str, ...] = ()
    reference: tuple[str, ...] = ()
    duplicates: Literal["remove", "keep"] = "remove"
    duplicate_decimals: int = Field(default=6, ge=0, le=15)
    conflicts: Literal["reject_all", "keep_latest", "sum"] = "reject_all"
    latest_by: str | None = None
    sum: tuple[str, ...] = ()
    extra_columns: Literal["refuse", "ignore"] = "refuse"
    columns: dict[str, ColumnSettings]
    rules: tuple[RuleSettings, ...] = ()
    amounts: dict[str, AmountSettings] = {}
    period: CoverSettings | None = None
    reconcile: ReconcileSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _numbered(cls, settings: Any) -> Any:
        """Let the row's number be the key where none is named; then copies are rows of their own.

        A key made of a row's content would make one row of two policies that look alike.
        """
        columns = settings.get("columns") if isinstance(settings, dict) else None
        key = (settings.get("key") if isinstance(settings, dict) else None) or []
        if not isinstance(columns, dict) or not isinstance(key, list | tuple):
            return settings  # which is refused
        if not key and ROW_NUMBER not in {str(name).lower() for name in columns}:
            key, columns = [ROW_NUMBER], {**columns, ROW_NUMBER: _NUMBER}
        declared = [columns[name] for name in columns if name in key]
        if any(isinstance(c, dict) and c.get("row_number") for c in declared):
            settings = {"duplicates": "keep", **settings}
        return {**settings, "key": key, "columns": columns}

    @model_validator(mode="after")
    def _check_names(self) -> SourceSettings:
        for name in self.columns:
            if not NAME_PATTERN.match(name) or name.lower() in RESERVED or name.startswith("_"):
                raise ValueError(f"column name '{name}' is reserved or not a plain SQL name")
        if twice := alike(self.columns):
            raise ValueError(f"columns differ by case only: {', '.join(twice)} (SQL ignores case)")
        for name in (*self.key, *self.reference):
            if name not in self.columns:
                raise ValueError(f"key or reference names '{name}', which is not among the columns")
        named: dict[str, list[str | None]] = {
            "latest_by": [self.latest_by] if self.latest_by is not None else [],
            "sum": list(self.sum),
            "amounts": [n for name, a in self.amounts.items() for n in (name, a.count, a.currency)],
            "period": [self.period.date] if self.period is not None else [],
            **{f"rules.{rule.id}": list(columns_of(rule)) for rule in self.rules},
        }
        for setting, names in named.items():
            for column in names:
                if column is not None and column not in self.columns:
                    raise ValueError(f"{setting} names '{column}', which is not among the columns")
        for rule in self.rules:
            if len({self.columns[name].kind for name in rule.in_order}) > 1:
                types = ", ".join(self.columns[name].type for name in rule.in_order)
                raise ValueError(f"rules.{rule.id}: expected columns of one type, found {types}")
        zoned = [name for name, column in self.columns.items() if column.zone is not None]
        if zoned and self.format in ("csv", "json"):
            raise ValueError(f"columns.{zoned[0]}.zone: only parquet and delta hold timestamps")
        self._check_conflicts()
        if not any(c.is_read for c in self.columns.values()):
            raise ValueError("at least one column must come from the source itself")
        return self

    @model_validator(mode="after")
    def _check_batches(self) -> SourceSettings:
        needed = [*self.key, *self.reference, *self.sum, self.latest_by]
        needed += [amount.currency for amount in self.amounts.values()]
        needed += [self.period.date] if self.period is not None else []
        for name, column in self.columns.items():
            if column.batches is not None and name in needed:
                raise ValueError(
                    f"columns.{name}.batches: expected a column that rows can do without, found "
                    "one that identifies, sums or dates them"
                )
        return self

    @model_validator(mode="after")
    def _check_expressions(self) -> SourceSettings:
        for name, column in self.columns.items():
            check_row_decides(f"columns.{name}.sql", column.sql)
        for rule in self.rules:
            check_row_decides(f"rules.{rule.id}.check", rule.check)
            for name, sql in rule.repair.items():
                check_row_decides(f"rules.{rule.id}.repair.{name}", sql)
        return self

    def _check_conflicts(self) -> None:
        if (self.conflicts == "keep_latest") != (self.latest_by is not None):
            raise ValueError("conflicts: keep_latest and latest_by (a column) go together")
        if (self.conflicts == "sum") != bool(self.sum):
            raise ValueError("conflicts: sum and sum (the columns to add up) go together")
        ids = [rule.id for rule in self.rules]
        if twice := alike(ids):
            raise ValueError(f"rules: the id {', '.join(twice)} is given twice")
        excess = {f"{name}_excess" for name, a in self.amounts.items() if a.cap is not None}
        if taken := excess & set(self.columns):
            raise ValueError(f"amounts: {', '.join(taken)} is a column, and what lies above a cap")
        for name in (*self.amounts, *self.sum):
            if self.columns[name].type not in ("int", "long", "double") and name not in self.sum:
                raise ValueError(f"amounts.{name}: expected a column of type double")
        for name, amount in self.amounts.items():
            if amount.currency is not None and self.columns[amount.currency].sql is not None:
                raise ValueError(
                    f"amounts.{name}.currency: expected a column that the source holds, found "
                    f"'{amount.currency}', which is computed"
                )

    @property
    def fields(self) -> int:
        """Return how many fields of a record the columns are read from."""
        return len({c.source or name for name, c in self.columns.items() if c.is_read})

    @property
    def numbers(self) -> tuple[str, ...]:
        """Return the columns that hold the row's number."""
        return tuple(name for name, column in self.columns.items() if column.row_number)

    @property
    def is_numbered(self) -> bool:
        """Tell whether a row is identified by its number, so that no two rows share a key."""
        return bool(set(self.key) & set(self.numbers))

    @property
    def computed(self) -> dict[str, str]:
        """Return the SQL of the computed columns by name."""
        return {name: c.sql for name, c in self.columns.items() if c.sql is not None}

    def unknown_columns(self, batch: str) -> set[str]:
        """Return the columns not known for the batch, and those computed from any, in lower case.

        Where a claim count is not known, no expression makes a number of it, whatever it says.
        """
        missing = [name for name, column in self.columns.items() if not column.holds(batch)]
        return made_from(missing, self.computed) if missing else set()

    def of_batch(self, batch: str) -> SourceSettings:
        """Return what the source must hold for the batch: columns not known yet are NULL."""
        unknown = self.unknown_columns(batch)
        columns = {
            name: column.unknown(name)
            if name.lower() in unknown
            else column.model_copy(update={"batches": None})
            for name, column in self.columns.items()
        }
        amounts = {
            name: amount.model_copy(update={"count": None})
            if amount.count is not None and amount.count.lower() in unknown
            else amount
            for name, amount in self.amounts.items()
        }
        return self.model_copy(update={"columns": columns, "amounts": amounts})

    def holds(self, batch: str) -> bool:
        """Tell whether this source exists for the batch; the latest claims may not be known yet."""
        return self.batches is None or batch in self.batches


def columns_of(rule: RuleSettings) -> tuple[str, ...]:
    """Return the columns that a rule names; a rule given as SQL names none."""
    if rule.no_overlap is not None:
        return (*rule.no_overlap.of, rule.no_overlap.start, rule.no_overlap.end)
    listed = tuple(rule.listed_in.columns) if rule.listed_in is not None else ()
    return (*rule.in_order, *rule.unique, *listed, *rule.repair)


class Sources(Section):
    """The extract: policies, and claims where they are a separate table."""

    policies: SourceSettings
    claims: SourceSettings | None = None

    @model_validator(mode="after")
    def _check_keys(self) -> Sources:
        claims = self.claims
        if not self.policies.key or (claims is not None and self.policies.is_numbered):
            raise ValueError(
                "sources.policies.key is empty: name the columns that identify a row"
                + (", to which claims refer" if claims is not None else "")
            )
        for setting in ("period", "reconcile"):
            if getattr(self.policies, setting) is not None:
                raise ValueError(
                    f"sources.policies.{setting}: only claims lie within a period or add up"
                )
        if claims is not None and claims.reconcile is not None:
            check_reconcile(claims.reconcile, self.policies.columns, claims.columns)
        if claims is not None and len(claims.reference) != len(self.policies.key):
            raise ValueError(
                "sources.claims.reference must name as many columns as sources.policies.key, "
                "in the same order"
            )
        for name, key in zip(claims.reference if claims else (), self.policies.key, strict=False):
            self._check_comparable(name, key)
        return self

    def _check_comparable(self, name: str, key: str) -> None:
        """Refuse a reference whose values could not be compared with those of the key."""
        assert self.claims is not None
        column, wanted = self.claims.columns[name], self.policies.columns[key]
        if column.kind != wanted.kind:
            raise ValueError(
                f"sources.claims.reference: expected '{name}' to be of the type of the policies' "
                f"key '{key}', {wanted.type}, found {column.type}; give both the same type"
            )


class CleanSettings(Section):
    """How many rows may be refused or be copies before the batch is refused, and the profile."""

    max_rejected_share: float = Field(default=0.05, ge=0.0, le=1.0)
    duplicate_warning_share: float = Field(default=0.01, ge=0.0, le=1.0)
    max_duplicate_share: float = Field(default=0.5, ge=0.0, le=1.0)
    profile_rows: int = Field(default=100_000, ge=0, le=1_000_000)
    changes: Literal["warn", "fail", "ignore"] = "warn"
