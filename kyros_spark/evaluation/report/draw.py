"""Draw many charts at once, in processes of their own.

Not threads: matplotlib is not made for them. Not multiprocessing: it would start the caller's
script again. Each process is a Python that reads numbers as JSON and answers with SVG.
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

_CHARTS_A_PROCESS = 12
_MOST_PROCESSES = 8


def drawn(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return each chart's SVG by its name.

    Raises:
        PlatformError: a process did not draw its share.
    """
    names = list(specs)
    wanted = -(-len(names) // _CHARTS_A_PROCESS)
    count = max(1, min(wanted, _MOST_PROCESSES, os.cpu_count() or 1))
    shares = [{name: specs[name] for name in names[n::count]} for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        found = list(pool.map(_draw, shares))
    return {name: svg for share in found for name, svg in share.items()}


def _draw(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    command: Sequence[str] = [sys.executable, "-m", "kyros_spark.evaluation.report.plots"]
    path = os.pathsep.join(part for part in sys.path if part)
    done = subprocess.run(
        command,
        input=json.dumps(specs),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": path, "MPLBACKEND": "agg"},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing said"])[-1]
        raise PlatformError(
            f"the report's charts could not be drawn: {last}; the tables are written: "
            "give --set evaluate.report=false to do without"
        )
    found: dict[str, str] = json.loads(done.stdout)
    return found
