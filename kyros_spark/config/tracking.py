"""Settings of where trained versions are logged, in addition to the registry."""

from __future__ import annotations

from kyros_spark.config.base import Section


class MlflowSettings(Section):
    """The MLflow server or folder, and the experiment in which each version becomes a run."""

    tracking_uri: str
    experiment: str
