"""Define the command line: the arguments of each command, with an example."""

from __future__ import annotations

import argparse
from functools import partial
from typing import Any, NoReturn

from kyros_spark.cli import commands, explain_command
from kyros_spark.cli.sql.options import add_sql_options
from kyros_spark.cli.upkeep_parser import add_upkeep
from kyros_spark.environment import package_version
from kyros_spark.errors import UsageError

_STAGES = {
    "clean": "check an extract; write policies, claims, and rejects with their reasons",
    "prepare": "join claims to policies; compute exposure, targets, split and features",
    "train": "train the settings' models on their batches and register them",
    "predict": "apply registered models to a prepared batch",
    "monitor": "compare a batch with the training batches and the one before; judge drift by rules",
    "explain": "say what each price of a batch is made of, feature by feature",
    "evaluate": "judge a batch's stored predictions: metrics, factors, lift, a report",
    "run": "run the stages in order for one or more batches",
}


_PROFILE = "sample driver and Python workers; leave stacks for a flame-graph viewer there"
_SETTING = "section.key=value"
_SET = "override a setting, such as predict.kernel=portable; again for more"
_JSON = "end with the result line on a terminal too, where words take its place"
RUN_STAGES = "by default clean,prepare,train,predict,monitor, and explain if the settings have it"
_POLICY = "explain this policy alone, in words, and write no table"
_FUSE = "compute features on the way, without table prepared where nobody needs it"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    root = _Parser(
        prog="kyros",
        description="Pricing models over very large portfolios, as Spark jobs over Delta tables.",
        epilog="example: kyros run --config conf/demo.yaml --batch 2023",
    )
    root.add_argument("--version", action="version", version=f"kyros-spark {package_version()}")
    stages = root.add_subparsers(dest="command", required=True, parser_class=_Parser)
    for name, help_text in _STAGES.items():
        example = f"example: kyros {name} --config conf/demo.yaml --batch 2023"
        command = _add_portfolio_command(stages, name, help_text, example)
        command.add_argument("--run-id", help="id of this run (default: made from the time)")
        command.add_argument("--profile", metavar="FOLDER", help=_PROFILE)
        if name == "run":
            command.add_argument("--batch", action="append", default=[], help="again for more")
            command.add_argument("--stages", help=RUN_STAGES)
            command.add_argument("--fuse", action="store_true", help=_FUSE)
            command.set_defaults(work=commands.run_chain)
            continue
        command.add_argument("--batch", help="the extract's id, for example 2023 or 2024-05")
        if name in ("predict", "explain", "evaluate"):
            command.add_argument("--model", action="append", default=[], help="NAME[@VERSION]")
        if name == "predict":
            command.add_argument("--fuse", action="store_true", help=_FUSE)
        if name == "explain":
            command.add_argument("--policy", metavar="KEY", help=_POLICY)
            command.add_argument("--html", metavar="FILE", help="draw what is explained there")
            command.set_defaults(work=explain_command.run_explain)
            continue
        if name == "evaluate":
            command.add_argument("--tier", choices=("fast", "full"), help="a sample, or all rows")
        command.set_defaults(work=commands.run_stage)
    _add_import(stages)
    _add_export(stages)
    _add_registry(stages)
    help_text = "generate a motor portfolio and run everything on it"
    demo = _add_command(stages, "demo", help_text, "example: kyros demo --policies 20000")
    demo.add_argument("--config", default="conf/demo.yaml", help="default: conf/demo.yaml")
    demo.add_argument("--set", action="append", default=[], metavar=_SETTING, help=_SET)
    demo.add_argument("--policies", type=int, help="policies of a batch (default: 200000)")
    demo.set_defaults(work=commands.run_demo)
    _add_profile(stages)
    _add_suggest(stages)
    add_upkeep(partial(_add_portfolio_command, stages), RUN_STAGES)
    _add_doctor(stages)
    _add_session(stages)
    example = "example: kyros sql --config conf/demo.yaml -e 'SELECT count(*) FROM policies'"
    sql = _add_portfolio_command(stages, "sql", "ask the tables in SQL", example)
    add_sql_options(sql)
    sql.set_defaults(work=commands.run_sql)
    for command in stages.choices.values():
        command.add_argument("--json", action="store_true", help=_JSON)
    return root


def _add_profile(stages: Any) -> None:
    help_text = "show what a batch's columns hold, or what differs between two batches"
    example = "example: kyros profile --config conf/demo.yaml --diff 2023 2024"
    command = _add_portfolio_command(stages, "profile", help_text, example)
    choice = command.add_mutually_exclusive_group(required=True)
    choice.add_argument("--batch", help="the batch to show")
    choice.add_argument("--diff", nargs=2, metavar=("A", "B"), help="what B has otherwise than A")
    command.set_defaults(work=commands.run_profile)


def _add_suggest(stages: Any) -> None:
    help_text = "write a first commented settings file for a source that is not described yet"
    example = "example: kyros suggest --source extract.csv.gz --out conf/new.yaml"
    command = _add_command(stages, "suggest", help_text, example)
    command.add_argument("--source", required=True, help="a path, or any Spark address")
    command.add_argument(
        "--format", choices=("csv", "parquet", "json", "delta"), help="default: by name and content"
    )
    command.add_argument(
        "--out", default="suggested.yaml", help="the file to write (default: suggested.yaml)"
    )
    command.set_defaults(work=commands.run_suggest)


def _add_doctor(stages: Any) -> None:
    help_text = "check this machine, or the cluster it submits to, and say what to mend"
    example = "example: kyros doctor --config conf/demo.yaml"
    command = _add_command(stages, "doctor", help_text, example)
    command.add_argument("--config", help="settings, for tables and memory too (default: none)")
    command.add_argument("--set", action="append", default=[], metavar=_SETTING, help=_SET)
    command.add_argument("--mend", action="store_true", help="make what is missing and can be made")
    command.set_defaults(work=commands.run_doctor)


def _add_session(stages: Any) -> None:
    help_text = "keep Spark running in the background, so that commands need not start it"
    example = "example: kyros session start --config conf/demo.yaml"
    command = _add_command(stages, "session", help_text, example)
    command.add_argument("action", choices=("start", "stop", "status"), help="what to do")
    command.add_argument("--config", help="settings: its section spark: starts the session")
    command.add_argument("--set", action="append", default=[], metavar=_SETTING, help=_SET)
    command.add_argument(
        "--idle-minutes",
        type=float,
        default=30,
        help="it ends after so many idle ones (default: 30)",
    )
    command.set_defaults(work=commands.run_session)


def _add_import(stages: Any) -> None:
    help_text = "register a model of XGBoost, LightGBM, ONNX or Spark MLlib, within the budgets"
    example = "example: kyros import --config conf/demo.yaml --model-file model.txt --name new"
    command = _add_portfolio_command(stages, "import", help_text, example)
    command.add_argument("--run-id", help="id of this run (default: made from the time)")
    command.add_argument("--model-file", required=True, help="file, or a saved MLlib folder")
    command.add_argument("--name", required=True, help="the model's name in table models")
    command.add_argument("--target", help="what it predicts (default: as train's of that name)")
    command.add_argument("--per", help="per unit of what, for example exposure")
    command.add_argument("--format", help="xgboost, lightgbm, onnx or mllib (default: by content)")
    command.add_argument("--features", help="a,b,c: the inputs in order, if the file has no names")
    command.add_argument("--categories", help="a,b: the inputs that were pandas categories")
    command.add_argument("--iterations", type=int, help="the first so many boosting rounds")
    command.add_argument("--family", help="instead of the file's, for example poisson")
    command.add_argument("--link", help="instead of the file's: log, identity or logit")
    command.add_argument("--intercept", type=float, help="instead of the file's")
    command.add_argument("--status", default="champion", help="candidate or champion")
    command.set_defaults(work=commands.run_import)


def _add_registry(stages: Any) -> None:
    help_text = "make a registered version champion, if it meets what was declared of it"
    example = (
        "example: kyros promote --config conf/demo.yaml frequency_glm@2 --reason 'tariff 2026'"
    )
    promote = _add_portfolio_command(stages, "promote", help_text, example)
    promote.add_argument("model", metavar="NAME@VERSION", help="a registered version")
    promote.add_argument("--reason", default="", help="why, for the registry")
    promote.add_argument("--run-id", help="id of this run (default: made from the time)")
    promote.set_defaults(work=commands.run_promote)
    help_text = "list the registered versions"
    example = "example: kyros models --config conf/demo.yaml"
    models = _add_portfolio_command(stages, "models", help_text, example)
    models.set_defaults(work=commands.run_models)
    help_text = "write a version's model card, as Markdown, JSON and a page with pictures"
    example = "example: kyros card --config conf/demo.yaml frequency_glm@1 --out cards"
    card = _add_portfolio_command(stages, "card", help_text, example)
    card.add_argument("model", metavar="NAME[@VERSION]", help="a registered model")
    card.add_argument("--out", help="a folder (default: beside the model's file)")
    card.set_defaults(work=commands.run_card)


def _add_export(stages: Any) -> None:
    help_text = "write a registered model as ONNX, compared with ONNX Runtime first"
    example = "example: kyros export frequency_glm --config conf/demo.yaml --out model.onnx"
    command = _add_portfolio_command(stages, "export", help_text, example)
    command.add_argument("model", help="NAME, NAME@VERSION or NAME@champion")
    command.add_argument("--out", required=True, help="the file to write")
    command.add_argument("--run-id", help="id of this run (default: made from the time)")
    command.set_defaults(work=commands.run_export)


def _add_portfolio_command(
    stages: Any, name: str, help_text: str, example: str
) -> argparse.ArgumentParser:
    """Add a command that takes the settings of a portfolio."""
    command = _add_command(stages, name, help_text, example)
    _add_settings(command)
    return command


def _add_command(stages: Any, name: str, help_text: str, example: str) -> argparse.ArgumentParser:
    command: argparse.ArgumentParser = stages.add_parser(
        name, help=help_text, description=help_text, epilog=example
    )
    return command


def _add_settings(command: argparse.ArgumentParser) -> None:
    command.add_argument("--config", required=True, help="settings: a path, or any Spark address")
    command.add_argument("--set", action="append", default=[], metavar=_SETTING, help=_SET)
