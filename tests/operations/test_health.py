"""health says in its exit code and in words what is not in order, and nothing where all is."""

from portfolio import FIRST, SECOND

from kyros_spark.operations.health import NOMINAL


def test_a_finished_portfolio_is_nominal_and_tells_its_models_and_speeds(finished):
    outcome = finished.kyros("health")
    state = outcome.line
    assert (outcome.code, state["verdict"], state["problems"]) == (0, "nominal", [])
    assert NOMINAL in outcome.lines
    assert state["models"]["frequency"] == "1" and state["drift"] == {FIRST: "ok", SECOND: "ok"}
    assert 0 < state["latency"]["p50"] <= state["latency"]["p99"]
    assert {run["stage"] for run in state["runs"]} == {
        "clean", "prepare", "train", "predict", "monitor"
    }  # fmt: skip


def test_what_failed_last_or_is_too_old_is_critical(portfolio):
    portfolio.source(batch=SECOND)
    whole = portfolio.own_sources() / f"policies_{SECOND}.csv"
    whole.write_text(whole.read_text().replace("2024-", "2O24-"))
    assert portfolio.kyros(f"clean --batch {SECOND}").code == 3
    outcome = portfolio.kyros("health --max-age-hours 0")
    assert (outcome.code, outcome.line["verdict"]) == (4, "critical")
    failed, old = outcome.line["problems"]
    assert failed.startswith(f"clean {SECOND} failed on ") and "hours old" in old
    assert NOMINAL not in outcome.lines
