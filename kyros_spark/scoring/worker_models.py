"""Hold the models this worker process has mapped.

This is separate from Spark's broadcast because Spark may drop a broadcast's value between two UDF
calls while the worker lives on. The table is emptied by `forget` or when the process ends (Spark
ends an idle Python worker after about a minute, the spark.python.worker.idle time). It holds
mappings, not copies, so a model that is no longer scored costs only address space; the table still
holds at most MAX_MODELS.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from kyros_spark.errors import HostStoreError
from kyros_spark.model.artefact import Model
from kyros_spark.scoring.host_store import ModelOnHost

__all__ = ["COUNTS", "ModelOnHost", "forget", "load"]

MAX_MODELS = 64
_LOADED: OrderedDict[str, Model] = OrderedDict()
_LOCK = Lock()


@dataclass
class Counts:
    """How often this process was asked for a model, and how often it had to map a file."""

    requested: int = 0
    mapped: int = 0


COUNTS = Counts()


def load(sha256: str, data: Callable[[], bytes]) -> Model:
    """Return the model with this hash, mapped read-only; call `data` only if the host lacks it."""
    with _LOCK:
        COUNTS.requested += 1
        if sha256 not in _LOADED:
            _LOADED[sha256] = _map(sha256, data)
            COUNTS.mapped += 1
        _LOADED.move_to_end(sha256)
        while len(_LOADED) > MAX_MODELS:
            _LOADED.popitem(last=False)
        return _LOADED[sha256]


def forget() -> None:
    """Drop every mapping this process holds."""
    with _LOCK:
        _LOADED.clear()


def _map(sha256: str, data: Callable[[], bytes]) -> Model:
    store = ModelOnHost()
    for _ in range(3):
        store.put(data, sha256)
        try:
            return store.map(sha256)
        except FileNotFoundError:
            continue  # another worker has evicted it in the meantime
    raise HostStoreError(
        f"model {sha256} is evicted from {store.folder} as soon as it is put there: raise "
        "KYROS_MODEL_CACHE_BYTES"
    )
