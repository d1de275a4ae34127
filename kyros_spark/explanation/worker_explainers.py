"""Hold the explainers of this process: building one's tables takes longer than mapping a model.

This is separate from the models that `scoring/worker_models.py` maps, since an explainer's tables
are this process's own memory, at most `explain.max_table_mb` each. The table is emptied by `forget`
or when the process ends (an idle Python worker of Spark ends after about a minute), and holds at
most MAX_EXPLAINERS, of which the one unused for longest goes first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

from kyros_spark.explanation.explainer import Explainer

MAX_EXPLAINERS = 8
_BUILT: OrderedDict[str, Explainer] = OrderedDict()
_LOCK = Lock()


@dataclass
class ExplainerCounts:
    """How often this process was asked for an explainer, and how often it had to build one."""

    requested: int = 0
    built: int = 0


COUNTS = ExplainerCounts()


def explainer(key: str, build: Callable[[], Explainer]) -> Explainer:
    """Return the explainer of this key, a hash of all that it is built from."""
    with _LOCK:
        COUNTS.requested += 1
        if key not in _BUILT:
            _BUILT[key] = build()
            COUNTS.built += 1
        _BUILT.move_to_end(key)
        while len(_BUILT) > MAX_EXPLAINERS:
            _BUILT.popitem(last=False)
        return _BUILT[key]


def forget() -> None:
    """Drop every explainer this process holds."""
    with _LOCK:
        _BUILT.clear()
