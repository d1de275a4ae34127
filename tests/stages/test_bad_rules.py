"""What is refused of rules, amounts, duplicates, splits and features: the settings, or the batch."""

import pytest
import test_bad_input
from bad_input import CLEAN, PREPARE, Case, cells, check, every, nothing, setting, text
from portfolio import FIRST, SECOND

COLUMN, RULES = "sources.policies.columns", "sources.policies.rules"
AMOUNT, FEATURE = "sources.claims.amounts.amount", "prepare.features.new"


def column(name, **changes):
    def spoil(p):
        for key, value in changes.items():
            p.set(f"{COLUMN}.{name}.{key}", value)

    return spoil


def rule(**given):
    return setting(RULES, [{"id": "r", **given}])


def both(*spoils):
    def spoil(p):
        for one in spoils:
            one(p)

    return spoil


def refused(name, spoil, *says, command=CLEAN):
    """Return a case of settings that contradict themselves: refused before Spark is asked."""
    return Case(name, spoil, command, "ConfigError", 2, says)


COLUMN_SETTINGS = [
    refused("severity of no such word", column("age", severity={"min": "shrug"}),
            "sources.policies.columns.age.severity.min", "'reject', 'repair', 'warn' or 'fail'"),
    refused("severity of no such rule", column("age", severity={"least": "warn"}),
            "severity and says name type, required, min, max, allowed, pattern, found 'least'"),
    refused("sentence of no such rule", column("age", says={"least": "no"}), "found 'least'"),
    refused("pattern of a number", column("age", pattern="[0-9]+"),
            "pattern, trim, case and aliases are for type: string"),
    refused("aliases of a number", column("age", aliases={"x": "1"}),
            "pattern, trim, case and aliases are for type: string"),
    refused("required, emptied by its repair, and without a default", column(
        "fuel", allowed=["petrol"], severity={"allowed": "repair"}),
            "a required column whose allowed is repaired needs a default"),
    refused("type that is none", column("age", type="integer"),
            "expected string, int, long, double, date", "found 'integer'"),
    refused("days beside sql", column("exposure", sql="1", days={"from": "start", "to": "start"}),
            "give one of days, sql and from"),
    refused("year of 364 days", column(
        "exposure", days={"from": "start", "to": "start", "year": 364}),
            "expected actual, 360, 365 or 365.25, found 364"),
    refused("column that differs by case", setting(f"{COLUMN}.AGE", {"type": "int"}),
            "columns differ by case only: ", "SQL ignores case"),
    refused("column of a reserved name", setting(f"{COLUMN}.batch_id", {"type": "int"}),
            "column name 'batch_id' is reserved"),
    refused("column that is no SQL name", setting(f"{COLUMN}.the age", {"type": "int"}),
            "column name 'the age' is reserved or not a plain SQL name"),
    refused("key of no such column", setting("sources.policies.key", ["number"]),
            "key or reference names 'number', which is not among the columns"),
    refused("no key", setting("sources.policies.key", []), "sources.policies.key is empty"),
    refused("reference of two columns to a key of one", setting(
        "sources.claims.reference", ["policy_id", "claim_id"]),
            "sources.claims.reference must name as many columns as sources.policies.key"),
]  # fmt: skip

RULE_SETTINGS = [
    refused("rule without a form", rule(), "rule r: give one of check, in_order, unique, "
            "no_overlap, listed_in; found 0 of them"),
    refused("rule of two forms", rule(check="age > 1", unique=["age"]), "found 2 of them"),
    refused("rule id with a capital", setting(RULES, [{"id": "Bad", "check": "age > 1"}]),
            "rule id 'Bad': expected lower-case letters, digits and _"),
    refused("order of one date", rule(in_order=["start"]), "in_order needs two columns"),
    refused("repair that refuses", rule(check="age > 1", repair={"age": "1"}),
            "rule r: repair (column: SQL) goes with severity: repair"),
    refused("uniqueness repaired", rule(unique=["age"], severity="repair", repair={"age": "1"}),
            "rule r: only check and in_order can be repaired"),
    refused("rule on no such column", rule(unique=["colour"]),
            "rules.r names 'colour', which is not among the columns"),
    refused("rule id given twice", setting(RULES, [{"id": "r", "check": "true"}] * 2),
            "rules: the id r is given twice"),
    refused("latest, but by what", setting("sources.policies.conflicts", "keep_latest"),
            "conflicts: keep_latest and latest_by (a column) go together"),
    refused("sum, but of what", setting("sources.policies.conflicts", "sum"),
            "conflicts: sum and sum (the columns to add up) go together"),
    refused("period of policies", setting("sources.policies.period", {
        "date": "start", "from": "start", "to": "start"}), "only claims lie within a period"),
    refused("period repaired", setting("sources.claims.period", {
        "date": "day", "from": "start", "to": "start", "severity": "repair"}),
            "a claim outside its policy's period cannot be repaired"),
    refused("amount of no such column", setting("sources.claims.amounts", {"paid": {}}),
            "amounts names 'paid', which is not among the columns"),
    refused("amount that is a date", setting("sources.claims.amounts", {"day": {}}),
            "amounts.day: expected a column of type double"),
    refused("currency without rates", setting(AMOUNT, {"currency": "claim_id"}),
            "currency (a column) and rates (by currency) go together"),
    refused("currency that is computed", both(
        setting("sources.claims.columns.money", {"type": "string", "sql": "'EUR'"}),
        setting(AMOUNT, {"currency": "money", "rates": {"EUR": 1.0}})),
            "amounts.amount.currency: expected a column that the source holds, found 'money'"),
    refused("cap of zero", setting(AMOUNT, {"cap": 0}), "sources.claims.amounts.amount.cap",
            "greater than 0"),
    refused("column of the name of an excess", both(
        setting(AMOUNT, {"cap": 10}),
        setting("sources.claims.columns.amount_excess", {"type": "double", "sql": "1"})),
            "amounts: amount_excess is a column, and what lies above a cap"),
]  # fmt: skip

PREPARE_SETTINGS = [
    refused("bins that fall", setting("prepare.features.driver.bins", [50, 30]),
            "bins must rise strictly, found [50.0, 30.0]", command=PREPARE),
    refused("bins of levels", setting(FEATURE, {"kind": "levels", "column": "fuel", "bins": [1]}),
            "belong to kind: bins, and only there", command=PREPARE),
    refused("ratio of three", setting(FEATURE, {"kind": "numeric", "ratio": ["a", "b", "c"]}),
            "ratio: expected two columns, found 3", command=PREPARE),
    refused("ratio and log", setting(
        FEATURE, {"kind": "numeric", "ratio": ["power", "age"], "log": "age"}),
            "give log or ratio, not both", command=PREPARE),
    refused("age as a level", setting(
        FEATURE, {"kind": "levels", "age": {"from": "start", "at": "start"}}),
            "log, ratio and age are numbers", command=PREPARE),
    refused("interaction as a number", setting(
        FEATURE, {"kind": "numeric", "interaction": ["fuel", "area"]}),
            "interaction: expected kind: levels and two columns at least", command=PREPARE),
    refused("base of a number", setting(FEATURE, {"kind": "numeric", "column": "age", "base": "1"}),
            "base is for levels and bins", command=PREPARE),
    refused("quantiles beside bins", setting("prepare.features.driver.quantiles", 4),
            "belong to kind: bins, in the place of bins", command=PREPARE),
    refused("rare levels of a number", setting("prepare.features.power.rare", "other"),
            "rare is for levels and bins", command=PREPARE),
    refused("imputed level", setting("prepare.features.fuel.impute", 3),
            "impute is for kind: numeric", command=PREPARE),
    refused("level ordered twice", setting("prepare.features.fuel.order", ["petrol", "petrol"]),
            "order: a level occurs twice", command=PREPARE),
    refused("split by a hash and by SQL", setting("prepare.split.sql", "fuel"),
            "give by (columns to hash) or sql (what says the part), not both", command=PREPARE),
    refused("shares above one", setting("prepare.split.train", 0.9), "train + valid is 1.05",
            command=PREPARE),
    refused("target that is a feature", setting("prepare.targets", {"power": "1"}),
            "a target cannot be a feature: ['power']", command=PREPARE),
    refused("feature of a reserved name", setting(
        "prepare.features.claim_count", {"kind": "numeric", "column": "age"}),
            "'claim_count' is reserved", command=PREPARE),
]  # fmt: skip

DATA = [
    Case("a rule of severity fail", rule(check="age < 79", severity="fail", says="too old"), CLEAN,
         "RuleFailedError", 3, ("policies, batch 2023: expected no row to break a rule of severity "
         "fail", "2 x r in (row) (expected too old)", "nothing was written")),
    Case("a column's bound of severity fail", column("age", max=78, severity={"max": "fail"}),
         CLEAN, "RuleFailedError", 3, ("2 x max in age (expected at most 78)",)),
    Case("a list that is not there", rule(listed_in={
        "path": "/nowhere/{batch}.csv", "columns": {"fuel": "code"}}), CLEAN,
         "SourceNotFoundError", 3, ("rule r: expected files at /nowhere/2023.csv",)),
    Case("a list without the column", lambda p: rule(listed_in={
        "path": str(p.source()), "columns": {"fuel": "code"}})(p), CLEAN, "SourceSchemaError", 3,
         ("rule r, column code: expected in", "listed_in.columns")),
    Case("a check of no such column", rule(check="wheels > 2"), CLEAN, "ConfigError", 2,
         ("a rule of sources.policies.rules", "wheels")),
    Case("a check that is no SQL", rule(check="age > > 2"), CLEAN, "ConfigError", 2,
         ("sources.policies.rules, rule r, check: 'age > > 2' is not Spark SQL",)),
    Case("a check that fails on the data", rule(check="1 / (age - age) > 0"), CLEAN,
         "ExpressionError", 3, ("clean 2023", "Division by zero")),
    Case("levels all renamed", both(
        setting(RULES, [{"id": "r", "listed_in": {"path": "LIST", "columns": {"fuel": "fuel"}}}]),
        lambda p: p.set(f"{RULES}", [{"id": "r", "check": "fuel IN ('gas', 'oil')"}])), CLEAN,
         "TooManyRejectsError", 3, ("120 x r in (row)", "fuel IN ('gas', 'oil')")),
    Case("recoveries where there may be none", both(
        setting(AMOUNT, {"negative": "fail"}), cells("amount", {3: "-200"}, "claims")), CLEAN,
         "RuleFailedError", 3, ("claims, batch 2023", "1 x negative in amount")),
    Case("nothing paid where it may not be", both(
        setting(AMOUNT, {"zero": "fail"}), cells("amount", {3: "0"}, "claims")), CLEAN,
         "RuleFailedError", 3, ("1 x zero in amount",)),
    Case("a convention amount where it may not be", both(
        setting(AMOUNT, {"convention": [1236.0], "convention_is": "fail"}),
        cells("amount", {3: "1236", 5: "1236.00"}, "claims")), CLEAN, "RuleFailedError", 3,
         ("2 x convention in amount",)),
    Case("currencies nobody knows", setting(
        AMOUNT, {"currency": "claim_id", "rates": {"EUR": 1.0}}), CLEAN, "TooManyRejectsError", 3,
         ("claims, batch 2023", "52 x currency in claim_id", "'K000'")),
    Case("claims outside their policy's year", setting("sources.claims.period", {
        "date": "day", "from": "start", "to": "start"}), CLEAN, "TooManyRejectsError", 3,
         ("x period in day", "a day of its policy, from start to start")),
    Case("a vehicle insured twice at a time", rule(no_overlap={
        "of": ["fuel"], "from": "start", "to": "add_months(start, 12)"}), CLEAN, "ConfigError", 2,
         ("rules.r names 'add_months(start, 12)', which is not among the columns",)),
    Case("values that should differ and do not", rule(unique=["fuel"]), CLEAN,
         "TooManyRejectsError", 3, ("r in fuel", "no two rows with the same values")),
    Case("two latest rows of a key", both(
        setting("sources.policies.conflicts", "keep_latest"),
        setting("sources.policies.latest_by", "start"), every("policy", "P000"),
        every("start", "2023-01-01")), CLEAN, "TooManyRejectsError", 3, ("120 x unique",)),
    Case("a level that is new, where no batch may change", both(
        setting("clean.changes", "fail"), every("fuel", "steam")), CLEAN, "BatchChangedError", 3,
         (f"policies, batch {FIRST}: expected columns and levels as in batch {SECOND}",
          'new levels ["steam"]', "clean.changes: warn")),
    Case("a split that says nothing of some rows", both(
        setting("prepare.split", {"sql": "fuel", "parts": {"petrol": "train"}})), PREPARE,
         "SplitError", 3, ("prepare.split.sql: expected train, valid or test for each row",
         "prepare.split.parts")),
    Case("an interaction of no such column", setting(
        FEATURE, {"kind": "levels", "interaction": ["fuel", "colour"]}), PREPARE,
         "FeatureDefinitionError", 2, ("prepare.features.new", "colour")),
    Case("an age from a text", setting(
        FEATURE, {"kind": "numeric", "age": {"from": "fuel", "at": "start"}}), PREPARE,
         "ExpressionError", 3, ("prepare 2023", "'petrol'")),
    Case("a profile of a batch that is not there", nothing, "profile --batch 2031",
         "BatchMissingError", 3, ("expected batch '2031' in", "kyros clean --batch 2031")),
    Case("a comparison with a batch that is not there", nothing, "profile --diff 2023 2031",
         "BatchMissingError", 3, ("profile --diff: expected batch '2031'",)),
    Case("every second record cut short", text(lambda t: "\n".join(
        line if n % 2 else line[: len(line) // 2] if n else line
        for n, line in enumerate(t.splitlines()))), CLEAN, "TooManyRejectsError", 3,
         ("malformed in (record)",)),
    Case("numbers with thousands separators", every("exposure", "1 000"), CLEAN,
         "TooManyRejectsError", 3, ("type in exposure", "expected double", "'1 000'")),
    Case("a date that no calendar has", every("start", "2023-02-30"), CLEAN, "TooManyRejectsError",
         3, ("type in start", "'2023-02-30'")),
    Case("numbers beyond their type", every("age", "99999999999"), CLEAN, "TooManyRejectsError", 3,
         ("type in age", "'99999999999'")),
    Case("numbers that are none", every("bonus", "NaN"), CLEAN, "TooManyRejectsError", 3,
         ("type in bonus", "'NaN'")),
]  # fmt: skip

CASES = [*COLUMN_SETTINGS, *RULE_SETTINGS, *PREPARE_SETTINGS, *DATA]


@pytest.mark.repeats
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_it_is_refused_whole(portfolio, case, tables_as_before):
    check(portfolio, case, tables_as_before)


def test_the_catalogue_holds_what_was_asked_for():
    before = ("CLEAN_CASES", "PREPARE_CASES", "MODEL_CASES")
    cases = [*CASES, *(case for name in before for case in getattr(test_bad_input, name))]
    assert len(cases) >= 100
    assert len({case.id for case in cases}) == len(cases)
