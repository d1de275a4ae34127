"""The naive twin of evaluate: metrics from stored predictions, by docs/evaluate.md."""

import numpy as np


def deviance(y, m, weight, model, by_weight=False):
    """Return the sum of deviances of targets y and means m.

    The counts' families weigh each row alike unless ``by_weight``; y and m are then as weighted.
    """
    family = model["family"]
    counts = family in ("poisson", "negative_binomial")
    w = weight if by_weight or not counts else np.ones(len(y))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.where(y > 0, y * np.log(np.where(y > 0, y, 1) / m), 0.0)
        if family == "poisson":
            parts = log - (y - m)
        elif family == "negative_binomial":
            theta = model["theta"]
            parts = log - (y + theta) * np.log((y + theta) / (m + theta))
        elif family == "gamma":
            parts = -np.log(y / m) + (y - m) / m
        else:
            p = model.get("tweedie_power", 1.5)
            parts = (
                y ** (2 - p) / ((1 - p) * (2 - p))
                - y * m ** (1 - p) / (1 - p)
                + m ** (2 - p) / (2 - p)
            )
    return float((w * 2 * parts).sum())


def of_rows(y, m, units, model):
    """Return the deviance of rows' totals: of rates, by units, unless they are counts."""
    if model["family"] in ("poisson", "negative_binomial"):
        return deviance(y, m, units, model)
    return deviance(y / units, m / units, units, model)


def gini(y, r, units):
    """Return 1 - 2 x area under the Lorenz curve; equal predictions form one group."""
    order = np.argsort(r, kind="stable")
    area, units_below, y_below = 0.0, 0.0, 0.0
    at = 0
    while at < len(order):
        end = at
        while end < len(order) and r[order[end]] == r[order[at]]:
            end += 1
        e, s = units[order[at:end]].sum(), y[order[at:end]].sum()
        area += e * (y_below + s / 2)
        units_below, y_below, at = units_below + e, y_below + s, end
    return 1 - 2 * area / (units_below * y_below)


def metrics(y, r, units, model):
    """Return the metrics of a part's rows: targets, predictions per unit, units."""
    m = r * units
    made = {"rows": float(len(y)), "units": units.sum(), "observed": y.sum(), "expected": m.sum()}
    if not len(y):
        return made
    own = of_rows(y, m, units, model)
    made |= {
        "deviance_per_row": own / len(y),
        "deviance_per_exposure": own / units.sum(),
        "actual_expected": y.sum() / m.sum(),
        "mae": np.abs(y - m).mean(),
        "rmse": np.sqrt(((y - m) ** 2).mean()),
    }
    if y.sum() > 0:
        null = of_rows(y, units * y.sum() / units.sum(), units, model)
        made |= {
            "null_deviance_per_row": null / len(y),
            "balance": m.sum() / y.sum(),
            "gini": gini(y, r, units),
        }
        if null > 1e-9 * len(y):
            made["d2"] = 1 - own / null
    return made
