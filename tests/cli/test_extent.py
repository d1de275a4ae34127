"""Before Java starts, the command and the size of its files tell whether its work is short."""

import pytest

from kyros_spark.cli.extent import SMALL_FILES, is_short
from kyros_spark.cli.parser import parser
from kyros_spark.config import parse_config

SETTINGS = """
portfolio: p
tables: {{base: t}}
batches: ["1", "2"]
sources:
  policies:
    path: {path}
    key: [policy]
    columns: {{policy: {{type: string}}, id: {{type: string}}, exposure: {{type: double}}}}
prepare:
  exposure: exposure
  split: {{by: [id]}}
  features: {{id: {{kind: levels}}}}
"""


@pytest.fixture
def short(tmp_path):
    """Tell whether a command is short when the policies of batches 1 and 2 have so many bytes."""

    def answer(command, sizes, path="policies_{batch}.csv"):
        for batch, size in sizes.items():
            with (tmp_path / path.replace("{batch}", batch)).open("wb") as file:
                file.truncate(size)
        address = path if "://" in path else f"{tmp_path}/{path}"
        config = parse_config(SETTINGS.format(path=address))
        return is_short(parser().parse_args([*command.split(), "--config", "x.yaml"]), config)

    return answer


SMALL, LARGE = 1000, SMALL_FILES + 1
CASES = [
    ("status", {}, True),
    ("models", {"1": LARGE}, True),
    ("clean --batch 1", {"1": SMALL, "2": LARGE}, True),
    ("clean --batch 2", {"1": SMALL, "2": LARGE}, False),
    ("run --batch 1", {"1": SMALL, "2": LARGE}, True),
    ("run", {"1": SMALL, "2": LARGE}, False),
    ("run", {"1": SMALL_FILES // 2 + 1, "2": SMALL_FILES // 2}, False),
    ("clean --batch 3", {"1": SMALL}, False),  # not there: not known
    ("maintain", {"1": SMALL, "2": SMALL}, False),
]


@pytest.mark.parametrize(("command", "sizes", "expected"), CASES)
def test_the_command_and_its_files_decide(short, command, sizes, expected):
    assert short(command, sizes) is expected


@pytest.mark.parametrize("path", ["s3://bucket/{batch}.csv", "policies_{batch}*.csv"])
def test_what_cannot_be_measured_counts_as_large(short, path):
    assert not short("clean --batch 1", {}, path)


def test_compressed_files_count_for_what_they_hold(short):
    assert not short("clean --batch 1", {"1": SMALL_FILES // 3}, "policies_{batch}.csv.gz")
