"""Draw what `engine.json` says: `python plot.py engine.json engine-speed.svg`, rows a second."""

import json
import sys
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt

matplotlib.rcParams["svg.fonttype"] = "none"  # text stays text

COLOURS = {"kyros": "#c0392b", "kyros_portable": "#e59866"}
COLUMNS = 3


def draw(report: dict, target: Path) -> None:
    """Draw a panel a model, a bar an engine, on a logarithmic scale of rows a second."""
    cells = report["cells"]
    models = list(dict.fromkeys(cell["model"] for cell in cells))
    engines = list(dict.fromkeys(cell["engine"] for cell in cells))
    rows = -(-len(models) // COLUMNS)
    figure, axes = plt.subplots(rows, COLUMNS, figsize=(13, 2.4 * rows), sharex=True, squeeze=False)
    for axis, model in zip(axes.flat, models, strict=False):
        speeds = {c["engine"]: c.get("rows_per_second", 0) for c in cells if c["model"] == model}
        shown = [engine for engine in reversed(engines) if speeds.get(engine)]
        values = [speeds[engine] for engine in shown]
        bars = axis.barh(shown, values, color=[COLOURS.get(e, "#7f8c8d") for e in shown])
        axis.bar_label(bars, [f" {value / 1e3:,.0f}" for value in values], fontsize=7)
        axis.set_xscale("log")
        axis.set_title(model, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.spines[["top", "right"]].set_visible(False)
    for axis in list(axes.flat)[len(models) :]:
        axis.axis("off")
    machine = report["machine"]
    where = f"{machine['cpu']}, {machine['time'][:10]}"
    figure.supxlabel(f"rows a second, one thread; thousands at the bars. {where}", fontsize=9)
    figure.tight_layout()
    matplotlib.rcParams["svg.hashsalt"] = "kyros"
    figure.savefig(target, metadata={"Date": None})


if __name__ == "__main__":
    draw(json.loads(Path(sys.argv[1]).read_text()), Path(sys.argv[2]))
