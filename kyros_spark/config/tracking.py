"""Settings of where trained versions are logged beside the registry."""

from __future__ import annotations

from kyros_spark.config.base import Section


class MlflowSettings(Section):
    """The MLflow server or folder, and the experiment there that versions become runs of."""

    tracking_uri: str
    experiment: str
