"""What the profile tells of a batch, against pandas, and what it tells of two."""

import json

import pandas as pd
import pytest
from portfolio import FIRST, POLICY_HEADER, SECOND, UNSEEN_FUEL, Portfolio, policy_rows

COLUMN = {name: n for n, name in enumerate(POLICY_HEADER)}


def clean_both(folder):
    """Clean two batches; the first has a constant, an empty, an index and an aliased column."""
    portfolio = Portfolio(folder).write_sources()
    extra = ["note", "country", "number", "code"]
    for batch in (FIRST, SECOND):
        rows = [
            [*row, "", "BE", str(n), {"city": "1", "country": "2", "": "3"}[row[COLUMN["area"]]]]
            for n, row in enumerate(policy_rows(batch))
        ]
        portfolio.write("policies", [*POLICY_HEADER, *extra], rows, batch)
    for name, type_ in zip(extra, ("string", "string", "int", "string"), strict=True):
        portfolio.set(f"sources.policies.columns.{name}", {"type": type_})
    for batch in (FIRST, SECOND):
        portfolio.must(f"clean --batch {batch}")
    return portfolio


@pytest.fixture(scope="module")
def profiled(spark, tmp_path_factory):
    portfolio = clean_both(tmp_path_factory.mktemp("profiled"))
    found = portfolio.read(spark, "profiles").collect()
    portfolio.rows = {(r["batch_id"], r["source"], r["column"]): r for r in found}
    portfolio.table = pd.DataFrame(
        [row.asDict() for row in portfolio.read(spark, "policies", FIRST).collect()]
    )
    return portfolio


@pytest.mark.parametrize("column", ["age", "power", "bonus", "exposure"])
def test_a_number_is_told_as_pandas_tells_it(profiled, column):
    row, values = profiled.rows[(FIRST, "policies", column)], profiled.table[column]
    assert row["row_count"] == row["sampled_rows"] == 120
    assert row["null_count"] == values.isna().sum()
    assert row["mean"] == pytest.approx(values.mean())
    assert (float(row["least"]), float(row["most"])) == (values.min(), values.max())
    assert row["distinct_count"] == values.nunique()
    assert row["quantiles"] == pytest.approx(
        {f"{q:g}": values.quantile(q) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)}
    )


def test_levels_are_counted(profiled):
    row = profiled.rows[(FIRST, "policies", "fuel")]
    assert row["levels"] == profiled.table["fuel"].value_counts().to_dict()
    assert (row["least"], row["most"]) == ("diesel", "petrol")
    assert profiled.rows[(FIRST, "policies", "area")]["null_count"] > 0


def test_what_somebody_should_look_at_is_found(profiled):
    found = {c: r["findings"] for (b, s, c), r in profiled.rows.items() if b == FIRST}
    assert found["note"] == ["all missing"]
    assert found["country"] == ["constant: BE wherever it is given"]
    assert [told.split(":")[0] for told in found["number"]] == ["looks like an index"]
    assert "aliased: says the same as area" in found["code"]
    assert found["fuel"] == found["age"] == found["bonus"] == []


def test_every_column_of_every_source_and_batch_has_a_row(profiled):
    columns = {
        source: set(profiled.settings["sources"][source]["columns"])
        for source in ("policies", "claims")
    }
    for batch, source in ((FIRST, "policies"), (FIRST, "claims"), (SECOND, "policies")):
        assert {c for b, s, c in profiled.rows if (b, s) == (batch, source)} == columns[source]


def test_two_batches_are_told_apart(profiled):
    outcome = profiled.kyros(f"profile --diff {FIRST} {SECOND}")
    assert outcome.code == 0
    told = outcome.line["differences"]["policies"]
    assert 'fuel: new levels ["hydrogen"]' in told
    assert not [what for what in told if what.startswith(("age", "power", "area", "note"))]
    assert outcome.lines[:-1] == [
        f"{source}.{what}" for source, all_ in outcome.line["differences"].items() for what in all_
    ]
    shown = profiled.kyros(f"profile --batch {FIRST}")
    assert shown.line["columns"] == len(shown.lines) - 1
    assert json.loads(shown.lines[0])["source"] == "claims"
    outcome = profiled.kyros(f"profile --diff {FIRST} 2031")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "BatchMissingError")


def test_a_changed_batch_is_refused_where_the_settings_say_so(profiled, tables_as_before, tmp_path):
    twin = profiled.copy_to(tmp_path)
    twin.spoil_cells("area", {n: "CITY" for n, r in enumerate(policy_rows(SECOND))
                              if r[COLUMN["area"]] == "city"}, batch=SECOND)  # fmt: skip
    twin.set("sources.policies.columns.area", {"type": "string"})
    twin.set("clean.changes", "fail")
    tables_as_before(twin.base)
    outcome = twin.kyros(f"clean --batch {SECOND}")
    assert (outcome.code, outcome.line["error"]["type"]) == (3, "BatchChangedError")
    for piece in (f"batch {FIRST}", 'area: new levels ["CITY"]', "'city' may have been renamed"):
        assert piece in outcome.message
    assert UNSEEN_FUEL and 'fuel: new levels ["hydrogen"]' in outcome.message
