"""export: a registered model -> an ONNX file, held against ONNX Runtime before it is written."""

from __future__ import annotations

import hashlib

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.config import Config
from kyros_spark.model.exporters.onnx import export_onnx
from kyros_spark.operations.onnx_parity import parity
from kyros_spark.registry import Registry
from kyros_spark.runs.execute import (
    execute,
)
from kyros_spark.runs.portfolio import (
    Portfolio,
)
from kyros_spark.runs.run import Run, new_run_id
from kyros_spark.storage.files import write_file


def export_model(
    spark: SparkSession,
    config: Config,
    model: str,
    out: str,
    run_id: str | None = None,
    portfolio: Portfolio | None = None,
) -> Run:
    """Write NAME, NAME@VERSION or NAME@champion to a file; the run tells how far it is from it.

    Raises:
        UnknownModelError: the model is not in the registry.
        PlatformError: onnx or onnxruntime is not installed, or the place cannot be written.
        ModelNotSupportedError: the model has what ONNX cannot say.
        GateError: the file's predictions are not the model's; nothing was written.
    """
    portfolio = portfolio or Portfolio(spark, config)
    registry = Registry(portfolio.tables, config.tables.artefact_folder())
    entry = registry.find(model)[0]
    run = Run("export", f"{entry.name}@{entry.version}", run_id or new_run_id())

    def work(run: Run) -> None:
        loaded, _ = registry.load(entry)
        with run.phase("export"):
            data, opsets = export_onnx(loaded, environment.package_version())
        with run.phase("compare"):
            found = parity(loaded, data)
        write_file(spark, out, data)
        run.rows_out = 1
        sha256 = hashlib.sha256(data).hexdigest()
        run.details = {"file": out, "sha256": sha256, "opsets": opsets, "parity": found}

    # The run's own id among the settings: a file may be gone or changed, so it is written anew.
    asked = {"out": out, "run_id": run.run_id}
    return execute(
        portfolio, run, lambda: {"model": f"{entry.version} {entry.sha256}"}, asked, work
    )
