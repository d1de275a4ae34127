"""Tell what a batch's predictions add up to, and what about them is out of the ordinary."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from kyros_spark.config import Config
from kyros_spark.log import event
from kyros_spark.model.predicted_column import ROWS, UNSEEN, UNSEEN_LEVEL
from kyros_spark.runs.run import Run
from kyros_spark.stages.predict.scoring_plan import ScoringPlan


def tell_totals(run: Run, config: Config, plan: ScoringPlan, totals: Mapping[str, Any]) -> None:
    """Put the totals into the run; warn of many unseen levels, and of what is no number."""
    run.rows_in = int(totals[ROWS])
    unseen = {
        name.removeprefix(UNSEEN): int(count)
        for name, count in totals.items()
        if name.startswith(UNSEEN) and count
    }
    expected = {o.name: totals.get(f"expected{o.column}") for o in plan.outputs}
    not_finite = {o.name: int(totals.get(f"bad{o.column}") or 0) for o in plan.outputs}
    run.details |= {
        "models": {output.name: output.version for output in plan.outputs},
        "expected": {
            name: round(total, 2) if math.isfinite(total) else None
            for name, total in expected.items()
            if total is not None
        },
        "unseen_levels": unseen,
        "not_finite": {name: count for name, count in not_finite.items() if count},
    }
    for name, count in run.details["not_finite"].items():
        event(
            f"model {name}: {count} of {run.rows_in} predictions are NaN or infinite, and evaluate "
            "will not judge the model; look at these rows' numbers, which lie far from those of "
            "its training, and bound them by min and max or in prepare.features",
            level=30,
        )
    for name, count in unseen.items():
        if count > config.predict.unseen_warning_share * max(run.rows_in, 1):
            scored_as = dict.fromkeys(
                feature.unseen_as
                for model in plan.models
                for feature in model.model.manifest.features
                if feature.name == name
            )
            event(
                f"feature {name}: {count} of {run.rows_in} rows hold a level that training never "
                f"saw, such as {totals[f'{UNSEEN_LEVEL}{name}']!r}; they score as "
                f"{' or as '.join(scored_as)}",
                level=30,
            )
