"""Train the models of the engine benchmark, with the libraries that peers load."""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROWS = 50_000
ROWS_OF_MANY_TREES = 5_000


@dataclass(frozen=True)
class Cell:
    """One model and one table of rows."""

    library: str
    trees: int
    size: int  # leaves for LightGBM, depth for XGBoost
    features: int
    dtype: str
    missing: bool

    @property
    def name(self) -> str:
        size = f"{self.size} leaves" if self.library == "lightgbm" else f"depth {self.size}"
        gaps = ", missing" if self.missing else ""
        return f"{self.library} {self.trees} x {size}, {self.features} {self.dtype}{gaps}"

    @property
    def leaves(self) -> int:
        return self.size if self.library == "lightgbm" else 2**self.size

    @property
    def rows(self) -> int:
        return ROWS if self.trees <= 1000 else ROWS_OF_MANY_TREES

    def path(self, folder: Path) -> Path:
        missing = "m" if self.missing else "f"
        name = f"{self.library}-{self.trees}-{self.size}-{self.features}-{missing}"
        return folder / f"{name}.{'txt' if self.library == 'lightgbm' else 'json'}"


CELLS = (
    Cell("lightgbm", 500, 31, 50, "float64", False),
    Cell("lightgbm", 500, 64, 50, "float64", False),
    Cell("xgboost", 500, 6, 50, "float32", False),
    Cell("lightgbm", 100, 31, 50, "float64", False),
    Cell("lightgbm", 500, 31, 50, "float32", False),
    Cell("lightgbm", 500, 31, 50, "float64", True),
    Cell("lightgbm", 500, 31, 10, "float64", False),
    Cell("lightgbm", 500, 31, 200, "float64", False),
    Cell("lightgbm", 500, 256, 50, "float64", False),
    Cell("xgboost", 500, 6, 50, "float32", True),
    Cell("xgboost", 100, 8, 50, "float32", False),
    Cell("lightgbm", 10_000, 31, 50, "float64", False),
    Cell("xgboost", 10_000, 6, 50, "float32", False),
)
SHORT = CELLS[:3]


def second_path(folder: Path) -> Path:
    """Return where the second model of the first cell lies: the cost of a model more."""
    return folder / "second.txt"


def rows(cell: Cell, count: int | None = None, seed: int = 1) -> np.ndarray:
    """Return standard normal rows, a tenth of the values missing where the cell says so."""
    random = np.random.default_rng(seed)
    values = random.standard_normal((count or cell.rows, cell.features)).astype(cell.dtype)
    if cell.missing:
        values[random.random(values.shape) < 0.1] = np.nan
    return values


def training(cell: Cell) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and answers to train on."""
    x = rows(cell, 20_000, seed=2).astype(np.float64)
    filled = np.nan_to_num(x)
    noise = np.random.default_rng(3).standard_normal(len(x))
    y = np.sin(filled[:, 0]) + filled[:, 1] * filled[:, 2] + 0.5 * filled.sum(axis=1) / 7 + noise
    return x, y


def train(cell: Cell, path: Path, another: bool = False) -> None:
    """Train the cell's model, or another on the same rows, and save it in its library's form."""
    x, y = training(cell)
    if another:
        y = y**2 + x[:, 3]
    if cell.library == "lightgbm":
        import lightgbm

        settings = {"num_leaves": cell.size, "learning_rate": 0.05, "verbose": -1, "num_threads": 2}
        settings |= {"min_data_in_leaf": 5, "objective": "regression"}
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
    second = second_path(folder)
    if not second.exists():
        train(CELLS[0], second, another=True)
