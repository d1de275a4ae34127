"""Draw many charts at once, in separate processes.

matplotlib is not thread-safe, and multiprocessing would run the caller's script again. Each process
is therefore a fresh Python that reads numbers as JSON and answers with SVG.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kyros_spark.errors import PlatformError

_CHARTS_PER_PROCESS = 12
_MOST_PROCESSES = 8


def drawn(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return each chart's SVG by the chart's name.

    Raises:
        PlatformError: a process failed to draw its share of the charts.
    """
    names = list(specs)
    needed = -(-len(names) // _CHARTS_PER_PROCESS)
    count = max(1, min(needed, _MOST_PROCESSES, os.cpu_count() or 1))
    shares = [{name: specs[name] for name in names[n::count]} for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        drawn_shares = list(pool.map(_draw, shares))
    return {name: svg for share in drawn_shares for name, svg in share.items()}


def _draw(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    command: Sequence[str] = [sys.executable, "-m", "kyros_spark.evaluation.report.plots"]
    path = os.pathsep.join(part for part in sys.path if part)
    process = subprocess.run(
        command,
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"},
    )
    if process.returncode:
        last = (process.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise PlatformError(
            f"the report's charts could not be drawn: {last}; the tables are written: "
            "give --set evaluate.report=false to do without"
        )
    svgs: dict[str, str] = json.loads(process.stdout)
    return svgs
