"""Hold prepared rows, models, predictions and metrics of a random portfolio against its twin."""

import math
from collections import Counter, defaultdict

import numpy as np

from benchmarks import book_twin_evaluate, book_twin_model
from benchmarks.book_tables import rows_of
from benchmarks.book_twin_model import CannotFit
from benchmarks.book_twin_prepare import prepare

COMPOSITE = {"family": "tweedie", "per": "exposure"}  # as far as it says nothing else
PARTS = ("train", "valid", "test")


def judge_prepared(found, book, batch, cleaned, parts):
    """Compare table prepared with the twin's; return the twin's rows by key.

    parts: the part of each client, as far as it is known; a client stays in its part.
    """
    settings, sources = book.settings["prepare"], book.settings["sources"]
    key, base = sources["policies"]["key"] or ["row_number"], book.folder / "tables"
    ours = {tuple(row[n] for n in key): row for row in rows_of(base, "prepared", batch)}
    by_key = {tuple(v[n] for n in key): v for v in cleaned["policies"].accepted.values()}
    if "by" in settings["split"]:
        for name, row in ours.items():
            client = by_key[name]["client"]
            found.same(
                f"part of client {client}", row["split"], parts.setdefault(client, row["split"])
            )
    twin = prepare(settings, sources, cleaned, parts.get)
    found.same(f"prepared {batch} keys", set(ours) ^ set(twin), set())
    for name, row in twin.items():
        for column, value in row.items():
            other = ours.get(name, {}).get(column)
            if isinstance(value, float):
                # Sums of claims may be added in another order, and hold no more than their cents.
                found.close(f"prepared {batch} {name} {column}", other, value, 1e-12, 1e-9)
            else:
                found.same(f"prepared {batch} {name} {column}", other, value)
    logged = {r["feature"]: r for r in rows_of(base, "feature_log", batch)}
    for feature in settings["features"]:
        missing = sum(row[feature] is None for row in twin.values())
        log = logged[feature]
        found.same(
            f"feature_log {batch} {feature}",
            (log["null_count"], log["row_count"]),
            (missing, len(twin)),
        )
    return twin


def judge_models(found, book, rows, registered, error):
    """Compare the registered models with the twin's fits; return these by name.

    rows: the twin's prepared rows of all training batches.
    """
    models, features = book.settings["train"]["models"], book.settings["prepare"]["features"]
    fits = {}
    for name, model in models.items():
        if model["method"] == "composite":
            lacks = [p for p in (*model["parts"], *model.get("beside", [])) if p not in registered]
            if lacks and name in registered:
                found.append(f"train {name}: registered without {lacks}")
            continue
        try:
            fits[name] = (
                book_twin_model.fit(rows, model, features) if model["method"] == "glm" else None
            )
            reason = None
        except CannotFit as unfit:
            reason = str(unfit)
        if reason is not None and name in registered:
            found.append(f"train {name}: kyros registered it, the twin cannot: {reason}")
            fits.pop(name, None)
        if reason is None and name not in registered:
            fit = fits.pop(name, None)
            # The page says that a solver that does not end is a named error; the twin goes on.
            slow = "within 50 iterations" in str(error)
            if slow or (fit is not None and _is_refused(fit, rows, model)):
                continue
            if model["method"] == "glm" or not _boosting_may_fail(rows, model):
                found.append(f"train {name}: the twin can, kyros: {error}")
    for name, row in registered.items():
        _judge_counts(found, name, {**COMPOSITE, **models[name]}, rows, dict(row["metrics"]))
    return fits


def _is_refused(fit, rows, model):
    """Tell whether a fit is worse than no model on its training part, or no number on another."""
    for part in PARTS:
        chosen = [r for r in book_twin_model.used(rows, model) if r["split"] == part]
        if not chosen:
            continue
        y, units = (np.array([r[model[name]] for r in chosen]) for name in ("target", "per"))
        rates = book_twin_model.predict(fit, chosen)
        made = book_twin_evaluate.metrics(y, rates, units, model)
        own, null = made["deviance_per_row"], made.get("null_deviance_per_row", math.inf)
        if not math.isfinite(own) or (part == "train" and own > null):
            return True
    return False


def _boosting_may_fail(rows, model):
    used = book_twin_model.used(rows, model)
    train = [r for r in used if r["split"] == "train"]
    valid = [r for r in used if r["split"] == "valid"]
    negative = any(r[model["target"]] < 0 for r in used)
    nothing = not sum(r[model["target"]] for r in train) > 0
    # Early stopping needs claims to judge the rounds by, and 8 rounds may be too far off.
    return negative or nothing or not sum(r[model["target"]] for r in valid) > 0


def _judge_counts(found, name, model, rows, metrics):
    """Rows in = rows used + rows left out, by reason; and the parts' totals."""
    target, per = model["target"], model["per"]
    reasons = Counter()
    for row in rows:
        if row[per] is None:
            reasons["units_missing"] += 1
        elif row[per] <= 0:
            reasons["units_not_above_zero"] += 1
        elif row[target] is None:
            reasons["target_missing"] += 1
        elif model["family"] == "gamma" and row[target] <= 0:
            reasons["target_not_above_zero"] += 1
    ours = {
        k.removeprefix("left_out_"): int(v) for k, v in metrics.items() if k.startswith("left_out_")
    }
    found.same(f"train {name} left out", {k: v for k, v in ours.items() if v}, dict(reasons))
    found.same(f"train {name} rows in", metrics["rows_in"], float(len(rows)))
    parts = sum(metrics.get(f"{part}_rows", 0.0) for part in PARTS)
    found.same(
        f"train {name} balance of rows", metrics["rows_in"], parts + metrics["rows_left_out"]
    )


def judge_predictions(found, book, batch, rows, fits):
    """Compare stored predictions with those of the twin's coefficients; return them by model."""
    settings, base = book.settings, book.folder / "tables"
    key = settings["sources"]["policies"]["key"] or ["row_number"]
    stored = defaultdict(dict)
    for row in rows_of(base, "predictions", batch):
        stored[row["model_name"]][tuple(row[n] for n in key)] = row
    names = list(rows)
    for model, by_key in stored.items():
        found.same(f"predictions {batch} {model} keys", set(by_key) ^ set(rows), set())
    for model, fit in fits.items():
        if fit is None or model not in stored:
            continue
        expected = book_twin_model.predict(fit, [rows[n] for n in names])
        ours = np.array([stored[model][n]["prediction"] for n in names])
        with np.errstate(divide="ignore", invalid="ignore"):
            off = np.where(ours == expected, 0.0, np.abs(ours / expected - 1))
        if not off.max() < 1e-5:
            worst = int(off.argmax())
            found.append(
                f"predictions {batch} {model}: {(off >= 1e-5).sum()} of {len(off)} differ, "
                f"{names[worst]}: kyros {ours[worst]!r}, twin {expected[worst]!r}"
            )
    for model, by_key in stored.items():
        parts = settings["predict"]["products"].get(model) or settings["train"]["models"].get(
            model, {}
        ).get("parts")
        if parts:
            products = [math.prod(stored[p][n]["prediction"] for p in parts) for n in names]
            pairs = list(zip([by_key[n]["prediction"] for n in names], products, strict=True))
            ratio = [ours / p for ours, p in pairs if 0.0 < p < math.inf] or [1.0]
            odd = [pair for pair in pairs if not 0.0 < pair[1] < math.inf and pair[0] != pair[1]]
            found.same(f"{batch} {model} products without bound or of nothing", odd, [])
            if model in settings["predict"]["products"]:
                found.close(
                    f"{batch} {model} is a product",
                    max(abs(r - 1) for r in ratio),
                    0.0,
                    0,
                    1e-12,
                )
            else:
                found.close(
                    f"{batch} {model} rebalance is one number", max(ratio), min(ratio), 1e-12
                )
    for model, by_key in stored.items():
        per = settings["train"]["models"].get(_plain(model), {}).get("per", "exposure")
        for name in names:
            row = by_key[name]
            expected = row["prediction"] * rows[name]["exposure"] if per == "exposure" else None
            found.close(f"{batch} {model} {name} expected", row["expected"], expected, 1e-14)
    return stored


def judge_metrics(found, book, batch, rows, stored, registered):
    """Compare evaluation_metrics with the formulas, and with what train said of its own part."""
    settings, base = book.settings, book.folder / "tables"
    models = settings["train"]["models"]
    ours = {(r["model_name"], r["part"]): r for r in rows_of(base, "evaluation_metrics", batch)}
    for name, by_key in stored.items():
        model = COMPOSITE | (
            models.get(name.partition(".")[0]) or _of_product(models, settings, name)
        )
        # What is written beside a composite is judged by the composite's family and power.
        if models.get(_plain(name), {}).get("large_loss_load"):
            model["large_loss_load"] = True
            model["target"] = "claim_amount_with_excess"
            for row in rows.values():
                known = row["claim_amount"] is not None
                row["claim_amount_with_excess"] = (
                    row["claim_amount"] + row["claim_excess"] if known else None
                )
        if all(row[model["target"]] is None for row in rows.values()):
            _judge_unknown(found, f"evaluate {batch} {name}", rows, by_key, model, ours)
            continue
        kept = book_twin_model.used(rows.values(), model)
        keys = {id(row): key for key, row in rows.items()}
        if any(row[model["target"]] < 0 for row in kept):
            if (name, "all") in ours and ours[name, "all"]["deviance_per_row"] is not None:
                found.append(f"evaluate {batch} {name}: judged in spite of a target below zero")
            continue
        unsound = {k for k, row in by_key.items() if not 0.0 < row["prediction"] < math.inf}
        if unsound:
            # It is not judged; that may also be so for a row that no target is known of.
            judged = ours.get((name, "all"), {}).get("deviance_per_row") is not None
            if judged and unsound & {keys[id(row)] for row in kept}:
                found.append(f"evaluate {batch} {name}: judged with rates of nothing or no bound")
            if not judged:
                continue
        for part in (*PARTS, "all"):
            chosen = [row for row in kept if part in ("all", row["split"])]
            row = ours.get((name, part))
            if row is None:
                if chosen:
                    found.append(f"evaluate {batch} {name} {part}: missing")
                continue
            if not chosen:
                found.same(f"evaluate {batch} {name} {part} rows", row["rows"] or 0.0, 0.0)
                continue
            y = np.array([r[model["target"]] for r in chosen])
            units = np.array([r[model["per"]] for r in chosen])
            r = np.array([by_key[keys[id(one)]]["prediction"] for one in chosen])
            twin = book_twin_evaluate.metrics(y, r, units, model)
            for metric, value in twin.items():
                close = 1e-6 if metric in ("d2", "gini") else 1e-9
                found.close(
                    f"evaluate {batch} {name} {part} {metric}", row[metric], value, close, 1e-8
                )
            if batch in settings["train"]["batches"] == [batch] and not model.get(
                "large_loss_load"
            ):
                _judge_training(found, f"{name} {part}", model, registered.get(name), part, row)


def _judge_unknown(found, at, rows, by_key, model, ours):
    """Hold a batch whose claims are not known: its rows are counted and expected, not observed."""
    for part in (*PARTS, "all"):
        chosen = {
            key: row[model["per"]]
            for key, row in rows.items()
            if part in ("all", row["split"]) and (row[model["per"]] or 0.0) > 0.0
        }
        row = ours.get((at.rpartition(" ")[2], part))
        if row is None:
            if chosen:
                found.append(f"{at} {part}: missing")
            continue
        expected = sum(units * by_key[key]["prediction"] for key, units in chosen.items())
        found.same(f"{at} {part} rows", row["rows"] or 0.0, float(len(chosen)))
        found.close(f"{at} {part} expected", row["expected"] or 0.0, expected, 1e-9, 1e-8)
        found.same(f"{at} {part} observed", row["observed"], None)


def _plain(name):
    """Return the model that stands behind one written beside a composite."""
    return name.rpartition(".")[2]


def _of_product(models, settings, name):
    parts = [models[p] for p in settings["predict"]["products"][name]]
    return {
        "family": "tweedie",
        "target": parts[-1]["target"],
        "per": "exposure",
        "tweedie_power": 1.5,
    }


def _judge_training(found, at, model, entry, part, row):
    """Training's totals equal evaluate's."""
    if entry is None or part == "all":
        return
    metrics = dict(entry["metrics"])
    per_row = model["family"] in ("poisson", "negative_binomial")
    deviance = row["deviance_per_row" if per_row else "deviance_per_exposure"]
    found.close(f"train and evaluate {at} rows", row["rows"], metrics.get(f"{part}_rows"), 0)
    found.close(
        f"train and evaluate {at} deviance", deviance, metrics.get(f"{part}_deviance"), 1e-8
    )
    if row["balance"] is not None:
        found.close(
            f"train and evaluate {at} balance", row["balance"], metrics.get(f"{part}_balance"), 1e-8
        )
    balances = entry["method"] != "glm" or model["family"] != "poisson"
    if part == "train" and balances and row["balance"] is not None:
        found.close(f"{at} is balanced", row["balance"], 1.0, 1e-6)
