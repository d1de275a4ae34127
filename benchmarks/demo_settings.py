"""The demo's settings as a benchmark wants them, and its extracts."""

import subprocess
import sys
from pathlib import Path

import yaml


def demo_settings(folder, batches):
    """Return the demo's settings with sources and tables in a folder, and nothing to evaluate."""
    made = yaml.safe_load(Path("conf/demo.yaml").read_text())
    made["tables"] = {"base": f"{folder}/tables"}
    made["batches"] = list(batches)
    for name in ("policies", "claims"):
        made["sources"][name]["path"] = f"{folder}/source/{{batch}}/{name}"
    made.pop("evaluate")
    return made


def written(folder, made):
    """Write settings into a folder; return their file."""
    path = folder / "settings.yaml"
    path.write_text(yaml.safe_dump(made))
    return path


def generate(settings, policies):
    """Write every batch's extract, in a process of its own."""
    words = [
        "from kyros_spark.config import load_config",
        "from kyros_spark.spark.session import get_session",
        "from kyros_spark.demo.story import generate",
        f"config = load_config({str(settings)!r})",
        f"generate(get_session(config.spark), config, {policies})",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(words)], check=True, capture_output=True)
