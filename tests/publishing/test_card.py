"""The model card tells what the registry holds, the same each time it is written."""

import json
import math
from dataclasses import replace

import pytest
import xgboost

from kyros_spark.config import load_config
from kyros_spark.delta.tables import DeltaTables
from kyros_spark.publishing.card import card
from kyros_spark.publishing.markdown import markdown
from kyros_spark.registry import Registry


@pytest.fixture(scope="module")
def registry(finished, spark):
    config = load_config(str(finished.config_file()))
    return Registry(DeltaTables(spark, config.tables), config.tables.artefact_folder())


def of(registry, name):
    entry = registry.find(name)[0]
    return entry, registry.load(entry)[0]


def test_the_card_s_numbers_are_the_registry_s(finished, spark, tmp_path):
    line = finished.must(f"card frequency@1 --out {tmp_path}")
    told = json.loads((tmp_path / "frequency-1.json").read_text())
    assert line["files"]["json"] == str(tmp_path / "frequency-1.json")
    row = finished.read(spark, "models").where("model_name = 'frequency'").first()
    for part in ("train", "valid", "test"):
        for name, value in told["validation"][part].items():
            assert value == row["metrics"][f"{part}_{name}"]
        assert told["data"]["rows"][part] == row["metrics"][f"{part}_rows"]
    assert set(told["validation"]) == {"train", "valid", "test"}, "means; totals stand apart"
    assert told["fit"]["null_deviance"] == row["metrics"]["null_deviance"]
    heading, fit = (tmp_path / "frequency-1.md").read_text().split("## Fit\n")
    assert "| null deviance |" in fit.partition("\n## ")[0]
    assert "| all |" not in heading
    assert told["data"]["batches"] == [row["batch_id"]]
    assert told["data"]["inputs"] == row["inputs"]
    assert told["provenance"]["sha256"] == row["sha256"]
    assert told["provenance"]["run_id"] == row["run_id"]
    written = (tmp_path / "frequency-1.md").read_text()
    assert f"| test | {row['metrics']['test_balance']:.6g} |" in written
    beside = row["path"].removesuffix(".kyros")
    for suffix in ("md", "json"):
        with open(f"{beside}.{suffix}") as at_training:
            assert at_training.read() == (tmp_path / f"frequency-1.{suffix}").read_text()


def test_a_glm_s_factors_are_the_exponentials_of_its_coefficients(finished, fits, registry):
    """The coefficients are MLlib's own, in the order that the fit was kept."""
    fit = fits["frequency"][-1]
    told = {one["feature"]: one["terms"] for one in card(*of(registry, "frequency"), [])["factors"]}
    assert set(told) == set(finished.settings["prepare"]["features"])
    for name, table in fit.tables.items():
        assert [t["relativity"] for t in told[name]] == pytest.approx([*map(math.exp, table)])
        base = [term["relativity"] for term in told[name] if term["is_base"]]
        assert base == [1.0]
    for name, slope in fit.slopes.items():
        assert told[name][0]["coefficient"] == pytest.approx(slope)


def test_relativities_of_their_own_table_bring_interval_and_exposure(registry):
    def row(level, relativity):
        return {
            "feature": "fuel", "level": level, "is_base": relativity == 1.0, "exposure": 9.5,
            "coefficient": math.log(relativity), "standard_error": 0.1, "relativity": relativity,
            "lower": relativity / 2, "upper": relativity * 2,
        }  # fmt: skip

    entry, model = of(registry, "severity")
    levels = next(f for f in model.manifest.features if f.name == "fuel").levels
    rows = [row(level, 1.0 + code / 4) for code, level in enumerate(levels)]
    told = card(entry, model, [], rows[::-1])
    assert [term["level"] for term in told["factors"][0]["terms"]] == list(levels)
    line = f"| fuel | {levels[1]} | 9.5 | 1.250 | 0.625 | 2.500 | 0.223144 |"
    assert line in markdown(told).splitlines()


def test_the_importance_of_boosted_trees_is_xgboost_s_total_gain(fits, registry):
    fit = fits["boosted"][-1]
    booster = xgboost.Booster()
    booster.load_model(bytearray(fit.booster))
    gains = booster[: fit.rounds].get_score(importance_type="total_gain")
    entry, model = of(registry, "boosted")
    told = card(entry, model, [])["factors"]
    expected = sorted(gains.values(), reverse=True)
    assert [one["total_gain"] for one in told if one["total_gain"]] == pytest.approx(expected)
    assert sum(one["share"] for one in told) == pytest.approx(1.0)


def test_the_change_since_the_last_champion_lists_settings_and_metrics(registry):
    before, model = of(registry, "frequency")
    settings = before.settings | {"max_levels": 7, "purpose": "The motor tariff | of 2026",
                                  "limits": ["No fleets."]}  # fmt: skip
    metrics = before.metrics | {"test_deviance": before.metrics["test_deviance"] * 2}
    now = replace(before, version=2, status="candidate", settings=settings, metrics=metrics,
                  promoted_at=None)  # fmt: skip
    told = card(now, model, [before, now])
    assert told["change"]["since"] == "frequency@1" and told["change"]["same_data"]
    assert told["change"]["settings"]["max_levels"] == {"before": 200, "now": 7}
    assert list(told["change"]["metrics"]) == ["test_deviance"]
    text = markdown(told)
    assert "## Purpose\nThe motor tariff \\| of 2026\n" in text and "- No fleets." in text
    assert "| purpose |  | The motor tariff \\| of 2026 |" in text, "a bar does not split a cell"
    assert markdown(card(now, model, [now, before])) == text


def test_a_number_that_is_none_is_told_as_none(registry):
    entry, model = of(registry, "frequency")
    told = card(replace(entry, metrics=entry.metrics | {"test_d2": math.nan}), model, [])
    assert json.loads(json.dumps(told, allow_nan=False))["validation"]["test"]["d2"] is None
