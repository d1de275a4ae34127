"""Features, splits and tags: what table prepared and a model get of each definition."""

import math
from pathlib import Path

import pytest
from portfolio import FIRST, POLICY_HEADER, SECOND, SETTINGS, UNSEEN_FUEL, policy_rows

from kyros_spark.config import FeatureSettings, ModelSettings, PrepareSettings, SplitSettings
from kyros_spark.errors import ConfigError
from kyros_spark.fitting.train_model import chosen_features
from kyros_spark.transforms.definitions import definition_hash
from kyros_spark.transforms.features import feature_value, split_value

TYPES = "born string, at string, power int, weight int, value double, sex string, area string"
ROWS = [
    ("1980-03-15", "2023-03-14", 100, 0, math.e, "F", None),
    ("1980-03-15", "2023-03-15", 90, 1500, 0.0, "M", "city"),
]


@pytest.mark.parametrize(
    "settings, expected",
    [
        ({"kind": "numeric", "age": {"from": "born", "at": "at"}}, [42.0, 43.0]),
        (
            {"kind": "numeric", "age": {"from": "born", "at": "at", "unit": "months"}},
            [515.0, 516.0],
        ),
        (
            {"kind": "numeric", "age": {"from": "born", "at": "at", "unit": "days"}},
            [15704.0, 15705.0],
        ),
        ({"kind": "bins", "age": {"from": "born", "at": "at"}, "bins": [43]}, ["<43", "43+"]),
        ({"kind": "numeric", "ratio": ["power", "weight"]}, [None, 0.06]),
        ({"kind": "numeric", "log": "value"}, [1.0, None]),
        ({"kind": "levels", "interaction": ["sex", "area"]}, [None, "M x city"]),
        ({"kind": "levels", "column": "sex"}, ["F", "M"]),
        ({"kind": "numeric", "sql": "power / 2"}, [50.0, 45.0]),
    ],
    ids=lambda value: str(value)[:60],
)
def test_a_feature_is_what_its_form_says(spark, settings, expected):
    frame = spark.createDataFrame(ROWS, TYPES).selectExpr(
        "CAST(born AS DATE) born", "CAST(at AS DATE) at", "power", "weight", "value", "sex", "area"
    )
    found = frame.select(feature_value("f", FeatureSettings(**settings))).collect()
    assert [row["f"] for row in found] == expected


def test_a_split_by_a_column_or_a_period_is_what_it_says(spark):
    frame = spark.createDataFrame(
        [("train", 2022), ("test", 2024), (None, 2023)], "part string, year int"
    )
    by_column = frame.select(split_value(SplitSettings(sql="part"))).collect()
    assert [row["split"] for row in by_column] == ["train", "test", None]
    parts = {"2022": "train", "2023": "valid", "2024": "test"}
    by_period = frame.select(split_value(SplitSettings(sql="year", parts=parts))).collect()
    assert [row["split"] for row in by_period] == ["train", "test", "valid"]


def test_a_split_that_does_not_say_of_every_row_is_refused(raw_portfolio, tables_as_before):
    raw_portfolio.set("prepare.split", {"sql": "area", "parts": {"city": "train"}})
    raw_portfolio.must(f"clean --batch {FIRST}")
    tables_as_before(raw_portfolio.base)
    outcome = raw_portfolio.kyros(f"prepare --batch {FIRST}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "SplitError")
    area = POLICY_HEADER.index("area")
    lost = sum(row[area] != "city" for row in policy_rows(FIRST))
    assert f"found {lost} of 120 rows without" in outcome.message


@pytest.mark.repeats
@pytest.mark.parametrize("local_rows", [0, 1000], ids=["executors", "driver"])
@pytest.mark.parametrize(("by", "keys"), [("area", 3), ("client_id", None), ("bonus", 20)])
def test_a_split_by_few_keys_is_told(raw_portfolio, by, keys, local_rows):
    raw_portfolio.set("prepare.split.by", [by])
    raw_portfolio.set("spark.local_rows", local_rows)
    raw_portfolio.must(f"clean --batch {FIRST}")
    line = raw_portfolio.must(f"prepare --batch {FIRST}")
    expected = None if keys is None else {"rows": 120, "keys": keys}
    assert line["details"].get("split_keys") == expected


def test_what_is_said_about_a_feature_is_not_what_it_is():
    plain = FeatureSettings(kind="numeric", column="power")
    tagged = FeatureSettings(kind="numeric", column="power", rating_use=False, cost=3)
    assert definition_hash(plain) == definition_hash(tagged)
    later = FeatureSettings(kind="numeric", column="power", version=2)
    assert definition_hash(plain) != definition_hash(later)


def test_a_feature_tagged_as_not_for_rating_reaches_no_model():
    tree = {**SETTINGS["prepare"], "features": dict(SETTINGS["prepare"]["features"])}
    tree["features"]["power"] = {"kind": "numeric", "rating_use": False}
    tree["features"]["fuel"] = {"kind": "levels", "available_at_scoring": False}
    settings = PrepareSettings(**tree)
    model = ModelSettings(method="glm", family="poisson", target="claim_count", per="exposure")
    assert chosen_features("m", model, settings) == ["place", "driver", "log_bonus"]
    named = model.model_copy(update={"features": ("driver", "power")})
    with pytest.raises(
        ConfigError, match="found power, which prepare.features tags rating_use: no"
    ):
        chosen_features("m", named, settings)


def test_the_feature_log_tells_version_tables_and_status(finished, spark):
    log = finished.read(spark, "feature_log", FIRST).collect()
    clean = finished.read(spark, "runs").where(f"stage = 'clean' AND batch_id = '{FIRST}'").first()
    for row in log:
        assert row["feature_version"] == 1 and row["status"] == "ok"
        assert row["tables"] == {name: clean["outputs"][name] for name in ("policies", "claims")}


def test_one_query_tells_whether_the_definition_changed_or_the_data(portfolio, spark):
    """The query of docs/prepare.md, on batches prepared again once there are champions."""
    text = (Path(__file__).parents[2] / "docs" / "prepare.md").read_text()
    query = text.split("```sql\n")[1].split("```")[0]
    query = query.replace("feature_log", f"delta.`{portfolio.base / 'feature_log'}`")
    portfolio.set("prepare.features.driver.bins", [31, 50])
    for batch in (FIRST, SECOND):
        portfolio.must(f"prepare --batch {batch}")
    found = {(r["feature"], r["batch_id"]): r["changed"] for r in spark.sql(query).collect()}
    assert {found[(feature, FIRST)] for feature in SETTINGS["prepare"]["features"]} == {"nothing"}
    assert found[("fuel", SECOND)] == "data" and found[("log_bonus", SECOND)] == "nothing"
    log = {(r["feature"], r["batch_id"]): r for r in portfolio.read(spark, "feature_log").collect()}
    fuel = log[("fuel", SECOND)]
    assert (fuel["status"], fuel["unseen_count"]) == ("unseen levels", UNSEEN_FUEL)
    assert (log[("fuel", FIRST)]["status"], log[("fuel", FIRST)]["unseen_count"]) == ("ok", 0)
    # No champion knows the feature of this definition: nobody can say what is unseen.
    assert log[("driver", SECOND)]["unseen_count"] is None
    portfolio.set("prepare.features.driver.bins", [31, 51])
    portfolio.must(f"prepare --batch {SECOND}")
    found = {(r["feature"], r["batch_id"]): r["changed"] for r in spark.sql(query).collect()}
    assert found[("driver", SECOND)] == "definition"
    assert found[("power", SECOND)] == "nothing"
