"""The command line: `kyros STAGE ...`, its exit codes and its result line.

The last line on stdout is one JSON object; logs go to stderr. Exit codes: 0 done or skipped,
2 wrong usage or settings, 3 the data broke its contract, 4 a gate refused, 1 anything else.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from kyros_spark.errors import KyrosError, UsageError
from kyros_spark.log import configure_logging, event

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from kyros_spark.config import Config

_STAGES = {
    "clean": "check an extract; write policies, claims, and rejects with their reasons",
    "prepare": "join claims to policies; compute exposure, targets, split and features",
    "train": "train the settings' models on their batches and register them",
    "predict": "apply registered models to a prepared batch",
    "evaluate": "judge a batch's stored predictions: metrics, factors, lift, a report",
    "run": "run the stages in order for one or more batches",
}


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    configure_logging()
    words = list(sys.argv[1:] if argv is None else argv)
    stage = words[0] if words else ""
    try:
        arguments = _parser().parse_args(words)
        line = arguments.work(arguments)
    except KyrosError as error:
        return _fail(stage, error, error.exit_code)
    except KeyboardInterrupt as error:
        return _fail(stage, error, 130)
    except Exception as error:  # the contract: a result line whatever happens
        event("unforeseen failure", level=40, error=type(error).__name__)
        return _fail(stage, error, 1)
    if line is not None:
        _write_line(line)
    return int(line.get("exit_code", 0)) if line is not None else 0


def stage_main(stage: str) -> None:
    """Run a stage as a job: exit on failure only, since Databricks takes any exit for one."""
    code = main([stage, *sys.argv[1:]])
    if code:
        sys.exit(code)


def _fail(stage: str, error: BaseException, code: int) -> int:
    from kyros_spark.result import failure_line

    event(f"{stage or 'kyros'} failed: {error}", level=40)
    _write_line(failure_line(stage, error))
    return code


def _write_line(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, default=str) + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="kyros",
        description="Pricing models over very large portfolios, as Spark jobs over Delta tables.",
        epilog="example: kyros run --config conf/demo.yaml --batch 2023",
    )
    commands = parser.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name, told in _STAGES.items():
        example = f"example: kyros {name} --config conf/demo.yaml --batch 2023"
        command = commands.add_parser(name, help=told, description=told, epilog=example)
        _common(command)
        command.add_argument("--run-id", help="id of this run (default: made from the time)")
        if name == "run":
            command.add_argument("--batch", action="append", default=[], help="again for more")
            command.add_argument("--stages", default="clean,prepare,train,predict")
            command.set_defaults(work=_run_chain)
            continue
        command.add_argument("--batch", help="the extract's id, for example 2023 or 2024-05")
        if name in ("predict", "evaluate"):
            command.add_argument("--model", action="append", default=[], help="NAME[@VERSION]")
        if name == "evaluate":
            command.add_argument("--tier", choices=("fast", "full"), help="a sample, or all rows")
        command.set_defaults(work=_run_stage)
    _add_import(commands)
    demo = commands.add_parser("demo", help="generate a motor portfolio and run everything on it")
    demo.add_argument("--config", default="conf/demo.yaml")
    demo.add_argument("--set", action="append", default=[], metavar="section.key=value")
    demo.add_argument("--policies", type=int, default=None, help="policies a batch")
    demo.set_defaults(work=_run_demo)
    _add_profile(commands)
    _add_suggest(commands)
    sql = commands.add_parser("sql", help="ask the tables in SQL")
    _common(sql)
    sql.add_argument("-e", "--execute", help="one query; without it a prompt opens")
    sql.set_defaults(work=_run_sql)
    return parser


def _add_profile(commands: Any) -> None:
    told = "show what a batch's columns hold, or what differs between two batches"
    example = "example: kyros profile --config conf/demo.yaml --diff 2023 2024"
    command = commands.add_parser("profile", help=told, description=told, epilog=example)
    _common(command)
    asked = command.add_mutually_exclusive_group(required=True)
    asked.add_argument("--batch", help="the batch to show")
    asked.add_argument("--diff", nargs=2, metavar=("A", "B"), help="what B has otherwise than A")
    command.set_defaults(work=_run_profile)


def _add_suggest(commands: Any) -> None:
    told = "write a first commented settings file for a source that is not described yet"
    example = "example: kyros suggest --source extract.csv.gz --out conf/new.yaml"
    command = commands.add_parser("suggest", help=told, description=told, epilog=example)
    command.add_argument("--source", required=True, help="a path, or any Spark address")
    command.add_argument("--format", choices=("csv", "parquet", "json", "delta"))
    command.add_argument("--out", default="suggested.yaml", help="the file to write")
    command.set_defaults(work=_run_suggest)


def _add_import(commands: Any) -> None:
    told = "register a model of XGBoost, LightGBM, ONNX or Spark MLlib, within the budgets"
    example = "example: kyros import --config conf/demo.yaml --model-file model.txt --name new"
    command = commands.add_parser("import", help=told, description=told, epilog=example)
    _common(command)
    command.add_argument("--run-id", help="id of this run (default: made from the time)")
    command.add_argument("--model-file", required=True, help="file, or a saved MLlib folder")
    command.add_argument("--name", required=True, help="the model's name in table models")
    command.add_argument("--target", help="what it predicts (default: as train's of that name)")
    command.add_argument("--per", help="per unit of what, for example exposure")
    command.add_argument("--format", help="xgboost, lightgbm, onnx or mllib (default: by content)")
    command.add_argument("--features", help="a,b,c: the inputs in order, if the file has no names")
    command.add_argument("--iterations", type=int, help="the first so many boosting rounds")
    command.add_argument("--family", help="instead of the file's, for example poisson")
    command.add_argument("--link", help="instead of the file's: log, identity or logit")
    command.add_argument("--intercept", type=float, help="instead of the file's")
    command.add_argument("--status", default="champion", help="candidate or champion")
    command.set_defaults(work=_run_import)


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", required=True, help="settings: a path, or any Spark address")
    command.add_argument(
        "--set", action="append", default=[], metavar="section.key=value", help="override a setting"
    )


def _opened(arguments: argparse.Namespace, app: str) -> tuple[SparkSession, Config]:
    from kyros_spark.config import is_remote, load_config
    from kyros_spark.session import get_session

    if is_remote(arguments.config):
        spark = get_session(app=app)
        return spark, load_config(arguments.config, arguments.set, spark)
    config = load_config(arguments.config, arguments.set)
    return get_session(config.spark, app), config


def _run_stage(arguments: argparse.Namespace) -> dict[str, Any]:
    import kyros_spark

    spark, config = _opened(arguments, f"kyros {arguments.command}")
    options: dict[str, Any] = {}
    if arguments.command in ("predict", "evaluate"):
        options["models"] = arguments.model
    if arguments.command == "evaluate":
        options["tier"] = arguments.tier
    stage = getattr(kyros_spark, arguments.command)
    run = stage(spark, config, arguments.batch, run_id=arguments.run_id, **options)
    result: dict[str, Any] = run.result()
    return result


def _run_import(arguments: argparse.Namespace) -> dict[str, Any]:
    from kyros_spark.stages.import_model import import_model, import_settings

    spark, config = _opened(arguments, "kyros import")
    settings = import_settings(config, vars(arguments))
    run = import_model(spark, config, arguments.model_file, settings, arguments.run_id)
    return run.result()


def _run_profile(arguments: argparse.Namespace) -> dict[str, Any]:
    from kyros_spark.stages.profile import compare, shown

    spark, config = _opened(arguments, "kyros profile")
    line: dict[str, Any] = {"stage": "profile", "status": "done"}
    if arguments.diff:
        found = compare(spark, config, *arguments.diff)
        told = [f"{source}.{what}" for source, changes in found.items() for what in changes]
        line |= {"batch": arguments.diff[1], "against": arguments.diff[0], "differences": found}
    else:
        rows = shown(spark, config, arguments.batch)
        told = [json.dumps(row, default=str) for row in rows]
        line |= {"batch": arguments.batch, "columns": len(rows)}
    sys.stdout.write("".join(f"{one}\n" for one in told))
    return line


def _run_suggest(arguments: argparse.Namespace) -> dict[str, Any]:
    from kyros_spark.session import get_session
    from kyros_spark.stages.suggest import suggest

    spark = get_session(app="kyros suggest")
    found = suggest(spark, arguments.source, arguments.out, arguments.format)
    return {"stage": "suggest", "status": "done", **found}


def _run_chain(arguments: argparse.Namespace) -> dict[str, Any]:
    from kyros_spark.result import chain_line
    from kyros_spark.stages.chain import run

    spark, config = _opened(arguments, "kyros run")
    stages = [stage.strip() for stage in arguments.stages.split(",") if stage.strip()]
    return chain_line(
        run(spark, config, arguments.batch, stages, arguments.run_id), arguments.config
    )


def _run_demo(arguments: argparse.Namespace) -> dict[str, Any]:
    from kyros_spark.demo.story import demo

    spark, config = _opened(arguments, "kyros demo")
    return demo(spark, config, arguments.config, arguments.policies)


def _run_sql(arguments: argparse.Namespace) -> None:
    from kyros_spark.prompt import answer, prompt

    spark, config = _opened(arguments, "kyros sql")
    if arguments.execute:
        sys.stdout.write(answer(spark, config, arguments.execute))
    else:
        prompt(spark, config)
