"""Help: each command has an example that the parser takes, each option says what it is for."""

import argparse
import shlex

import pytest

from kyros_spark.cli.parser import parser

(SUBCOMMANDS,) = (
    action for action in parser()._actions if isinstance(action, argparse._SubParsersAction)
)
COMMANDS = SUBCOMMANDS.choices


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_has_an_example_that_runs(name):
    start, _, example = COMMANDS[name].epilog.partition("example: kyros ")
    assert start == "" and example.split()[0] == name
    arguments = parser().parse_args(shlex.split(example))
    assert arguments.command == name and callable(arguments.work)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_says_what_it_is_for(name):
    silent = [a.dest for a in COMMANDS[name]._actions if not a.help]
    assert not silent


@pytest.mark.parametrize("name", COMMANDS)
def test_a_default_is_shown(name):
    """A default that is no flag and not empty stands in the option's help."""
    hidden = [
        action.dest
        for action in COMMANDS[name]._actions
        if action.default not in (None, False, "", argparse.SUPPRESS, [])
        and str(action.default).removesuffix(".0") not in action.help % vars(action)
    ]
    assert not hidden
