"""Settings of the predict stage: which models are applied, and which are multiplied."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from kyros_spark.config.base import Section, check_name


class PredictSettings(Section):
    """Which models are applied, and which products of models are written as one model."""

    models: tuple[str, ...] = ()
    products: dict[str, tuple[str, ...]] = {}
    kernel: Literal["auto", "avx512vbmi", "portable", "numpy"] = "auto"
    read: Literal["auto", "spark", "direct"] = "spark"
    rows_per_arrow_batch: int = Field(default=20000, ge=100)
    rows_per_micro_batch: int = Field(default=10_000_000, ge=1)
    unseen_warning_share: float = Field(default=0.01, ge=0, le=1)

    @model_validator(mode="after")
    def _check_names(self) -> PredictSettings:
        for name, parts in self.products.items():
            check_name("predict.products", name)
            for part in parts:
                check_name(f"predict.products.{name}", part)
        for reference in self.models:
            check_name("predict.models", reference.partition("@")[0])
        return self

    def by_files(self, driver_may: bool) -> bool:
        """Return whether tasks are to read the files; driver_may: the driver may hold the rows."""
        return self.read == "direct" or (self.read == "auto" and not driver_may)
