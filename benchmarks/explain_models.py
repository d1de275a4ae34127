"""Train the models of the explanation benchmark: `python explain_models.py FOLDER CELL ...`."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

FEATURES = 50


@dataclass(frozen=True)
class ExplainedModel:
    """One model; its size is the depth of XGBoost's trees, or the leaves of LightGBM's."""

    library: str
    trees: int
    size: int

    @property
    def name(self) -> str:
        size = f"depth {self.size}" if self.library == "xgboost" else f"{self.size} leaves"
        return f"{self.library} {self.trees} x {size}"

    def path(self, folder: Path) -> Path:
        suffix = "json" if self.library == "xgboost" else "txt"
        return folder / f"explain-{self.library}-{self.trees}-{self.size}.{suffix}"


CELLS = (
    ExplainedModel("xgboost", 100, 6),
    ExplainedModel("lightgbm", 100, 31),
    ExplainedModel("xgboost", 500, 6),
    ExplainedModel("lightgbm", 500, 31),
    ExplainedModel("xgboost", 500, 4),
    ExplainedModel("xgboost", 100, 8),
    ExplainedModel("lightgbm", 100, 256),
    ExplainedModel("xgboost", 5000, 6),
)
SHORT = CELLS[:2]


def rows(count: int, seed: int = 1) -> np.ndarray:
    """Return standard normal rows, float32[count, FEATURES]."""
    return np.random.default_rng(seed).standard_normal((count, FEATURES)).astype(np.float32)


def train(cell: ExplainedModel, path: Path) -> None:
    """Train the cell's model and save it in its library's form."""
    x = rows(20_000, seed=2).astype(np.float64)
    noise = np.random.default_rng(3).standard_normal(len(x))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.5 * x.sum(axis=1) / 7 + noise
    if cell.library == "lightgbm":
        import lightgbm

        settings = {"num_leaves": cell.size, "learning_rate": 0.05, "verbose": -1}
        settings |= {"min_data_in_leaf": 5, "objective": "regression", "num_threads": 2}
        lightgbm.train(settings, lightgbm.Dataset(x, y), cell.trees).save_model(str(path))
        return
    import xgboost

    settings = {"max_depth": cell.size, "eta": 0.05, "nthread": 2, "min_child_weight": 1}
    xgboost.train(settings, xgboost.DMatrix(x, y), cell.trees).save_model(str(path))


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for number in map(int, sys.argv[2:]):
        target = CELLS[number].path(folder)
        if not target.exists():
            train(CELLS[number], target)
