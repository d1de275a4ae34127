"""Compare explanations with those of the models' own libraries, shap and woodelf, on one core.

Every engine explains the same rows of the same models, in processes that take turns, twice each.
CPU seconds are counted, the better turn's. Beside the speed stand the largest difference between a
row's contributions and its score, and the largest difference from the library's own contributions.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.engine import BUILD, ROOT, _environment, _machine, _say, _versions
from benchmarks.explain_engines import ENGINES
from benchmarks.explain_models import CELLS, SHORT

LOCK = "requirements-bench-explain.txt"
TURNS, TIME_LIMIT = 2, 600


def main(short: bool) -> None:
    """Train the models where they are not there yet, measure every cell, write and show it."""
    python = _environment("explain", LOCK)
    cells = SHORT if short else CELLS
    folder = BUILD / "models"
    train = [str(python), str(ROOT / "benchmarks" / "explain_models.py"), str(folder)]
    numbers = [str(CELLS.index(cell)) for cell in cells]
    environment = {"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"}
    subprocess.run([*train, *numbers], check=True, env=environment)
    records = []
    for cell in cells:
        records += _cell_records(CELLS.index(cell), python, folder, 1 if short else TURNS)
        _say(table([record for record in records if record["model"] == cell.name]))
    report = {"machine": _machine(), "versions": _versions({"explain": python}), "cells": records}
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "explain.json").write_text(json.dumps(report, indent=1))
    _say(f"raw numbers: {BUILD / 'explain.json'}")


def _cell_records(number: int, python: Path, folder: Path, turns: int) -> list[dict]:
    """Let the engines take turns at a cell, and return each one's better turn."""
    best: dict[str, dict] = {}
    with tempfile.TemporaryDirectory() as samples:
        for _ in range(turns):
            for engine in ENGINES:
                sample = Path(samples) / f"{engine}.npy"
                record = _turn(engine, number, python, folder, sample)
                better = record.get("rows_per_second", 0) > best.get(engine, {}).get(
                    "rows_per_second", -1
                )
                best[engine] = record if better else best[engine]
        own = np.load(Path(samples) / "own.npy") if "rows" in best["own"] else None
        for engine, record in best.items():
            if "rows" in record and own is not None:
                values = np.load(Path(samples) / f"{engine}.npy")
                record["from_own"] = float(np.abs(values - own).max())
    name = CELLS[number].name
    return [{"engine": engine, "model": name, **record} for engine, record in best.items()]


def _turn(engine: str, number: int, python: Path, folder: Path, sample: Path) -> dict:
    runs_here = engine.startswith("kyros")
    words = [sys.executable if runs_here else str(python)]
    words += [str(ROOT / "benchmarks" / "explain_engines.py"), engine, str(number), str(folder)]
    try:
        done = subprocess.run(
            [*words, str(sample)], capture_output=True, text=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired:
        return {"cannot": f"no explanation within {TIME_LIMIT} s"}
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"cannot": done.stderr.strip()[-200:]}


def table(records: list[dict]) -> str:
    """Return one cell's lines: speed, how many times Kyros's is, and both differences."""
    speeds = {r["engine"]: r["rows_per_second"] for r in records if "rows_per_second" in r}
    lines = [f"\n{records[0]['model']}"]
    for record in records:
        engine = record["engine"]
        if "cannot" in record:
            lines.append(f"  {engine:<16} -  ({record['cannot']})")
            continue
        times = speeds.get("kyros", float("nan")) / record["rows_per_second"]
        lines.append(
            f"  {engine:<16}{record['rows_per_second']:>10,.0f} rows/s a core; Kyros "
            f"{times:>6.1f} x; {record['first_seconds']:>6.2f} s to the first; "
            f"{record['peak_mb']:>6,.0f} MB; off the score {record['additivity']:.1e}, "
            f"off the library {record.get('from_own', float('nan')):.1e}"
        )
    return "\n".join(lines)
