"""Write the rows of the GLM benchmark as Parquet, with levels and numbers named in the schema."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

LEVELS, NUMBERS = b"kyros.levels", b"kyros.numbers"
CHUNK = 500_000
COUNTS = {"region": 50, "make": 40, "age": 12, "bonus": 20, "fuel": 4, "use": 3, "power": 10}
CUTS = {
    "ageph": [24, 27, 30, 35, 50, 56, 58, 78],
    "bm": [1, 2, 3, 6, 7, 10, 11, 14, 18],
    "power": [31, 34, 37, 41, 45, 68, 76, 101, 109, 142],
    "agec": [2, 4, 15, 17, 18],
    "postcode": [1081, 1300, 2200, 2620, 3110, 4600, 4700, 5360, 6000, 6280, 7000, 7387, 9000,
                 9680],
}  # fmt: skip


def bemtpl97(source: Path, target: Path) -> Path:
    """Write the real rows with the published levels; return where."""
    raw = pd.read_parquet(source)
    columns = {name: np.digitize(raw[name].astype(int), cuts) for name, cuts in CUTS.items()}
    columns |= {name: raw[name].astype("category").cat.codes.to_numpy()
                for name in ("coverage", "sex", "fuel", "fleet")}  # fmt: skip
    levels = {n: [f"l{code:02d}" for code in range(v.max() + 1)] for n, v in columns.items()}
    texts = {n: np.array(levels[n])[v] for n, v in columns.items()}
    ends = {"exposure": raw["expo"].astype(float), "claims": raw["nclaims"].astype(float)}
    with _writer(target, {**texts, **ends}, levels, []) as writer:
        writer.write_table(pa.table({**texts, **ends}, schema=writer.schema))
    return target


def generate(target: Path, rows: int) -> None:
    """Write generated rows: seven factors of 139 levels, two numbers, a tenth of a claim a year."""
    random = np.random.default_rng(11)
    effects = {name: random.normal(0, 0.2, count) for name, count in COUNTS.items()}
    levels = {n: [f"l{code:02d}" for code in range(count)] for n, count in COUNTS.items()}
    numbers = ["value", "licence"]
    whole = min(rows, 2 * max(COUNTS.values()))  # the first rows hold every level
    writer = None
    for first in range(0, rows, CHUNK):
        size = min(CHUNK, rows - first)
        codes = {n: (random.beta(1, 2, size) * count).astype(int) for n, count in COUNTS.items()}
        if first == 0:
            for name, count in COUNTS.items():
                codes[name][:whole] = np.arange(whole) % count
        value, licence = random.gamma(2, 9000, size), random.uniform(0, 50, size)
        eta = -2.3 + sum(effects[n][v] for n, v in codes.items()) + value / 1e5 - licence / 300
        exposure = random.uniform(0.1, 1, size)
        claims = random.poisson(exposure * np.exp(eta)).astype(float)
        if first == 0:
            claims[:whole] += 1.0  # no level without claims, however few the rows
        columns = {**{n: np.array(levels[n])[v] for n, v in codes.items()}, "value": value,
                   "licence": licence, "exposure": exposure, "claims": claims}  # fmt: skip
        writer = writer or _writer(target, columns, levels, numbers)
        writer.write_table(pa.table(columns, schema=writer.schema))
    writer.close()


def _writer(target: Path, columns: dict, levels: dict, numbers: list) -> pq.ParquetWriter:
    told = {LEVELS: json.dumps(levels).encode(), NUMBERS: json.dumps(numbers).encode()}
    return pq.ParquetWriter(target, pa.table(columns).schema.with_metadata(told))
