"""Define the commands that look after a portfolio: status, plan, benchmark, maintain,
health, report.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

from kyros_spark.cli import upkeep_commands


def add_upkeep(add: Callable[..., argparse.ArgumentParser], run_stages: str) -> None:
    """Add the commands. add: adds one that takes the settings; run_stages: what --stages is."""
    help_text = (
        "show of each stage and batch whether it is current, stale, missing or failed, and why"
    )
    example = "example: kyros status --config conf/demo.yaml"
    command = add("status", help_text, example)
    command.add_argument("--batch", action="append", default=[], help="again for more")
    help_text = "some of them (default: those of run, and any other where it was ever tried)"
    command.add_argument("--stages", help=help_text)
    command.set_defaults(work=upkeep_commands.run_status)
    help_text = "show what run would do, with which settings, and what it is likely to take"
    example = "example: kyros plan --config conf/demo.yaml --set plan.price_per_hour=4.20"
    command = add("plan", help_text, example)
    command.add_argument("--batch", action="append", default=[], help="again for more")
    command.add_argument("--stages", help=run_stages)
    command.set_defaults(work=upkeep_commands.run_plan)
    help_text = "run one stage alone on pinned table versions, and compare with earlier times"
    example = "example: kyros benchmark predict --config conf/demo.yaml --batch 2023 --rows 50000"
    command = add("benchmark", help_text, example)
    stages_timed = ("clean", "prepare", "train", "predict")
    command.add_argument("stage", choices=stages_timed, help="the stage to time")
    command.add_argument("--batch", help="the extract's id")
    command.add_argument("--rows", type=int, help="about so many of the batch (default: all)")
    command.add_argument(
        "--repeat", type=int, default=3, choices=range(1, 101), metavar="TIMES",
        help="1 to 100 (default: 3); the first warms Spark up and is shown apart",
    )  # fmt: skip
    command.set_defaults(work=upkeep_commands.run_benchmark)
    help_text = "compact the small tables, remove files older than tables.keep_days that none names"
    example = "example: kyros maintain --config conf/demo.yaml"
    command = add("maintain", help_text, example)
    command.set_defaults(work=upkeep_commands.run_maintain)
    help_text = (
        "say on one screen what runs, how fresh and how fast it is, and what is not in order"
    )
    example = "example: kyros health --config conf/demo.yaml --max-age-hours 26"
    command = add("health", help_text, example)
    command.add_argument(
        "--max-age-hours", type=float, help="the last run may be so old (default: any age)"
    )
    command.set_defaults(work=upkeep_commands.run_health)
    help_text = "draw the portfolio on one page: batches, data quality, drift, prices, models"
    example = "example: kyros report --config conf/demo.yaml --out portfolio.html"
    command = add("report", help_text, example)
    command.add_argument("--out", help="the file (default: portfolio.html among the artefacts)")
    command.set_defaults(work=upkeep_commands.run_report)
