"""Few rows are worked on in the driver, many on the executors: the tables are the same."""

import json

import pytest
from portfolio import CLAIM_HEADER, FIRST, POLICY_HEADER, claim_rows, policy_rows
from pyspark.sql import functions as F

TABLES = (
    "policies",
    "claims",
    "rejects",
    "repairs",
    "profiles",
    "prepared",
    "feature_log",
    "predictions",
)
NOT_COMPARED = {"run_id", "predicted_at", "profiled_at", "logged_at", "tables"}


def with_everything(portfolio):
    """Give the first batch copies, conflicts, refused, repaired and noted rows of every kind."""
    extra = ["signed", "premium", "discount", "paid"]
    policies = [
        [*row, f"{FIRST}-03-{1 + n % 28:02d} 12:30:{n % 60:02d}", f"{100 + n}.{n % 100:02d}",
         f"0.{n:03d}", f"{(n - 3) * 250}.5"]
        for n, row in enumerate(policy_rows(FIRST))
    ]  # fmt: skip
    policies.append(policies[10])  # a copy
    policies[20][POLICY_HEADER.index("age")] = "12"  # below the least
    policies[21][POLICY_HEADER.index("bonus")] = "much"
    policies[22][POLICY_HEADER.index("exposure")] = "7.0"  # noted
    policies[23][POLICY_HEADER.index("area")] = ""
    policies[24][POLICY_HEADER.index("age")] = "150"  # cut to the most
    portfolio.write("policies", [*POLICY_HEADER, *extra], policies)
    claims = claim_rows(FIRST)
    claims += [claims[3], ["K900", "P999", f"{FIRST}-02-01", "100.0"]]  # a copy, an orphan
    claims += [["K901", "P020", f"{FIRST}-02-01", "100.0"]]  # its policy is refused
    portfolio.write("claims", CLAIM_HEADER, claims)
    for name in ("policies", "claims"):
        path = portfolio.folder / "source" / f"{name}_{{batch}}.csv"
        portfolio.settings["sources"][name]["path"] = str(path)
    columns = "sources.policies.columns"
    portfolio.set(f"{columns}.age.severity", {"max": "repair"})
    portfolio.set(f"{columns}.signed", {"type": "timestamp"})
    portfolio.set(f"{columns}.premium", {"type": "decimal(10,2)"})
    portfolio.set(f"{columns}.discount", {"type": "decimal(6,3)"})
    portfolio.set(f"{columns}.paid", {"type": "double"})
    portfolio.set(
        f"{columns}.exposure", {"type": "double", "max": 3.0, "severity": {"max": "warn"}}
    )
    portfolio.set("sources.policies.rules", [
        {"id": "early", "check": f"signed >= '{FIRST}-03-02'", "severity": "repair",
         "repair": {"signed": "signed + INTERVAL 1 DAY", "discount": "discount * 2"}},
    ])  # fmt: skip
    portfolio.set("sources.policies.amounts", {"paid": {"negative": "zero", "cap": 20000.0}})
    portfolio.set("clean.max_rejected_share", 0.2)
    portfolio.set("clean.profile_rows", 60)  # fewer than there are: a sample is drawn
    portfolio.set("prepare.max_exposure", 10.0)
    return portfolio


@pytest.fixture(scope="module")
def twins(finished, tmp_path_factory):
    """The same batch, through every stage on the executors and in the driver."""
    folders = {rows: tmp_path_factory.mktemp(f"rows{rows}") for rows in (0, 5_000_000)}
    twins = [with_everything(finished.copy_to(folder)) for folder in folders.values()]
    for twin, rows in zip(twins, folders, strict=True):
        twin.set("spark.local_rows", rows)
        for stage in ("clean", "prepare", "predict"):
            twin.must(f"{stage} --batch {FIRST}")
    return twins


def comparable(portfolio, spark, table):
    """Return a batch's rows without what differs from run to run, sorted.

    Numbers are exact, but for sums, whose last digits depend on the order of the rows, and for the
    ends of intervals, for which two libraries compute a power. Which levels of a hundred that are
    equally common make the list depends on the order, too.
    """
    rows = []
    for row in portfolio.read(spark, table, FIRST).collect():
        values = {n: value for n, value in row.asDict(True).items() if n not in NOT_COMPARED}
        if table == "profiles" and values["distinct_count"] > 100:
            del values["levels"]
        for name, value in values.items():
            if isinstance(value, dict):
                values[name] = sorted(value.items())
            if name in ("mean", "std", "claim_amount", "claim_excess", "lower", "upper") and value:
                values[name] = float(f"{round(value, 9):.12g}")
        rows.append(str(values))
    return sorted(rows)


@pytest.mark.repeats
@pytest.mark.parametrize("table", TABLES)
def test_a_table_holds_the_same_rows(twins, spark, table):
    on_executors, in_driver = (comparable(twin, spark, table) for twin in twins)
    assert in_driver == on_executors and on_executors


def test_the_runs_say_the_same(twins, spark):
    said = []
    for twin in twins:
        runs = twin.read(spark, "runs", FIRST).where("status = 'done'")
        latest = runs.groupBy("stage").agg(F.max_by(F.struct("*"), "ordinal").alias("run"))
        counts = ("rows_in", "rows_out", "rows_rejected", "rows_duplicate")
        said.append({
            row["stage"]: [json.loads(row["run"]["details"]), *(row["run"][n] for n in counts)]
            for row in latest.collect()
        })  # fmt: skip
    for stage in ("clean", "prepare", "predict"):
        details = [run[stage][0] for run in said]
        assert all(detail.pop("hosts", True) for detail in details)
        assert said[0][stage] == said[1][stage], stage


def test_the_test_batch_holds_what_it_should(twins, spark):
    """Else the tests above compare nothing."""
    rejects = twins[1].read(spark, "rejects", FIRST)
    rules = {(row["source"], row["rule"]) for row in rejects.collect()}
    assert rules == {("policies", "min"), ("policies", "type"), ("claims", "reference")}
    details = json.loads(
        twins[1].read(spark, "runs", FIRST).where("stage = 'clean'").orderBy(F.desc("ordinal"))
        .first()["details"]
    )  # fmt: skip
    policies = details["policies"]
    assert policies["duplicates"] == 1 and details["claims"]["duplicates"] == 1
    assert set(policies["repaired"]) == {"max:age", "early:(row)", "negative:paid"}
    assert policies["warned"] and policies["amounts"]["paid"]
