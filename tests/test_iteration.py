"""The iteration benchmark's script by hand stays alive: its totals are those of a naive count."""

import csv
import gzip
import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import iteration_pandas, iteration_plot
from benchmarks.iteration_data import YEARS, extract, first_rows
from benchmarks.iteration_table import table
from benchmarks.iteration_totals import differences

ROOT = Path(__file__).parents[1]
ROWS, CAP = 2_000, 30_000.0


def lines_of(path):
    with gzip.open(path, "rt", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def source(real_data, tmp_path_factory):
    """The first policies of each year, and dirt of every kind in year 0."""
    real_data("pg17")
    folder = first_rows(tmp_path_factory.mktemp("pg17"), ROWS)
    policies, claims = (folder / f"{name}_year0.csv.gz" for name in ("policies", "claims"))
    rows, paid = lines_of(policies), lines_of(claims)
    first, second, third, fourth, fifth = rows[:5]
    rows += [
        first,  # an exact copy
        {**second, "pol_bonus": "0.9"},  # another record of the same policy
        {**third, "id_policy": "A00999999-V01", "drv_age1": "12"},
        {**fourth, "id_policy": "A00999998-V01", "vh_fuel": "Steam"},
        {**fifth, "id_policy": "", "id_client": "A00999997"},
    ]
    paid += [
        paid[0],
        {**paid[1], "id_claim": "CL98", "claim_amount": "45000"},  # above the cap
        {**paid[2], "id_client": "A00999996"},  # of no policy
        {**paid[3], "id_claim": "CL99", "claim_nb": "0"},
    ]
    for path, records in ((policies, rows), (claims, paid)):
        with gzip.open(path, "wt", newline="") as file:
            writer = csv.DictWriter(file, records[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(records)
    return folder


@pytest.fixture(scope="module")
def told(source, tmp_path_factory):
    """What the script says of all five years, in two calls, and where it wrote."""
    out = tmp_path_factory.mktemp("out")
    totals = {}
    for years in ("0", "1,2,3,4"):
        words = [sys.executable, "-m", "benchmarks.iteration_pandas", source, out]
        done = subprocess.run(
            [*map(str, words), "--years", years], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        totals |= json.loads(done.stdout.splitlines()[-1])["totals"]
    return totals, out


def test_the_script_keeps_what_the_rules_keep(source, told):
    totals, _ = told
    rows = lines_of(source / "policies_year0.csv.gz")
    changed = rows[1]["id_policy"]
    kept = {row["id_policy"] for row in rows[:ROWS]} - {changed}
    assert totals["0"]["rows_in"] == ROWS + 5
    assert totals["0"]["rows"] == totals["0"]["exposure"] == len(kept) == ROWS - 1
    count = amount = 0.0
    seen = set()
    for claim in lines_of(source / "claims_year0.csv.gz"):
        policy = f"{claim['id_client']}-{claim['id_vehicle']}"
        key, paid = (policy, claim["id_claim"]), float(claim["claim_amount"])
        if key not in seen and policy in kept and int(claim["claim_nb"]) > 0 and paid > 0:
            count, amount = count + int(claim["claim_nb"]), amount + min(paid, CAP)
        seen.add(key)
    assert totals["0"]["claim_count"] == count > 200
    assert totals["0"]["claim_amount"] == pytest.approx(amount, rel=1e-12)
    assert [totals[year]["rows"] for year in YEARS[1:]] == [ROWS] * 4


def test_every_policy_is_scored_once_and_the_training_part_balances(source, told):
    totals, out = told
    for year in YEARS:
        scored = pd.read_parquet(out / f"predictions_year{year}.parquet")
        assert len(scored) == totals[year]["rows"] == scored["policy_id"].nunique()
        assert (scored[["frequency", "severity", "pure_premium"]] > 0).all(axis=None)
        assert scored["frequency"].sum() == pytest.approx(totals[year]["expected_frequency"])
    scored = pd.read_parquet(out / "predictions_year0.parquet")
    part = scored[iteration_pandas.split(scored["policy_id"].str[:9]) == "train"]
    claims = lines_of(source / "claims_year0.csv.gz")
    paid = {
        (f"{c['id_client']}-{c['id_vehicle']}", c["id_claim"]): int(c["claim_nb"])
        for c in claims if float(c["claim_amount"]) > 0
    }  # fmt: skip
    observed = sum(n for (policy, _), n in paid.items() if policy in set(part["policy_id"]))
    assert part["frequency"].sum() == pytest.approx(observed, rel=1e-6)


def test_the_split_is_sparks(real_data):
    # As table prepared of conf/pg17.yaml has it: pmod(xxhash64('pg17', id_client), 1000000).
    policies = pd.read_csv(real_data("pg17") / "policies_year0.csv.gz", usecols=["id_client"])
    parts = iteration_pandas.split(policies["id_client"]).value_counts()
    assert parts.to_dict() == {"train": 69_712, "valid": 15_359, "test": 14_929}


def test_an_extract_of_twice_the_rows_has_twice_the_clients(real_data, tmp_path):
    once, folder = real_data("pg17"), extract(tmp_path, 2)
    for name, key in (("policies_year4", "id_policy"), ("claims_year0", "id_client")):
        keys = pd.read_csv(once / f"{name}.csv.gz", usecols=[key])[key]
        parts = sorted((folder / f"{name}.csv.gz").iterdir())
        copies = [pd.read_csv(part, usecols=[key])[key] for part in parts]
        assert copies[0].equals(keys) and len(copies) == 2
        assert not set(copies[0]) & set(copies[1]) and copies[1].nunique() == keys.nunique()


ORPHAN = """
import subprocess, sys
from benchmarks import process_tree
process_tree.adopt_orphans()
spin = "import time\\nwhile time.process_time() < 0.4: pass"
# The child ends at once; what it started goes on, and nobody but an adopter waits for it.
child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {spin!r}])"
taken = process_tree.run([sys.executable, "-c", child], sys.argv[1])
print(taken.code, taken.processor, process_tree.descendants())
"""


def test_what_outlives_its_parent_is_counted(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN, str(tmp_path / "log")], cwd=ROOT, capture_output=True,
        text=True,
    )  # fmt: skip
    code, processor, left = done.stdout.split(maxsplit=2)
    assert (code, left.strip()) == ("0", "[]") and float(processor) >= 0.4, done.stderr


def record(side, step, seconds, **more):
    return {"times": 1, "side": side, "step": step, "seconds": seconds, "processor": 2 * seconds,
            "mib": 100.0, **more}  # fmt: skip


def test_the_table_takes_medians_and_says_what_is_absent(tmp_path):
    records = [record("kyros", "year 0", s) for s in (9.0, 3.0, 4.0)]
    records += [record("previous", "year 0", 8.0), record("kyros", "years 1-4", 1.0)]
    records += [record("previous", "years 1-4", 12.0)]
    records += [{"times": 1, "side": "pandas", "step": "year 0", "mib": 5.0, "cannot": "out"}]
    result = {
        "records": records, "absent": ["session"], "versions": {"pandas": "2.3.3"},
        "previous": "0123456789abcdef",
        "machine": {"cpu": "a processor", "cores": 2, "time": "2026-11-30T00:00:00"},
    }  # fmt: skip
    text = table(result)
    for line in (
        "kyros / previous, year 0: 0.50 x (0.50 x of processor seconds)",
        "kyros / previous, years 0-4: 0.25 x", "absent: session", "out of memory", "pandas 2.3.3",
    ):  # fmt: skip
        assert line in text
    iteration_plot.draw(result, tmp_path / "a.svg")
    assert "pandas and xgboost" in (tmp_path / "a.svg").read_text()


@pytest.mark.parametrize(("name", "value", "agrees"), [
    ("claim_count", 10.0, True), ("claim_count", 11.0, False),
    ("expected_frequency", 100.9, True), ("expected_frequency", 101.1, False),
])  # fmt: skip
def test_sides_that_come_to_other_totals_are_named(name, value, agrees):
    def side(label, **changed):
        whole = {"rows": 5, "exposure": 5.0, "claim_count": 10.0, "expected_frequency": 100.0}
        return {"side": label, "totals": dict.fromkeys(YEARS, whole | changed)}

    records = [side("kyros"), side("pandas", **{name: value})]
    if agrees:
        assert differences(records)[name] == pytest.approx(value / 100 - 1 if value > 11 else 0)
    else:
        with pytest.raises(ValueError, match=f"year 0, {name}: kyros came to .* pandas to {value}"):
            differences(records)
