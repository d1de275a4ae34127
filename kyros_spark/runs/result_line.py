"""Make the result line: the last line of every job on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kyros_spark.errors import KyrosError, PlatformError
from kyros_spark.log import event
from kyros_spark.runs.batch_summary import batch_summaries
from kyros_spark.runs.run import Run, error_line


def failure_line(stage: str, error: BaseException) -> dict[str, Any]:
    """Return the result line of a job that failed, with whatever its run got to."""
    run = getattr(error, "kyros_run", None)
    line: dict[str, Any] = (
        run.result()
        if run is not None
        else {
            "stage": stage,
            "status": "failed",
            "run_id": None,
            "batch": None,
            "rows_in": 0,
            "rows_out": 0,
            "rows_rejected": 0,
            "seconds": 0.0,
            "outputs": {},
        }
    )
    line["error"] = error_line(error)
    return line


def doctor_line(checks: Sequence[dict[str, str]]) -> dict[str, Any]:
    """Return the result line of `doctor`: failed where a check failed, with exit code 2."""
    failed = [f"{c['name']}: {c['found']}" for c in checks if c["verdict"] == "fail"]
    line: dict[str, Any] = {"stage": "doctor", "status": "failed" if failed else "done"}
    line["checks"] = list(checks)
    if failed:
        line["error"] = {"type": PlatformError.__name__, "message": "; ".join(failed)}
        line["exit_code"] = PlatformError.exit_code
    return line


def pipeline_line(pipeline: Any, config_uri: str) -> dict[str, Any]:
    """Return the result line of a pipeline: its own, with a short one per step.

    pipeline: a `stages.pipeline.PipelineRun`.
    """
    runs = pipeline.runs
    statuses = {run.status for run in runs}
    failed = pipeline.error is not None
    status = "failed" if failed else "skipped" if statuses == {"skipped"} else "done"
    line: dict[str, Any] = {
        "stage": "run",
        "status": status,
        "run_id": runs[-1].run_id if runs else None,
        "batch": ",".join(dict.fromkeys(run.batch for run in runs)),
        "rows_in": sum(run.rows_in for run in runs if run.stage == "clean"),
        "rows_out": sum(run.rows_out for run in runs if run.stage == "predict"),
        "rows_rejected": sum(run.rows_rejected for run in runs),
        "rows_duplicate": sum(run.rows_duplicate for run in runs),
        "seconds": round(sum(run.seconds for run in runs), 3),
        "outputs": {},
        "steps": [
            {
                "stage": run.stage,
                "batch": run.batch,
                "status": run.status,
                "run_id": run.run_id,
                "rows_out": run.rows_out,
                "seconds": run.seconds,
            }
            for run in runs
        ],
        "breaches": [
            {"batch": run.batch, **breach}
            for run in runs
            for breach in (run.details.get("breaches", ()) if run.stage == "evaluate" else ())
        ],
    }
    line["batches"] = batch_summaries(runs)
    for run in runs:
        line["outputs"] |= run.result()["outputs"]
    if not failed:
        line["next"] = _next(runs, config_uri)
    else:
        stage, batch = pipeline.stopped_at
        line["error"] = error_line(pipeline.error)
        line["stopped_at"] = {"stage": stage, "batch": batch}
        line["exit_code"] = (
            pipeline.error.exit_code if isinstance(pipeline.error, KyrosError) else 1
        )
        line["next"] = (
            f"mend the cause and give the same command again (finished steps are skipped), or: "
            f"kyros {stage} --config {config_uri} --batch {batch}"
        )
        event(f"stopped at {stage} {batch}: {pipeline.error}", level=40)
        event(line["next"], level=40)
    return line


def _next(runs: Sequence[Run], config_uri: str) -> str:
    """Return the command that a person is likely to want after these runs."""
    evaluated = {run.batch for run in runs if run.stage == "evaluate"}
    left = [run.batch for run in runs if run.stage == "predict" and run.batch not in evaluated]
    if left:
        return f"kyros evaluate --config {config_uri} --batch {left[0]}"
    reports = [run.details["report"] for run in runs if run.details.get("report")]
    look = f"open {reports[0]} in a browser, or ask the tables: " if reports else ""
    return f"{look}kyros sql --config {config_uri}"
