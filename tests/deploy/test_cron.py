"""conf/cron: what cron starts tries again what trying may mend, and tells a person the rest."""

import datetime
import subprocess

import pytest
from deployment import CONF

from kyros_spark.cli.parser import parser


@pytest.fixture
def month(tmp_path):
    """Return a run of the make file with a kyros that ends with the given exit codes in turn."""

    def run(*codes, **given):
        for number, code in enumerate(codes):
            (tmp_path / f"code-{number}").write_text(str(code))
        kyros = tmp_path / "kyros"
        kyros.write_text(
            f"#!/bin/sh\ncd {tmp_path}\nn=$(cat calls 2>/dev/null | wc -l)\n"
            'echo "$@" >> calls\nexit $(cat code-$n)\n'
        )
        kyros.chmod(0o755)
        given = {
            "KYROS": kyros,
            "CONFIG": "/opt/s.yaml",
            "PAUSE": 0,
            "LOCK": tmp_path / "l",
        } | given
        words = [f"{name}={value}" for name, value in given.items()]
        command = ["make", "-s", "-f", CONF / "cron/kyros.mk", "month", *words]
        done = subprocess.run(command, capture_output=True, text=True)
        return done, (tmp_path / "calls").read_text().splitlines()

    return run


def test_it_runs_the_chain_of_the_month_asked_for(month):
    done, calls = month(0, BATCH="2026-10")
    assert done.returncode == 0, done.stderr
    taken = parser().parse_args(calls[0].split())
    assert (taken.command, taken.config, taken.batch) == ("run", "/opt/s.yaml", ["2026-10"])


def test_the_lock_lies_beside_the_settings_where_nobody_else_can_take_its_name():
    text = (CONF / "cron/kyros.mk").read_text()
    script = text + '\nwhere:\n\t@echo "$(LOCK)"\n'
    command = ["make", "-s", "-f", "-", "where", "CONFIG=/etc/kyros/s.yaml"]
    done = subprocess.run(command, input=script, capture_output=True, text=True)
    assert done.stdout == "/etc/kyros/.kyros-month.lock\n"
    assert "/tmp" not in text and "TMPDIR" not in text


def test_without_a_month_it_takes_the_one_that_ended_last(month):
    _, calls = month(0)
    today = datetime.datetime.now(datetime.UTC).date()
    expected = (today.replace(day=1) - datetime.timedelta(days=1)).strftime("%Y-%m")
    assert calls[0].endswith(f"--batch {expected}")


def test_what_may_pass_by_itself_is_tried_again(month):
    done, calls = month(1, 1, 0)
    assert (done.returncode, len(calls)) == (0, 3)


@pytest.mark.parametrize("code", [2, 3, 4])
def test_settings_data_and_gates_are_for_a_person(month, code):
    done, calls = month(code)
    assert done.returncode == 2 and f"Error {code}" in done.stderr  # make's own exit code is 2
    assert len(calls) == 1


def test_it_gives_up_after_the_last_attempt(month):
    done, calls = month(1, 1, 1)
    assert done.returncode == 2 and len(calls) == 3
