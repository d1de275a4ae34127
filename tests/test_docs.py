"""The worked example of docs/clean.md and docs/prepare.md gives what the pages say it gives."""

import contextlib
import io
import re
from pathlib import Path

import pytest
import yaml

from kyros_spark.cli.main import main
from kyros_spark.config import FeatureSettings, ModelSettings, PrepareSettings
from kyros_spark.fitting.spec import fit_features
from kyros_spark.transforms.features import feature_value

DOCS = Path(__file__).parents[1] / "docs"
PAGES = [DOCS / "clean.md", DOCS / "prepare.md"]
_TABLE = re.compile(r"`(SELECT [^`]+ FROM (\w+))`:\n\n((?:\|.*\n)+)")


def blocks(text, kind):
    return re.findall(rf"```{kind}\n(.*?)```", text, re.DOTALL)


@pytest.fixture(scope="module")
def example(spark, tmp_path_factory):
    """Run the two pages in a folder of their own; return the session with their tables as views."""
    folder = tmp_path_factory.mktemp("docs")
    clean, prepare = (page.read_text(encoding="utf-8") for page in PAGES)
    names = re.findall(r"`(\w+\.csv)`", clean)
    for name, content in zip(names, blocks(clean, "csv"), strict=True):
        (folder / name).write_text(content, encoding="utf-8")
    settings = folder / "settings.yaml"
    settings.write_text("".join(blocks(clean, "yaml") + blocks(prepare, "yaml")), encoding="utf-8")
    places = {
        "tables.base": folder / "tables",
        "sources.policies.path": folder / "policies_{batch}.csv",
        "sources.claims.path": folder / "claims_{batch}.csv",
    }
    sets = [word for key, value in places.items() for word in ("--set", f"{key}={value}")]
    for stage in ("clean", "prepare"):
        with contextlib.redirect_stdout(io.StringIO()) as out:
            code = main([stage, "--config", str(settings), *sets])
        assert code == 0, out.getvalue()
    for name in ("rejects", "policies", "claims", "prepared"):
        table = spark.read.format("delta").load(str(folder / "tables" / name))
        table.createOrReplaceTempView(name)
    return spark


SHOWN = [(query, shown) for page in PAGES for query, _, shown in _TABLE.findall(page.read_text())]


def test_both_pages_show_tables():
    assert len(SHOWN) == 4


@pytest.mark.parametrize(("query", "shown"), SHOWN, ids=lambda text: text.split(" FROM ")[-1][:10])
def test_a_query_of_the_page_gives_the_table_below_it(example, query, shown):
    header, _, *rows = (
        [cell.strip() for cell in line.strip().strip("|").split("|")] for line in shown.splitlines()
    )
    frame = example.sql(query)
    assert frame.columns == header
    found = [["" if cell is None else str(cell) for cell in row] for row in frame.collect()]
    assert sorted(found) == sorted(rows)


def table_below(page, header):
    """Return the cells of the page's table that begins with these column names, without marks."""
    lines = page.split(f"| {header}", 1)[1].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


FORMS = table_below(PAGES[1].read_text(), "form |")


def test_every_form_of_a_feature_has_an_example():
    shown = "".join(example for _, example, _, _ in FORMS)
    for form in ("column", "sql", "log", "ratio", "age", "interaction", "bins", "quantiles"):
        assert form in FeatureSettings.model_fields and f"{form}:" in shown


@pytest.mark.parametrize(("form", "example", "policy", "gives"), FORMS, ids=lambda cell: cell[:12])
def test_a_feature_is_what_its_example_says(spark, form, example, policy, gives):
    given = yaml.safe_load("{" + policy + "}")
    values = ", ".join(
        f"DATE '{v}' AS {k}" if "-" in str(v) else f"'{v}' AS {k}" if isinstance(v, str)
        else f"{v} AS {k}" for k, v in given.items()
    )  # fmt: skip
    settings = FeatureSettings(**yaml.safe_load(example))
    found = spark.sql(f"SELECT {values}").select(feature_value("f", settings)).first()["f"]
    assert ("NULL" if found is None else str(found)) == gives


def test_train_learns_what_the_page_says(spark):
    page = PAGES[1].read_text()
    part = [
        (area, float(value) if value else None, float(exposure))
        for area, value, exposure in table_below(page, "area | value | exposure |")
    ]
    shown = table_below(page, "feature | levels in order")
    features = {f"f{n}": yaml.safe_load(example) for n, (example, _) in enumerate(shown)}
    rows = spark.createDataFrame(part, "area string, value double, exposure double")
    prepare = PrepareSettings(exposure="exposure", split={"by": ["area"]}, features=features)
    model = ModelSettings(
        method="glm", family="poisson", target="t", per="exposure", min_level_share=0.2
    )
    made = (feature_value(name, feature) for name, feature in prepare.features.items())
    learnt = fit_features(rows.select("exposure", *made), prepare, list(features), model)
    assert len(learnt) == 9
    for feature, (_, told) in zip(learnt, shown, strict=True):
        marked = [f"{x}*" if c == feature.base_code else x for c, x in enumerate(feature.levels)]
        assert (", ".join(marked) or f"{feature.impute:.5g}") == told
