"""Refuse names of columns, features and units that no table will have, before anything starts."""

from __future__ import annotations

from kyros_spark.config.evaluate import EvaluateSettings
from kyros_spark.config.explain import ExplainSettings
from kyros_spark.config.features import PrepareSettings
from kyros_spark.config.models import ModelSettings, TrainSettings, unit_of, unit_text
from kyros_spark.config.monitor import MonitorSettings
from kyros_spark.config.predict import PredictSettings

_OF_CLAIMS = ("claim_count", "claim_amount", "claim_excess")
_WITH_EXCESS = "claim_amount_with_excess"  # what a model with a large-loss load is judged by


def target_names(prepare: PrepareSettings) -> set[str]:
    """Return the columns of table prepared that may be a target or a unit."""
    of_claims = _OF_CLAIMS if prepare.claims is not None else ()
    return {"exposure", *of_claims, *prepare.targets}


def check_models(prepare: PrepareSettings, train: TrainSettings) -> None:
    """Refuse a model's target, unit or feature that prepare does not make.

    Raises:
        ValueError: names the setting, the values it may take, and its value.
    """
    for name, model in train.models.items():
        setting = f"train.models.{name}"
        _check_columns(setting, target_names(prepare), target=model.target, per=model.per)
        _check_keys_of_segments(setting, prepare, model)
        unknown = [f for f in model.features or () if f not in prepare.features]
        if unknown:
            raise ValueError(
                f"{setting}.features: '{', '.join(unknown)}' is not among prepare.features: "
                f"{', '.join(prepare.features)}"
            )


def check_evaluate(prepare: PrepareSettings, evaluate: EvaluateSettings) -> None:
    """Refuse factors, targets and units to judge by that prepare does not make.

    Raises:
        ValueError: names the setting, the values it may take, and its value.
    """
    unknown = sorted(set(evaluate.factors or ()) - set(prepare.features))
    if unknown:
        raise ValueError(
            f"evaluate.factors: expected features of prepare.features "
            f"({', '.join(prepare.features)}), found {', '.join(unknown)}"
        )
    factors = tuple(prepare.features) if evaluate.factors is None else evaluate.factors
    for pair in evaluate.two_way:
        if len(set(pair)) < len(pair) or not set(pair) <= set(factors):
            raise ValueError(
                f"evaluate.two_way: expected pairs of two different factors of "
                f"{', '.join(factors) or 'evaluate.factors, which names none'}; "
                f"found [{', '.join(pair)}]"
            )
    names = target_names(prepare)
    names |= {_WITH_EXCESS} if "claim_excess" in names else set()
    for name, judged in evaluate.judged.items():
        _check_columns(f"evaluate.judged.{name}", names, target=judged.target, per=judged.per)


def check_explain(prepare: PrepareSettings, explain: ExplainSettings | None) -> None:
    """Refuse segments that are not features.

    Raises:
        ValueError: names the setting, the values it may take, and its value.
    """
    unknown = sorted(set(explain.segments) - set(prepare.features)) if explain is not None else []
    if unknown:
        raise ValueError(
            f"explain.segments: expected features of prepare.features "
            f"({', '.join(prepare.features)}), found {', '.join(unknown)}"
        )


def check_monitor(prepare: PrepareSettings, monitor: MonitorSettings) -> None:
    """Refuse columns and segments that are not features, and segments that are numbers.

    Raises:
        ValueError: names the setting, the values it may take, and its value.
    """
    names = {
        "monitor.features": (monitor.features or (), prepare.features),
        "monitor.segments": (
            monitor.segments,
            [name for name, feature in prepare.features.items() if not feature.is_number],
        ),
    }
    for setting, (given, known) in names.items():
        if unknown := sorted(set(given) - set(known)):
            raise ValueError(
                f"{setting}: expected {'features with levels' if 'seg' in setting else 'features'} "
                f"of prepare.features ({', '.join(known)}), found {', '.join(unknown)}"
            )
    columns = {*prepare.features, *target_names(prepare), _WITH_EXCESS, "prediction"}
    for rule in monitor.rules:
        if unknown := sorted(set(rule.columns) - columns):
            raise ValueError(
                f"monitor.rules, {rule.name}: expected columns among {', '.join(sorted(columns))}, "
                f"found {', '.join(unknown)}"
            )


def check_products(predict: PredictSettings, train: TrainSettings | None) -> None:
    """Refuse a product whose units do not cancel to one target per unit, as a premium's do.

    Products of models that the settings do not train are for predict to judge.

    Raises:
        ValueError: names the product and its unit.
    """
    models = train.models if train is not None else {}
    for name, parts in predict.products.items():
        if all(part in models for part in parts):
            targets, units = unit_of([models[part] for part in parts])
            if len(targets) != 1 or len(units) != 1:
                raise ValueError(
                    f"predict.products.{name}: expected models that give one target per unit, "
                    f"found that {' times '.join(parts)} is {unit_text(targets, units)}"
                )


def _check_columns(setting: str, known: set[str], **columns: str) -> None:
    for key, column in columns.items():
        if column not in known:
            raise ValueError(
                f"{setting}.{key}: expected one of {', '.join(sorted(known))}, found '{column}'"
            )


def _check_keys_of_segments(setting: str, prepare: PrepareSettings, model: ModelSettings) -> None:
    """Refuse segments by what is no feature with levels, or may not rate."""
    usable = [n for n, f in prepare.features.items() if f.kind != "numeric" and f.may_rate]
    unknown = [name for name in model.by if name not in usable]
    if unknown:
        raise ValueError(
            f"{setting}.by: expected features of prepare.features with levels or bins that may "
            f"rate ({', '.join(usable) or 'there are none'}), found {', '.join(unknown)}"
        )
