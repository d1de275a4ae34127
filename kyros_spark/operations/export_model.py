"""export: a registered model -> an ONNX file, compared in ONNX Runtime before it is written."""

from __future__ import annotations

import hashlib
from functools import partial

from pyspark.sql import SparkSession

from kyros_spark import environment
from kyros_spark.config import Config
from kyros_spark.model.exporters.onnx import export_onnx
from kyros_spark.operations.onnx_parity import parity
from kyros_spark.registry import Entry
from kyros_spark.runs.execute import Inputs, Work, execute
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run, new_run_id
from kyros_spark.storage.files import write_file


def export_model(
    spark: SparkSession, config: Config, model: str, out: str, run_id: str | None = None
) -> Run:
    """Write a model to an ONNX file; the run's details state how far its predictions differ.

    model: NAME, NAME@VERSION or NAME@champion.
    out: the file's path or address; an existing file is replaced.

    Raises:
        UnknownModelError: the model is not in the registry.
        PlatformError: onnx or onnxruntime is not installed, or the file cannot be written.
        ModelNotSupportedError: ONNX cannot express the model.
        GateError: the file's predictions are not the model's; nothing was written.
    """
    portfolio = Portfolio(spark, config)
    entry = portfolio.registry.find(model)[0]
    run_id = run_id or new_run_id()

    def inputs() -> Inputs[Entry]:
        return Inputs({"model": f"{entry.version} {entry.sha256}"}, entry)

    # The run id is among the settings, so that no run is skipped: an earlier run's file may have
    # been removed or changed.
    settings = {"out": out, "run_id": run_id}
    do = partial(_export, portfolio, out)
    return execute(Work(portfolio, "export", entry.reference, inputs, settings, do), run_id)


def _export(portfolio: Portfolio, out: str, run: Run, entry: Entry) -> None:
    model, _ = portfolio.registry.load(entry)
    with run.phase("export"):
        data, opsets = export_onnx(model, environment.package_version())
    with run.phase("compare"):
        differences = parity(model, data)
    write_file(portfolio.spark, out, data)
    run.rows_out = 1
    sha256 = hashlib.sha256(data).hexdigest()
    run.details = {"file": out, "sha256": sha256, "opsets": opsets, "parity": differences}
