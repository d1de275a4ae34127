"""The prompt's line editor: when a text is complete, what a word may become, what is kept."""

import io
import stat
import sys

import pytest

from kyros_spark.cli.sql import line_editor

COLUMNS = {"policies": ["policy_id", "fuel"], "predictions": ["policy_id", "prediction"]}


def test_a_text_is_answered_once_it_is_complete():
    for text in ("SELECT 1;", "SELECT\n1 ;\n", "\\d", "\\d policies", "exit", "QUIT", ""):
        assert line_editor.is_complete(text), text
    for text in ("SELECT 1", "SELECT ';' AS a", "exit now", "SELECT 1; -- the end"):
        assert not line_editor.is_complete(text), text


@pytest.mark.parametrize(("before", "expected"), [
    ("SELECT policies.f", ["fuel"]),
    ("SELECT * FROM pol", ["policies"]),
    ("SELECT x FROM policies WHERE pol", ["policy_id", "policies"]),
    ("sel", ["SELECT"]),
    ("SELECT appr", ["approx_count_distinct"]),
    ("SELECT nothing_like_it", []),
    ("", []),
])  # fmt: skip
def test_a_word_becomes_what_fits_there(before, expected):
    word = before.replace(".", " ").split(" ")[-1]
    completed = line_editor.candidates(word, before, COLUMNS, lambda: ["approx_count_distinct"])
    assert completed[: len(expected)] == expected and bool(completed) == bool(expected)


def test_what_was_asked_is_kept_for_this_user_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    path = line_editor.history_file()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    assert stat.S_IMODE(line_editor.history_file().stat().st_mode) == 0o600
    path.unlink()
    path.symlink_to(tmp_path / "elsewhere")
    assert line_editor.history_file() is None and not (tmp_path / "elsewhere").exists()


@pytest.fixture
def typing(tmp_path, monkeypatch):
    """Return what reads texts as they are typed at a terminal, key by key."""
    toolkit = pytest.importorskip("prompt_toolkit")
    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    assert toolkit
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)

    def typed(keys):
        with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
            pipe.send_text(keys)
            return line_editor.line_editor(COLUMNS, lambda: ["exp"])()

    return typed


def test_a_query_takes_several_lines_and_ends_with_its_semicolon(typing):
    assert typing("SELECT 1,\r2;\r") == "SELECT 1,\n2;"
    assert typing("\\d policies\r") == "\\d policies"


def test_ctrl_c_drops_the_text_and_ctrl_d_leaves(typing):
    with pytest.raises(KeyboardInterrupt):
        typing("SELECT 1\x03")
    with pytest.raises(EOFError):
        typing("\x04")


def test_the_last_query_is_there_again_in_the_next_conversation(typing):
    typing("SELECT 41;\r")
    assert typing("\x1b[A\r") == "SELECT 41;"


def test_a_completion_takes_the_place_of_the_word():
    document = pytest.importorskip("prompt_toolkit.document").Document("SELECT fuel FROM polic")
    (completion,) = line_editor._completer(COLUMNS, list).get_completions(document, None)
    assert (completion.text, completion.start_position) == ("policies", -len("polic"))


def test_without_a_terminal_lines_are_read_as_they_are(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    lines = iter(["SELECT", "1;"])
    monkeypatch.setattr("builtins.input", lambda prompt: next(lines))
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    assert line_editor.line_editor(COLUMNS, list)() == "SELECT\n1;\n"
    assert not list(tmp_path.rglob("*")), "nothing is kept of what no person typed"
