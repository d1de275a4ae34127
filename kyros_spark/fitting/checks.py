"""Check the settings of a model to train before any table is read."""

from __future__ import annotations

from kyros_spark.config import Config, ModelSettings
from kyros_spark.errors import ConfigError
from kyros_spark.fitting.train_model import chosen_features


def check_model_settings(config: Config, name: str, model: ModelSettings) -> None:
    """Refuse a model whose features or load the other settings do not provide.

    Raises:
        ConfigError: names the setting, the values it may take, and its value.
    """
    if not model.parts:
        chosen_features(name, model, config.prepare)
    _check_load(config, name, model)


def _check_load(config: Config, name: str, model: ModelSettings) -> None:
    claims = config.prepare.claims
    if model.large_loss_load and (
        model.target != "claim_amount" or claims is None or claims.cap is None
    ):
        raise ConfigError(
            f"train.models.{name}.large_loss_load: expected target claim_amount and "
            f"prepare.claims.cap, above which there is an excess, found target '{model.target}' "
            f"and {'no cap' if claims is None or claims.cap is None else f'cap {claims.cap:g}'}"
        )
