"""Search a model's parameters: random trials, or successive halving over boosting rounds.

Halving gives every trial a share of the rounds, keeps the better half of the trials, and doubles
the share until the last rung has all rounds.
Source: Jamieson and Talwalkar, Non-stochastic best arm identification and hyperparameter
optimization, 2016.
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
# Parameters -> for each fold in turn, its held-out deviance and that of the intercept-only model.
Judge = Callable[[Parameters], Iterable[tuple[float, float]]]


@dataclass(frozen=True)
class Trial:
    """A trial: its parameters, the folds' deviances, and whether it was given up.

    began: seconds since 1970; seconds: the trial's wall time
    """

    number: int
    parameters: Parameters
    deviances: tuple[float, ...]
    null_deviances: tuple[float, ...]
    exploded: bool
    began: float = 0.0
    seconds: float = 0.0

    @property
    def score(self) -> float:
        """Return the mean deviance over the folds; infinite if the trial was given up."""
        return math.inf if self.exploded else float(np.mean(self.deviances))


@dataclass
class Outcome:
    """All trials in order, and why the search ended.

    halved: the parameter that halving hands out in shares; empty for a random search
    """

    halved: str = ""
    trials: list[Trial] = field(default_factory=list)
    stopped: str = "all trials done"

    def best(self) -> Trial:
        """Return the trial of least deviance; for halving, among those with the most rounds.

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


def search(settings: SearchSettings, first: BaseModel, judge: Judge) -> Outcome:
    """Try parameters until the trials are used up, or a plateau or explosions end the search.

    first: the settings as configured, which are the first trial
    """
    outcome = Outcome("rounds" if settings.method == "halving" else "")
    candidates = [{name: getattr(first, name) for name in settings.space}]
    kinds = {name: type(first).model_fields[name].annotation for name in settings.space}
    rng = np.random.default_rng(settings.seed)
    candidates += [_draw(settings.space, kinds, rng) for _ in range(settings.trials - 1)]
    if settings.method == "random":
        _search_randomly(settings, candidates, judge, outcome)
    else:
        _search_by_halving(settings, candidates, judge, outcome, getattr(first, outcome.halved))
    return outcome


def _search_randomly(
    settings: SearchSettings, candidates: list[Parameters], judge: Judge, outcome: Outcome
) -> None:
    best, flat = math.inf, 0
    for parameters in candidates:
        trial = _try(settings, parameters, judge, outcome)
        if _too_many_explosions(settings, outcome):
            return
        gained = trial.score < best * (1 - settings.min_gain) or math.isinf(best)
        flat = 0 if gained and not trial.exploded else flat + 1
        best = min(best, trial.score)
        if flat >= settings.plateau and not math.isinf(best):
            outcome.stopped = f"plateau: {flat} trials in a row bettered the best by nothing"
            return


def _search_by_halving(
    settings: SearchSettings,
    candidates: list[Parameters],
    judge: Judge,
    outcome: Outcome,
    all_rounds: int,
) -> None:
    rungs = max(math.ceil(math.log2(len(candidates))), 1)
    remaining = candidates
    for rung in range(rungs, -1, -1):
        share = {outcome.halved: max(math.ceil(all_rounds / 2**rung), 1)}
        trials = []
        for parameters in remaining:
            trials.append(_try(settings, {**parameters, **share}, judge, outcome))
            if _too_many_explosions(settings, outcome):
                return
        sound = sorted((trial for trial in trials if not trial.exploded), key=lambda t: t.score)
        remaining = [trial.parameters for trial in sound[: math.ceil(len(trials) / 2)]]


def _try(settings: SearchSettings, parameters: Parameters, judge: Judge, outcome: Outcome) -> Trial:
    """Judge parameters fold by fold, and give them up at the first fold that explodes."""
    began = time.time()
    deviances, nulls, exploded = [], [], False
    for deviance, null in judge(parameters):
        deviances.append(deviance)
        nulls.append(null)
        exploded = not deviance <= null * (1 + settings.explosion)  # also for NaN
        if exploded:
            break
    number = len(outcome.trials) + 1
    seconds = round(time.time() - began, 3)
    trial = Trial(number, parameters, tuple(deviances), tuple(nulls), exploded, began, seconds)
    outcome.trials.append(trial)
    return trial


def _too_many_explosions(settings: SearchSettings, outcome: Outcome) -> bool:
    last = outcome.trials[-settings.max_explosions :]
    if len(last) < settings.max_explosions or not all(trial.exploded for trial in last):
        return False
    outcome.stopped = f"explosion: {len(last)} trials in a row were given up"
    return True


def _draw(
    space: Mapping[str, RangeSettings], kinds: Mapping[str, Any], rng: np.random.Generator
) -> Parameters:
    """Draw a value of each parameter; kinds: the parameters' types, of which int is rounded."""
    parameters: Parameters = {}
    for name, interval in space.items():
        if interval.low is None or interval.high is None:
            value = float(rng.choice(interval.values))
        elif interval.log:
            value = math.exp(rng.uniform(math.log(interval.low), math.log(interval.high)))
        else:
            value = rng.uniform(interval.low, interval.high)
        parameters[name] = round(value) if kinds[name] is int else float(f"{value:.6g}")
    return parameters
