"""Kyros Spark: trusted pricing models over very large portfolios, as Spark jobs over Delta tables.

>>> import kyros_spark as ks
>>> config = ks.load_config("conf/demo.yaml")
>>> ks.clean(spark, config, batch="2023")
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from kyros_spark.environment import package_version

if TYPE_CHECKING:
    from kyros_spark.config import Config, load_config
    from kyros_spark.operations.explain_change import explain_change
    from kyros_spark.operations.explain_function import register_explain
    from kyros_spark.operations.import_model import import_model
    from kyros_spark.operations.promote import promote
    from kyros_spark.operations.sql_function import register_predict
    from kyros_spark.spark.session import get_session
    from kyros_spark.stages.clean.stage import clean
    from kyros_spark.stages.evaluate.stage import evaluate
    from kyros_spark.stages.explain.stage import explain
    from kyros_spark.stages.monitor.stage import monitor
    from kyros_spark.stages.pipeline import run
    from kyros_spark.stages.predict.stage import predict
    from kyros_spark.stages.prepare.stage import prepare
    from kyros_spark.stages.train.stage import train

__version__ = package_version()
__all__ = [
    "Config",
    "clean",
    "evaluate",
    "explain",
    "explain_change",
    "get_session",
    "import_model",
    "load_config",
    "monitor",
    "predict",
    "prepare",
    "promote",
    "register_explain",
    "register_predict",
    "run",
    "train",
]

# Workers import this package too, and must not load a stage (or pyspark's SQL) to score.
_HOMES = {
    "Config": "config",
    "load_config": "config",
    "get_session": "spark.session",
    "run": "stages.pipeline",
    "clean": "stages.clean.stage",
    "prepare": "stages.prepare.stage",
    "train": "stages.train.stage",
    "predict": "stages.predict.stage",
    "evaluate": "stages.evaluate.stage",
    "explain": "stages.explain.stage",
    "monitor": "stages.monitor.stage",
    "import_model": "operations.import_model",
    "promote": "operations.promote",
    "explain_change": "operations.explain_change",
    "register_explain": "operations.explain_function",
    "register_predict": "operations.sql_function",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kyros_spark' has no attribute '{name}'")
    return getattr(importlib.import_module(f"kyros_spark.{_HOMES[name]}"), name)
