"""Tell that a step is at work: a small file beside the tables that changes every few seconds.

The ledger hears of a step only at its end. Where nobody takes the file away again, the step was
killed: it does not change any more. No clock is compared with another.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

from kyros_spark import environment
from kyros_spark.digest import digest
from kyros_spark.log import event
from kyros_spark.storage.small_files import (
    SmallFiles,
)

EVERY = 3.0  # s
FOLDER = "_kyros_running"


@contextlib.contextmanager
def heartbeat(store: SmallFiles | None, stage: str, batch: str, run_id: str) -> Iterator[None]:
    """Let ``at_work`` see this step until it ends, in whatever way; without a store, do nothing.

    A store that does not answer costs the step nothing: it goes on unseen.
    """
    if store is None:
        yield
        return
    name, stop = f"{digest([stage, batch])[:32]}.json", threading.Event()
    said = {
        "stage": stage, "batch": batch, "run_id": run_id,
        "host": environment.user_and_host()[1], "since": time.time(),
    }  # fmt: skip

    def beat() -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(Exception):
                store.put(name, json.dumps({**said, "beat": number}).encode())
            number += 1
            stop.wait(EVERY)

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(EVERY)
        with contextlib.suppress(Exception):
            store.remove(name)


def running_steps(store: SmallFiles | None) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return what the steps at work say of themselves, by stage and batch.

    Waits until each file changed, two beats at most; without any file, not at all. A store that
    does not answer tells of none.
    """
    try:
        return _at_work(store) if store is not None else {}
    except Exception as error:  # as above, Hadoop's own classes
        event(f"what is running could not be asked: {str(error)[:200]}")
        return {}


def _at_work(store: SmallFiles) -> dict[tuple[str, str], Mapping[str, Any]]:
    first = _read(store)
    found: dict[str, bytes] = {}
    until = time.monotonic() + 2 * EVERY + 1
    while len(found) < len(first) and time.monotonic() < until:
        time.sleep(EVERY / 10)
        now = _read(store)
        # The others ended meanwhile.
        first = {name: data for name, data in first.items() if name in now}
        found = {name: data for name, data in found.items() if name in now}
        found.update({n: d for n, d in now.items() if n in first and d != first[n] and _says(d)})
    told = [_says(data) for data in found.values()]
    return {(one["stage"], one["batch"]): one for one in told}


def _read(store: SmallFiles) -> dict[str, bytes]:
    names = [name for name in store.names() if name.endswith(".json")]
    return {name: data for name in names if (data := store.get(name)) is not None}


def _says(data: bytes) -> dict[str, Any]:
    try:
        said = json.loads(data)
    except ValueError:  # seen while it was being written
        return {}
    return said if isinstance(said, dict) and {"stage", "batch", "run_id"} <= set(said) else {}
