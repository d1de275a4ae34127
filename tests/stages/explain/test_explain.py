"""explain on the tiny portfolio: what the tables hold, and what a run that stopped leaves."""

import json

import pytest
from killed import killed_run, staged_logs
from portfolio import FIRST, POLICIES, SECOND, UNSEEN_FUEL

from kyros_spark import explain_change
from kyros_spark.config import load_config

MODELS = ["frequency", "severity", "premium", "boosted", "pure_premium"]
PRICES = [*MODELS, "pure_premium.premium", "product"]
SUM = "aggregate(contributions, 0D, (total, c) -> total + c.contribution)"


@pytest.fixture(scope="module")
def explained(finished, tmp_path_factory):
    """Both batches explained: the first in the driver, the second on the executors."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("explained"))
    portfolio.set("explain", {"segments": ["fuel", "power"], "top": 2})
    portfolio.must(f"explain --batch {FIRST}")
    portfolio.must(f"explain --batch {SECOND} --set spark.local_rows=0")
    return portfolio


def rows_of(portfolio, spark, batch, table="explanations"):
    return portfolio.read(spark, table, batch)


def comparable(portfolio, spark, batch, table="explanations"):
    """Return a batch's rows without their run, sorted; numbers to 12 digits."""
    rows = rows_of(portfolio, spark, batch, table).drop("run_id").collect()
    return sorted(_text(row.asDict(True)) for row in rows)


def _text(value):
    if isinstance(value, dict):
        return str({name: _text(inner) for name, inner in value.items()})
    if isinstance(value, list):
        return str([_text(inner) for inner in value])
    return f"{value:.10g}" if isinstance(value, float) and abs(value) > 1e-9 else str(value)[:40]


@pytest.mark.parametrize("batch", [FIRST, SECOND])
def test_every_price_of_the_batch_is_there_and_adds_up_to_its_prediction(explained, spark, batch):
    explanations = rows_of(explained, spark, batch)
    assert explanations.count() == POLICIES * len(PRICES)
    both = explanations.join(
        explained.read(spark, "predictions", batch).withColumnRenamed("prediction", "stored"),
        ["policy_id", "model_name", "model_version", "exposure"],
    )
    assert both.count() == POLICIES * len(PRICES)
    gap = f"abs(ln(prediction - load) - (base + {SUM} + rest))"
    worst = both.selectExpr(
        f"max({gap})", "max(abs(prediction / stored - 1))", "max(size(contributions))"
    ).first()
    assert worst[0] < 1e-12 and worst[1] < 1e-12 and worst[2] == 2


def test_the_relativities_of_a_glm_are_those_of_table_relativities(explained, spark):
    told = {
        (row["feature"], row["level"]): row["relativity"]
        for row in explained.read(spark, "relativities").where("model_name = 'frequency'").collect()
    }
    rows = rows_of(explained, spark, FIRST).where("model_name = 'frequency'").collect()
    seen = [c for row in rows for c in row["contributions"] if c["feature"] in ("fuel", "driver")]
    assert len(seen) > 20
    for listed in seen:
        relativity = told[listed["feature"], listed["value"]]
        assert listed["relativity"] == pytest.approx(relativity, rel=1e-9)


@pytest.mark.slow
def test_driver_and_executors_write_the_same(explained, spark, tmp_path):
    twin = explained.copy_to(tmp_path)
    before = {t: comparable(twin, spark, FIRST, t) for t in ("explanations", "explanation_summary")}
    twin.set("explain.top", 3)
    twin.must(f"explain --batch {FIRST}")  # so that there is something to do again
    twin.set("explain.top", 2)
    line = twin.must(f"explain --batch {FIRST} --set spark.local_rows=0")
    assert line["rows_in"] == POLICIES
    for table, expected in before.items():
        assert comparable(twin, spark, FIRST, table) == expected
    assert twin.kyros(f"explain --batch {FIRST} --set spark.local_rows=0").status == "skipped"
    standings = {(s["stage"], s["batch"]): s["state"] for s in twin.must("status")["standings"]}
    assert standings["explain", FIRST] == standings["explain", SECOND] == "current"
    other = comparable(twin, spark, SECOND)
    twin.must(f"explain --batch {FIRST} --set explain.summary=false --set explain.where=power>100")
    powerful = explained.read(spark, "prepared", FIRST).where("power > 100").count()
    assert rows_of(twin, spark, FIRST).count() == powerful * len(PRICES)
    assert comparable(twin, spark, SECOND) == other, "no other batch is touched"


def test_the_summary_is_of_all_policies_by_level_and_by_segment(explained, spark):
    rows = rows_of(explained, spark, SECOND, "explanation_summary").where("model_name = 'boosted'")
    rows = [row.asDict() for row in rows.collect()]
    whole = {r["feature"]: r for r in rows if r["level"] is None and r["segment"] is None}
    assert all(row["rows"] == POLICIES for row in whole.values()) and len(whole) >= 3
    fuel = {r["level"]: r["rows"] for r in rows if r["feature"] == "fuel" and r["level"]}
    assert fuel["(unseen)"] == UNSEEN_FUEL and sum(fuel.values()) == POLICIES
    for segment in ("fuel", "power"):
        parts = [r for r in rows if r["segment"] == segment and r["feature"] == "fuel"]
        assert sum(r["rows"] for r in parts) == POLICIES and len(parts) > 2
        total = sum(r["mean"] * r["exposure"] for r in parts) / sum(r["exposure"] for r in parts)
        assert total == pytest.approx(whole["fuel"]["mean"])


@pytest.mark.slow
def test_a_killed_run_goes_on_where_it_stopped_and_its_summary_is_whole(
    finished, spark, tmp_path, monkeypatch
):
    portfolio = finished.copy_to(tmp_path)
    portfolio.set("prepare.features.power.description", "engine power")
    portfolio.set("tables.rows_per_file", 50)
    portfolio.must(f"prepare --batch {FIRST}")
    portfolio.set("explain", {"models": ["frequency@1"]})
    portfolio.must(f"explain --batch {FIRST}")
    tables = ("explanations", "explanation_summary")
    whole = {table: comparable(portfolio, spark, FIRST, table) for table in tables}
    portfolio.set("explain.rows_per_micro_batch", 50)
    portfolio.set("explain.kernel", "numpy")  # the same numbers, and another run
    killed_run(portfolio, monkeypatch, f"explain --batch {FIRST} --run-id first", "write", 2)
    assert staged_logs(portfolio, "explanations")
    assert comparable(portfolio, spark, FIRST) == whole["explanations"], "nobody sees a part"
    line = portfolio.must(f"explain --batch {FIRST} --run-id second")
    assert line["details"]["micro_batches"] == {"all": 3, "of_earlier_runs": 1}
    for table, expected in whole.items():
        assert comparable(portfolio, spark, FIRST, table) == expected
    assert not staged_logs(portfolio, "explanations")


def test_a_change_of_price_is_divided_without_a_remainder(explained, spark):
    config = load_config(str(explained.config_file()))
    change = explain_change(spark, config, "pure_premium", FIRST, SECOND).collect()
    prices = {
        batch: {r["policy_id"]: r["prediction"] for r in rows_of(explained, spark, batch)
                .where("model_name = 'pure_premium'").collect()}
        for batch in (FIRST, SECOND)
    }  # fmt: skip
    moved = {policy for policy in prices[FIRST] if prices[FIRST][policy] != prices[SECOND][policy]}
    assert {row["policy_id"] for row in change} >= moved
    assert {row["feature"] for row in change} == {"fuel"}, "nothing else changed"
    by_version = explain_change(
        spark, config, "frequency", FIRST, FIRST, "boosted", where="policy_id < 'P020'"
    ).collect()
    assert {row["policy_id"] for row in by_version} == {f"P{n:03d}" for n in range(20)}
    for policy in ("P000", "P013"):
        rows = [row for row in by_version if row["policy_id"] == policy]
        difference = rows[0]["prediction_after"] - rows[0]["prediction_before"]
        assert sum(row["amount"] for row in rows) == pytest.approx(difference, rel=1e-8)


def test_prices_of_another_version_or_preparation_are_not_explained(explained, tmp_path):
    portfolio = explained.copy_to(tmp_path)
    portfolio.set("train.models.frequency.glm", {"alpha": 0.01})
    portfolio.set("train.models.frequency.rebalance", False)
    portfolio.must("train")
    outcome = portfolio.kyros(f"explain --batch {FIRST} --model frequency")
    assert outcome.code == 3 and outcome.line["error"]["type"] == "BatchMissingError"
    assert "expected version 2" in outcome.message and "found 1" in outcome.message
    assert portfolio.must(f"explain --batch {FIRST} --model frequency@2")["details"]["models"] == {
        "frequency": "2"
    }
    portfolio.set("prepare.features.power.description", "in kW")
    portfolio.must(f"prepare --batch {SECOND}")
    outcome = portfolio.kyros(f"explain --batch {SECOND} --model severity")
    assert outcome.code == 3 and "made from prepared" in outcome.message


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"where": "powr > 100"}, "explain.where: 'powr > 100'"),
        ({"where": "count(*) > 1"}, "is no condition on a row"),
        ({"where": "power >"}, "is no condition on a row"),
        ({"models": ["nobody"]}, "model 'nobody'"),
        ({"reference": "mean", "reference_batch": "1999"}, "expected batch '1999'"),
    ],
)
def test_what_cannot_be_explained_is_named_and_nothing_is_written(
    explained, tables_as_before, settings, words
):
    tables_as_before(explained.base)
    given = [f"--set=explain.{name}={json.dumps(value)}" for name, value in settings.items()]
    outcome = explained.kyros(["explain", "--batch", FIRST, *given])
    assert outcome.code in (2, 3) and words in outcome.message


def test_one_policy_is_explained_in_words_and_drawn(explained, tables_as_before, tmp_path):
    tables_as_before(explained.base)
    html = tmp_path / "why.html"
    words = ["explain", "--batch", FIRST, "--model", "pure_premium", "--policy", "P003"]
    outcome = explained.kyros([*words, "--html", str(html)])
    (row,) = outcome.line["prices"]
    assert outcome.lines[0].endswith(f"= {row['prediction']:.6g}.")
    assert row["policy_id"] == "P003" and len(row["contributions"]) == 5
    page = html.read_text()
    assert (
        page.count("<svg ") == 2 and "Policy P003" in page and "http:" not in page.split("svg")[0]
    )
    outcome = explained.kyros([*words[:-1], "nobody"])
    assert outcome.code == 2 and "expected a policy nobody" in outcome.message


def test_a_batch_is_drawn_on_one_page(explained, tmp_path):
    html = tmp_path / "page.html"
    line = explained.must(f"explain --batch {FIRST} --model boosted --html {html}")
    assert line["file"] == str(html)
    page = html.read_text()
    assert page.count("<svg ") >= 5 and "boosted@1" in page


def test_against_the_mean_a_glms_contributions_are_nothing_on_average(explained, spark, tmp_path):
    portfolio = explained.copy_to(tmp_path)
    portfolio.set("explain", {"reference": "mean", "trees": "background", "background_rows": 20})
    portfolio.must(f"explain --batch {FIRST}")
    summary = rows_of(portfolio, spark, FIRST, "explanation_summary").where("level IS NULL")
    of_glm = summary.where("model_name IN ('frequency', 'severity', 'premium')").collect()
    assert len(of_glm) == 9 and all(abs(row["mean"]) < 1e-12 for row in of_glm)
    assert all(row["mean_absolute"] > 1e-3 for row in of_glm)
    gap = f"max(abs(ln(prediction - load) - (base + {SUM} + rest))) AS gap"
    assert rows_of(portfolio, spark, FIRST).selectExpr(gap).first()["gap"] < 1e-12
    rest = rows_of(portfolio, spark, FIRST).where("model_name = 'severity'")
    assert rest.selectExpr("max(abs(rest)) AS rest").first()["rest"] < 1e-12
