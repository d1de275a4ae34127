"""Draw `iteration.json`, seconds a step: `python -m benchmarks.iteration_plot JSON SVG`."""

import json
import math
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

from benchmarks.iteration_data import ROWS
from benchmarks.iteration_table import BOTH, OURS, PEERS, medians

matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text

NAMES = {
    "kyros": "kyros, a cold command", "session": "kyros, in its session",
    "previous": "the build before", "pandas": "pandas and xgboost", "pyspark": "plain PySpark",
}  # fmt: skip
COLOURS = {"kyros": "#e59866", "session": "#c0392b"}
STEPS = {
    BOTH: "train on year 0, score five years", "edited cap": "edit the cap, run again",
    "edited model": "edit a model, run again", "unchanged": "nothing edited, run again",
    "warm train": "train alone, warm",
}  # fmt: skip


def draw(result, target):
    """Draw a panel a size and step, a bar a side, on a logarithmic scale of seconds."""
    cells = medians(result["records"])
    sizes = sorted({key[0] for key in cells})
    steps = [step for step in STEPS if any(key[2] == step for key in cells)]
    sides = [s for s in (*OURS, *PEERS) if any(key[1] == s for key in cells)][::-1]
    figure, axes = plt.subplots(
        len(sizes), len(steps), figsize=(3.4 * len(steps), 1.7 * len(sizes) + 0.6), sharey=True,
        sharex="row", squeeze=False,
    )  # fmt: skip
    for row, size in enumerate(sizes):
        for column, step in enumerate(steps):
            axis, numbers = axes[row, column], [cells.get((size, s, step), {}) for s in sides]
            seconds = [n.get("seconds", math.nan) for n in numbers]
            colours = [COLOURS.get(side, "#7f8c8d") for side in sides]
            bars = axis.barh(range(len(sides)), seconds, color=colours)
            axis.set_yticks(range(len(sides)), [NAMES[side] for side in sides])
            axis.bar_label(bars, [_label(n) for n in numbers], fontsize=7)
            for place, cell in enumerate(numbers):
                if "cannot" in cell:
                    left = axis.get_yaxis_transform()
                    axis.text(0, place, " out of memory", transform=left, va="center", fontsize=7)
            axis.set_xscale("log")
            axis.margins(x=0.25)
            axis.set_title(f"{STEPS[step]}\n{size * ROWS:,} policies a year", fontsize=8)
            axis.tick_params(labelsize=7)
            axis.spines[["top", "right"]].set_visible(False)
    machine = result["machine"]
    where = f"{machine['cpu']}, {machine['cores']} cores, {machine['time'][:10]}"
    figure.supxlabel(f"seconds, all that the command does. {where}", fontsize=9)
    figure.tight_layout()
    matplotlib.rcParams["svg.hashsalt"] = "kyros"
    figure.savefig(target, metadata={"Date": None})


def _label(numbers):
    return f" {numbers['seconds']:,.1f}" if "seconds" in numbers else ""


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
