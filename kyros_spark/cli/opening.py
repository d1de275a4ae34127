"""Open what a command works on: the settings first, then the session, where that is possible."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from kyros_spark.config import Config

# The commands that look at small tables alone: of tables on this machine's disks without Spark.
_LOOKING = ("health", "models", "status")


def open_portfolio(
    arguments: argparse.Namespace, app: str, check: Callable[[Config], object] | None = None
) -> tuple[SparkSession, Config]:
    """Return the session and the settings; a remote settings file needs the session first.

    check: refuses arguments by the settings, before Spark is started where that is possible.
    """
    from kyros_spark.cli.extent import is_short
    from kyros_spark.config import is_remote, load_config
    from kyros_spark.spark.deferred import can_wait, deferred
    from kyros_spark.spark.session import get_session

    if is_remote(arguments.config):
        spark = interruptible(get_session(app=app))
        config = load_config(arguments.config, arguments.set, spark)
        if check is not None:
            check(config)
        return spark, config
    config = load_config(arguments.config, arguments.set)
    if check is not None:
        check(config)

    def start() -> SparkSession:
        return interruptible(get_session(config.spark, app, is_short(arguments, config)))

    may_wait = arguments.command in _LOOKING and can_wait(config)
    return (deferred(start) if may_wait else start()), config


def interruptible(spark: SparkSession) -> SparkSession:
    """Return the session, which Ctrl-C leaves in a state to be asked again."""
    from kyros_spark.spark.interrupt import stop_at_ctrl_c

    stop_at_ctrl_c(spark)
    return spark


def stages_named(arguments: argparse.Namespace) -> list[str] | None:
    """Return the stages that `--stages` names, in its order; None where it is not given."""
    if arguments.stages is None:
        return None
    return [stage.strip() for stage in arguments.stages.split(",") if stage.strip()]
