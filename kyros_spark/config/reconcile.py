"""Settings by which claims are compared with the number and amount that policies state."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from kyros_spark.config.base import Section
from kyros_spark.config.columns import ColumnSettings
from kyros_spark.config.expressions import check_row_decides


class ReconcileSettings(Section):
    """The policies' own columns that the claims of a policy must add up to.

    count      column of policies: the number of its claims
    total      column of policies: the sum of its claims' ``amount``, a column of claims
    where      SQL over claims: which of them the policies' columns count
    tolerance  of the sum, in its currency; a number has none
    """

    count: str | None = None
    total: str | None = None
    amount: str | None = None
    where: str = "true"
    tolerance: float = Field(default=0.01, ge=0)
    warning_share: float = Field(default=0.0, ge=0.0, le=1.0)
    max_share: float = Field(default=1.0, ge=0.0, le=1.0)

    @model_validator(mode="after")
    def _check_columns(self) -> ReconcileSettings:
        if (self.total is None) != (self.amount is None):
            raise ValueError("total (a column of policies) and amount (of claims) go together")
        if self.count is None and self.total is None:
            raise ValueError("give count, or total and amount: what claims are compared with")
        check_row_decides("where", self.where)
        return self


def check_reconcile(
    settings: ReconcileSettings,
    policies: Mapping[str, ColumnSettings],
    claims: Mapping[str, ColumnSettings],
) -> None:
    """Refuse columns that are not there, or are no numbers.

    Raises:
        ValueError: names the setting, the source and the column.
    """
    wanted = (("count", settings.count, "policies", policies),
              ("total", settings.total, "policies", policies),
              ("amount", settings.amount, "claims", claims))  # fmt: skip
    for setting, name, source, columns in wanted:
        if name is not None and (name not in columns or columns[name].kind != "number"):
            numbers = ", ".join(n for n, column in columns.items() if column.kind == "number")
            raise ValueError(
                f"sources.claims.reconcile.{setting}: expected a number of "
                f"sources.{source}.columns ({numbers}), found '{name}'"
            )
