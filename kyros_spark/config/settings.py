"""Settings of one portfolio, composed of their sections."""

from __future__ import annotations

import os
import re
from typing import Literal

from pydantic import Field, field_validator, model_validator

from kyros_spark.config.base import (
    PORTFOLIO_PATTERN,
    Section,
    Text,
    alike,
    check_batch,
    check_catalog,
)
from kyros_spark.config.budgets import BudgetSettings
from kyros_spark.config.evaluate import EvaluateSettings
from kyros_spark.config.explain import ExplainSettings
from kyros_spark.config.features import PrepareSettings
from kyros_spark.config.models import TrainSettings
from kyros_spark.config.monitor import MonitorSettings
from kyros_spark.config.names import (
    check_evaluate,
    check_explain,
    check_models,
    check_monitor,
    check_products,
)
from kyros_spark.config.plan import PlanSettings
from kyros_spark.config.predict import PredictSettings
from kyros_spark.config.sources import CleanSettings, Sources
from kyros_spark.config.target_columns import check_keys

_MEMORY = re.compile(r"^[1-9][0-9]{0,6}[kmgtKMGT]\Z")


class TableSettings(Section):
    """Where the tables are stored: under a path, or in a schema of a catalog."""

    base: str | None = None
    catalog: str | None = None
    artefacts: str | None = None
    rows_per_file: int = Field(default=250_000, ge=1)
    cluster_by_key: bool = False
    keep_days: int = Field(default=30, ge=7, le=365)

    @model_validator(mode="after")
    def _check_base(self) -> TableSettings:
        if (self.base is None) == (self.catalog is None):
            raise ValueError(
                "give tables.base (a path) or tables.catalog (catalog.schema), not both"
            )
        if self.catalog is not None and self.artefacts is None:
            raise ValueError("tables.catalog needs tables.artefacts, a folder for model files")
        return self

    @field_validator("catalog")
    @classmethod
    def _check_catalog(cls, value: str | None) -> str | None:
        return check_catalog(value)

    @field_validator("base", "artefacts")
    @classmethod
    def _absolute(cls, value: str | None) -> str | None:
        # SQL accepts no relative path: in delta.`build/x`, build would be read as a schema.
        if value is None or ":" in value.split("/")[0]:
            return value
        return os.path.abspath(value)

    def artefact_folder(self) -> str:
        """Return the folder of the model files: tables.artefacts, or a folder under tables.base."""
        return self.artefacts or f"{str(self.base).rstrip('/')}/artefacts"


class SparkSettings(Section):
    """The settings of a local session; on a cluster, the cluster's own settings always win.

    local_rows  everywhere: a step of at most so many rows holds them in the driver's process
    """

    driver_memory: str = "3g"
    local_rows: int = Field(5_000_000, ge=0)
    log_level: Literal["OFF", "FATAL", "ERROR", "WARN", "INFO"] = "FATAL"
    conf: dict[str, Text] = {}

    @field_validator("driver_memory")
    @classmethod
    def _check_memory(cls, value: str) -> str:
        if not _MEMORY.match(value):
            raise ValueError(
                f"expected a heap as Java takes it, such as 3g or 3000m, found {value!r}"
            )
        return value


class Config(Section):
    """All settings of one portfolio."""

    portfolio: str
    tables: TableSettings
    sources: Sources
    clean: CleanSettings = CleanSettings()
    prepare: PrepareSettings
    train: TrainSettings | None = None
    predict: PredictSettings = PredictSettings()
    evaluate: EvaluateSettings = EvaluateSettings()
    explain: ExplainSettings | None = None
    monitor: MonitorSettings = MonitorSettings()
    budgets: BudgetSettings = BudgetSettings()
    plan: PlanSettings = PlanSettings()
    spark: SparkSettings = SparkSettings()
    batches: tuple[Text, ...] = ()

    def claims_known(self, batch: str) -> bool:
        """Tell whether the claims of a batch exist and are joined to its policies."""
        claims = self.sources.claims
        return self.prepare.claims is not None and claims is not None and claims.holds(batch)

    @field_validator("portfolio")
    @classmethod
    def _check_portfolio(cls, value: str) -> str:
        if not PORTFOLIO_PATTERN.match(value):
            raise ValueError(
                "expected letters, digits, spaces, '.', '_', '-' (128 at most), starting with a "
                f"letter or a digit, found {value!r}"
            )
        return value

    @model_validator(mode="after")
    def _check_batches(self) -> Config:
        sources = {"policies": self.sources.policies, "claims": self.sources.claims}
        named = {"batches": self.batches, "train.batches": self.train.batches if self.train else ()}
        for name, source in sources.items():
            if source is not None:
                named[f"sources.{name}.batches"] = source.batches or ()
                for column, settings in source.columns.items():
                    named[f"sources.{name}.columns.{column}.batches"] = settings.batches or ()
        for setting, batches in named.items():
            for batch in batches:
                check_batch(setting, batch)
        for name in self.predict.products:
            if self.train is not None and name in self.train.models:
                raise ValueError(f"predict.products.{name} has the name of a model")
        return self

    @model_validator(mode="after")
    def _check_names(self) -> Config:
        policies = self.sources.policies
        if twice := alike([*policies.key, *self.prepare.features, *self.prepare.targets]):
            raise ValueError(
                f"prepare: {', '.join(twice)} is a column of sources.policies.key, which table "
                "prepared holds too; give the feature or target another name"
            )
        sums = {"claim_count", "claim_amount", "claim_excess"} & {
            n.lower() for n in policies.columns
        }
        if self.prepare.claims is not None and sums:
            raise ValueError(
                f"sources.policies.columns: {', '.join(sorted(sums))} is what prepare.claims sums "
                "claims to; give the column another name, with from: for the source's own"
            )
        return self

    @model_validator(mode="after")
    def _check_keys(self) -> Config:
        check_keys(self.sources.policies, self.prepare, self.train)
        return self

    @model_validator(mode="after")
    def _check_models(self) -> Config:
        if self.prepare.claims is not None and self.sources.claims is None:
            raise ValueError("prepare.claims is given, but sources.claims is not")
        if self.train is not None:
            check_models(self.prepare, self.train)
        check_products(self.predict, self.train)
        check_evaluate(self.prepare, self.evaluate)
        check_explain(self.prepare, self.explain)
        check_monitor(self.prepare, self.monitor)
        return self
