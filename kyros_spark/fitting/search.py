"""Search a model's parameters: random trials, or successive halving over boosting rounds.

Halving gives every trial a part of the rounds, keeps the better half, and doubles the part until
the last rung has all rounds. Source: Jamieson and Talwalkar, Non-stochastic best arm identification
and hyperparameter optimization, 2016.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import BaseModel

from kyros_spark.config import RangeSettings, SearchSettings
from kyros_spark.errors import FitError

Parameters = dict[str, Any]
# Parameters -> of each fold in turn the deviance held out, and that of the intercept alone there.
Judge = Callable[[Parameters], Iterable[tuple[float, float]]]


@dataclass(frozen=True)
class Trial:
    """Parameters tried: what they were, the folds' deviances, and whether it was given up."""

    number: int
    parameters: Parameters
    deviances: tuple[float, ...]
    null_deviances: tuple[float, ...]
    exploded: bool
    began: float = 0.0
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """Mean deviance over the folds; infinite where the trial was given up."""
        return math.inf if self.exploded else float(np.mean(self.deviances))


@dataclass
class Outcome:
    """All trials in their order, and why the search ended; ``halved`` is what halving hands out."""

    halved: str = ""
    trials: list[Trial] = field(default_factory=list)
    stopped: str = "all trials done"

    def best(self) -> Trial:
        """Return the trial of least deviance; of halving's, among those with the most rounds.

        Raises:
            FitError: every trial was given up.
        """
        sound = [trial for trial in self.trials if not trial.exploded]
        if not sound:
            raise FitError(
                f"search: expected a trial within search.explosion, found none among "
                f"{len(self.trials)}; narrow search.space, or look at the target"
            )
        if self.halved:
            most = max(trial.parameters[self.halved] for trial in sound)
            sound = [trial for trial in sound if trial.parameters[self.halved] == most]
        return min(sound, key=lambda trial: trial.score)


def search(asked: SearchSettings, first: BaseModel, judge: Judge) -> Outcome:
    """Try parameters until the trials, the plateau or the explosions end it.

    first: the settings as they stand, which are the first trial
    """
    outcome = Outcome("rounds" if asked.method == "halving" else "")
    starts = [{name: getattr(first, name) for name in asked.space}]
    kinds = {name: type(first).model_fields[name].annotation for name in asked.space}
    rng = np.random.default_rng(asked.seed)
    starts += [_drawn(asked.space, kinds, rng) for _ in range(asked.trials - 1)]
    if asked.method == "random":
        _random(asked, starts, judge, outcome)
    else:
        _halving(asked, starts, judge, outcome, getattr(first, outcome.halved))
    return outcome


def _random(
    asked: SearchSettings, starts: list[Parameters], judge: Judge, outcome: Outcome
) -> None:
    best, flat = math.inf, 0
    for parameters in starts:
        trial = _tried(asked, parameters, judge, outcome)
        if _too_many_explosions(asked, outcome):
            return
        gained = trial.score < best * (1 - asked.min_gain) or math.isinf(best)
        flat = 0 if gained and not trial.exploded else flat + 1
        best = min(best, trial.score)
        if flat >= asked.plateau and not math.isinf(best):
            outcome.stopped = f"plateau: {flat} trials in a row bettered the best by nothing"
            return


def _halving(
    asked: SearchSettings, starts: list[Parameters], judge: Judge, outcome: Outcome, whole: int
) -> None:
    rungs = max(math.ceil(math.log2(len(starts))), 1)
    left = starts
    for rung in range(rungs, -1, -1):
        part = {outcome.halved: max(math.ceil(whole / 2**rung), 1)}
        trials = []
        for parameters in left:
            trials.append(_tried(asked, {**parameters, **part}, judge, outcome))
            if _too_many_explosions(asked, outcome):
                return
        kept = sorted((one for one in trials if not one.exploded), key=lambda one: one.score)
        left = [one.parameters for one in kept[: math.ceil(len(trials) / 2)]]


def _tried(asked: SearchSettings, parameters: Parameters, judge: Judge, outcome: Outcome) -> Trial:
    """Judge parameters fold by fold, and give them up at the first fold that explodes."""
    began = time.time()
    deviances, nulls, exploded = [], [], False
    for deviance, null in judge(parameters):
        deviances.append(deviance)
        nulls.append(null)
        exploded = not deviance <= null * (1 + asked.explosion)  # NaN is no number to compare
        if exploded:
            break
    number = len(outcome.trials) + 1
    seconds = round(time.time() - began, 3)
    told = (tuple(deviances), tuple(nulls), exploded, began, seconds)
    trial = Trial(number, parameters, *told)
    outcome.trials.append(trial)
    return trial


def _too_many_explosions(asked: SearchSettings, outcome: Outcome) -> bool:
    last = outcome.trials[-asked.max_explosions :]
    if len(last) < asked.max_explosions or not all(one.exploded for one in last):
        return False
    outcome.stopped = f"explosion: {len(last)} trials in a row were given up"
    return True


def _drawn(
    space: Mapping[str, RangeSettings], kinds: Mapping[str, Any], rng: np.random.Generator
) -> Parameters:
    """Draw a value of each parameter, whole numbers where the setting is one."""
    found: Parameters = {}
    for name, place in space.items():
        if place.low is None or place.high is None:
            value = float(rng.choice(place.values))
        elif place.log:
            value = math.exp(rng.uniform(math.log(place.low), math.log(place.high)))
        else:
            value = rng.uniform(place.low, place.high)
        found[name] = round(value) if kinds[name] is int else float(f"{value:.6g}")
    return found
