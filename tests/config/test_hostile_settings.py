"""Settings that are damaged, misread by YAML, or hostile: refused by name, or read as written."""

import random

import pytest
from test_settings import text

from benchmarks import fuzz_inputs_names, fuzz_inputs_settings
from benchmarks.fuzz_inputs_settings import ADDRESSES, SECRET
from kyros_spark.config import parse_config
from kyros_spark.errors import ConfigError, UsageError


def test_damaged_settings_end_in_settings_or_in_an_error_that_names_what_is_wrong():
    ended, broken = fuzz_inputs_settings.fuzz(100, seed=1)
    assert broken == []
    assert min(ended["ConfigError"], ended["UsageError"], ended["read"]) > 5


AS_WRITTEN = ("2024-02-30", "2024.10", "010", "1_000", "0x1F", "2024-01-05", "1e3", "2024")


def test_a_batch_id_is_what_was_written_whatever_yaml_takes_it_for():
    assert parse_config(text(), [f"batches=[{', '.join(AS_WRITTEN)}]"]).batches == AS_WRITTEN


def test_a_number_is_a_number_however_it_is_written():
    settings = "sources.policies.columns.age.max"
    for written, value in {
        "1_00": 100,
        "1e2": 100,
        "0x64": 100,
        "1.0E+2": 100,
        "100.": 100,
    }.items():
        config = parse_config(text(), [f"{settings}={written}"])
        assert config.sources.policies.columns["age"].max == value, written


MISREAD = {
    "a day that is none": ("sources.policies.columns.start.min=2024-02-30", "type date"),
    "a number as a day": ("sources.policies.columns.start.min=2024", "type date, found '2024"),
    "a text as a number": ("sources.policies.columns.age.min=old", "type int, found 'old'"),
    "a default that is no number": (
        "sources.policies.columns.age={type: int, default: x}", "default: expected a value of type"),
    "digits without end": (f"prepare.max_exposure={'9' * 5000}", "a number of 5000 characters"),
    "hexadecimal without end": (f"batches=[0x{'f' * 5000}]", "a number of 5002 characters"),
    "infinity": ("prepare.max_exposure=.inf", "finite number"),
    "a list within lists": (f"batches={'[' * 3000}", "more than 40 sections and lists"),
    "a key of many parts": (f"{'a.' * 3000}b=1", "expected section.key=value"),
    "a key given twice": ("clean={profile_rows: 1, profile_rows: 2}", "profile_rows is given twice"),
    "what contains itself": ("batches=&a [*a]", "*a within what it stands for"),
    "many from few": (
        "batches=[&a [x,x,x,x,x,x,x,x,x,x], &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a], "
        "&c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b], &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c], "
        "[*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]]", "more than 100000 values"),
    "half of a pair": ('portfolio="\\ud800"', "a character that is no text"),
    "a tag that does not fit": ("clean.profile_rows=!!int x", "'x', which is not a whole number"),
    "a word that is true or false": ("batches=[no]", "put it in quotes"),
    "a heap that Java does not take": ("spark.driver_memory=8 GB", "such as 3g or 3000m"),
    "a budget in words": ("budgets.max_model_bytes=8G", "found '8G'"),
    "a schema of a catalog": ("tables={catalog: a.`b`.c, artefacts: x}", "expected catalog.schema"),
}  # fmt: skip


@pytest.mark.parametrize("override, words", MISREAD.values(), ids=list(MISREAD))
def test_what_was_read_as_something_else_is_refused_by_name(override, words):
    with pytest.raises((ConfigError, UsageError)) as error:
        parse_config(text(), [override])
    message = str(error.value)
    assert words in message and len(message) < 3000
    assert override.partition("=")[0].split(".")[0][:10] in message


PLAIN = {
    "product": ("a", "combined", "_x", "A1"), "model": ("a", "frequency_2"),
    "batch": ("2024", "2024-05.b_1"), "portfolio": ("Motor Belgium 2024", "héros-1", "a.b_c"),
}  # fmt: skip
NOT_PLAIN = {
    "product": ("a.b", "x' OR '1'='1", "a`b", "", "1a", "é", "a b", "a\n", "a" * 129, "a/b"),
    "model": ("a.b", "x'", "a`b", "", "1a", "a b"),
    "batch": ("", ".a", "../x", "a/b", "x'", "a\n", "a" * 65, "é"),
    "portfolio": ("", " a", "a ", "x'", 'x"', "a/b", "a\n", "a\u202eb", "a" * 129, "`a`", "a;b"),
}  # fmt: skip


def test_names_pass_by_one_pattern_per_kind():
    for kind, names in PLAIN.items():
        assert [name for name in names if not fuzz_inputs_names.is_read(kind, name)] == []
    for kind, names in NOT_PLAIN.items():
        assert [name for name in names if fuzz_inputs_names.is_read(kind, name)] == []


def test_a_random_name_is_refused_by_its_setting_or_is_plain():
    read = {kind: set() for kind in fuzz_inputs_names.KINDS}
    for number in range(400):
        kind = fuzz_inputs_names.KINDS[number % 4]
        name = fuzz_inputs_names.name(random.Random(f"names {number}"))
        if fuzz_inputs_names.is_read(kind, name):
            read[kind].add(name)
    for kind, names in read.items():
        assert len(names) > 10
        assert not [name for name in names if set(name) & set("'\"`\\;()=/*\n")], kind


HOLD_ADDRESSES = (
    "sources.policies.path", "tables.base", "tables.artefacts", "train.mlflow.tracking_uri",
    "sources.claims.path", "evaluate.report",
)  # fmt: skip


@pytest.mark.parametrize("setting", HOLD_ADDRESSES)
def test_credentials_are_refused_by_the_setting_that_holds_them_and_not_shown(setting):
    for address in ADDRESSES:
        with pytest.raises(ConfigError) as error:
            parse_config(text(), [f"{setting}={address}"])
        assert f"'{setting}'" in str(error.value) and SECRET not in str(error.value)


def test_an_address_without_credentials_is_none_of_these():
    for address in ("s3a://bucket/x@1.csv", "abfss://container@account/x", "hdfs://nn:8020/a@b"):
        parse_config(text(), [f"sources.policies.path={address}"])
    parse_config(text(), [f"spark.conf={{spark.hadoop.x: 'https://user:{SECRET}@host'}}"])
