"""Rows of many segments, for every engine the same: by formula, or those of a real portfolio."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "pg17"


@dataclass(frozen=True)
class Cell:
    """A problem: so many segments of so many rows and columns, of numbers or of levels."""

    name: str
    segments: int
    rows: int
    columns: int
    kind: str = "numbers"


CELLS = (
    Cell("5,000 x 200 x 10", 5_000, 200, 10),
    Cell("5,000 x 1,000 x 20", 5_000, 1_000, 20),
    Cell("5,000 x 5,000 x 40", 5_000, 5_000, 40),
    Cell("5,000 x 200 x 10, one-hot", 5_000, 200, 10, "levels"),
    Cell("pg17 by department and coverage", 0, 0, 0, "pg17"),
)
SHORT = (
    Cell("500 x 200 x 10", 500, 200, 10),
    Cell("200 x 1,000 x 20", 200, 1_000, 20),
    Cell("40 x 5,000 x 40", 40, 5_000, 40),
    Cell("500 x 200 x 10, one-hot", 500, 200, 10, "levels"),
    Cell("pg17 by department and coverage", 0, 0, 0, "pg17"),
)


@dataclass(frozen=True)
class Rows:
    """Rows sorted by segment: codes by factor with their levels, numbers, claims, units."""

    begins: np.ndarray
    codes: np.ndarray
    levels: tuple[int, ...]
    numbers: np.ndarray
    claims: np.ndarray
    units: np.ndarray

    def matrix(self, segment: int) -> np.ndarray:
        """Return one segment's dense design: constant, indicators of all levels but the first."""
        part = slice(self.begins[segment], self.begins[segment + 1])
        columns = [np.ones((part.stop - part.start, 1))]
        for f, levels in enumerate(self.levels):
            columns.append(np.eye(levels)[self.codes[part, f]][:, 1:])
        return np.concatenate([*columns, self.numbers[part]], axis=1)

    def part(self, segment: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return one segment's design, claims and log units."""
        rows = slice(self.begins[segment], self.begins[segment + 1])
        return self.matrix(segment), self.claims[rows], np.log(self.units[rows])


def rows_of(cell: Cell, seed: int = 1) -> Rows:
    """Return the rows of a cell."""
    if cell.kind == "pg17":
        return _pg17()
    random = np.random.default_rng(seed)
    count = cell.segments * cell.rows
    levels = (4, 4, 4) if cell.kind == "levels" else ()
    codes = np.column_stack(
        [np.empty((count, 0), int), *(random.integers(0, n, count) for n in levels)]
    ).astype(np.int32)
    numbers = np.empty((count, 0))
    if cell.kind == "numbers":
        numbers = random.normal(size=(count, cell.columns - 1))
    units = random.uniform(0.3, 1.0, count)
    eta = np.full(count, -1.0) + np.repeat(random.normal(0, 0.2, cell.segments), cell.rows)
    eta += numbers @ random.normal(0, 0.1, numbers.shape[1])
    for f, n in enumerate(levels):
        eta += random.normal(0, 0.2, n)[codes[:, f]]
    claims = random.poisson(units * np.exp(eta)).astype(float)
    begins = np.arange(cell.segments + 1) * cell.rows
    return Rows(begins, codes, levels, numbers, claims, units)


def _pg17() -> Rows:
    """Return the segments with 100 rows and more whose every level has claims."""
    policies = pd.read_csv(DATA / "policies_year0.csv.gz", dtype={"pol_insee_code": str})
    claims = pd.read_csv(DATA / "claims_year0.csv.gz")
    counts = claims[claims.claim_amount > 0].groupby(["id_client", "id_vehicle"]).claim_nb.sum()
    keyed = policies.set_index(["id_client", "id_vehicle"]).index
    policies["claims"] = counts.reindex(keyed).fillna(0.0).to_numpy()
    policies["segment"] = policies.pol_insee_code.str[:2] + policies.pol_coverage
    fuel = (policies.vh_fuel == "Diesel").astype(int)
    young = (policies.drv_age1 < 40).astype(int)
    codes = pd.DataFrame({"fuel": fuel, "young": young, "drv2": policies.drv_drv2 == "Yes"})
    codes = codes.astype(np.int32)
    order = np.argsort(policies.segment.to_numpy(), kind="stable")
    policies, codes = policies.iloc[order], codes.iloc[order]
    good = np.ones(len(policies), bool)
    for name in codes:
        by = [policies.segment.to_numpy(), codes[name].to_numpy()]
        totals = policies.claims.groupby(by).transform("sum")
        both = pd.Series(codes[name].to_numpy()).groupby(policies.segment.to_numpy())
        good &= ((totals > 0) & (both.transform("nunique").to_numpy() == 2)).to_numpy()
    usable = pd.Series(good).groupby(policies.segment.to_numpy()).transform("all").to_numpy()
    usable &= policies.groupby("segment").claims.transform("size").to_numpy() >= 100
    policies, codes = policies[usable], codes[usable]
    firsts = np.flatnonzero(
        np.r_[True, policies.segment.to_numpy()[1:] != policies.segment.to_numpy()[:-1]]
    )
    power = policies.vh_din.to_numpy(float)
    numbers = ((power - power.mean()) / power.std())[:, None]
    return Rows(
        np.append(firsts, len(policies)), np.ascontiguousarray(codes.to_numpy()), (2, 2, 2),
        numbers, policies.claims.to_numpy(float), np.ones(len(policies)),
    )  # fmt: skip
