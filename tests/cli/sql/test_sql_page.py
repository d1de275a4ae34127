"""Every query of docs/sql.md is run, and its answer compared with what is known otherwise."""

import datetime as dt
import hashlib
import math
import os
import re
import subprocess
import sys
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
import yaml
from portfolio import FIRST, POLICIES, SECOND, UNSEEN_FUEL, claim_rows, policy_rows

from kyros_spark.cli.sql.answer import rows_of, views
from kyros_spark.cli.sql.query import check_reads
from kyros_spark.config import Config, load_config
from kyros_spark.errors import PlatformError, UsageError
from kyros_spark.evaluation.intervals import ConfidenceInterval
from kyros_spark.operations import sql_function
from kyros_spark.spark.runtime import find_java
from kyros_spark.spark_version import has_sql_functions

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "sql.md"
SECTIONS = {
    part.splitlines()[0]: re.findall(r"```sql\n(.*?)```", part, re.DOTALL)
    for part in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]
    if not part.startswith("What a query may do")  # which tests/cli/sql/test_sql_guard.py shows
}
TOO_YOUNG, REFUELLED, PADDED = 3, 10, 12
PREMIUM = "20 * age * exposure"
LAST_DAY = "date_add(start, CAST(round(exposure * 364) AS INT) - 1)"


@pytest.fixture(scope="module")
def world(finished, tmp_path_factory):
    """The second batch corrected (one driver too young, one car on another fuel), priced again, and
    then prepared by another definition of one feature, whose meaning is the same."""
    portfolio = finished.copy_to(tmp_path_factory.mktemp("sql"))
    portfolio.spoil_cells("age", {TOO_YOUNG: "17"}, batch=SECOND)
    portfolio.spoil_cells("fuel", {REFUELLED: "diesel"}, batch=SECOND)
    assert policy_rows(SECOND)[REFUELLED][5] == "electric"
    portfolio.spoil_cells("client", {PADDED: " C006 "}, batch=SECOND)
    portfolio.set("sources.policies.columns.client_id.trim", True)
    portfolio.set("sources.policies.columns.premium", {"type": "double", "sql": PREMIUM})
    line = portfolio.must(f"run --batch {SECOND} --stages clean,prepare,predict --run-id corrected")
    assert line["status"] == "done"
    portfolio.set("explain", {"models": ["frequency"], "top": "all"})
    for batch in (FIRST, SECOND):
        portfolio.must(f"explain --batch {batch}")
    portfolio.set("sources.claims.period", {"date": "day", "from": "start", "to": LAST_DAY})
    config = portfolio.config_file()
    portfolio.set("prepare.features.log_bonus.sql", "log(bonus)")
    portfolio.must(f"prepare --batch {SECOND} --run-id redefined")
    return portfolio, load_config(str(config))


def answers(spark, world, title):
    """Return the rows of each query below a heading of the page."""
    portfolio, config = world
    found = []
    for query in SECTIONS[title]:
        query = query.replace("'2026-10-31 23:59:59'", f"'{before_correction(spark, portfolio)}'")
        found.append(rows_of(spark, config, query).collect())
    return found


def before_correction(spark, portfolio):
    history = spark.sql(f"DESCRIBE HISTORY delta.`{portfolio.base}/policies`")
    before = history.where("userMetadata <> 'corrected'")
    return before.selectExpr("CAST(max(timestamp) AS STRING) AS moment").first()["moment"]


def stored(spark, portfolio, batch, model):
    rows = portfolio.read(spark, "predictions", batch).where(f"model_name = '{model}'").collect()
    return {row["policy_id"]: row for row in rows}


def test_why_a_policy_was_rejected(spark, world):
    ((row,),) = answers(spark, world, "Why was this policy rejected?")
    assert tuple(row) == ("min", "age", "at least 18", "17")


@pytest.mark.slow
def test_what_changed_between_prices(spark, world):
    (rows,) = answers(spark, world, "What changed between two batches' prices?")
    assert {row["model_name"] for row in rows} >= {"frequency", "pure_premium", "product"}
    for row in rows:
        old, new = (stored(spark, world[0], b, row["model_name"]) for b in (FIRST, SECOND))
        ratios = [new[p]["prediction"] / old[p]["prediction"] - 1 for p in new]
        assert row["policies"] == len(ratios) == POLICIES - 1
        assert row["mean_change"] == pytest.approx(sum(ratios) / len(ratios), abs=1e-6)
        assert row["moved_10_percent"] == sum(abs(ratio) > 0.1 for ratio in ratios)


@pytest.mark.slow
def test_what_a_price_is_made_of(spark, world):
    title = "What is a price made of?"
    price = stored(spark, world[0], SECOND, "frequency")["P010"]["prediction"]
    if not has_sql_functions(spark.version):
        pytest.skip(f"Spark {spark.version} has no SQL functions; 4.0 has")
    rows, in_the_city = answers(spark, world, title)
    product = rows[0]["base_price"] * math.prod(row["relativity"] for row in rows)
    assert product == pytest.approx(price, rel=1e-5)
    assert {row["feature"] for row in rows} == {"fuel", "place", "driver", "power", "log_bonus"}
    assert {row["value"] for row in rows if row["feature"] == "fuel"} == {"diesel"}
    city = {row[0] for row in policy_rows(SECOND) if row[6] == "city"}
    predicted = stored(spark, world[0], SECOND, "frequency")
    explanations = world[0].read(spark, "explanations", SECOND).where("model_name = 'frequency'")
    listed = {row["policy_id"]: row["contributions"][0] for row in explanations.collect()}
    assert {row["policy_id"] for row in in_the_city} == set(predicted)
    for row in in_the_city:
        if row["policy_id"] in city:
            assert row["prediction"] == predicted[row["policy_id"]]["prediction"]
            assert row["largest"] == listed[row["policy_id"]]["feature"]


def test_why_a_price_changed(spark, world):
    (rows,) = answers(spark, world, "Why did a price change?")
    old, new = (stored(spark, world[0], batch, "frequency") for batch in (FIRST, SECOND))
    changed = {p for p in new if old[p]["prediction"] != new[p]["prediction"]}
    by_policy = defaultdict(list)
    for row in rows:
        by_policy[row["policy_id"]].append(row)
    assert changed and changed <= set(by_policy)
    for policy in changed:
        ratio = new[policy]["prediction"] / old[policy]["prediction"]
        assert math.prod(row["factor"] for row in by_policy[policy]) == pytest.approx(ratio)
    (refuelled,) = by_policy["P010"]
    assert (refuelled["feature"], refuelled["before"], refuelled["now"]) == (
        "fuel", "electric", "diesel",
    )  # fmt: skip


def test_whether_model_or_policy_changed_a_price(spark, world):
    (rows,) = answers(spark, world, "Did this price change because of the model or of the policy?")
    changed = {row["policy_id"] for row in rows if row["changed"] == "the policy"}
    assert changed == {f"P{n:03d}" for n in (*range(UNSEEN_FUEL), REFUELLED)} - {"P003"}
    assert {row["changed"] for row in rows} == {"the policy", "neither"}
    assert all(r["before"] == r["now"] for r in rows if r["changed"] == "neither")


def test_which_model_priced_a_policy(spark, world):
    title = "Which model priced this policy, and from which inputs?"
    ((row,), (inputs,)) = answers(spark, world, title)
    assert hashlib.sha256(Path(row["path"]).read_bytes()).hexdigest() == row["sha256"]
    assert list(row["trained_on"]) == [f"prepared {FIRST}"]
    assert row["prediction"] == stored(spark, world[0], SECOND, "frequency")["P010"]["prediction"]
    version, _, run = row["priced_from"].partition(" of run ")
    assert (version, run) == ("3", "corrected")
    assert inputs["fuel"] == "diesel" and inputs["run_id"] == "corrected"


def test_actual_against_expected(spark, world):
    (rows,) = answers(spark, world, "Actual against expected, by any factor?")
    fuel = {row[0]: row[5] for row in policy_rows(FIRST)}
    actual, expected = defaultdict(int), defaultdict(float)
    for claim in claim_rows(FIRST):
        actual[fuel[claim[1]]] += 1
    for policy, row in stored(spark, world[0], FIRST, "frequency").items():
        expected[fuel[policy]] += row["expected"]
    assert [row["fuel"] for row in rows] == sorted(expected)
    for row in rows:
        assert row["actual"] == actual[row["fuel"]]
        assert row["expected"] == pytest.approx(expected[row["fuel"]], abs=1e-6)
        assert row["actual_expected"] == pytest.approx(row["actual"] / row["expected"], abs=1e-5)


def test_loss_ratio(spark, world):
    (rows,) = answers(spark, world, "Which loss ratio would these prices have had?")
    area = {row[0]: row[6] for row in policy_rows(FIRST)}
    city = {policy: {"": None, "city": True, "country": False}[area[policy]] for policy in area}
    claims, premium = defaultdict(float), defaultdict(float)
    for claim in claim_rows(FIRST):
        claims[city[claim[1]]] += float(claim[3])
    for policy, row in stored(spark, world[0], FIRST, "premium").items():
        premium[city[policy]] += row["expected"]
    assert {row["city"] for row in rows} == {None, True, False}
    for row in rows:
        assert row["claims"] == pytest.approx(claims[row["city"]])
        assert row["loss_ratio"] == pytest.approx(
            claims[row["city"]] / premium[row["city"]], abs=1e-6
        )


def earned_by_month(policy):
    """Return the share of a policy's days in each month, counted day by day."""
    start, days = dt.date.fromisoformat(policy[2]), round(float(policy[8]) * 364)
    months = Counter((start + dt.timedelta(n)).replace(day=1) for n in range(days))
    return {month: Fraction(count, days) for month, count in months.items()}


def test_loss_ratio_with_earned_exposure(spark, world):
    (rows,) = answers(spark, world, "Loss ratio by region and quarter, with earned exposure?")
    expected = stored(spark, world[0], FIRST, "premium")
    years, premium, claims = defaultdict(float), defaultdict(float), defaultdict(float)
    area = {row[0]: row[6] or None for row in policy_rows(FIRST)}
    for policy in policy_rows(FIRST):
        for month, share in earned_by_month(policy).items():
            cell = area[policy[0]], month.replace(month=1 + (month.month - 1) // 3 * 3)
            years[cell] += float(policy[8]) * float(share)
            premium[cell] += expected[policy[0]]["expected"] * float(share)
    for claim in claim_rows(FIRST):
        claims[area[claim[1]], dt.date(2023, 10, 1)] += float(claim[3])
    assert {(row["area"], row["quarter"]) for row in rows} == set(years) | set(claims)
    assert len({row["quarter"] for row in rows}) > 4
    for row in rows:
        cell = row["area"], row["quarter"]
        assert row["earned_years"] == pytest.approx(years[cell], abs=1e-4)
        assert row["claims"] == pytest.approx(claims[cell], abs=0.01)
        assert row["loss_ratio"] == pytest.approx(claims[cell] / premium[cell], abs=1e-5)


@pytest.mark.parametrize(("last_day", "months"), [("at_risk", 12), ("excluded", 0)])
def test_what_is_earned_adds_up_even_where_the_days_are_unknown(spark, world, last_day, months):
    """The days of the exposure come before the claims' period; a day excluded from itself is none."""
    portfolio = world[0]
    days = {"from": "start", "to": "start", "last_day": last_day}
    settings = yaml.safe_load(portfolio.config_file().read_text(encoding="utf-8"))
    settings["sources"]["policies"]["columns"]["exposure"]["days"] = days
    query = (
        "SELECT sum(exposure) AS years, sum(expected['frequency']) AS claims, count(*) AS policies,"
        f" count(DISTINCT earned_month) AS months FROM earned WHERE batch_id = '{FIRST}'"
    )
    (row,) = rows_of(spark, Config.model_validate(settings), query).collect()
    priced = stored(spark, portfolio, FIRST, "frequency").values()
    assert (row["policies"], row["months"]) == (POLICIES, months)
    assert row["years"] == pytest.approx(sum(float(policy[8]) for policy in policy_rows(FIRST)))
    assert row["claims"] == pytest.approx(sum(policy["expected"] for policy in priced))


def test_nothing_is_earned_where_no_settings_say_when(spark, finished):
    with pytest.raises(UsageError, match="earned: expected settings that say from when to when"):
        rows_of(spark, load_config(str(finished.config_file())), "SELECT * FROM earned")


def test_charged_against_technical_price(spark, world):
    (rows,) = answers(spark, world, "Where is the premium charged below the technical price?")
    charged, technical, below = defaultdict(float), defaultdict(float), defaultdict(int)
    policies = {row[0]: row for row in policy_rows(SECOND)}
    policies["P010"][5] = "diesel"
    for key, row in stored(spark, world[0], SECOND, "premium").items():
        policy = policies[key]
        premium = 20 * int(policy[3]) * float(policy[8])
        charged[policy[5]] += premium
        technical[policy[5]] += row["expected"] / 0.7
        below[policy[5]] += premium < row["expected"] / 0.7
    assert [row["fuel"] for row in rows] == sorted(charged)
    assert 0 < sum(below.values()) < POLICIES
    for row in rows:
        fuel = row["fuel"]
        assert row["below"] == below[fuel]
        assert row["charged"] == pytest.approx(charged[fuel], abs=0.01)
        assert row["technical"] == pytest.approx(technical[fuel], abs=0.01)
        assert row["charged_technical"] == pytest.approx(charged[fuel] / technical[fuel], abs=1e-5)


def test_combinations_of_two_factors(spark, world):
    (rows,) = answers(spark, world, "Which combinations of two factors does the model miss?")
    driver = {row["policy_id"]: row["driver"]
              for row in world[0].read(spark, "prepared", FIRST).collect()}  # fmt: skip
    cell = {row[0]: (row[5], driver[row[0]]) for row in policy_rows(FIRST)}
    actual, expected = Counter(cell[claim[1]] for claim in claim_rows(FIRST)), defaultdict(float)
    for policy, row in stored(spark, world[0], FIRST, "frequency").items():
        expected[cell[policy]] += row["expected"]
    assert {(row["fuel"], row["driver"]) for row in rows} == set(expected) and len(rows) > 6
    exact = ConfidenceInterval(0.95)
    for row in rows:
        claims, mean = actual[row["fuel"], row["driver"]], expected[row["fuel"], row["driver"]]
        assert (row["actual"], row["expected"]) == (claims, pytest.approx(mean, abs=1e-6))
        lower, upper = exact.ratio(claims, mean, 0.0, True)
        assert row["lower"] * mean == pytest.approx(lower * mean, abs=0.02)
        assert row["upper"] * mean == pytest.approx(upper * mean, abs=0.03)


def test_which_rows_were_repaired(spark, world):
    (rows,) = answers(spark, world, "Which rows were repaired?")
    assert [tuple(row) for row in rows] == [("P012", "respelled", "client_id", " C006 ", "C006")]


def test_what_the_table_looked_like(spark, world):
    moment, versions, gone = answers(spark, world, "What did the table look like last month?")
    assert moment[0]["policies"] == POLICIES
    assert [row["rows_out"] for row in versions] == [POLICIES, POLICIES - 1]
    assert versions[0]["version"] == 2 and versions[1]["run_id"] == "corrected"
    young, refuelled = (policy_rows(SECOND)[n] for n in (TOO_YOUNG, REFUELLED))
    assert [tuple(row) for row in gone] == [(row[0], row[5]) for row in (young, refuelled)]


def test_whether_definition_or_data_changed(spark, world):
    (rows,) = answers(spark, world, "Did the definition change, or the data?")
    assert {row["feature"]: row["definition_changed"] for row in rows} == {
        "fuel": False, "place": False, "driver": False, "power": False, "log_bonus": True,
    }  # fmt: skip
    fuel = next(row for row in rows if row["feature"] == "fuel")
    assert fuel["unseen"] == UNSEEN_FUEL - 1  # one of them is the rejected policy
    place = next(row for row in rows if row["feature"] == "place")
    nowhere = [n for n, row in enumerate(policy_rows(SECOND)) if row[6] == ""]
    assert place["missing_before"] == len(nowhere)
    assert place["missing_now"] == len(set(nowhere) - {TOO_YOUNG})


def test_tariff_of_a_level_and_the_what_if(spark, world):
    """A GLM with log link: paying as in the city is the price times a quotient of relativities."""
    (levels,) = answers(spark, world, "What does the tariff say of this level?")
    told = {row["level"]: row["relativity"] for row in levels}
    assert [row["relativity"] for row in levels if row["is_base"]] == [1.0]
    if not has_sql_functions(spark.version):
        pytest.skip(f"Spark {spark.version} has no SQL functions; 4.0 has")
    (rows,) = answers(spark, world, "What would it cost if ...?")
    assert len(rows) == POLICIES
    assert all(row["by_hand"] == row["prediction"] for row in rows)
    area = {row[0]: row[6].upper() or "(missing)" for row in policy_rows(FIRST)}
    for row in rows:
        quotient = told["CITY"] / told[area[row["policy_id"]]]
        assert row["in_the_city"] / row["prediction"] == pytest.approx(quotient, rel=1e-5)


def test_a_spark_without_sql_functions_says_so(spark, world, monkeypatch):
    if has_sql_functions(spark.version):
        monkeypatch.setattr(sql_function, "has_sql_functions", lambda version: False)
    with pytest.raises(PlatformError, match="expected Spark 4.0 or later"):
        rows_of(spark, world[1], "SELECT kyros_predict_severity(fuel, power) FROM prepared")


def test_where_rows_went(spark, world):
    ((row,),) = answers(spark, world, "Where did the rows go?")
    assert tuple(row) == ("corrected", POLICIES, POLICIES - 1, 0, 1)


def test_which_version_is_in_use(spark, world):
    (rows,) = answers(spark, world, "Which version is in use, since when, and why?")
    assert [row["model_name"] for row in rows] == sorted(world[0].settings["train"]["models"])
    assert all("status champion, asked for by run" in row["promoted_reason"] for row in rows)


def test_every_section_of_the_page_has_its_test():
    source = Path(__file__).read_text(encoding="utf-8")
    assert len(SECTIONS) == 18
    for title, queries in SECTIONS.items():
        assert queries and f'"{title}"' in source


@pytest.mark.slow  # a JVM of its own
def test_the_views_name_every_table_in_spark_sql(spark, world, tmp_path):
    (tmp_path / "views.sql").write_text(views(spark, world[1]), encoding="utf-8")
    line = re.search(r"^    (spark-sql .*)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)[1]
    words = [*line.replace("conf/spark", str(ROOT / "conf/spark")).split()[1:], "-S", "-e"]
    query = "SELECT (SELECT count(*) FROM policies), (SELECT count(*) FROM rejects)"
    done = subprocess.run(
        [str(Path(sys.executable).parent / "spark-sql"), *words, query],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "JAVA_HOME": str(find_java().home)},
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split("\n")[-2].split("\t") == [str(2 * POLICIES - 1), "1"]


def test_history_and_comments_are_told_of_the_table_itself(spark, world):
    history = rows_of(spark, world[1], "DESCRIBE HISTORY policies").collect()
    assert "corrected" in {row["userMetadata"] for row in history}
    properties = rows_of(spark, world[1], "SHOW TBLPROPERTIES policies").collect()
    told = {row["key"]: row["value"] for row in properties}
    assert told["kyros.key"] == "batch_id,policy_id"
    assert told["delta.constraints.batch_given"] == "batch_id IS NOT NULL"


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM policies",
        "with a as (select 1) insert into policies select * from a",
        "FROM rejects INSERT INTO policies SELECT *",
        "/* SELECT */ DROP TABLE policies",
        "",
    ],
)
def test_the_prompt_refuses_what_writes(query):
    with pytest.raises(UsageError, match="only reads"):
        check_reads(query)


def test_words_in_texts_names_and_comments_are_no_writing():
    check_reads("(SELECT 'delete from x', `insert` FROM policies -- update\n)")
