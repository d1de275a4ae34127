"""A model with segments, from its settings to predictions: the example of docs/segments.md."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from portfolio import FIRST, SECOND, UNSEEN_FUEL

from kyros_spark.aggregates.rows import ExecutorRows, collected
from kyros_spark.config import load_config
from kyros_spark.fitting.train_model import train_model
from kyros_spark.model.segments import PER_TERM

PAGE = (Path(__file__).parents[3] / "docs" / "segments.md").read_text(encoding="utf-8")
(SETTINGS,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
_TABLE = re.compile(r"`(SELECT [^`]+ FROM (\w+))`:\n\n((?:\|.*\n)+)")


def with_example(portfolio, **more):
    portfolio.set("train.models", yaml.safe_load(SETTINGS))
    for name, value in more.items():
        portfolio.set(f"train.models.by_fuel.{name}", value)
    portfolio.set("predict", {"models": ["by_fuel"]})


def of_whole(portfolio, spark):
    rows = portfolio.read(spark, "relativities")
    return rows.where("model_name = 'by_fuel' AND segment IS NULL")


def test_the_pages_example_gives_the_table_below_it(portfolio, spark):
    with_example(portfolio)
    details = portfolio.must("train")["details"]["by_fuel"]
    frame = portfolio.read(spark, "segments")
    frame.createOrReplaceTempView("segments")
    ((query, _, shown),) = _TABLE.findall(PAGE)
    rows = [["" if v is None else str(v) for v in row] for row in spark.sql(query).collect()]
    header, _, *cells = (
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in shown.splitlines()
    )
    assert spark.sql(query).columns == header
    assert sorted(rows) == sorted(cells)
    assert sum(details["segments"].values()) == len(rows)
    whole = of_whole(portfolio, spark).where("level = '30-<50'")
    assert whole.first()["segments"] is not None
    _predicts_unseen_and_missing_keys_by_the_parent(portfolio, spark)


def _predicts_unseen_and_missing_keys_by_the_parent(portfolio, spark):
    line = portfolio.must(f"predict --batch {SECOND}")
    assert line["details"]["unseen_levels"]["fuel"] == UNSEEN_FUEL
    predicted = portfolio.read(spark, "predictions", SECOND).where("model_name = 'by_fuel'")
    by_policy = {row["policy_id"]: row["prediction"] for row in predicted.collect()}
    drivers = portfolio.read(spark, "prepared", SECOND).collect()
    relativities = of_whole(portfolio, spark).collect()
    terms = {(row["feature"], row["level"]): row["coefficient"] for row in relativities}
    version = portfolio.read(spark, "models").where("model_name = 'by_fuel'").first()
    factor = version["metrics"]["rebalance"]
    hydrogen = [row for row in drivers if row["fuel"] == "hydrogen"]
    assert len(hydrogen) == UNSEEN_FUEL
    for row in hydrogen:
        expected = np.exp(terms["(intercept)", None] + terms["driver", row["driver"]]) * factor
        assert by_policy[row["policy_id"]] == pytest.approx(expected, rel=1e-9)
    assert portfolio.must("train")["status"] == "skipped"


@pytest.mark.slow
@pytest.mark.parametrize("credibility", ["none", "buhlmann_straub"])
def test_segments_are_the_same_here_and_on_the_executors(finished, spark, tmp_path, credibility):
    twin = finished.copy_to(tmp_path)
    with_example(twin, credibility=credibility)
    config = load_config(str(twin.config_file()))
    settings = config.train.models["by_fuel"]
    rows = finished.read(spark, "prepared", FIRST)
    ways = (collected(rows.coalesce(1)), ExecutorRows(rows.repartition(3)))
    here, there = (train_model("by_fuel", way, settings, config.prepare, {}) for way in ways)
    np.testing.assert_array_equal(here.arrays["segment_key"], there.arrays["segment_key"])
    np.testing.assert_array_equal(here.arrays["segment_row"], there.arrays["segment_row"])
    for name in (*PER_TERM, "segment_facts"):
        np.testing.assert_allclose(here.arrays[name], there.arrays[name], rtol=1e-8, atol=1e-9)
