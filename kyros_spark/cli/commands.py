"""Run each command of the command line: open the session, do the work, return the result line.

Each command imports Spark and the stages itself, so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

from kyros_spark.cli.opening import interruptible, stages_named
from kyros_spark.cli.opening import open_portfolio as _open
from kyros_spark.errors import UsageError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from kyros_spark.config import Config


def run_stage(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one stage on one batch."""
    import kyros_spark

    spark, config = _open(arguments, f"kyros {arguments.command}")
    options: dict[str, Any] = {}
    if arguments.command in ("predict", "explain", "evaluate"):
        options["models"] = arguments.model
    if arguments.command == "predict":
        options["fuse"] = arguments.fuse
    if arguments.command == "evaluate":
        options["tier"] = arguments.tier
    stage = getattr(kyros_spark, arguments.command)
    run = stage(spark, config, arguments.batch, run_id=arguments.run_id, **options)
    result: dict[str, Any] = run.result()
    return result


def run_import(arguments: argparse.Namespace) -> dict[str, Any]:
    """Register another library's model."""
    from kyros_spark.operations.import_model import (
        import_model,
    )
    from kyros_spark.operations.import_settings import (
        import_settings,
    )

    options = vars(arguments)
    spark, config = _open(
        arguments, "kyros import", lambda config: import_settings(config, options)
    )
    settings = import_settings(config, options)
    run = import_model(spark, config, arguments.model_file, settings, arguments.run_id)
    return run.result()


def run_export(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write a registered model as ONNX."""
    from kyros_spark.operations.export_model import export_model

    spark, config = _open(arguments, "kyros export")
    return export_model(spark, config, arguments.model, arguments.out, arguments.run_id).result()


def run_promote(arguments: argparse.Namespace) -> dict[str, Any]:
    """Make a version champion."""
    from kyros_spark.operations.promote import promote

    spark, config = _open(arguments, "kyros promote")
    return promote(spark, config, arguments.model, arguments.reason, arguments.run_id).result()


def run_models(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write the registered versions, one per line."""
    from kyros_spark.operations.list_models import listed

    lines = listed(*_open(arguments, "kyros models"))
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return {"stage": "models", "status": "done", "models": max(len(lines) - 1, 0)}


def run_card(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write a version's model card."""
    from kyros_spark.publishing.card_files import model_card

    spark, config = _open(arguments, "kyros card")
    card = model_card(spark, config, arguments.model, arguments.out)
    verdict = card["gate"]["verdict"]
    return {"stage": "card", "status": "done", "verdict": verdict, "files": card["files"]}


def run_profile(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write a batch's profile, as a table or JSON lines, or the differences between two batches."""
    from kyros_spark.operations.profile_table import profile_lines
    from kyros_spark.operations.profiles import compare, shown

    spark, config = _open(arguments, "kyros profile")
    line: dict[str, Any] = {"stage": "profile", "status": "done"}
    if arguments.diff:
        differences = compare(spark, config, *arguments.diff)
        lines = [f"{source}.{text}" for source, changes in differences.items() for text in changes]
        line |= {"batch": arguments.diff[1], "against": arguments.diff[0]}
        line["differences"] = differences
    else:
        rows = shown(spark, config, arguments.batch)
        is_read = sys.stdout.isatty() and not arguments.json
        lines = (
            list(profile_lines(rows, config))
            if is_read
            else [json.dumps(row, default=str) for row in rows]
        )
        line |= {"batch": arguments.batch, "columns": len(rows)}
    sys.stdout.write("".join(f"{text}\n" for text in lines))
    return line


def run_suggest(arguments: argparse.Namespace) -> dict[str, Any]:
    """Write a first settings file for a source."""
    from kyros_spark.operations.suggest import suggest
    from kyros_spark.spark.session import get_session

    spark = interruptible(get_session(app="kyros suggest"))
    suggestion = suggest(spark, arguments.source, arguments.out, arguments.format)
    lines = enumerate(suggestion["please_decide"], start=1)
    sys.stdout.write("please decide:\n" + "".join(f"{n:3}. {text}\n" for n, text in lines))
    return {"stage": "suggest", "status": "done", **suggestion}


def run_chain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run stages in order."""
    from kyros_spark.runs.result_line import pipeline_line
    from kyros_spark.stages.graph import check_run
    from kyros_spark.stages.pipeline import default_stages, run

    stages = stages_named(arguments)
    spark, config = _open(
        arguments,
        "kyros run",
        lambda config: check_run(
            config, arguments.batch, default_stages(config) if stages is None else stages
        ),
    )
    done = run(spark, config, arguments.batch, stages, arguments.run_id, arguments.fuse)
    return pipeline_line(done, arguments.config)


def run_demo(arguments: argparse.Namespace) -> dict[str, Any]:
    """Generate the demo's portfolio and run every stage on it."""
    from kyros_spark.demo.story import demo

    spark, config = _open(arguments, "kyros demo")
    return demo(spark, config, arguments.config, arguments.policies)


def run_doctor(arguments: argparse.Namespace) -> dict[str, Any]:
    """Check this machine, or the cluster of the session, one check per line."""
    from kyros_spark.config import is_remote, load_config
    from kyros_spark.doctor import examine
    from kyros_spark.doctor.archive import mend_archive
    from kyros_spark.runs.result_line import doctor_line
    from kyros_spark.spark.session import get_session

    if arguments.mend:
        mend_archive()
    app = "kyros doctor"
    readable = arguments.config is not None and not is_remote(arguments.config)
    config = load_config(arguments.config, arguments.set) if readable else None

    def session_and_config() -> tuple[SparkSession, Config | None]:
        return (
            (interruptible(get_session(app=app, short=True)), None)
            if not arguments.config
            else _open(arguments, app)
        )

    checks = []
    for check in examine(config, session_and_config):
        sys.stdout.write(f"{check.line()}\n")
        sys.stdout.flush()
        checks.append(check.as_dict())
    return doctor_line(checks)


def run_session(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start, stop or show the session that stays."""
    from kyros_spark.cli.session import control
    from kyros_spark.config import SparkSettings, load_config

    if arguments.action == "stop":
        return control.stop()
    if arguments.action == "status":
        return control.status()
    settings = SparkSettings()
    if arguments.config is not None:
        settings = load_config(arguments.config, arguments.set).spark
    return control.start(settings, arguments.idle_minutes)


def run_sql(arguments: argparse.Namespace) -> None:
    """Answer one query, write the views of the tables, or open the prompt."""
    from kyros_spark.cli.sql.answer import answer, stream_answer, views, write_answer
    from kyros_spark.cli.sql.formats import format_of
    from kyros_spark.cli.sql.prompt import prompt

    query, file = arguments.execute, arguments.out
    kind = format_of(arguments.format, file)  # refused before Spark starts
    if query is None and (arguments.format or file):
        raise UsageError("--format and --out: expected a query, found none; give it with -e")
    spark, config = _open(arguments, "kyros sql")
    if arguments.views:
        sys.stdout.write(views(spark, config))
    elif query is None:
        prompt(spark, config)
    elif file is not None:
        sys.stdout.write(write_answer(spark, config, query, kind, file) + "\n")
    elif kind in ("csv", "json", "markdown"):
        stream_answer(spark, config, query, kind, sys.stdout)
    else:
        sys.stdout.write(answer(spark, config, query, kind))
