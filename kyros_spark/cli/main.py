"""Run the command line `kyros STAGE ...`, with its exit codes and its result line.

The last line on stdout is one JSON object, or words on a terminal; logs go to stderr. Exit codes:
0 done or skipped, 2 wrong usage or settings, 3 the data broke its contract, 4 a gate refused, 1 any
other failure.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from kyros_spark.cli.parser import parser
from kyros_spark.cli.session.client import run_in_session
from kyros_spark.errors import KyrosError, UsageError
from kyros_spark.foreign_errors import spark_is_gone, spark_lost, unreachable, unreachable_address
from kyros_spark.log import configure_logging, event, masked
from kyros_spark.profiler import FOLDER, profiled


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command, in the session that stays if there is one, and return its exit code."""
    configure_logging()
    return _run_words(list(sys.argv[1:] if argv is None else argv), may_delegate=True)


def run_here(words: Sequence[str]) -> int:
    """Run one command in this process and return its exit code."""
    configure_logging()
    return _run_words(list(words), may_delegate=False)


def _run_words(words: list[str], may_delegate: bool) -> int:
    stage = words[0] if words else ""
    try:
        if not words and sys.stdout.isatty():
            parser().print_help()
            return UsageError.exit_code
        arguments = parser().parse_args(words)
        if may_delegate and (code := run_in_session(words, arguments)) is not None:
            return code
        line = _run(arguments)
    except KyrosError as error:
        return _fail(stage, error, error.exit_code)
    except KeyboardInterrupt as error:
        return _fail(stage, error, 130)
    except Exception as error:  # the contract promises a result line whatever happens
        if spark_is_gone(error):  # lost between two stages, or in a command that is no stage
            lost = spark_lost(f"kyros {stage}")
            return _fail(stage, lost, lost.exit_code)
        if cause := unreachable(error):
            failure = unreachable_address(f"kyros {stage}", cause)
            return _fail(stage, failure, failure.exit_code)
        event("unforeseen failure", level=40, cause=error, error=type(error).__name__)
        return _fail(stage, error, 1)
    if line is not None:
        _write_line(line, getattr(arguments, "json", False))
    return int(line.get("exit_code", 0)) if line is not None else 0


def _run(arguments: argparse.Namespace) -> dict[str, Any] | None:
    """Run the command, and profile it if `--profile` names a folder."""
    folder = getattr(arguments, "profile", None)
    if folder is None:
        return arguments.work(arguments)  # type: ignore[no-any-return]
    os.environ[FOLDER] = os.path.abspath(folder)
    try:
        with profiled(f"{arguments.command}-driver"):
            return arguments.work(arguments)  # type: ignore[no-any-return]
    finally:
        del os.environ[FOLDER]
        event(
            f"profiles are in {folder}: open the .folded files at speedscope.app, or with inferno"
        )


def stage_main(stage: str) -> None:
    """Run a stage as a job; exit only on failure, since Databricks takes any exit as a failure."""
    _job([stage, *sys.argv[1:]])


def job_main() -> None:
    """Run a command as a job of the wheel, as the entry point that a python_wheel_task names.

    `main` would not do: Databricks ignores its exit code, so that a failed stage would succeed.
    """
    _job(sys.argv[1:])


def _job(words: Sequence[str]) -> None:
    code = run_here(words)
    if code:
        sys.exit(code)


def _fail(stage: str, error: BaseException, code: int) -> int:
    from kyros_spark.runs.result_line import failure_line

    end = "" if isinstance(error, KeyboardInterrupt) else "failed: "
    event(f"{stage or 'kyros'} {end}{error or 'interrupted'}", level=40)
    _write_line(failure_line(stage, error))
    return code


def _write_line(line: dict[str, Any], is_asked: bool = False) -> None:
    """Write the result line; a person at a terminal gets words instead, unless it is asked for."""
    plain = masked(json.loads(json.dumps(line, default=str)))
    if sys.stdout.isatty() and not is_asked:
        from kyros_spark.cli.closing import closing_words

        sys.stdout.write(closing_words(plain))
    else:
        sys.stdout.write(json.dumps(plain) + "\n")
    sys.stdout.flush()
