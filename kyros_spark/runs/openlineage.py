"""Tell a catalogue, by OpenLineage, when a run begins and ends, what it reads and what it writes.

Its address may hold a secret: it comes from an environment variable, and is in no log, table or
message. Whatever goes wrong is logged and costs the stage nothing but the time-out of the settings.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from kyros_spark import environment
from kyros_spark.config import OpenLineageSettings
from kyros_spark.log import event, masked
from kyros_spark.runs.portfolio import Portfolio
from kyros_spark.runs.run import Run, error_line
from kyros_spark.tables.all import TABLE_NAMES

API_KEY = "OPENLINEAGE_API_KEY"
# What the names of a run's inputs stand for, where they do not begin with a table's.
_READ = {"model": "models", "baseline": "prepared", "reference": "predictions"}
_S3 = ("s3", "s3a", "s3n")
_RUNS = uuid.UUID("6a1f4cf2-3f52-4d1e-9d6e-6f0d9d1f6b1c")  # the space of names of our runs' ids


class Lineage:
    """The events of one run: START once it has work to do, then COMPLETE, FAIL or ABORT."""

    def __init__(self, portfolio: Portfolio, run: Run) -> None:
        """Take the run. Nothing is told where the settings name no catalogue."""
        self._portfolio, self._run = portfolio, run
        self._settings = portfolio.config.monitor.openlineage
        self._has_begun = False

    def begin(self) -> None:
        """Tell that the run has begun."""
        self._has_begun = True
        self._tell("START")

    def end(self) -> None:
        """Tell how the run ended; nothing of a run that found its work done."""
        if self._run.status == "skipped":
            return
        if not self._has_begun:  # it failed while it looked its inputs up
            self.begin()
        error = self._run.error
        stopped = error is not None and not isinstance(error, Exception)
        self._tell("COMPLETE" if error is None else "ABORT" if stopped else "FAIL")

    def _tell(self, state: str) -> None:
        settings = self._settings
        if settings is None:
            return
        address = os.environ.get(settings.url_env, "")
        try:
            if not address.startswith(("http://", "https://")):
                raise ValueError(f"expected an http address in {settings.url_env}, found none")
            _post(settings, address, self._event(settings, state))
        except ImportError:
            event("lineage is not told: expected the package openlineage-python (pip install "
                  "'kyros-spark[openlineage]'), found none", level=30)  # fmt: skip
        except Exception as error:  # of the network, of HTTP, of an address that is none
            reason = str(error).replace(address or " ", "its address ")
            event(f"monitor.openlineage: {settings.url_env} did not take {state} of "
                  f"{self._run.stage}: {reason}", level=30)  # fmt: skip

    def _event(self, settings: OpenLineageSettings, state: str) -> Any:
        from openlineage.client.event_v2 import Job, RunEvent, RunState
        from openlineage.client.event_v2 import Run as LineageRun
        from openlineage.client.facet_v2 import job_type_job

        run, portfolio = self._run, self._portfolio.config.portfolio
        namespace = settings.namespace or portfolio
        kind = job_type_job.JobTypeJobFacet("BATCH", "KYROS_SPARK", "STAGE")
        name = f"{run.run_id} {run.stage} {run.batch}"
        return RunEvent(
            eventTime=datetime.now(UTC).isoformat(),
            eventType=RunState[state],
            run=LineageRun(str(uuid.uuid5(_RUNS, name)), dict(self._run_facets())),
            job=Job(namespace, f"{portfolio}.{run.stage}", {"jobType": kind}),
            inputs=list(self._inputs(namespace)),
            outputs=list(self._outputs(namespace)),
            producer=f"urn:kyros-spark:{environment.package_version()}",
        )

    def _run_facets(self) -> Iterator[tuple[str, Any]]:
        from openlineage.client.facet_v2 import error_message_run, processing_engine_run, tags_run

        run = self._run
        version = str(self._portfolio.spark.version)
        yield "processing_engine", processing_engine_run.ProcessingEngineRunFacet(version, "spark")
        tags = {"run_id": run.run_id, "batch": run.batch}
        fields = [tags_run.TagsRunFacetFields(*tag, "KYROS_SPARK") for tag in tags.items()]
        yield "tags", tags_run.TagsRunFacet(fields)
        if run.error is not None:
            line = error_line(run.error)
            text = masked(f"{line['type']}: {line['message']}")
            yield "errorMessage", error_message_run.ErrorMessageRunFacet(text, "PYTHON")

    def _inputs(self, namespace: str) -> Iterator[Any]:
        from openlineage.client.event_v2 import InputDataset

        for address in dict.fromkeys(self._read()):
            yield InputDataset(*_named(address, namespace))

    def _read(self) -> Iterator[str]:
        """Yield the address of each source or table that the run reads."""
        run, tables = self._run, self._portfolio.tables
        sources = self._portfolio.config.sources
        if run.stage == "clean":
            for name in run.inputs:
                yield getattr(sources, name).path.replace("{batch}", run.batch)
            return
        for name in run.inputs:
            first = name.partition(" ")[0]
            is_scored = run.stage == "evaluate" and first == "model"
            table = "predictions" if is_scored else _READ.get(first, first)
            if table in TABLE_NAMES:
                yield tables.location(table)

    def _outputs(self, namespace: str) -> Iterator[Any]:
        from openlineage.client.event_v2 import OutputDataset
        from openlineage.client.facet_v2 import dataset_version_dataset as versions
        from openlineage.client.facet_v2 import output_statistics_output_dataset as statistics

        for written in self._run.outputs.values():
            version = versions.DatasetVersionDatasetFacet(str(written.version))
            rows = statistics.OutputStatisticsOutputDatasetFacet(rowCount=written.rows)
            yield OutputDataset(
                *_named(written.location, namespace),
                facets={"version": version},
                outputFacets={"outputStatistics": rows},
            )


def _named(address: str, namespace: str) -> tuple[str, str]:
    """Return a dataset's namespace and name, as OpenLineage's naming has them.

    A table of a catalog is in the namespace of the jobs, by its name in SQL.
    """
    parts = urlsplit(address)
    if parts.scheme in _S3:
        return f"s3://{parts.netloc}", parts.path.lstrip("/")
    if parts.scheme and parts.scheme != "file":
        return f"{parts.scheme}://{parts.netloc}", parts.path
    if "/" not in address:
        return namespace, address
    return "file", os.path.abspath(parts.path)


def _post(settings: OpenLineageSettings, address: str, content: Any) -> None:
    from openlineage.client import OpenLineageClient
    from openlineage.client.transport.http import HttpConfig, HttpTransport

    key = os.environ.get(API_KEY)
    auth = {"auth": {"type": "api_key", "apiKey": key}} if key else {}
    seconds = settings.timeout_seconds
    config = {"url": address, "timeout": seconds, "retry": {"total": 0}, **auth}
    client = OpenLineageClient(transport=HttpTransport(HttpConfig.from_dict(config)))
    client.emit(content)
