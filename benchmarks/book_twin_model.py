"""The naive twin of train: learns a GLM's levels and coefficients on plain arrays.

It follows docs/prepare.md (what train learns) and docs/models.md. Coefficients come from a dense
design and NumPy's solver, deviances from their formulas.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from benchmarks.book_twin_evaluate import deviance
from benchmarks.book_twin_prepare import bin_label

MISSING, OTHER = "(missing)", "(other)"


class CannotFit(Exception):
    """A model that has no finite coefficients on these rows, or whose targets are impossible."""


@dataclass
class Column:
    """One column of the design: of a level, or of a number."""

    feature: str
    level: str | None


@dataclass
class Fit:
    """A fitted GLM: what `predictions` holds of any row follows from it."""

    spec: dict
    columns: list = field(default_factory=list)
    coefficients: np.ndarray | None = None
    rebalance: float = 1.0
    load: float = 0.0


def used(rows, model):
    """Return the rows that a model trains on or is judged by."""
    target, per = model["target"], model["per"]
    kept = [r for r in rows if r[target] is not None and r[per] is not None and r[per] > 0]
    return [r for r in kept if r[target] > 0] if model["family"] == "gamma" else kept


def label_weight_offset(rows, model):
    """Return label, weight and offset of rows, as the table of families says."""
    y = np.array([r[model["target"]] for r in rows], dtype=float)
    units = np.array([r[model["per"]] for r in rows], dtype=float)
    if model["family"] in ("poisson", "negative_binomial"):
        return y, np.ones(len(y)), np.log(units), units
    return y / units, units, np.zeros(len(y)), units


def power_of(model):
    return {"poisson": 1.0, "gamma": 2.0, "tweedie": model.get("tweedie_power", 1.5)}.get(
        model["family"]
    )


def variance(mean, model):
    if model["family"] == "negative_binomial":
        return mean + mean**2 / model["theta"]
    return mean ** power_of(model)


def learn(rows, model, features, of_spec):
    """Learn levels, base, rare levels, cuts and values for missing numbers.

    rows: the training part's rows that the model uses. of_spec: the name of what weighs a level.
    """
    weight = np.array([r[of_spec] for r in rows], dtype=float)
    spec = {}
    for name in model["features"]:
        settings = features[name]
        values = [r[name] for r in rows]
        cuts = None
        if settings["kind"] == "numeric":
            spec[name] = ("number", _impute(values, weight, settings.get("impute", "mean")))
            continue
        if "quantiles" in settings:
            cuts = quantile_cuts(values, weight, settings["quantiles"])
            values = [None if v is None else _cut_label(v, cuts) for v in values]
        spec[name] = ("levels", _levels(values, weight, settings, model), cuts)
    return spec


def _cut_label(value, cuts):
    return bin_label(value, cuts) if cuts else "all"


def _impute(values, weight, how):
    known = np.array([v is not None for v in values])
    if isinstance(how, (int, float)):
        return float(how)
    if not known.any():
        return 0.0
    numbers = np.array([v for v in values if v is not None], dtype=float)
    weight = weight[known]
    if how == "mean":
        return float((numbers * weight).sum() / weight.sum())
    order = np.argsort(numbers, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    return float(numbers[order][np.searchsorted(share, 0.5)])


def quantile_cuts(values, weight, count):
    """Return the cuts: the share of exposure below the k-th comes closest to k / count."""
    by_value = defaultdict(float)
    for value, w in zip(values, weight, strict=True):
        if value is not None:
            by_value[value] += w
    numbers = sorted(by_value)
    total, below, shares = sum(by_value.values()), 0.0, []
    for number in numbers:
        shares.append(below / total)
        below += by_value[number]
    cuts = []
    for k in range(1, count):
        near = min(range(len(numbers)), key=lambda n: abs(shares[n] - k / count), default=0)
        if near > 0 and numbers[near] not in cuts:
            cuts.append(numbers[near])
    return cuts


def _levels(values, weight, settings, model):
    """Return (base, kept levels besides it, whether rare ones have a level of their own)."""
    by_level = defaultdict(float)
    for value, w in zip(values, weight, strict=True):
        by_level[MISSING if value is None else value] += w
    total = sum(by_level.values())
    base = max(by_level, key=lambda level: by_level[level])
    rare = {level for level, w in by_level.items() if w < model["min_level_share"] * total}
    kept = sorted((lv for lv in by_level if lv not in rare | {base}), key=lambda lv: -by_level[lv])
    has_other = settings.get("rare") == "other" and bool(rare)
    return base, kept, has_other


def columns_of(spec):
    columns = []
    for name, learnt in spec.items():
        if learnt[0] == "number":
            columns.append(Column(name, None))
        else:
            _, kept, has_other = learnt[1]
            columns += [Column(name, level) for level in kept + ([OTHER] if has_other else [])]
    return columns


def design(rows, spec, columns):
    """Return the dense design without the constant."""
    x = np.zeros((len(rows), len(columns)))
    at = {(c.feature, c.level): n for n, c in enumerate(columns)}
    for number, row in enumerate(rows):
        for name, learnt in spec.items():
            value = row[name]
            if learnt[0] == "number":
                if (name, None) in at:
                    x[number, at[name, None]] = learnt[1] if value is None else value
                continue
            if learnt[2] is not None and value is not None:
                value = _cut_label(value, learnt[2])
            level = MISSING if value is None else value
            base, kept, has_other = learnt[1]
            if level != base and level not in kept and has_other:
                level = OTHER
            if (name, level) in at:
                x[number, at[name, level]] = 1.0
    return x


def fit(rows, model, features, of_spec="exposure"):
    """Fit a GLM to the rows of its batches, all parts; return the Fit.

    Raises:
        CannotFit: says why.
    """
    every = used(rows, model)
    train = [r for r in every if r["split"] == "train"]
    if not train:
        raise CannotFit("no rows")
    if any(r[model["target"]] < 0 for r in every):
        raise CannotFit("a target below zero")
    y, weight, offset, units = label_weight_offset(train, model)
    if not y.sum() > 0:
        raise CannotFit("nothing observed")
    spec = learn(train, model, features, of_spec)
    columns, alpha = columns_of(spec), model.get("glm", {}).get("alpha", 0.0)
    x = design(train, spec, columns)
    if not alpha:
        _check_separation(x, y, columns)
        kept = _independent(x, weight)
        columns, x = [columns[n] for n in kept], x[:, kept]
    made = Fit(spec, columns)
    made.coefficients = _solve(x, y, weight, offset, columns, model, alpha)
    means = mean_of(made, train) * units
    observed = sum(r[model["target"]] for r in train)
    if model["family"] != "poisson" or alpha:
        made.rebalance = observed / means.sum()
    if model.get("large_loss_load"):
        made.load = sum(r["claim_excess"] for r in train) / units.sum()
    return made


def mean_of(made, rows):
    """Return the fit's response per unit, before rebalance and load."""
    x = design(rows, made.spec, made.columns)
    return np.exp(made.coefficients[0] + x @ made.coefficients[1:])


def predict(made, rows):
    return mean_of(made, rows) * made.rebalance + made.load


def _check_separation(x, y, columns):
    for n, column in enumerate(columns):
        claims = x[y > 0, n]
        if column.level is not None and claims.sum() == 0:
            raise CannotFit(f"{column.feature} {column.level} without claims")
        if column.level is not None and (claims == 1).all() and not (x[:, n] == 1).all():
            raise CannotFit(f"all claims at {column.feature} {column.level}")
        low, high = x[:, n].min(), x[:, n].max()
        if (
            column.level is None
            and low < high
            and ((claims == low).all() or (claims == high).all())
        ):
            raise CannotFit(f"{column.feature}: all claims at one end")
    for name in {c.feature for c in columns if c.level is not None}:
        own = [n for n, c in enumerate(columns) if c.feature == name]
        if not (y[x[:, own].sum(axis=1) == 0] > 0).any() and (x[:, own].sum(axis=1) == 0).any():
            raise CannotFit(f"{name}: base without claims")


def _independent(x, weight):
    """Return the columns that those before them and the constant do not determine."""
    root = np.sqrt(weight)
    basis, kept = [root / np.linalg.norm(root)], []
    for n in range(x.shape[1]):
        centred = x[:, n] - np.average(x[:, n], weights=weight)
        own = root * centred
        size = (own**2).sum()
        left = own
        for _ in range(2):
            for vector in basis:
                left = left - vector * (vector @ left)
        if (
            size > 0
            and (left**2).sum() >= 1e-9 * size
            and size > 1e-18 * (weight * x[:, n] ** 2).sum()
        ):
            basis.append(left / np.linalg.norm(left))
            kept.append(n)
    return kept


def _solve(x, y, weight, offset, columns, model, alpha):
    """Fisher scoring on a standardised design; a penalty is alpha / 2 times the squares."""
    number = np.array([c.level is None for c in columns], dtype=bool)
    middle = np.where(number, np.average(x, axis=0, weights=weight) if len(columns) else 0, 0.0)
    # A number's standard deviation is that of the rows, which weigh the same here.
    spread = x.std(axis=0) if len(columns) else middle
    scale = np.where(number & (spread > 0), spread, 1.0)
    z = np.column_stack([np.ones(len(y)), (x - middle) / scale])
    share, penalty = weight / weight.sum(), np.full(z.shape[1], alpha)
    penalty[0] = 0.0
    b = np.zeros(z.shape[1])
    b[0] = np.log((share * y).sum() / (share * np.exp(offset)).sum())

    def loss(b):
        with np.errstate(over="ignore", invalid="ignore"):
            return (
                deviance(y, np.exp(z @ b + offset), share, model, True) / 2
                + (penalty * b * b).sum() / 2
            )

    size = np.inf
    for _ in range(300):
        mean = np.exp(z @ b + offset)
        w = share * mean**2 / variance(mean, model)
        score = z.T @ (share * (y - mean) * mean / variance(mean, model)) - penalty * b
        information = z.T @ (z * w[:, None]) + np.diag(penalty)
        if not np.isfinite(information).all():
            raise CannotFit("coefficients run away beyond all numbers")
        step = np.linalg.lstsq(information, score, rcond=1e-14)[0]
        size, before = np.abs(step).max(), loss(b)
        while size > 1e-13 and not loss(b + step) <= before + 1e-12 * abs(before):
            step, size = step / 2, size / 2
        b = b + step
        if size < 1e-12:
            break
    if np.abs(b[1:]).max(initial=0) > 30 or size > 1e-7:
        raise CannotFit(f"coefficients run away ({np.abs(b).max():.1f}, last step {size:.1e})")
    slopes = b[1:] / scale
    return np.concatenate([[b[0] - (slopes * middle).sum()], slopes])
