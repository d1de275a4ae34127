"""Score one cell with one engine, in a process of its own: `python engines.py ENGINE CELL FOLDER`.

Runs in each engine's own environment, so it imports nothing but the engine and numpy. Writes one
JSON line: rows a second (median of several calls on all rows, one thread), seconds from the model's
file to the first score, peak resident memory, and the scores' sum and hash.
"""

import json
import os
import resource
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

for _name in (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "TL2CGEN_NUM_THREADS",
):
    os.environ[_name] = "1"

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.models import CELLS, Cell, rows, second_path  # noqa: E402
from benchmarks.peers import ENGINES, CannotLoad  # noqa: E402

REPEATS, LEAST, SECONDS = 7, 3, 5  # fewer repeats, down to LEAST, once SECONDS are spent


def peak_mb() -> float:
    """Return this process's peak resident MiB; getrusage would count the parent's before exec."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed(work: Callable[[], np.ndarray]) -> tuple[list[float], np.ndarray]:
    """Return the seconds of several calls after a first one, and what the last one returned."""
    scores, seconds = work(), []
    while len(seconds) < REPEATS and (len(seconds) < LEAST or sum(seconds) < SECONDS):
        before = time.perf_counter()
        scores = work()
        seconds.append(time.perf_counter() - before)
    return seconds, scores


def kyros_parts(folder: Path) -> dict:
    """Return what of the first cell's time is quantising, and what a second model costs."""
    import kyros_spark.scoring  # noqa: F401
    from kyros_spark.model.importers.recognise import import_model
    from kyros_spark.scoring.bundle import bundle
    from kyros_spark.scoring.scorer import Scorer
    from kyros_spark.scoring.tree_scorer import CHUNK_ROWS

    cell = CELLS[0]
    names = [f"f{number}" for number in range(cell.features)]
    paths = (cell.path(folder), second_path(folder))
    models = [import_model(path, name="m", target="y", features=names) for path in paths]
    columns = list(np.ascontiguousarray(rows(cell).T))
    for column in columns:
        column.flags.writeable = False
    one, two = (Scorer(model) for model in models)
    both = Scorer(bundle(models, [range(cell.features)] * 2))
    row_codes = one._engine._codes

    def quantise() -> np.ndarray:
        codes = row_codes.workspace(CHUNK_ROWS)
        for first in range(0, cell.rows, CHUNK_ROWS):
            last = min(first + CHUNK_ROWS, cell.rows)
            row_codes.write(columns, first, last, codes)
        return codes

    works = {
        "quantising": quantise,
        "one model": lambda: one.raw(columns),
        "two models, one after the other": lambda: two.raw(columns) + one.raw(columns),
        "two models in one pass": lambda: both.raw(columns),
    }
    return {name: statistics.median(timed(work)[0]) for name, work in works.items()}


def measure(engine: str, cell: Cell, path: Path) -> dict:
    """Return the cell's record; Kyros takes columns, as Arrow gives them, the others a matrix."""
    x = rows(cell)
    given = np.ascontiguousarray(x.T) if engine.startswith("kyros") else np.ascontiguousarray(x)
    one = given[:, :1].copy() if engine.startswith("kyros") else given[:1]
    before = time.perf_counter()
    score = ENGINES[engine](path, cell)
    score(one)
    first = time.perf_counter() - before
    seconds, scores = timed(lambda: score(given))
    if engine == "ydf":  # it trained first
        first = None
    return {
        "rows_per_second": len(x) / statistics.median(seconds),
        "seconds": seconds,
        "first_score_seconds": first,
        "peak_mb": peak_mb(),
        "sum": float(np.asarray(scores, np.float64).sum()),
    }


if __name__ == "__main__":
    chosen, number, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    try:
        if chosen == "kyros_parts":
            record = kyros_parts(folder)
        else:
            record = measure(chosen, CELLS[number], CELLS[number].path(folder))
    except CannotLoad as why:
        record = {"cannot": str(why)}
    except Exception as error:
        record = {"cannot": f"{type(error).__name__}: {str(error)[:200]}"}
    sys.stdout.write("\n" + json.dumps(record) + "\n")
