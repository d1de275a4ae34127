"""Each line of the log says which run, stage and batch it is about, and the models once known."""

import io
import json
import logging

from kyros_spark import log
from kyros_spark.runs.run import Run


def written(monkeypatch, say):
    out = io.StringIO()
    monkeypatch.setattr("sys.stderr", out)
    with log.handlers_of_their_own():
        say()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_lines_of_a_run_name_it_and_lines_outside_do_not(monkeypatch):
    run = Run("predict", "2026-11", "r1")

    def say():
        with log.about(run.log_fields):
            log.event("begun")
            run.details["models"] = {"glm": "3"}
            log.event("model", level=logging.WARNING, rows=2)
        log.event("after")

    begun, model, after = written(monkeypatch, say)
    known = {"run_id": "r1", "stage": "predict", "batch": "2026-11"}
    assert known.items() <= begun.items() and "models" not in begun
    assert {**known, "models": {"glm": "3"}, "rows": 2, "level": "warning"}.items() <= model.items()
    assert not known.keys() & after.keys()


def test_lines_go_where_a_function_writes_them_and_to_stderr_if_it_cannot(capsys):
    written = []

    def write(text):
        if "gone" in text:
            raise ConnectionError
        written.append(text)

    with log.handlers_of_their_own():
        log.write_log_by(write)
        log.event("joined")
        log.event("Java is gone")
    (line,) = written
    assert json.loads(line)["message"] == "joined" and line.endswith("\n")
    assert json.loads(capsys.readouterr().err)["message"] == "Java is gone"
