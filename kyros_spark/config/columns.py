"""Settings of one column of a source: its type, its origin and its allowed values."""

from __future__ import annotations

import math
import re
from datetime import date
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator

from kyros_spark.config.base import Bound, Section, Text, check_name

Severity = Literal["reject", "repair", "warn", "fail"]
# As Spark casts a text: a year, a month or a day, with or without a time of day.
_DAY = re.compile(r"^([0-9]{4})(?:-([0-9]{1,2})(?:-([0-9]{1,2})(?:[ T][0-9:.]+\S*)?)?)?\Z")
_RULES = ("type", "required", "min", "max", "allowed", "pattern")


class DaysSettings(Section):
    """An exposure computed from two dates: the days between them over the days of a year."""

    start: str = Field(alias="from")
    end: str = Field(alias="to")
    year: Literal["actual"] | float = 365.25
    last_day: Literal["at_risk", "excluded"] = "excluded"

    @field_validator("start", "end")
    @classmethod
    def _check_columns(cls, value: str) -> str:
        check_name("days", value)  # it stands in the SQL below
        return value

    @field_validator("year")
    @classmethod
    def _check_year(cls, value: str | float) -> str | float:
        if value not in ("actual", 360, 365, 365.25):
            raise ValueError(f"expected actual, 360, 365 or 365.25, found {value}")
        return value

    @property
    def sql(self) -> str:
        """Return the years as SQL; `actual` divides by the days of the year of the first day."""
        days = f"datediff(`{self.end}`, `{self.start}`)"
        if self.last_day == "at_risk":
            days = f"({days} + 1)"
        if self.year != "actual":
            return f"{days} / {float(self.year)!r}D"
        first_year = f"year(`{self.start}`)"
        year_days = f"datediff(make_date({first_year} + 1, 1, 1), make_date({first_year}, 1, 1))"
        return f"{days} / CAST({year_days} AS DOUBLE)"


class ColumnSettings(Section):
    """One column of a source, and how severe it is when a value breaks one of its rules."""

    type: str
    source: str | None = Field(default=None, alias="from")
    sql: str | None = None
    days: DaysSettings | None = None
    required: bool = False
    min: Bound = None
    max: Bound = None
    allowed: tuple[Text, ...] | None = None
    pattern: str | None = None
    missing: tuple[Text, ...] = ()
    trim: bool = False
    case: Literal["keep", "lower", "upper"] = "keep"
    aliases: dict[Text, Text] = {}
    default: Text | None = None
    severity: dict[str, Severity] = {}
    says: dict[str, str] = {}
    format: str | Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Literal[",", ".", " ", "'"] | None = None
    zone: str | None = None
    row_number: bool = False
    batches: tuple[Text, ...] | None = None
    description: str = ""

    @model_validator(mode="before")
    @classmethod
    def _days_as_sql(cls, settings: Any) -> Any:
        if not isinstance(settings, dict) or settings.get("days") is None:
            return settings
        if settings.get("sql") is not None or settings.get("from") is not None:
            raise ValueError("give one of days, sql and from: each is where the column comes from")
        return {**settings, "sql": DaysSettings.model_validate(settings["days"]).sql}

    @field_validator("type")
    @classmethod
    def _check_type(cls, value: str) -> str:
        types = "string, int, long, double, date, timestamp, boolean or decimal(p,s)"
        if not re.fullmatch(
            r"string|int|long|double|date|timestamp|boolean|decimal\(\d+,\s*\d+\)", value
        ):
            raise ValueError(f"expected {types}, found '{value}'")
        return value

    @field_validator("zone")
    @classmethod
    def _check_zone(cls, value: str | None) -> str | None:
        try:
            return None if value is None else ZoneInfo(value).key
        except (OSError, ValueError, ZoneInfoNotFoundError) as error:
            raise ValueError("expected a time zone such as Europe/Brussels") from error

    @model_validator(mode="after")
    def _check_rules(self) -> ColumnSettings:
        for name in (*self.severity, *self.says):
            if name not in _RULES:
                raise ValueError(f"severity and says name {', '.join(_RULES)}, found '{name}'")
        if self.type != "string" and (
            self.pattern or self.trim or self.aliases or self.case != "keep"
        ):
            raise ValueError("pattern, trim, case and aliases are for type: string")
        if self.decimal == "," and self.kind != "number":
            raise ValueError("decimal is for numbers: int, long, double and decimal(p,s)")
        if self.thousands is not None and self.kind != "number":
            raise ValueError("thousands is for numbers: int, long, double and decimal(p,s)")
        if self.thousands == self.decimal:
            raise ValueError("thousands: expected another sign than the decimal one")
        if self.zone is not None and (self.type != "date" or self.sql is not None):
            raise ValueError("zone is for type: date, where the source holds timestamps")
        self._check_row_number()
        if self.batches is not None and not self.is_read:
            raise ValueError(
                "batches: expected a column that the source holds, found a computed one"
            )
        nulling = [n for n in ("required", "type", "allowed", "pattern") if self.repairs(n)]
        if self.required and nulling and self.default is None:
            raise ValueError(
                f"a required column whose {nulling[0]} is repaired needs a default, which the "
                "repair puts in place"
            )
        return self

    @model_validator(mode="after")
    def _check_values(self) -> ColumnSettings:
        """Refuse a bound, level or default that is no value of the column's type."""
        values = [("min", self.min), ("max", self.max), ("default", self.default)]
        values += [("allowed", level) for level in self.allowed or ()]
        for setting, value in values:
            if value is not None and not self._is_value(value):
                raise ValueError(
                    f"{setting}: expected a value of type {self.type}, found '{value}'"
                )
        return self

    def _is_value(self, value: float | str) -> bool:
        if self.kind == "day":
            return isinstance(value, str) and is_day(value)
        return self.kind != "number" or is_number(value)

    def _check_row_number(self) -> None:
        if self.row_number and (self.type not in ("int", "long") or not self.is_of_no_source):
            raise ValueError(
                "row_number: expected type: long, and neither from, sql nor days: the column is "
                "the row's number in the source"
            )

    @property
    def formats(self) -> tuple[str, ...]:
        """Return the patterns that a date is read by, the first that fits; none for ISO dates."""
        return (self.format,) if isinstance(self.format, str) else self.format or ()

    @property
    def is_of_no_source(self) -> bool:
        """Tell whether neither a column of the source nor an expression is named."""
        return self.source is None and self.sql is None

    @property
    def is_read(self) -> bool:
        """Tell whether the source itself holds the column."""
        return self.sql is None and not self.row_number

    def holds(self, batch: str) -> bool:
        """Tell whether the column is known for the batch."""
        return self.batches is None or batch in self.batches

    def unknown(self, name: str) -> ColumnSettings:
        """Return the column as it is in a batch that does not have it yet: NULL, by no rule."""
        return self.model_validate(
            {
                "type": self.type,
                "description": self.description,
                "from": self.source or name,
                "sql": f"CAST(NULL AS {self.type})".replace("long", "bigint"),
            }
        )

    def weighs(self, rule: str) -> Severity:
        """Return how a value that breaks a rule is treated."""
        return self.severity.get(rule, "reject")

    def repairs(self, rule: str) -> bool:
        """Tell whether a value that breaks a rule is repaired."""
        return self.weighs(rule) == "repair"

    @property
    def kind(self) -> str:
        """Return what its values are comparable as: number, day, string or boolean."""
        if self.type in ("int", "long", "double") or self.type.startswith("decimal"):
            return "number"
        return "day" if self.type in ("date", "timestamp") else self.type

    @property
    def respelled(self) -> bool:
        """Tell whether levels are trimmed, changed in case, or renamed."""
        return self.trim or self.case != "keep" or bool(self.aliases)


def is_day(text: str) -> bool:
    """Tell whether a text is a day of the calendar, or the month or year that begins with one."""
    match = _DAY.match(text)
    try:
        return match is not None and bool(date(*(int(part or 1) for part in match.groups())))
    except ValueError:  # 2024-02-30
        return False


def is_number(value: float | str) -> bool:
    """Tell whether a value is a number, or a text of one."""
    try:
        return math.isfinite(float(value))
    except ValueError:
        return False
