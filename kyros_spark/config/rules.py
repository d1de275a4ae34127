"""Settings of rules across columns, rows and tables, and of the treatment of amounts."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import Section, Text
from kyros_spark.config.columns import Severity

_ID = re.compile(r"^[a-z][a-z0-9_]{0,63}\Z")
_FORMS = ("check", "in_order", "unique", "no_overlap", "listed_in")
Choice = Literal["keep", "zero", "reject", "fail"]


class PeriodSettings(Section):
    """Periods that may not overlap: the columns that name a policy, and its first and last day."""

    of: tuple[str, ...] = Field(min_length=1)
    start: str = Field(alias="from")
    end: str = Field(alias="to")
    last_day: Literal["at_risk", "excluded"] = "excluded"


class ListSettings(Section):
    """A table that lists the allowed values; ``columns`` maps our columns to those of the table."""

    path: str
    format: Literal["csv", "parquet", "json", "delta"] = "csv"
    options: dict[str, Text] = {}
    columns: dict[str, str] = Field(min_length=1)


class RuleSettings(Section):
    """One rule as data: an id, a severity, a sentence, and one of five forms."""

    id: str
    severity: Severity = "reject"
    says: str = ""
    check: str | None = None
    in_order: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    no_overlap: PeriodSettings | None = None
    listed_in: ListSettings | None = None
    repair: dict[str, str] = {}

    @model_validator(mode="after")
    def _check_form(self) -> RuleSettings:
        if not _ID.match(self.id):
            raise ValueError(f"rule id '{self.id}': expected lower-case letters, digits and _")
        used = [form for form in _FORMS if getattr(self, form)]
        if len(used) != 1:
            raise ValueError(
                f"rule {self.id}: give one of {', '.join(_FORMS)}; found {len(used)} of them"
            )
        if len(self.in_order) == 1:
            raise ValueError(f"rule {self.id}: in_order needs two columns at least")
        if (self.severity == "repair") != bool(self.repair):
            raise ValueError(f"rule {self.id}: repair (column: SQL) goes with severity: repair")
        if self.repair and not (self.check or self.in_order):
            raise ValueError(f"rule {self.id}: only check and in_order can be repaired")
        return self


class AmountSettings(Section):
    """The treatment of claim amounts that are not simply positive amounts in one currency."""

    negative: Choice = "keep"
    zero: Literal["keep", "reject", "fail"] = "keep"
    unknown: Literal["keep", "reject", "fail"] = "keep"
    convention: tuple[float, ...] = ()
    convention_is: Literal["keep", "reject", "fail"] = "keep"
    count: str | None = None
    without_count: Choice = "keep"
    without_amount: Literal["keep", "reject", "fail"] = "keep"
    unit: float = Field(default=1.0, gt=0)
    currency: str | None = None
    rates: dict[Text, float] = {}
    cap: float | None = Field(default=None, gt=0)

    @model_validator(mode="after")
    def _check_currency(self) -> AmountSettings:
        if (self.currency is None) != (not self.rates):
            raise ValueError("currency (a column) and rates (by currency) go together")
        return self


class CoverSettings(Section):
    """The period in which a claim's date must lie, as SQL over the columns of its policy."""

    date: str
    start: str = Field(alias="from")
    end: str = Field(alias="to")
    severity: Severity = "reject"
    says: str = ""

    @model_validator(mode="after")
    def _check_severity(self) -> CoverSettings:
        if self.severity == "repair":
            raise ValueError("a claim outside its policy's period cannot be repaired")
        return self
