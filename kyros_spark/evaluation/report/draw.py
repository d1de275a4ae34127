"""Draw many charts at once, those that need matplotlib in separate processes.

matplotlib is not thread-safe, and multiprocessing would run the caller's script again. Each process
is therefore a fresh Python that reads numbers as JSON and answers with SVG.

A chart that is too wide for a telephone is drawn twice; the page's style sheet shows one or the
other, by the classes `for-wide` and `for-narrow`.
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
from kyros_spark.evaluation.report import pictures
from kyros_spark.evaluation.report.narrow import narrow_spec

_CHARTS_PER_PROCESS = 12
_MOST_PROCESSES = 8


def drawn(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Return each chart's SVG, or the two of different widths, by the chart's name.

    Raises:
        PlatformError: a process failed to draw its share of the charts.
    """
    plotted: dict[str, Mapping[str, Any]] = {}  # what matplotlib draws, by the prefix of its ids
    for number, spec in enumerate(specs.values()):
        if spec["kind"] not in pictures.KINDS:
            plotted[f"c{number}-"] = spec
            if narrow := narrow_spec(spec):
                plotted[f"c{number}n-"] = narrow
    svgs = _plotted(plotted)
    return {
        name: _either(*pictures.both_widths(spec))
        if spec["kind"] in pictures.KINDS
        else _either(svgs[f"c{number}-"], svgs.get(f"c{number}n-"))
        for number, (name, spec) in enumerate(specs.items())
    }


def _either(wide: str, narrow: str | None) -> str:
    if narrow is None:
        return wide
    of_width = {"for-wide": wide, "for-narrow": narrow}
    return "".join(
        svg.replace("<svg ", f'<svg class="{width}" ', 1) for width, svg in of_width.items()
    )


def _plotted(specs: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    names = list(specs)
    needed = -(-len(names) // _CHARTS_PER_PROCESS)
    count = min(needed, _MOST_PROCESSES, os.cpu_count() or 1)
    if not count:
        return {}
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
