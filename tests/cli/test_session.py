"""The session that stays: commands in it are as alone, and whatever speaks against it is no harm."""

import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from portfolio import FIRST, SECOND, Portfolio

from kyros_spark.cli.parser import parser
from kyros_spark.cli.session import client, control, frames, identity, place
from kyros_spark.errors import PlatformError, UsageError

SPARK = {
    "driver_memory": "1g",
    "conf": {"spark.master": "local[1]", "spark.sql.shuffle.partitions": "1"},
}
ENDLESS = "SELECT count(*) FROM range(100000000000) WHERE hash(id) % 7 = 3"
# A session that hangs: it holds the lock and listens, and answers nothing.
HANGING = """
import fcntl, socket, time
lock = open("lock", "ab"); fcntl.flock(lock, fcntl.LOCK_EX)
listener = socket.socket(socket.AF_UNIX); listener.bind("socket"); listener.listen()
print("ready", flush=True); time.sleep(600)
"""


@pytest.fixture(scope="module")
def resident(tmp_path_factory):
    """A real session, a portfolio with its settings, and how to give commands to it."""
    folder = tmp_path_factory.mktemp("s")
    (folder / "run").mkdir()
    env = os.environ | {"XDG_RUNTIME_DIR": str(folder / "run"), "PYTHONPATH": os.getcwd()}
    env.pop("KYROS_SESSION", None)
    portfolio = Portfolio(folder / "portfolio").write_sources()
    portfolio.settings["spark"] = SPARK
    words = ["--config", str(portfolio.config_file())]

    def start(command, *more, cwd=folder, config=words):
        line = [sys.executable, "-m", "kyros_spark", command, *more, *config]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(line, cwd=cwd, env=env, text=True, **pipes)

    def kyros(*words, **options):
        return ended(start(*words, **options))

    line = kyros("session", "start").line
    assert line["status"] == "done", line
    yield SimpleNamespace(
        folder=folder, env=env, portfolio=portfolio, words=words, start=start, kyros=kyros
    )
    kyros("session", "stop", config=[])


def ended(process):
    out, err = process.communicate(timeout=300)
    last = out.splitlines()[-1] if out.strip() else ""
    line = json.loads(last) if last.startswith("{") else None  # a query prints its rows alone
    return SimpleNamespace(code=process.returncode, out=out, err=err, line=line)


def state(resident):
    return resident.kyros("session", "status", config=[]).line


def until_busy(resident, word):
    deadline = time.monotonic() + 60
    while word not in (state(resident).get("busy_with") or ""):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    time.sleep(1)  # it has reached Spark


def running(resident, *words):
    process = resident.start(*words)
    until_busy(resident, words[0])
    return process


@contextlib.contextmanager
def in_the_clients_place(resident, monkeypatch):
    """Let this process look like a client of the session."""
    monkeypatch.delenv("KYROS_SESSION", raising=False)
    for name in {*os.environ} | {*resident.env}:
        if name in resident.env:
            monkeypatch.setenv(name, resident.env[name])
        else:
            monkeypatch.delenv(name)
    yield


def refusal(words):
    connection = place.connect(2)
    with connection:
        return client._refusal(connection, words)


@pytest.mark.slow
def test_commands_run_in_the_session_and_end_as_they_would_alone(resident):
    before = state(resident)
    clean = resident.kyros("clean", "--batch", FIRST)
    assert (clean.code, clean.line["status"], clean.line["rows_in"]) == (0, "done", 172)
    assert "the session is not used" not in clean.err
    assert '"message": "clean 2023: done"' in clean.err  # a log for machines: no terminal here
    assert resident.kyros("clean", "--batch", FIRST).line["status"] == "skipped"
    resident.portfolio.source("policies", SECOND).rename(resident.folder / "kept")
    failed = resident.kyros("clean", "--batch", SECOND)
    (resident.folder / "kept").rename(resident.portfolio.source("policies", SECOND))
    assert failed.code == 3 and failed.line["error"]["type"] == "SourceNotFoundError"
    after = state(resident)
    assert (after["pid"], after["commands"]) == (before["pid"], before["commands"] + 3)


@pytest.mark.slow
def test_nothing_of_a_command_is_left_to_the_next(resident):
    assert resident.kyros("clean", "--batch", FIRST).code == 0
    query = "SELECT count(*) AS n FROM policies"
    assert "|120|" in resident.kyros("sql", "-e", query).out
    other = Portfolio(
        resident.folder / "empty", json.loads(json.dumps(resident.portfolio.settings))
    )
    config = ["--config", str(other.config_file())]
    answer = resident.kyros("sql", "-e", query, config=config)
    assert answer.code == 2 and "policies" in answer.line["error"]["message"]


@pytest.mark.slow
def test_relative_paths_are_those_of_the_folder_the_command_is_given_in(resident):
    for name in ("first", "second"):
        folder = resident.folder / name
        folder.mkdir()
        (folder / "rows.csv").write_text(f"{name}\n1\n2\n")
        words = ("suggest", "--source", "rows.csv", "--out", "made.yaml")
        line = resident.kyros(*words, cwd=folder, config=[]).line
        assert line["status"] == "done"
        assert name in (folder / "made.yaml").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["Ctrl-C", "killed client"])
def test_a_command_that_is_broken_off_leaves_the_session_free(resident, ending):
    pid = state(resident)["pid"]
    process = running(resident, "sql", "-e", ENDLESS)
    if ending == "Ctrl-C":
        process.send_signal(signal.SIGINT)
        cancelled = ended(process)
        assert cancelled.code == 130 and cancelled.line["error"]["type"] == "KeyboardInterrupt"
        assert "Traceback" not in cancelled.err
    else:
        process.kill()
        process.communicate()
    deadline = time.monotonic() + 30
    while state(resident)["busy_with"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    models = resident.kyros("models")
    assert models.code == 0 and "the session is not used" not in models.err
    assert state(resident)["pid"] == pid


@pytest.mark.slow
def test_a_session_is_not_used_by_what_it_does_not_fit(resident, monkeypatch):
    words = ["models", *resident.words]
    with in_the_clients_place(resident, monkeypatch):
        assert refusal(words) == ""
        mine = identity.identity()
        cases = {
            "other code": mine | {"code": "0" * 64},
            "another Python": mine | {"python": ["/usr/bin/python3", "3.11"]},
            "other libraries": mine | {"libraries": {"pyspark": "3.5.6"}},
        }
        for expected, other in cases.items():
            with monkeypatch.context() as patch:
                patch.setattr(client, "identity", lambda other=other: other)
                assert expected in refusal(words)
        with monkeypatch.context() as patch:
            patch.setenv("JAVA_HOME", "/another/java")
            assert "another JAVA_HOME" in refusal(words)
        assert "settings under spark:" in refusal([*words, "--set", "spark.driver_memory=2g"])


@pytest.mark.slow
def test_a_second_command_is_told_that_the_session_is_busy(resident, monkeypatch):
    process = running(resident, "sql", "-e", ENDLESS)
    with in_the_clients_place(resident, monkeypatch):
        assert "it is busy with kyros sql" in refusal(["models", *resident.words])
        with pytest.raises(UsageError, match="found it busy with kyros sql"):
            control.start(control.SparkSettings(), 30)
    process.send_signal(signal.SIGINT)
    assert ended(process).code == 130


@pytest.mark.slow
def test_starting_it_twice_changes_nothing(resident):
    pid = state(resident)["pid"]
    again = resident.kyros("session", "start").line
    assert (again["status"], again["pid"]) == ("skipped", pid)


@pytest.mark.slow  # the last one, since it kills the session
def test_a_session_that_is_killed_is_named_and_its_socket_removed(resident):
    pid = state(resident)["pid"]
    process = running(resident, "sql", "-e", ENDLESS)
    os.kill(pid, signal.SIGKILL)
    lost = ended(process)
    assert (lost.code, lost.line["error"]["type"]) == (1, "SparkLostError")
    assert "give the same command again" in lost.line["error"]["message"]
    socket_file = resident.folder / "run" / "kyros-spark" / "socket"
    assert socket_file.exists()
    deadline = time.monotonic() + 30
    while state(resident)["state"] != "none" or socket_file.exists():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.fixture
def own_folder(monkeypatch, tmp_path):
    """A folder for the session of its own, with nothing in it."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.delenv("KYROS_SESSION", raising=False)
    monkeypatch.setattr(client, "HANDSHAKE", 0.3)
    monkeypatch.setattr(control, "HANDSHAKE", 0.3)
    monkeypatch.setattr(client, "_is_wanted", lambda arguments: True)
    return tmp_path / "kyros-spark"


def offered(words=("models", "--config", "x.yaml")):
    return client.run_in_session(words, parser().parse_args(words))


def test_without_a_session_a_command_runs_alone_and_nothing_is_made(own_folder):
    assert offered() is None
    assert control.status()["state"] == control.stop()["state"] == "none"
    assert not own_folder.exists()


UNSAFE = {
    "a symbolic link": lambda folder: folder.symlink_to(folder.parent),
    "a file": lambda folder: folder.write_text(""),
    "others may enter": lambda folder: (folder.mkdir(), folder.chmod(0o755)),
}


@pytest.mark.parametrize("case", UNSAFE)
def test_a_folder_that_is_not_this_users_alone_is_not_used(own_folder, caplog, case):
    UNSAFE[case](own_folder)
    for asked in (control.status, control.stop, lambda: control.start(None, 1)):
        with pytest.raises(PlatformError, match=r"only you can enter|File exists"):
            asked()
    assert offered() is None


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(own_folder):
    own_folder.mkdir(mode=0o700)
    os.chown(own_folder, 12345, -1)
    assert "of user 12345" in place.check_folder() and offered() is None


def test_the_folder_is_made_for_this_user_alone(own_folder):
    place.make_folder()
    assert stat.S_IMODE(own_folder.lstat().st_mode) == 0o700


def test_a_session_of_another_user_is_not_used(own_folder, monkeypatch):
    place.make_folder()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(place.socket_path()))
    listener.listen()
    monkeypatch.setattr(place, "peer", lambda connection: (1, os.getuid() + 1))
    with listener:
        assert refusal(["models"]) == "it belongs to another user"
        assert offered() is None


def test_the_socket_of_a_killed_session_is_removed(own_folder):
    place.make_folder()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place.socket_path()))
    assert place.socket_path().exists()
    assert offered() is None
    assert not place.socket_path().exists()


def test_a_session_that_hangs_is_left_alone_and_can_be_stopped(own_folder):
    place.make_folder()
    hanging = subprocess.Popen(
        [sys.executable, "-c", HANGING], cwd=own_folder, stdout=subprocess.PIPE,
        start_new_session=True,
    )  # fmt: skip
    assert hanging.stdout.readline() == b"ready\n"
    assert offered() is None
    with pytest.raises(PlatformError, match="kyros session stop"):
        control.status()
    assert control.stop()["state"] == "stopped"
    assert hanging.wait(10) == -signal.SIGKILL
    assert not place.socket_path().exists()


def test_a_log_that_cannot_be_written_is_no_reason_not_to_start(own_folder):
    place.make_folder()
    place.log_path().mkdir()
    with control._log() as log:
        assert log.name == os.devnull


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (b"\0\0\0\x0b" + b'{"code": 3}', {"code": 3}),
        (b"\xff\xff\xff\xff{}", None),
        (b"\0\0\0\x03abc", None),
        (b"\0\0\0\x02[]", None),
        (b"\0\0\0\x09{}", None),
        (b"\0\0", None),
        (b"", None),
    ],
)
def test_what_is_no_frame_ends_the_conversation(sent, expected):
    here, there = socket.socketpair()
    with here, there:
        there.sendall(sent)
        there.shutdown(socket.SHUT_WR)
        assert frames.receive(here) == expected


def test_frames_arrive_as_they_were_sent():
    here, there = socket.socketpair()
    with here, there:
        for frame in ({"text": "Prämie 1.234 €\n" * 3000}, {}):
            frames.send(there, frame)
            assert frames.receive(here) == frame


NOT_FOR_A_SESSION = [
    "doctor", "session status", "sql --config x.yaml", "clean --config x.yaml --profile there",
]  # fmt: skip


def test_some_commands_never_go_to_a_session(monkeypatch):
    monkeypatch.delenv("KYROS_SESSION", raising=False)
    monkeypatch.delitem(sys.modules, "pyspark", raising=False)
    wanted = client._is_wanted
    for words in NOT_FOR_A_SESSION:
        assert not wanted(parser().parse_args(words.split()))
    models = parser().parse_args(["models", "--config", "x.yaml"])
    assert wanted(models)
    cases = {"KYROS_SESSION": "off", "PYSPARK_GATEWAY_PORT": "1", "SPARK_REMOTE": "sc://there"}
    for name, value in cases.items():
        with monkeypatch.context() as patch:
            patch.setenv(name, value)
            assert not wanted(models)


def test_the_client_loads_nothing_heavy():
    code = "import sys, kyros_spark.cli.main; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"pyspark", "pandas", "numpy", "numba", "pyarrow", "pydantic", "yaml"}
    assert not heavy & set(done.stdout.split())
    assert "kyros_spark.cli.session.client" in done.stdout.split()


def test_the_socket_lies_where_the_runtime_folder_is(monkeypatch):
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/1")
    assert place.socket_path() == Path("/run/user/1/kyros-spark/socket")
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert place.socket_path().parent.name == f"kyros-spark-{os.getuid()}"
