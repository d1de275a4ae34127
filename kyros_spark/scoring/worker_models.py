"""Hold the models this worker process has mapped.

Separate from Spark's broadcast because Spark may drop a broadcast's value between two UDF calls
while the worker lives on. The table is emptied when the process ends (an idle Python worker after
spark.python.worker.idle time, about a minute) or by `forget`. It holds mappings, not copies, so a
model that is no longer scored costs address space only; at most MAX_MODELS are kept all the same.
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

    asked: int = 0
    mapped: int = 0


COUNTS = Counts()


def load(sha256: str, data: Callable[[], bytes]) -> Model:
    """Return the model with this hash, mapped read-only; `data` is called if the host lacks it."""
    with _LOCK:
        COUNTS.asked += 1
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
            continue  # another worker's eviction came in between
    raise HostStoreError(
        f"model {sha256} is evicted from {store.folder} as soon as it is put there: raise "
        "KYROS_MODEL_CACHE_BYTES"
    )
