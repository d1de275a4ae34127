"""What each side of the iteration benchmark came to: rows, claims, exposure, expected claims."""

import json
from urllib.parse import unquote

import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.iteration_data import YEARS
from benchmarks.storm_tables import listed

EXACT = ("rows", "exposure", "claim_count", "claim_amount")
WITHIN_1_PERCENT = ("expected_frequency", "expected_pure_premium")
_MODELS = {
    "frequency_boost": "expected_frequency", "pure_premium_boost": "expected_pure_premium",
}  # fmt: skip


def totals_of(folder, side):
    """Return the totals of each year, as a script tells them or as a build's tables hold them."""
    if side.is_script:
        made = {}
        for step in ("year-0", "years-1-4"):
            made |= json.loads((folder / f"{step}.out").read_text().splitlines()[-1])["totals"]
        return made
    made = {year: dict.fromkeys(EXACT[:2], 0) for year in YEARS}
    for path, partition in _files(folder / "tables" / "prepared"):
        year = partition["batch_id"]
        known = EXACT[1:] if year == "0" else EXACT[1:2]
        rows = pq.ParquetFile(path).read(columns=list(known))
        _add(made[year], "rows", len(rows))
        for name in known:
            _add(made[year], name, pc.sum(rows[name]).as_py())
    for path, partition in _files(folder / "tables" / "predictions"):
        name = _MODELS.get(partition["model_name"])
        if name is not None:
            rows = pq.ParquetFile(path).read(columns=["expected"])
            _add(made[partition["batch_id"]], name, pc.sum(rows["expected"]).as_py())
    return made


def _files(table):
    for path, partition in listed(table)[-1].items():
        yield table / unquote(path), partition


def _add(totals, name, value):
    totals[name] = totals.get(name, 0) + value


def differences(records):
    """Return by how much the sides' totals differ at most, relatively, by the name of a total.

    Raises:
        ValueError: they differ by more than they may; it names side, year and total.
    """
    sides = {record["side"]: record["totals"] for record in records if "totals" in record}
    most = {}
    if not sides:
        return most
    first, expected = next(iter(sides.items()))
    for side, totals in sides.items():
        for year in YEARS:
            for name in (*EXACT, *WITHIN_1_PERCENT):
                if name not in expected[year]:
                    continue
                apart = abs(totals[year][name] / expected[year][name] - 1)
                most[name] = max(most.get(name, 0.0), apart)
                if apart > (0.01 if name in WITHIN_1_PERCENT else 1e-9):
                    raise ValueError(
                        f"year {year}, {name}: {first} came to {expected[year][name]}, "
                        f"{side} to {totals[year][name]}"
                    )
    return most
