"""Write the portfolio of the predict benchmark: an extract, its settings, a model of each library.

The rows are standard normal numbers, and where asked some columns of texts. They are cleaned and
prepared by the package itself, so that every path reads the same table `prepared`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

BATCH = "2024"
ROWS_PER_FILE, TRAINED_ON = 250_000, 50_000
LEVELS = np.array([f"level {n:02d}" for n in range(20)])
LEARNING = {"learning_rate": 0.05, "verbose": -1, "num_threads": 1, "objective": "poisson"}


@dataclass(frozen=True)
class Size:
    """How large a benchmark's portfolio is.

    precision: of the numbers in `prepared`. texts: of the features, so many are levels.
    """

    rows: int
    features: int = 50
    precision: str = "double"
    texts: int = 0
    trees: int = 500
    leaves: int = 31

    @property
    def name(self) -> str:
        texts = f", {self.texts} of them texts" if self.texts else ""
        return f"{self.rows:,} rows, {self.features} features ({self.precision}{texts})"

    @property
    def numbers(self) -> list[str]:
        return [f"f{n}" for n in range(self.features - self.texts)]

    @property
    def levels(self) -> list[str]:
        return [f"t{n}" for n in range(self.texts)]

    def folder(self, bench: Path) -> Path:
        words = (self.rows, self.features, self.precision, self.texts, self.trees, self.leaves)
        return bench / "-".join(map(str, words))


def made(size: Size, bench: Path) -> Path:
    """Make the portfolio where it is not there yet; return its settings."""
    folder = size.folder(bench)
    settings = folder / "settings.yaml"
    if not (folder / "ready").exists():
        folder.mkdir(parents=True, exist_ok=True)
        _write_extract(size, folder / "source")
        settings.write_text(yaml.safe_dump(_settings(size, folder)))
        models = {"boosted": _lightgbm(size, folder), "xgboosted": _xgboost(size, folder)}
        for stage in ("clean", "prepare"):
            _kyros(stage, "--config", settings, "--batch", BATCH)
        for name, file in models.items():
            words = ["--config", settings, "--model-file", file, "--name", name]
            _kyros("import", *words, "--target", "claims", "--per", "exposure")
        (folder / "ready").write_text("")
    return settings


def features_of(columns: list[str]) -> list[str]:
    """Return the features among a table's columns, in the models' order: prepare sorts by name."""
    named = [name for name in columns if name[0] in "ft" and name[1:].isdigit()]
    return sorted(named, key=lambda name: (name[0], int(name[1:])))


def _write_extract(size: Size, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for number, first in enumerate(range(0, size.rows, ROWS_PER_FILE)):
        count = min(ROWS_PER_FILE, size.rows - first)
        random = np.random.default_rng(number)
        columns = {
            "policy_id": [f"P{n:010d}" for n in range(first, first + count)],
            "exposure": random.integers(1, 13, count) / 12,
            "claims": random.poisson(0.1, count),
        }
        columns |= {name: random.standard_normal(count) for name in size.numbers}
        columns |= {name: LEVELS[random.integers(0, LEVELS.size, count)] for name in size.levels}
        pq.write_table(pa.table(columns), folder / f"part-{number:05d}.parquet")


def _settings(size: Size, folder: Path) -> dict:
    columns = {
        "policy_id": {"type": "string", "required": True},
        "exposure": {"type": "double", "required": True},
        "claims": {"type": "long", "required": True},
    }
    columns |= {name: {"type": "double"} for name in size.numbers}
    columns |= {name: {"type": "string"} for name in size.levels}
    features = {name: {"kind": "numeric", "precision": size.precision} for name in size.numbers}
    # The models read a text's number, as LightGBM and XGBoost do.
    features |= {name: {"kind": "levels"} for name in size.levels}
    policies = {
        "format": "parquet", "path": str(folder / "source"), "key": ["policy_id"],
        "columns": columns,
    }  # fmt: skip
    return {
        "portfolio": "predict benchmark", "batches": [BATCH],
        "tables": {"base": str(folder / "tables")},
        "sources": {"policies": policies},
        "prepare": {
            "exposure": "exposure", "split": {"by": ["policy_id"], "train": 0.7, "valid": 0.15},
            "targets": {"claims": "claims"}, "features": features,
        },
        "predict": {"models": ["boosted"]},
    }  # fmt: skip


def training(size: Size) -> tuple[np.ndarray, np.ndarray]:
    """Return rows, float64[n, features], and claims to train on; a text is its level's number."""
    random = np.random.default_rng(2)
    x = random.standard_normal((TRAINED_ON, size.features))
    x[:, len(size.numbers) :] = random.integers(0, LEVELS.size, (TRAINED_ON, size.texts))
    rate = np.exp(-2 + 0.3 * x[:, 0] + 0.2 * np.sin(x[:, 1]) + 0.05 * x[:, 2:8].sum(axis=1))
    return x, random.poisson(rate)


def _lightgbm(size: Size, folder: Path) -> Path:
    import lightgbm

    x, y = training(size)
    names = [*size.numbers, *size.levels]
    settings = {**LEARNING, "num_leaves": size.leaves}
    data = lightgbm.Dataset(x, y, feature_name=names)
    path = folder / "boosted.txt"
    lightgbm.train(settings, data, size.trees).save_model(path)
    return path


def _xgboost(size: Size, folder: Path) -> Path:
    import xgboost

    x, y = training(size)
    data = xgboost.DMatrix(x, y, feature_names=[*size.numbers, *size.levels])
    settings = {"objective": "count:poisson", "max_depth": 6, "eta": 0.05, "nthread": 1}
    path = folder / "xgboosted.json"
    xgboost.train(settings, data, size.trees).save_model(path)
    return path


def _kyros(*words: object) -> dict:
    done = subprocess.run(
        [sys.executable, "-m", "kyros_spark", *map(str, words)], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(f"{words}: {done.stderr[-2000:]}{done.stdout[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])
