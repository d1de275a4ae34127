"""Mark the report of a batch's evaluation, once the predictions that it describes are replaced."""

from __future__ import annotations

from datetime import UTC, datetime

from kyros_spark.errors import KyrosError
from kyros_spark.evaluation.report.outdated import marked_outdated
from kyros_spark.log import event
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run
from kyros_spark.storage.files import read_file, write_file


def mark_report(portfolio: Portfolio, run: Run) -> None:
    """Say in the head of the batch's last report that a run of predict came after it.

    A report that is gone, or that cannot be written, is told and fails nothing.
    """
    evaluated = portfolio.ledger.last_run("evaluate", run.batch)
    path = evaluated.details.get("report") if evaluated is not None else None
    if path is None:
        return
    sentence = (
        f"Outdated: predictions of this batch were replaced on {datetime.now(UTC):%Y-%m-%d %H:%M} "
        f"UTC, by run {run.run_id}, after this page was made. "
        f"Run: kyros evaluate --batch {run.batch}"
    )
    try:
        page = read_file(portfolio.spark, path)
        write_file(portfolio.spark, path, marked_outdated(page, sentence))
    except KyrosError as error:
        event(f"the report {path} describes predictions that were replaced: {error}", level=30)
