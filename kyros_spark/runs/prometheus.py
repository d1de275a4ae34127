"""Give a run's metrics to Prometheus: a textfile, a Pushgateway, a port while the process lives.

Whatever goes wrong is logged and costs the stage nothing but the time-out of the settings.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from kyros_spark.config import PrometheusSettings
from kyros_spark.log import event
from kyros_spark.runs.metrics import HELP, LAST_SUCCESS, SUMMARIES, Sample

JOB = "kyros"


def export(
    settings: PrometheusSettings, portfolio: str, stage: str, samples: Iterable[Sample]
) -> None:
    """Hand the metrics of a stage on, wherever the settings say."""
    if not settings.is_used:
        return
    try:
        import prometheus_client as client
    except ImportError:
        event("metrics are not handed on: expected the package prometheus_client (pip install "
              "'kyros-spark[prometheus]'), found none", level=30)  # fmt: skip
        return
    collected = list(samples)
    ways = {
        settings.textfile: _write_textfile,
        settings.pushgateway: _push,
        settings.port: _serve,
    }
    for target, hand_on in ways.items():
        if target is None:
            continue
        try:
            hand_on(client, settings, (portfolio, stage), collected)
        except Exception as error:  # a full device, a gateway that is down, a port that is taken
            event(f"metrics of {stage} did not reach {target}: {error}", level=30)


def families(client: Any, samples: Iterable[Sample]) -> Iterator[Any]:
    """Yield the metrics as prometheus_client has them, each with its one HELP and TYPE."""
    by_name: dict[str, list[Sample]] = {}
    for sample in samples:
        by_name.setdefault(sample.name, []).append(sample)
    for name, text in HELP.items():
        if name in by_name:
            kind = "summary" if name in SUMMARIES else "gauge"
            family = client.Metric(name, text, kind)
            for sample in by_name[name]:
                family.add_sample(name + sample.suffix, dict(sample.labels), sample.value)
            yield family


class _Samples:
    """A collector of given samples."""

    def __init__(self, client: Any, samples: Iterable[Sample]) -> None:
        self._client, self._samples = client, list(samples)

    def collect(self) -> Iterator[Any]:
        yield from families(self._client, self._samples)


def _registry(client: Any, samples: Iterable[Sample]) -> Any:
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(_Samples(client, samples))
    return registry


def _write_textfile(
    client: Any, settings: PrometheusSettings, step: tuple[str, str], samples: list[Sample]
) -> None:
    """Write one file per portfolio and stage, whole or not at all."""
    folder, name = Path(str(settings.textfile)), "_".join(map(_file_name, step))
    path = folder / f"{JOB}_{name}.prom"
    folder.mkdir(parents=True, exist_ok=True)
    client.write_to_textfile(str(path), _registry(client, _with_last_success(path, samples)))


def _with_last_success(path: Path, samples: list[Sample]) -> list[Sample]:
    """Return the samples of a failed run with the time of the last success, as the file has it."""
    if any(sample.name == LAST_SUCCESS for sample in samples):
        return samples
    from prometheus_client.parser import text_string_to_metric_families

    with contextlib.suppress(OSError, ValueError):
        for family in text_string_to_metric_families(path.read_text()):
            if family.name == LAST_SUCCESS:
                return [*samples, *(Sample(s.name, s.labels, s.value) for s in family.samples)]
    return samples


def _file_name(text: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in text)


def _push(
    client: Any, settings: PrometheusSettings, step: tuple[str, str], samples: list[Sample]
) -> None:
    """Replace the metrics of these names in the stage's group; a last success there stays."""
    client.pushadd_to_gateway(
        str(settings.pushgateway),
        job=JOB,
        registry=_registry(client, samples),
        grouping_key=dict(zip(("portfolio", "stage"), step, strict=True)),
        timeout=settings.timeout_seconds,
    )


class _Live:
    """What this process serves: the newest samples of every stage that it ran.

    One server per process and port, which lives as long as the process; it holds no more than one
    run's samples per portfolio and stage.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ports: set[int] = set()
        self._samples: dict[tuple[str, str], list[Sample]] = {}
        self._client: Any = None

    def serve(self, client: Any, address: str, port: int) -> None:
        """Open the port, once."""
        with self._lock:
            self._client = client
            if port not in self._ports:
                registry = client.CollectorRegistry(auto_describe=False)
                registry.register(self)
                client.start_http_server(port, address, registry)
                self._ports.add(port)

    def keep(self, step: tuple[str, str], samples: list[Sample]) -> None:
        """Take the newest samples of a stage."""
        with self._lock:
            self._samples[step] = samples

    def collect(self) -> Iterator[Any]:
        """Yield the metrics of all stages."""
        with self._lock:
            samples = [sample for of_step in self._samples.values() for sample in of_step]
        yield from families(self._client, samples)


_LIVE = _Live()


def _serve(
    client: Any, settings: PrometheusSettings, step: tuple[str, str], samples: list[Sample]
) -> None:
    _LIVE.keep(step, samples)
    _LIVE.serve(client, settings.address, int(settings.port or 0))
