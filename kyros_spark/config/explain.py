"""Settings of the explain stage: which prices are explained, how far, and against what."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import BATCH_PATTERN, Section, Text
from kyros_spark.config.expressions import check_row_decides, words


class ExplainSettings(Section):
    """What the explain stage writes, and what a contribution is measured against.

    top              how many contributions of a policy are listed; the others are one number
    reference        what a GLM's contributions are measured from: the base level, or the mean
    trees            by the covers of each tree's path, or against a sample of a batch's policies
    reference_batch  the batch of that mean, that sample and of covers that a model's file lacks;
                     by default the first that models are trained on
    where            SQL over table prepared: the policies that are explained
    segments         features by whose levels the summary is given too
    """

    models: tuple[str, ...] = ()
    top: Annotated[int, Field(ge=1)] | Literal["all"] = 5
    reference: Literal["base", "mean"] = "base"
    trees: Literal["covers", "background"] = "covers"
    reference_batch: Text | None = None
    background_rows: int = Field(default=100, ge=1, le=10_000)
    where: str | None = None
    segments: tuple[str, ...] = ()
    policies: bool = True
    summary: bool = True
    kernel: Literal["auto", "avx512vbmi", "portable", "numpy"] = "auto"
    max_table_mb: int = Field(default=256, ge=1)
    rows_per_arrow_batch: int = Field(default=20_000, ge=100)
    rows_per_micro_batch: int = Field(default=1_000_000, ge=1)

    @model_validator(mode="after")
    def _check(self) -> ExplainSettings:
        check_row_decides("where", self.where)
        if self.where is not None and "select" in words(self.where):
            raise ValueError("where: expected a condition on a row of prepared, found a query")
        if not self.policies and not self.summary:
            raise ValueError("policies and summary are both off: nothing would be written")
        if len(set(self.segments)) < len(self.segments):
            raise ValueError(f"segments: a feature is named twice: {', '.join(self.segments)}")
        if self.reference_batch is not None and not BATCH_PATTERN.match(self.reference_batch):
            raise ValueError(
                f"reference_batch: '{self.reference_batch}': expected letters, digits, '.', '_', "
                "'-' (64 at most)"
            )
        return self
