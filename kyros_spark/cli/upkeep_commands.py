"""Run the commands that look after a portfolio: status, plan, benchmark, health, report and others.

Each imports Spark and the stages itself, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from kyros_spark.cli.opening import open_portfolio as _open
from kyros_spark.cli.opening import stages_named

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from kyros_spark.config import Config


def run_status(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the state of each stage on each batch, one per line."""
    from kyros_spark.operations.status import lines, status

    standings = status(*_open_pipeline(arguments), arguments.batch, stages_named(arguments))
    sys.stdout.write("".join(f"{line}\n" for line in lines(standings)))
    states = [standing.state for standing in standings]
    counts = {state: states.count(state) for state in dict.fromkeys(states)}
    entries = [standing.to_json() for standing in standings]
    return {"stage": "status", "status": "done", "counts": counts, "standings": entries}


def run_plan(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write what a run would do, one step per line."""
    from kyros_spark.operations.plan import lines, plan

    spark, config = _open_pipeline(arguments)
    planned = plan(spark, config, arguments.batch, stages_named(arguments))
    sys.stdout.write("".join(f"{line}\n" for line in lines(planned, config)))
    return {"stage": "plan", "status": "done", **planned.to_json()}


def _open_pipeline(arguments: argparse.Namespace) -> tuple[SparkSession, Config]:
    """Open a portfolio for a look at its pipeline; batches and stages are checked first."""
    from kyros_spark.stages.graph import check_run
    from kyros_spark.stages.pipeline import default_stages

    def check(config: Config) -> None:
        stages = stages_named(arguments)
        asked = default_stages(config) if stages is None else stages
        check_run(config, arguments.batch, asked, arguments.command)

    return _open(arguments, f"kyros {arguments.command}", check)


def run_benchmark(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one stage alone on pinned versions, and compare its times with earlier ones."""
    from kyros_spark.operations.benchmark import benchmark, lines

    spark, config = _open(arguments, "kyros benchmark")
    timed = benchmark(
        spark, config, arguments.stage, arguments.batch, arguments.rows, arguments.repeat
    )
    sys.stdout.write("".join(f"{line}\n" for line in lines(timed)))
    return {"stage": "benchmark", "status": "done", "of": timed.stage, **timed.to_json()}


def run_maintain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Compact the small tables, and remove files that no table needs."""
    from kyros_spark.operations.maintain import maintain

    return maintain(*_open(arguments, "kyros maintain"))


def run_health(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write how the portfolio is doing; exit code 4 where something critical is not in order."""
    from kyros_spark.operations.health import health, lines

    state = health(*_open(arguments, "kyros health"), arguments.max_age_hours)
    sys.stdout.write("".join(f"{line}\n" for line in lines(state)))
    return {"stage": "health", "status": "done", **state.to_json()}


def run_report(arguments: argparse.Namespace) -> dict[str, Any]:
    """Draw the portfolio on one page."""
    from kyros_spark.operations.portfolio_report import portfolio_report

    address = portfolio_report(*_open(arguments, "kyros report"), arguments.out)
    sys.stdout.write(f"{address}\n")
    return {"stage": "report", "status": "done", "file": address}
