"""Show that a step is running: a small file beside the tables that changes every few seconds.

In the ledger a step appears only once it has ended. A file that stays but no longer changes is that
of a step that was killed. No clock is compared with another.
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
from kyros_spark.storage.small_files import ReadableFiles, SmallFiles

EVERY = 3.0  # s
FOLDER = "_kyros_running"


@contextlib.contextmanager
def heartbeat(store: SmallFiles | None, stage: str, batch: str, run_id: str) -> Iterator[None]:
    """Let ``running_steps`` see this step until it ends, in whatever way.

    Without a store nothing happens. A store that does not answer costs the step nothing: it goes
    on unseen.
    """
    if store is None:
        yield
        return
    name, stop = f"{digest([stage, batch])[:32]}.json", threading.Event()
    content = {
        "stage": stage, "batch": batch, "run_id": run_id,
        "host": environment.user_and_host()[1], "since": time.time(),
    }  # fmt: skip

    def beat() -> None:
        number = 0
        while not stop.is_set():
            with contextlib.suppress(Exception):
                store.put(name, json.dumps({**content, "beat": number}).encode())
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


def running_steps(store: ReadableFiles | None) -> dict[tuple[str, str], Mapping[str, Any]]:
    """Return the heartbeat of each running step, by stage and batch.

    Waits until each file has changed, two beats at most; if there is no file, not at all. If the
    store does not answer, no step is returned.
    """
    try:
        return _running_steps(store) if store is not None else {}
    except Exception as error:  # as above, Hadoop's own classes
        event(f"what is running could not be asked: {str(error)[:200]}")
        return {}


def _running_steps(store: ReadableFiles) -> dict[tuple[str, str], Mapping[str, Any]]:
    first = _read(store)
    changed: dict[str, bytes] = {}
    until = time.monotonic() + 2 * EVERY + 1
    while len(changed) < len(first) and time.monotonic() < until:
        time.sleep(EVERY / 10)
        now = _read(store)
        # Files that are gone are those of steps that ended meanwhile.
        first = {name: data for name, data in first.items() if name in now}
        changed = {name: data for name, data in changed.items() if name in now}
        changed |= {n: d for n, d in now.items() if n in first and d != first[n] and _parsed(d)}
    beats = [_parsed(data) for data in changed.values()]
    return {(beat["stage"], beat["batch"]): beat for beat in beats}


def _read(store: ReadableFiles) -> dict[str, bytes]:
    names = [name for name in store.names() if name.endswith(".json")]
    return {name: data for name in names if (data := store.get(name)) is not None}


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        beat = json.loads(data)
    except ValueError:  # read while it was being written
        return {}
    return beat if isinstance(beat, dict) and {"stage", "batch", "run_id"} <= set(beat) else {}
