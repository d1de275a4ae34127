"""What bad input gets: a named error, the right exit code, and every table as before.

The mechanism of each stage; test_bad_rules.py goes on with the settings that deepen it.
"""

import pytest
from bad_input import (
    CLEAN,
    PREPARE,
    Case,
    bytes_of,
    cells,
    check,
    empty_folder,
    every,
    file_as_base,
    gone,
    header,
    nothing,
    second_part,
    setting,
    text,
    truncated_gzip,
)
from portfolio import FIRST, SECOND

PREDICT = f"predict --batch {FIRST}"
ANEW = f"{PREDICT} --model frequency"  # not what is there already, which would be skipped


def damaged_log(p):
    """Make the log of table prepared unreadable, and look at all the others only."""
    for part in (p.base / "prepared" / "_delta_log").glob("*.json"):
        part.write_text("{ this is no commit")


def model_files(p, name="frequency"):
    """Return the file of a model; tables are copies, but they name the finished one's files."""
    return next((p.finished.base / "artefacts" / name).glob("*.kyros"))


CLEAN_CASES = [
    Case("file missing", gone(), CLEAN, "SourceNotFoundError", 3,
         ("policies: expected files at", "policies_2023.csv", "sources.policies.path")),
    Case("claims file missing", gone("claims"), CLEAN, "SourceNotFoundError", 3,
         ("claims: expected files at", "claims_2023.csv")),
    Case("batch that nobody delivered", nothing, "clean --batch 2031", "SourceNotFoundError", 3,
         ("policies_2031.csv", "batch id")),
    Case("folder without files", empty_folder, CLEAN, "EmptySourceError", 3,
         ("policies: expected rows at", "nothing was written")),
    Case("file of 0 bytes", bytes_of(b""), CLEAN, "EmptySourceError", 3,
         ("policies: expected rows at", "no file there holds")),
    Case("header and no rows", text(lambda t: t.splitlines()[0] + "\n"), CLEAN, "EmptySourceError",
         3, ("policies, batch 2023: expected rows, found none", "nothing was written")),
    Case("column missing", header(",bonus", ",malus"), CLEAN, "SourceSchemaError", 3,
         ("policies, column bonus", "expected in", "malus", "sources.policies.columns")),
    Case("column too many", text(lambda t: "\n".join(
        line + (",gender" if n == 0 else ",f") for n, line in enumerate(t.splitlines()))), CLEAN,
         "SourceSchemaError", 3, ("policies, column gender", "not declared", "extra_columns")),
    Case("no header", text(lambda t: t.split("\n", 1)[1]), CLEAN, "SourceSchemaError", 3,
         ("policies, column policy", "P000")),
    Case("another separator", text(lambda t: t.replace(",", ";")), CLEAN, "SourceSchemaError", 3,
         ("found only policy;client",)),
    Case("claims column missing", header("amount", "amnt", "claims"), CLEAN, "SourceSchemaError", 3,
         ("claims, column amount", "amnt")),
    Case("second file with other columns", second_part(lambda lines: [
        lines[0].replace("bonus", "malus"), lines[1]]), CLEAN, "SourceSchemaError", 3,
         ("part-2.csv", "header", "found another")),
    Case("file cut off in transit", truncated_gzip, CLEAN, "DamagedFileError", 3,
         ("policies_2023.csv.gz", "cut short", "deliver the extract again")),
    Case("latin-1 bytes in a UTF-8 source", text(
        lambda t: t.replace("petrol", "pétrol", 1).encode("latin-1")), CLEAN,
         "SourceEncodingError", 3, ("policies, column fuel", "sources.policies.options.encoding")),
    Case("unparseable numbers", every("age", "forty"), CLEAN, "TooManyRejectsError", 3,
         ("policies, batch 2023", "120 of 120", "type in age", "expected int", "'forty'",
          "look at sources.policies.columns.age")),
    Case("decimal commas", every("bonus", "0,95"), CLEAN, "TooManyRejectsError", 3,
         ("type in bonus", "expected double", "'0,95'",
          'columns.bonus is likely to need decimal: ","')),
    Case("dates of another order", every("start", "13/05/2023"), CLEAN, "TooManyRejectsError", 3,
         ("type in start", "expected date", "'13/05/2023'",
          "columns.start is likely to need format: dd/MM/yyyy")),
    Case("all keys the same", every("policy", "P000"), CLEAN, "TooManyRejectsError", 3,
         ("unique in policy_id", "one content a key", "'P000'")),
    Case("claims of nobody", every("policy", "X999", "claims"), CLEAN, "TooManyRejectsError", 3,
         ("claims, batch 2023", "reference in policy_id", "a clean policy", "'X999'")),
    Case("rejects just above the limit", cells("age", ((n, "17") for n in range(7))), CLEAN,
         "TooManyRejectsError", 3, ("at most 5.00%", "7 of 120 (5.83%)", "at least 18", "'17'")),
    Case("records cut short", text(lambda t: "\n".join(
        line if n == 0 else line.rsplit(",", 2)[0] for n, line in enumerate(t.splitlines()))),
         CLEAN, "TooManyRejectsError", 3, ("malformed in (record)", "9 fields")),
    Case("column expression without its column", setting(
        "sources.policies.columns.city.sql", "nosuch > 1"), CLEAN, "ConfigError", 2,
         ("sources.policies.columns", "nosuch")),
    Case("column expression that is no SQL", setting(
        "sources.policies.columns.city.sql", "area = = 1"), CLEAN, "ConfigError", 2,
         ("sources.policies.columns",)),
    Case("column expression that fails on the data", setting(
        "sources.policies.columns.city.sql", "1 / (age - age) > 0"), CLEAN, "ExpressionError", 3,
         ("clean 2023", "Division by zero", "try_divide")),
    Case("column of another type than its table", lambda p: (
        p.set("sources.policies.columns.age.type", "double"), p.spoil_cells("age", {0: "30.5"})),
         CLEAN, "TableSchemaError", 3, ("policies, column age: expected double, found int",)),
    Case("batch id with SQL in it", nothing, ["clean", "--batch", "x' OR '1'='1"], "UsageError", 2,
         ("--batch", "x' OR '1'='1", "letters, digits")),
    Case("batch id with a path in it", nothing, "clean --batch ../2023", "UsageError", 2,
         ("--batch", "../2023")),
    Case("batch id with a line break", nothing, ["clean", "--batch", "2023\n"], "UsageError", 2,
         ("--batch",)),
    Case("no batch where there are two", nothing, "clean", "UsageError", 2,
         ("--batch ID", "2023, 2024")),
    Case("unknown setting", setting("clean.max_rejected", 0.5), CLEAN, "ConfigError", 2,
         ("unknown setting 'clean.max_rejected'", "'max_rejected_share'")),
    Case("wrong --set", nothing, f"{CLEAN} --set clean", "UsageError", 2, ("section.key=value",)),
    Case("tables where a file lies", file_as_base, CLEAN, "PlatformError", 2,
         ("tables cannot be made at", "tables.base")),
]  # fmt: skip

PREPARE_CASES = [
    Case("prepare before clean", nothing, "prepare --batch 2031", "BatchMissingError", 3,
         ("expected batch '2031' from stage clean", "kyros clean --batch 2031")),
    Case("exposure of zero", cells("exposure", {3: "0"}), PREPARE, "ExposureError", 3,
         ("policies, batch 2023, exposure 'exposure'", "above 0 and at most 1", "1 of 120",
          "nothing was written"), (CLEAN,)),
    Case("exposure below zero, above its range, or missing", cells(
        "exposure", {3: "-0.5", 4: "1.0000001", 5: ""}), PREPARE, "ExposureError", 3,
         ("3 of 120 rows outside", "from -0.5 to 1.0000001", "or missing"), (CLEAN,)),
    Case("feature of a column that is not there", setting("prepare.features.power.column", "kw"),
         PREPARE, "FeatureDefinitionError", 2, ("prepare.features.power", "kw", "table policies")),
    Case("feature that is no SQL", setting("prepare.features.place.sql", "upper(area"), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.features.place", "upper(area")),
    Case("feature of whatever columns there are", setting("prepare.features.power", {
        "kind": "numeric", "sql": "xxhash64(*)"}), PREPARE, "FeatureDefinitionError", 2,
         ("prepare.features.power", "found *", "name the columns")),
    Case("claims that came after the batch was cleaned", setting(
        "sources.claims.batches", [FIRST, SECOND]), f"prepare --batch {SECOND}",
         "BatchMissingError", 3, ("cleaned before", f"kyros clean --batch {SECOND}")),
    Case("feature made of exposure", setting("prepare.features.power", {
        "kind": "numeric", "sql": "power * Exposure"}), PREPARE, "FeatureDefinitionError", 2,
         ("prepare.features.power", "found exposure", "never a feature")),
    Case("feature made of a target", lambda p: (
        p.set("prepare.targets", {"bad": "bonus * 2"})), PREPARE, "FeatureDefinitionError", 2,
         ("prepare.features.log_bonus", "found bonus")),
    Case("feature made of a column made of exposure", lambda p: (
        p.set("sources.policies.columns.months", {"type": "double", "sql": "exposure * 12"}),
        p.set("prepare.features.months", {"kind": "numeric"})), PREPARE, "FeatureDefinitionError",
         2, ("prepare.features.months", "exposure"), (CLEAN,)),
    Case("feature of what exposure is computed from", lambda p: (
        p.set("sources.policies.columns.share", {"type": "double", "sql": "1 - bonus / 10"}),
        p.set("prepare.exposure", "share")), PREPARE, "FeatureDefinitionError", 2,
         ("prepare.features.log_bonus", "found bonus"), (CLEAN,)),
    Case("feature that sums over rows", setting("prepare.features.log_bonus.sql", "sum(bonus)"),
         PREPARE, "FeatureDefinitionError", 2, ("prepare.features.log_bonus", "sum(bonus)")),
    Case("feature that makes two rows of one", setting(
        "prepare.features.place.sql", "explode(array(area, area))"), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.features.place", "explode")),
    Case("number that is a date", setting("prepare.features.power.column", "start"), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.features.power", "start")),
    Case("feature that fails on the data", setting(
        "prepare.features.log_bonus.sql", "bonus / (age - age)"), PREPARE, "ExpressionError", 3,
         ("prepare 2023", "Division by zero", "try_divide")),
    Case("exposure that is not there", setting("prepare.exposure", "days / 365"), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.exposure", "days")),
    Case("split by nothing known", setting("prepare.split.by", ["household"]), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.split.by", "household")),
    Case("target of nothing known", setting("prepare.targets", {"loss": "paid + reserve"}), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.targets", "paid")),
    Case("claims summed by nothing known", setting("prepare.claims.amount", "paid"), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.claims", "table claims", "paid")),
    Case("feature that changes its type", setting("prepare.features.power.kind", "levels"), PREPARE,
         "TableSchemaError", 3, ("prepared, column power: expected string, found double",)),
]  # fmt: skip


def every_model_has_a_base_that_nobody_holds(p):
    p.set("prepare.features.fuel.base", "steam")
    p.set("train.models.premium.features", ["fuel", "driver"])


MODEL_CASES = [
    Case("train before prepare", setting("train.batches", ["2031"]), "train", "BatchMissingError",
         3,         ("expected batch '2031' from stage prepare", "kyros prepare --batch 2031")),
    Case("train on a batch without claims", setting("train.batches", [SECOND]), "train",
         "TrainingDataError", 3, ("claim_count above zero", "sources.claims.batches")),
    Case("train on no batch of the settings", nothing, "train --batch 2031", "UsageError", 2,
         ("train --batch 2031", "2023")),
    Case("no section train", setting("train", None), "train", "ConfigError", 2, ("'train'",)),
    Case("model of an unknown feature", setting("train.models.frequency.features", ["colour"]),
         "train", "ConfigError", 2, ("train.models.frequency.features", "colour", "log_bonus")),
    Case("model of an unknown target", setting("train.models.boosted.target", "claims"), "train",
         "ConfigError", 2, ("train.models.boosted.target", "claim_count", "found 'claims'")),
    Case("base level that nobody holds", every_model_has_a_base_that_nobody_holds, "train",
         "TrainingDataError", 3, ("feature fuel", "base level 'steam'"), (PREPARE,)),
    Case("predict before prepare", nothing, "predict --batch 2031", "BatchMissingError", 3,
         ("expected batch '2031' from stage prepare", "kyros prepare --batch 2031")),
    Case("model that nobody trained", nothing, f"{PREDICT} --model severe", "UnknownModelError", 2,
         ("model 'severe'", "severity@1 (champion)", "kyros train")),
    Case("version that nobody trained", nothing, f"{PREDICT} --model severity@7",
         "UnknownModelError", 2, ("'severity@7'", "expected 7 of severity", "severity@1")),
    Case("version that is no number", nothing, f"{PREDICT} --model severity@best",
         "UnknownModelError", 2, ("NAME@VERSION",)),
    Case("model asked for twice", nothing, f"{PREDICT} --model severity --model severity@1",
         "UsageError", 2, ("severity is asked for twice",)),
    Case("product of an unknown model", setting("predict.products", {"both": ["severity", "freq"]}),
         PREDICT, "ConfigError", 2, ("predict.products.both", "freq")),
    Case("feature defined otherwise than the model's", setting(
        "prepare.features.driver.bins", [25]), PREDICT, "FeatureMismatchError", 3,
         ("prepared, batch 2023, feature driver", "model frequency", "train the model again"),
         (PREPARE,)),
    Case("model file missing", lambda p: model_files(p).unlink(), ANEW, "ModelFileError", 3,
         ("model file", "expected a file, found none", "train the model again")),
    Case("model file cut off", lambda p: model_files(p).write_bytes(
        model_files(p).read_bytes()[:-8]), ANEW, "ModelFileError", 3,
         ("frequency@1", "expected SHA-256", "restore the file")),
    Case("one bit of the model file changed", lambda p: model_files(p).write_bytes(
        model_files(p).read_bytes()[:-1] + bytes([model_files(p).read_bytes()[-1] ^ 1])), ANEW,
         "ModelFileError", 3, ("frequency@1", "expected SHA-256")),
    Case("another model's file in its place", lambda p: model_files(p).write_bytes(
        model_files(p, "severity").read_bytes()), ANEW, "ModelFileError", 3,
         ("frequency@1", "expected SHA-256")),
    Case("log of the prepared table damaged", damaged_log, f"{PREDICT} --model severity",
         "DamagedFileError", 3, ("tables/prepared/_delta_log", "run the stage that wrote")),
]  # fmt: skip


@pytest.mark.repeats
@pytest.mark.parametrize("case", CLEAN_CASES, ids=lambda case: case.id)
def test_a_bad_extract_is_refused_whole(portfolio, case, tables_as_before):
    check(portfolio, case, tables_as_before)


@pytest.mark.repeats
@pytest.mark.parametrize("case", PREPARE_CASES, ids=lambda case: case.id)
def test_what_cannot_be_prepared_is_refused(portfolio, case, tables_as_before):
    check(portfolio, case, tables_as_before)


@pytest.fixture
def spoilable_models(portfolio, finished):
    """The portfolio with the finished one's model files, which are put back at the end."""
    folder = finished.base / "artefacts"
    kept = {path: path.read_bytes() for path in folder.rglob("*.kyros")}
    portfolio.finished = finished
    yield portfolio
    for path, content in kept.items():
        path.write_bytes(content)


@pytest.mark.repeats
@pytest.mark.parametrize("case", MODEL_CASES, ids=lambda case: case.id)
def test_what_no_model_can_do_is_refused(spoilable_models, case, tables_as_before):
    check(spoilable_models, case, tables_as_before)
