"""Settings that are wrong: the error says which, what was found, and which name was meant."""

import copy
import json

import pytest
import yaml
from portfolio import SETTINGS

from kyros_spark.cli.main import main
from kyros_spark.config import parse_config
from kyros_spark.errors import ConfigError, UsageError


def text(**changes):
    """Return the tiny portfolio's settings as YAML, with dotted paths changed."""
    settings = copy.deepcopy(SETTINGS)
    settings["tables"]["base"] = "nowhere"
    for source in settings["sources"].values():
        source["path"] = "nowhere"
    for path, value in changes.items():
        *parents, last = path.split("__")
        node = settings
        for parent in parents:
            node = node[parent]
        if value is ...:
            del node[last]
        else:
            node[last] = value
    return yaml.safe_dump(settings)


def test_the_tiny_portfolio_is_right():
    assert parse_config(text()).batches == ("2023", "2024")


UNKNOWN = {
    "at the top": ("tabels", {}, "tables"),
    "in a section": ("clean__max_reject_share", 0.1, "max_rejected_share"),
    "in a source": ("sources__policies__keys", [], "key"),
    "in a column": ("sources__policies__columns__age__requird", True, "required"),
    "in a column, by alias": ("sources__policies__columns__age__frm", "x", "from"),
    "in the split": ("prepare__split__tain", 0.5, "train"),
    "in claims": ("prepare__claims__capp", 1, "cap"),
    "in a feature": ("prepare__features__driver__bin", [1], "bins"),
    "in a model": ("train__models__frequency__familly", "poisson", "family"),
    "in a model's solver": ("train__models__boosted__boosting__max_dept", 3, "max_depth"),
}


@pytest.mark.parametrize("path, value, nearest", UNKNOWN.values(), ids=list(UNKNOWN))
def test_an_unknown_setting_is_refused_with_the_nearest_known_one(path, value, nearest):
    with pytest.raises(ConfigError) as error:
        parse_config(text(**{path: value}))
    assert f"unknown setting '{path.replace('__', '.')}'" in str(error.value)
    assert f"the nearest known one is '{nearest}'" in str(error.value)


LAPSE = {"method": "glm", "family": "binomial", "target": "claim_count", "per": "exposure"}
WRONG = {
    "no such section": ({"prepare": ...}, "'prepare' is missing"),
    "no such type": ({"sources__policies__columns__age__type": "integer"}, "found 'integer'"),
    "key is no column": ({"sources__policies__key": ["id"]}, "'id', which is not among"),
    "no key": ({"sources__policies__key": []}, "sources.policies.key is empty"),
    "reference of another length": ({"sources__claims__reference": []}, "as many columns"),
    "reference of another type": (
        {"sources__claims__columns__policy_id__type": "int"},
        "key 'policy_id', string, found int; give both the same type"),
    "in order of two types": (
        {"sources__policies__rules": [{"id": "ages", "in_order": ["start", "age"]}]},
        "rules.ages: expected columns of one type, found date, int"),
    "reserved column": ({"sources__policies__columns__batch_id": {"type": "int"}}, "reserved"),
    "column that is no SQL name": ({"sources__policies__columns__a b": {"type": "int"}}, "'a b'"),
    "shares above one": ({"prepare__split__train": 0.9}, "expected at most 1"),
    "bins fall": ({"prepare__features__driver__bins": [50, 30]}, "rise strictly"),
    "bins of a number": ({"prepare__features__power__bins": [1]}, "kind: bins"),
    "column and sql": ({"prepare__features__place__column": "area"}, "not both"),
    "feature named as a fixed column": (
        {"prepare__features__claim_count": {"kind": "numeric"}}, "'claim_count' is reserved"),
    "feature named as a target": ({"prepare__targets": {"fuel": "1"}}, "cannot be a feature"),
    "feature named as the key": (
        {"prepare__features__policy_id": {"kind": "levels"}}, "policy_id"),
    "features that differ by case only": (
        {"prepare__features__FUEL": {"kind": "levels", "column": "fuel"}}, "fuel (SQL ignores"),
    "columns that differ by case only": (
        {"sources__policies__columns__AGE": {"type": "int"}}, "age (SQL ignores case)"),
    "policies bring a column of the claims' sums": (
        {"sources__policies__columns__claim_count": {"type": "int"}}, "claim_count"),
    "batch id with a quote": ({"batches": ["a'b"]}, "batch id 'a'b'"),
    "training batch that leaves the folder": ({"train__batches": ["../x"]}, "batch id '../x'"),
    "no tables": ({"tables__base": None}, "tables.base"),
    "catalog without artefacts": (
        {"tables": {"catalog": "main.pricing"}}, "tables.artefacts"),
    "model name that is a path": (
        {"train__models": {"../x": SETTINGS["train"]["models"]["severity"]}}, "'../x'"),
    "share above one": ({"clean__max_rejected_share": 1.5}, "found 1.5"),
    "power of the Tweedie family": (
        {"train__models__premium__tweedie_power": 2.0}, "train.models.premium.tweedie_power"),
    "composite that would fit a power": (
        {"train__models__pure_premium__tweedie_power": "profile"}, "a composite fits nothing"),
    "threshold on what is not measured": (
        {"train__models__premium__quality": {"test_gini": {"min": 0}}}, "'test_gini' is no metric"),
    "threshold without a bound": (
        {"train__models__premium__quality": {"test_d2": {}}}, "give min, max or both"),
    "threshold that nothing meets": (
        {"train__models__premium__quality": {"test_d2": {"min": 2, "max": 1}}}, "min 2 is above"),
    "link that a probability does not have": (
        {"train__models__lapse": {**LAPSE, "glm": {"link": "log"}}}, "takes glm.link: logit"),
    "logit of no probability": (
        {"train__models__frequency__glm": {"link": "logit"}}, "takes glm.link: log or identity"),
    "factor on a probability": (
        {"train__models__lapse": {**LAPSE, "rebalance": True}}, "takes probabilities beyond 1"),
    "interval of 0 or 1": (
        {"train__models__lapse": {**LAPSE, "interval": {"level": 0.9}}}, "happens or does not"),
    "load on a probability": (
        {"train__models__lapse": {**LAPSE, "large_loss_load": True}}, "no large losses"),
    "Brier score of a count": (
        {"train__models__frequency__quality": {"test_brier": {"max": 1}}},
        "test_brier is of family: binomial, found poisson"),
    "threshold on what evaluate does not measure": (
        {"evaluate": {"thresholds": {"models": {"premium": {"lift": {"min": 1}}}}}},
        "evaluate.thresholds.models.premium.lift"),
    "threshold of evaluate without a bound": (
        {"evaluate": {"thresholds": {"gini": {}}}}, "give min, max or both"),
    "explanations that write nothing": (
        {"explain": {"policies": False, "summary": False}}, "nothing would be written"),
    "none of a policy's contributions": ({"explain": {"top": 0}}, "explain.top"),
    "a segment twice": ({"explain": {"segments": ["fuel", "fuel"]}}, "named twice: fuel, fuel"),
    "a batch to compare with that is no batch": (
        {"explain": {"reference_batch": "a b"}}, "reference_batch: 'a b'"),
    "a query in place of a condition": (
        {"explain": {"where": "power > (SELECT 1)"}}, "where: expected a condition on a row"),
    "product named as a model": (
        {"predict__products": {"frequency": ["severity"]}}, "predict.products.frequency"),
}  # fmt: skip


@pytest.mark.parametrize("method", ["glm", "boosting"])
def test_a_probability_has_the_logit_and_keeps_its_balance_unless_said_otherwise(method):
    quality = {"test_brier": {"max": 0.1}, "valid_log_loss": {"max": 0.3}}
    lapse = {**LAPSE, "method": method, "quality": quality, "glm": {"alpha": 0.1}}
    model = parse_config(text(train__models__lapse=lapse)).train.models["lapse"]
    assert (model.link, model.glm.alpha, model.is_rebalanced) == ("logit", 0.1, False)


@pytest.mark.parametrize("changes, says", WRONG.values(), ids=list(WRONG))
def test_a_wrong_value_is_refused_and_named(changes, says):
    with pytest.raises(ConfigError) as error:
        parse_config(text(**changes), name="tiny.yaml")
    assert "tiny.yaml: " in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "override, says",
    [
        ("clean", "expected section.key=value"),
        ("=3", "expected section.key=value"),
        ("clean..x=3", "expected section.key=value"),
        ("portfolio.name=x", "portfolio is a value, not a section"),
        ("clean.max_rejected_share=[", "the value is not YAML"),
    ],
)
def test_a_wrong_override_is_a_usage_error(override, says):
    with pytest.raises(UsageError) as error:
        parse_config(text(), [override])
    assert says in str(error.value) and override in str(error.value)


def test_an_override_reads_its_value_as_yaml():
    config = parse_config(text(), ["batches=[2023, 2024-05]", "prepare.claims.cap=1e4"])
    assert config.batches == ("2023", "2024-05")
    assert config.prepare.claims.cap == 10_000


def test_an_override_of_an_unknown_setting_names_the_nearest():
    with pytest.raises(ConfigError, match="the nearest known one is 'max_rejected_share'"):
        parse_config(text(), ["clean.max_rejected_shares=0.1"])


def test_the_same_setting_twice_is_refused_not_overridden_in_silence():
    with pytest.raises(ConfigError, match="clean is given twice"):
        parse_config(text() + "\nclean: {max_rejected_share: 1.0}\n")


def test_a_date_and_a_number_as_bounds_need_no_quotes():
    changed = text().replace("'2000-01-01'", "2000-01-01")
    assert parse_config(changed).sources.policies.columns["start"].min == "2000-01-01"


def test_numbers_that_yaml_reads_stay_texts_where_texts_are_meant():
    config = parse_config(text(batches=[2023, 202401], sources__claims__batches=[2023]))
    assert config.batches == ("2023", "202401")
    assert config.sources.claims.holds("2023")


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        parse_config(text()).clean.max_rejected_share = 1.0


BROKEN_FILES = {
    "not there": (None, "expected a settings file, found none"),
    "not YAML": (b"tables: [", "is not YAML"),
    "a tab": (b"tables:\n\tbase: x", "is not YAML"),
    "not text": (b"portfolio: caf\xe9", "expected UTF-8"),
    "empty": (b"", "found none"),
    "a list": (b"- a\n- b\n", "found none"),
    "code": (b"portfolio: !!python/object/apply:os.system ['true']", "is not YAML"),
}


@pytest.mark.parametrize("content, says", BROKEN_FILES.values(), ids=list(BROKEN_FILES))
def test_a_broken_settings_file_ends_with_exit_code_2(content, says, tmp_path, capsys):
    path = tmp_path / "settings.yaml"
    if content is not None:
        path.write_bytes(content)
    assert main(["clean", "--config", str(path), "--batch", "x"]) == 2
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (line["status"], line["error"]["type"]) == ("failed", "ConfigError")
    assert says in line["error"]["message"] and str(path) in line["error"]["message"]


@pytest.mark.parametrize(
    "words",
    [[], ["clena"], ["clean"], ["clean", "--config"], ["clean", "--config", "x", "--model", "y"]],
    ids=" ".join,
)
def test_a_wrong_command_line_ends_with_exit_code_2_and_a_result_line(words, capsys):
    assert main(words) == 2
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["error"]["type"] == "UsageError"


ROW_DECIDES = {
    "a column": ("sources__policies__columns__city__sql", "rand(7) > 0.5", "columns.city.sql"),
    "the key": (
        "sources__policies__columns__policy_id",
        {"type": "long", "sql": "monotonically_increasing_id ()"},
        "columns.policy_id.sql",
    ),
    "a rule": (
        "sources__policies__rules",
        [{"id": "r", "check": "spark_partition_id() < 1"}],
        "rules.r.check",
    ),
    "a split": (
        "prepare__split",
        {"sql": "if(Rand() < 0.7, 'train', 'test')"},
        "split.sql: expected values that the row itself decides, found Rand()",
    ),
    "a feature": ("prepare__features__place__sql", "uuid()", "features.place.sql"),
    "a target": ("prepare__targets", {"noise": "uniform(0, 1)"}, "targets.noise"),
    "an exposure": ("prepare__exposure", "exposure * rand()", "exposure: expected"),
    "claims": ("prepare__claims__where", "randn() > 0", "claims.where"),
    "explained policies": ("explain", {"where": "rand() < 0.1"}, "where: expected values"),
}


@pytest.mark.parametrize("path, value, says", ROW_DECIDES.values(), ids=list(ROW_DECIDES))
def test_what_depends_on_partitions_or_chance_is_refused_at_load(path, value, says):
    with pytest.raises(ConfigError) as error:
        parse_config(text(**{path: value}))
    assert says in str(error.value) and "depends on how rows lie in partitions" in str(error.value)


@pytest.mark.parametrize("sql", ["area = 'rand()'", "brand = 1", "random > 2"])
def test_a_word_that_calls_nothing_is_no_chance(sql):
    assert parse_config(text(sources__policies__columns__city__sql=sql))


def test_a_source_without_a_key_gets_the_rows_number_and_keeps_its_copies():
    keyless = parse_config(text(sources__claims__key=[])).sources.claims
    assert keyless.key == ("row_number",) and keyless.columns["row_number"].row_number
    assert keyless.duplicates == "keep" and keyless.is_numbered
    stated = parse_config(text(sources__claims__key=[], sources__claims__duplicates="remove"))
    assert stated.sources.claims.duplicates == "remove"
    assert parse_config(text()).sources.claims.duplicates == "remove"


@pytest.mark.parametrize("column", [{"type": "string"}, {"type": "long", "from": "id"}])
def test_a_rows_number_is_a_whole_number_and_comes_from_nowhere(column):
    column = {**column, "row_number": True}
    with pytest.raises(ConfigError, match="row_number: expected type: long"):
        parse_config(text(sources__policies__columns__number=column))


def of_targets(**changes):
    """Return settings with a target in the policies, and a column that hashes it."""
    columns = SETTINGS["sources"]["policies"]["columns"]
    columns = {
        **columns,
        "nclaims": {"type": "int"},
        "both": {"type": "double", "sql": "nclaims * 2"},
        "record": {"type": "string", "sql": "sha2(concat_ws('|', start, both), 256)"},
    }
    given = {
        "sources__policies__columns": columns,
        "prepare__targets": {"losses": "if(area = 'city' AND start > '2020-01-01', nclaims, 0)"},
    }
    return parse_config(text(**given, **changes))


KNOWS_CLAIMS = {
    "a hash of the record": ({"prepare__split": {"by": ["record"]}}, "prepare.split.by"),
    "the target itself": ({"prepare__split": {"by": ["client_id", "NClaims"]}}, "split.by"),
    "an expression": (
        {"prepare__split": {"sql": "if(pmod(hash(both), 3) < 2, 'train', 'test')"}},
        "prepare.split.sql",
    ),
    "the key": ({"sources__policies__key": ["record"]}, "sources.policies.key"),
    "the folds of a search": (
        {"train__models__boosted__search": {
            "by": ["record"], "space": {"eta": {"low": 0.1, "high": 0.3}}}},
        "train.models.boosted.search.by",
    ),
}  # fmt: skip


@pytest.mark.parametrize("changes, says", KNOWS_CLAIMS.values(), ids=list(KNOWS_CLAIMS))
def test_a_split_that_knows_the_claims_is_refused(changes, says):
    with pytest.raises(ConfigError, match="expected columns that do not know the claims") as error:
        of_targets(**changes)
    assert says in str(error.value)


@pytest.mark.parametrize(
    "split",
    [
        {"by": ["client_id"]},
        {"by": ["area"]},
        {"sql": "year(start)", "parts": {"2023": "train"}},
        {"sql": "if(nclaims > 0, 'train', 'test')", "stratified": True},
        {"sql": "if(area = 'nclaims', 'train', 'test')"},
    ],
)
def test_a_split_by_what_is_no_target_is_none_of_that(split):
    assert of_targets(prepare__split=split)


def of_columns(**columns):
    given = {**SETTINGS["sources"]["policies"]["columns"], **columns}
    return parse_config(text(sources__policies__columns=given)).sources.policies


def test_a_column_not_known_yet_is_null_and_so_is_what_is_computed_from_it():
    source = of_columns(
        nclaims={"type": "long", "required": True, "max": 5, "batches": [2023]},
        twice={"type": "long", "sql": "coalesce(nclaims, 0) * 2"},
        some={"type": "boolean", "sql": "coalesce(Twice, 0) > 0"},
    )
    assert source.unknown_columns("2023") == set()
    assert source.unknown_columns("2024") == {"nclaims", "twice", "some"}
    known, later = source.of_batch("2023"), source.of_batch("2024")
    assert known.columns["nclaims"].required and known.columns["twice"] == source.columns["twice"]
    for name in ("nclaims", "twice", "some"):
        column = later.columns[name]
        assert column.sql.startswith("CAST(NULL AS") and not column.required and column.max is None
        assert column.type == source.columns[name].type
    assert later.columns["age"] == source.columns["age"] and later.key == source.key
    more = of_columns(nclaims={"type": "long", "required": True, "max": 5, "batches": [2023, 2025]})
    assert more.of_batch("2023").columns["nclaims"] == known.columns["nclaims"]


@pytest.mark.parametrize(
    "name, column, says",
    [
        ("policy_id", {"type": "string", "batches": [2023]}, "columns.policy_id.batches"),
        ("city", {"type": "boolean", "sql": "true", "batches": [2023]}, "found a computed one"),
    ],
)
def test_a_column_that_rows_need_is_known_in_every_batch(name, column, says):
    with pytest.raises(ConfigError) as error:
        of_columns(**{name: column})
    assert says in str(error.value)


NAMES = {
    "per of a model": (
        {"train__models__boosted__per": "years"}, "train.models.boosted.per", "found 'years'"),
    "target of a model": (
        {"train__models__boosted__target": "cost"}, "train.models.boosted.target",
        "claim_amount, claim_count, claim_excess, exposure, found 'cost'"),
    "feature of a model": (
        {"train__models__premium__features": ["driver", "colour"]},
        "train.models.premium.features", "'colour' is not among prepare.features"),
    "factors": (
        {"evaluate": {"factors": ["driver", "age"]}}, "evaluate.factors", "found age"),
    "a combination with what is no factor": (
        {"evaluate": {"factors": ["driver", "fuel"], "two_way": [["driver", "place"]]}},
        "evaluate.two_way", "driver, fuel; found [driver, place]"),
    "a combination of a factor with itself": (
        {"evaluate": {"two_way": [["fuel", "fuel"]]}}, "evaluate.two_way", "found [fuel, fuel]"),
    "segments": (
        {"explain": {"segments": ["fuel", "age"]}}, "explain.segments", "found age"),
    "per that models are judged by": (
        {"evaluate": {"judged": {"x": {"target": "claim_count", "per": "e", "family": "poisson"}}}},
        "evaluate.judged.x.per", "found 'e'"),
    "a composite per what is no column": (
        {"train__models__pure_premium__per": "years"}, "settings", "is claim_amount per exposure"),
    "units that do not cancel": (
        {"predict__products": {"both": ["frequency", "premium"]}}, "predict.products.both",
        "frequency times premium is claim_amount * claim_count per exposure * exposure"),
    "claims that no source has": (
        {"sources__claims": ...}, "prepare.claims is given", "sources.claims is not"),
}  # fmt: skip


@pytest.mark.parametrize("changes, setting, says", NAMES.values(), ids=list(NAMES))
def test_a_name_that_no_column_will_have_is_refused_at_load(changes, setting, says):
    with pytest.raises(ConfigError) as error:
        parse_config(text(**changes))
    assert setting in str(error.value) and says in str(error.value)


COMMANDS = {
    "an unknown stage": (
        ["run", "--stages", "clean,prepair"], "found 'prepair'; did you mean prepare?"),
    "no stage": (["run", "--stages", ","], "expected some of clean, prepare"),
    "an import of nothing known": (
        ["import", "--model-file", "x.json", "--name", "new"], "give --target"),
    "an import per what is no column": (
        ["import", "--model-file", "x.json", "--name", "frequency", "--per", "years"],
        "import --per: expected one of"),
    "an import under no name": (
        ["import", "--model-file", "x.json", "--name", "a/b", "--target", "claim_count"],
        "import --name a/b"),
}  # fmt: skip


@pytest.mark.parametrize("words, says", COMMANDS.values(), ids=list(COMMANDS))
def test_what_the_settings_decide_is_said_before_spark_starts(
    words, says, tmp_path, capsys, monkeypatch
):
    from kyros_spark.spark import session

    monkeypatch.setattr(session, "get_session", lambda *_, **__: pytest.fail("Spark was started"))
    path = tmp_path / "settings.yaml"
    path.write_text(text())
    assert main([words[0], "--config", str(path), *words[1:]]) == 2
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert says in line["error"]["message"]
