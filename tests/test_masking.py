"""Credentials in an address leave by no exit: log, result line, ledger. Unforeseen errors keep
their traceback."""

import io
import json
import logging
from types import SimpleNamespace

import pytest

from benchmarks.fuzz_inputs_settings import ADDRESSES, SECRET
from kyros_spark import log
from kyros_spark.cli import commands
from kyros_spark.cli.main import run_here
from kyros_spark.log import event, masked, without_credentials
from kyros_spark.runs import ledger
from kyros_spark.runs.run import Run, error_line

KEPT = (
    "s3a://bucket/a@b", "abfss://container@account.dfs.core.windows.net/x", "hdfs://nn:8020/a@b.csv",
    "mailto:a@b", "a:b@c", "https://host:443/x?q=a@b", "file:///a/b?c=d", "see http://[::1]/x",
)  # fmt: skip


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_shows_its_host_and_path_but_no_secret(address):
    for sentence in (address, f"model file {address}: expected a file", f'{{"a": "{address}"}}'):
        shown = without_credentials(sentence)
        assert SECRET not in shown and "***" in shown
        assert without_credentials(shown) == shown
    assert without_credentials(address).partition("://")[0] == address.partition("://")[0]


def test_what_holds_no_credentials_stays_as_it_is():
    for text in KEPT:
        assert without_credentials(text) == text


def test_values_of_any_depth_are_masked():
    for address in ADDRESSES:
        value = {"a": [address, 1, None, {"b": (address,)}], address: 1.5}
        assert SECRET not in json.dumps(masked(value))


@pytest.fixture(params=[log._JsonLines, log._HumanLines], ids=["lines of JSON", "of a terminal"])
def stderr(request, monkeypatch):
    """What the package's log writes meanwhile."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(request.param())
    monkeypatch.setattr(log.logger(), "handlers", [handler])
    monkeypatch.setattr(log.logger(), "level", logging.INFO)
    return stream


@pytest.mark.parametrize("address", ADDRESSES)
def test_no_exit_tells_a_secret(address, stderr, capsys, monkeypatch):
    def fail(arguments):
        raise ZeroDivisionError(f"cannot read {arguments.config}")

    monkeypatch.setattr(commands, "run_models", fail)
    event(f"reading {address}", address=address, addresses=[address])
    assert run_here(["models", "--config", address]) == 1
    out = capsys.readouterr().out
    line = json.loads(out.splitlines()[-1])
    assert line["status"] == "failed" and line["error"]["type"] == "ZeroDivisionError"
    assert "***" in line["error"]["message"]
    assert SECRET not in out + stderr.getvalue()
    assert "Traceback" in stderr.getvalue() and "in fail" in stderr.getvalue()


def test_the_ledger_keeps_no_secret(monkeypatch):
    application = {"spark": "4.1.1", "application": "local"}
    monkeypatch.setattr(ledger.session, "application", lambda spark: application)
    tables = SimpleNamespace(spark=None, version_cache=lambda name: None)
    for address in ADDRESSES:
        run = Run("clean", "2024", "r1", inputs={address: address}, details={"from": [address]})
        run.error = OSError(f"{address} cannot be read")
        row = ledger.Ledger(tables, "motor")._row(run)
        assert SECRET not in repr(row) and "***" in row["error"]
        assert row["started_at"].tzinfo is not None, "what is no text stays what it is"
        assert SECRET not in json.dumps(error_line(run.error))


def test_pyspark_repeats_no_failure_on_its_own_beside_the_masked_one(monkeypatch):
    for name in ("handlers", "level", "propagate"):  # which the call changes
        monkeypatch.setattr(log.logger(), name, [] if name == "handlers" else True)
    log.configure_logging()
    for name in ("DataFrameQueryContextLogger", "SQLQueryContextLogger"):
        assert not logging.getLogger(name).isEnabledFor(logging.ERROR), name
