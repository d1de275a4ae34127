"""A search finds the best of what it tried, tries the same again, and knows when to stop."""

import math

import pytest

from kyros_spark.config import BoostingSettings, ModelSettings, SearchSettings
from kyros_spark.errors import FitError
from kyros_spark.fitting.search import search

NULL = 1.0


def asked(**told):
    space = {
        "eta": {"low": 0.01, "high": 0.5, "log": True},
        "max_depth": {"low": 2, "high": 8},
        "reg_lambda": {"values": [1, 10]},
    }
    told = {"trials": 12, "folds": 2, "plateau": 50, **told}
    return SearchSettings.model_validate({"space": space, **told})


def bowl(parameters):
    """A deviance with its least at eta 0.1 and depth 5, and of more rounds always lower."""
    rounds = parameters.get("rounds", 100)
    loss = (
        0.5 + math.log(parameters["eta"] / 0.1) ** 2 / 20 + (parameters["max_depth"] - 5) ** 2 / 99
    )
    for fold in range(2):
        yield loss + 0.1 / rounds + 0.001 * fold, NULL


def test_the_best_of_the_trials_is_found_and_a_seed_gives_the_same_trials():
    found, again = (search(asked(), BoostingSettings(), bowl) for _ in range(2))
    drawn = [trial.parameters for trial in found.trials]
    assert drawn == [trial.parameters for trial in again.trials]
    assert drawn != [t.parameters for t in search(asked(seed=2), BoostingSettings(), bowl).trials]
    scores = [sum(d for d, _ in bowl(one)) / 2 for one in drawn]
    assert found.best().score == pytest.approx(min(scores))
    assert found.best().parameters == drawn[scores.index(min(scores))]
    assert len({one["eta"] for one in drawn}) == 12 and found.stopped == "all trials done"


def test_the_first_trial_is_the_settings_as_they_stand_and_others_lie_in_the_space():
    first, *others = search(asked(), BoostingSettings(eta=0.2, max_depth=3), bowl).trials
    assert first.parameters == {"eta": 0.2, "max_depth": 3, "reg_lambda": 1.0}
    for trial in others:
        assert 0.01 <= trial.parameters["eta"] <= 0.5
        assert trial.parameters["max_depth"] in range(2, 9)
        assert trial.parameters["reg_lambda"] in (1.0, 10.0)


def test_halving_keeps_the_better_half_and_ends_on_all_rounds():
    found = search(asked(method="halving", trials=8), BoostingSettings(rounds=100), bowl)
    rungs = {}
    for trial in found.trials:
        rungs.setdefault(trial.parameters["rounds"], []).append(trial)
    assert {rounds: len(trials) for rounds, trials in rungs.items()} == {
        13: 8,
        25: 4,
        50: 2,
        100: 1,
    }
    for before, after in ((13, 25), (25, 50), (50, 100)):
        better = sorted(rungs[before], key=lambda one: one.score)[: len(rungs[after])]
        kept = [{**one.parameters, "rounds": after} for one in better]
        assert [one.parameters for one in rungs[after]] == kept
    assert found.best() is rungs[100][0]


def test_a_plateau_stops_the_search():
    found = search(asked(plateau=3, trials=50), BoostingSettings(), lambda _: [(0.7, NULL)] * 2)
    assert len(found.trials) == 4 and found.stopped.startswith("plateau: 3 trials in a row")


@pytest.mark.parametrize("bad", [math.nan, math.inf, NULL * 1.2])
def test_a_fold_that_explodes_ends_its_trial_and_many_in_a_row_the_search(bad):
    folds = []

    def judge(parameters):
        for fold in range(2):
            folds.append(fold)
            yield (0.8 if len(folds) <= 2 else bad), NULL

    found = search(asked(max_explosions=3, trials=50), BoostingSettings(), judge)
    assert [trial.exploded for trial in found.trials] == [False, True, True, True]
    assert folds == [0, 1, 0, 0, 0]
    assert found.stopped.startswith("explosion: 3 trials in a row")
    assert found.best().number == 1


def test_where_nothing_is_better_than_the_intercept_alone_no_model_is_made():
    found = search(asked(), BoostingSettings(), lambda _: [(math.nan, NULL)])
    with pytest.raises(FitError, match="found none among 5; narrow search.space"):
        found.best()


MODEL = {"method": "boosting", "family": "poisson", "target": "claim_count", "per": "exposure"}


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"space": {"depth": {"values": [3]}}}, "expected rounds, early_stopping, .* found depth"),
        ({"space": {"eta": {"low": 0.1, "high": 2}}}, "less than or equal to 1"),
        ({"space": {"eta": {"low": 0.3, "high": 0.1}}}, "low below high"),
        ({"space": {"eta": {"low": 0.1}}}, "give values, or low and high"),
        ({"space": {}}, "space is empty"),
        ({"space": {"rounds": {"values": [9]}}, "method": "halving"}, "found rounds"),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(told, said):
    with pytest.raises(ValueError, match=said):
        ModelSettings.model_validate({**MODEL, "search": told})
