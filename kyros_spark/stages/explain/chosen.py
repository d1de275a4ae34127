"""Choose the models to explain, and hold them to those that the batch was priced with."""

from __future__ import annotations

from collections.abc import Sequence

from kyros_spark.config import ExplainSettings
from kyros_spark.errors import BatchMissingError, ConfigError, UsageError
from kyros_spark.registry import Entry
from kyros_spark.runs.portfolio import Portfolio


def chosen_models(
    portfolio: Portfolio, batch: str, models: Sequence[str], settings: ExplainSettings
) -> list[Entry]:
    """Return the registered versions to explain: those named, the settings', or predict's.

    Raises:
        ConfigError, UsageError: no model is named, or one in two versions.
        UnknownModelError: a model is not in the registry.
        BatchMissingError: the batch was priced with another version, or prepared again since.
    """
    config = portfolio.config
    declared = settings.models or config.predict.models
    wanted = models or declared or (config.train.models if config.train else ())
    if not wanted:
        raise ConfigError("explain: name models in explain.models, or give --model NAME")
    entries = portfolio.registry.find(*wanted)
    names = [entry.name for entry in entries]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UsageError(
            f"explain: {', '.join(twice)} is asked for twice; table explanations holds one version "
            "of a model name at a time; kyros_spark.explain_change compares two"
        )
    free = {entry.name for r, entry in zip(wanted, entries, strict=True) if "@" not in r}
    _check_predicted(portfolio, batch, [entry for entry in entries if entry.name in free])
    return entries


def _check_predicted(portfolio: Portfolio, batch: str, entries: Sequence[Entry]) -> None:
    """Refuse to explain other prices than those that table predictions holds, where it has some.

    A version that is named is explained whatever the batch was priced with.
    """
    predicted = portfolio.ledger.last_run("predict", batch)
    if predicted is None:
        return
    versions = predicted.details.get("models", {})
    again = f"run: kyros predict --batch {batch}, or name the version: --model NAME@VERSION"
    for entry in entries:
        version = versions.get(entry.name, str(entry.version))
        if version != str(entry.version):
            raise BatchMissingError(
                f"predictions, batch {batch}, model {entry.name}: expected version "
                f"{entry.version}, which is to be explained, found {version}; {again}"
            )
    prepared = portfolio.ledger.last_run("prepare", batch)
    made_of = predicted.inputs.get("prepared")
    if prepared is None or made_of is None or not {e.name for e in entries} & set(versions):
        return
    expected = f"{prepared.outputs['prepared']} of run {prepared.run_id}"
    if made_of != expected:
        raise BatchMissingError(
            f"predictions, batch {batch}: expected them made from prepared {expected}, which is to "
            f"be explained, found {made_of}; {again}"
        )
