"""What others build on: contracts.json lists it, and nothing of it goes, changes or comes unnoticed.

The file was written once, from the version before the package's modules moved. A contract that
somebody adds on purpose is added to the file in the same commit.
"""

import argparse
import inspect
import json
import re
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest

import kyros_spark
from kyros_spark import errors
from kyros_spark.cli.parser import parser
from kyros_spark.config import Config, load_config
from kyros_spark.delta.tables import Written
from kyros_spark.model.manifest import Manifest
from kyros_spark.operations import suggest
from kyros_spark.operations.suggestion.dialect import Dialect
from kyros_spark.operations.suggestion.guess import guesses
from kyros_spark.operations.suggestion.suggestion import Seen, suggestion_of
from kyros_spark.runs import result_line
from kyros_spark.runs.run import Run
from kyros_spark.tables.all import all_tables

ROOT = Path(__file__).parents[1]
FILE = Path(__file__).with_name("contracts.json")
CONTRACTS = json.loads(FILE.read_text(encoding="utf-8"))
# Between the package's own callers, and no contract: the portfolio that a pipeline opens once.
INTERNAL = {"portfolio"}


def public_names():
    return {name: arguments(getattr(kyros_spark, name)) for name in kyros_spark.__all__}


def arguments(public):
    """Return a function's arguments as text by name, nothing for a class."""
    if inspect.isclass(public):
        return {}
    return {
        name: "required" if p.default is p.empty else f"default {p.default!r}"
        for name, p in inspect.signature(public).parameters.items()
        if name not in INTERNAL
    }


def programs():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    jobs = {path.name: "job" for path in sorted((ROOT / "jobs").glob("*.py"))}
    return dict.fromkeys(project["scripts"], "script") | jobs


def commands():
    (subcommands,) = (
        action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
    )
    return {name: options(command) for name, command in subcommands.choices.items()}


def options(command):
    groups = command._mutually_exclusive_groups
    exclusive = {action for group in groups for action in group._group_actions}
    return {
        ", ".join(action.option_strings) or action.dest: option(action, action in exclusive)
        for action in command._actions
        if action.dest != "help"
    }


def option(action, exclusive):
    """Return what an option takes, as text."""
    facts = ["required"] if action.required else [f"default {action.default!r}"]
    facts += ["one of a group"] if exclusive else []
    facts += [f"{action.nargs} values"] if action.nargs else []
    facts += ["repeatable"] if isinstance(action, argparse._AppendAction) else []
    facts += [action.type.__name__] if action.type else []
    if isinstance(action.choices, range):
        facts.append(f"{action.choices.start} to {action.choices.stop - 1}")
    elif action.choices:
        facts.append("|".join(action.choices))
    return "; ".join(facts)


def fields(schema, definitions, path=""):
    """Yield each field of a JSON schema by its dotted name, with what it takes.

    NAME stands for a key that the user chooses, [] for an entry of a list.
    """
    for name, field in schema.get("properties", {}).items():
        at = f"{path}{name}"
        models = list(models_of(field, at))
        yield at, field_text(field, name in schema.get("required", ()), models)
        for inner, reference in models:
            yield from fields(definitions[reference.split("/")[-1]], definitions, f"{inner}.")


def models_of(field, at):
    """Yield the models that a field may hold, with the dotted name of each."""
    if "$ref" in field:
        yield at, field["$ref"]
    for alternative in field.get("anyOf", ()):
        yield from models_of(alternative, at)
    if isinstance(field.get("additionalProperties"), dict):
        yield from models_of(field["additionalProperties"], f"{at}.NAME")
    if "items" in field:
        yield from models_of(field["items"], f"{at}[]")


def field_text(field, required, models):
    if required:
        facts = ["required"]
    elif "default" not in field or (models and field["default"]):
        facts = ["default made of its fields"]
    else:
        facts = [f"default {json.dumps(field['default'])}"]
    choices = [*field.get("enum", ())]
    choices += [value for part in field.get("anyOf", ()) for value in part.get("enum", ())]
    return "; ".join(facts + (["|".join(map(str, choices))] if choices else []))


def settings():
    schema = Config.model_json_schema()
    return dict(fields(schema, schema["$defs"]))


def manifest():
    schema = Manifest.model_json_schema()
    return dict(fields(schema, schema["$defs"]))


def tables():
    return {
        table.name: {
            "key": ", ".join(table.key),
            "partitioned by": ", ".join(table.partition_by),
            "columns": {column.name: column.type for column in table.columns},
        }
        for table in all_tables(load_config(str(ROOT / "conf" / "demo.yaml")))
    }


def result_lines():
    done = Run("clean", "2023", "r1", status="done", outputs={"policies": Written("here", 0, 1)})
    columns = guesses(pd.DataFrame({"claims": ["0", "1"]}, dtype=object), {})
    suggestion = suggestion_of(columns, [], Seen(2, 2), Dialect())
    failed = Run("predict", "2023", "r1", error=errors.GateError("no"))
    chain = SimpleNamespace(
        runs=[done, failed], error=errors.GateError("no"), stopped_at=("predict", "2023")
    )
    return {
        "of a stage": shape(done.result()),
        "of a stage that failed": shape(failed.result()),
        "of a failure before its run": shape(result_line.failure_line("clean", OSError("no"))),
        "of a chain that failed": shape(result_line.pipeline_line(chain, "conf/demo.yaml")),
        "of suggest": shape(suggest.summary(suggestion, "suggested.yaml")),
        "of doctor": shape(
            result_line.doctor_line([{"name": "java", "verdict": "fail", "found": "none"}])
        ),
    }


def shape(value):
    """Return the keys of a JSON document, with the type of what each holds."""
    if isinstance(value, dict):
        return {key: shape(inner) for key, inner in value.items()} or "dict"
    if isinstance(value, list):
        return shape(value[0]) if value and isinstance(value[0], dict) else "list"
    return type(value).__name__


def exit_codes():
    return {
        name: error.exit_code
        for name, error in vars(errors).items()
        if inspect.isclass(error) and issubclass(error, errors.KyrosError)
    }


def make_targets():
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9%-]+):[^#\n]*## (.*)$", text, re.MULTILINE))


OF_TODAY = {
    "public names": public_names,
    "programs": programs,
    "commands": commands,
    "settings": settings,
    "tables": tables,
    "result lines": result_lines,
    "exit codes": exit_codes,
    "make targets": make_targets,
    "model manifest": manifest,
}


def leaves(document, path=()):
    """Yield each value of nested dictionaries with the keys that lead to it."""
    if isinstance(document, dict) and document:
        for key, value in document.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, document


def test_every_kind_of_contract_is_held():
    assert list(CONTRACTS) == list(OF_TODAY)


@pytest.mark.parametrize("kind", OF_TODAY)
def test_contracts_stay_as_they_are(kind):
    expected = dict(leaves(CONTRACTS[kind]))
    actual = dict(leaves(OF_TODAY[kind]()))
    missing = [f"missing: {' / '.join(path)}" for path in expected if path not in actual]
    changed = [
        f"changed: {' / '.join(path)}: expected {value!r}, found {actual[path]!r}"
        for path, value in expected.items()
        if path in actual and actual[path] != value
    ]
    added = [
        f"added: {' / '.join(path)}: {value!r}"
        for path, value in actual.items()
        if path not in expected
    ]
    differences = missing + changed + added
    assert not differences, (
        "\n  ".join([f"{kind} are not those of tests/{FILE.name}", *differences])
        + "\nWhat is missing or changed breaks those who use it. What is added on purpose is added "
        + f"to tests/{FILE.name} too, in the same commit."
    )
