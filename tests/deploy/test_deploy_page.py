"""docs/deploy.md: short blocks whose files are there and whose commands do what the page says."""

import json
import os
import re
import shlex
import subprocess
import sys

import pytest
from deployment import CONF, ROOT
from service_model import faults

from kyros_spark.cli.parser import parser

PAGE = (ROOT / "docs/deploy.md").read_text(encoding="utf-8")
_BLOCK = re.compile(r"```bash\n(.*?)```", re.DOTALL)
SECTIONS = {
    title: block
    for title, _, text in (part.partition("\n") for part in PAGE.split("\n## ")[1:])
    for block in _BLOCK.findall(text)
}
RECORDER = """#!{python}
import json, os, sys
words = sys.argv[1:]
told = {{"create-application": "00f1abcdefghij01", "run-job-flow": "j-2AXXXXXXGAPLF",
        "create-state-machine": "arn:aws:states:eu-west-1:123456789012:stateMachine:kyros"}}
with open(os.environ["CALLS"], "a") as calls:
    calls.write(json.dumps([os.path.basename(sys.argv[0]), *words]) + "\\n")
print(told.get((words + ["", ""])[1], ""))
"""


def test_every_place_has_its_block():
    wanted = ["EMR Serverless", "EMR on EC2", "Databricks", "A standalone cluster", "Airflow"]
    assert [name for name in SECTIONS if name in wanted] == wanted
    assert PAGE.count("```bash") == len(SECTIONS)


@pytest.mark.parametrize("name", list(SECTIONS))
def test_a_block_has_at_most_15_lines_and_is_shell(name):
    assert len(SECTIONS[name].splitlines()) <= 15
    done = subprocess.run(["bash", "-n"], input=SECTIONS[name], text=True, capture_output=True)
    assert done.returncode == 0 and not done.stderr, done.stderr


def test_every_file_and_target_that_the_page_names_is_there():
    named = set(re.findall(r"(?<![\w/.-])(?:conf|jobs|docs)/[\w./-]*\w", PAGE))
    linked = {f"docs/{name}" for name in re.findall(r"\]\(([\w.]+)\)", PAGE)}
    assert len(named) > 12
    missing = [name for name in named | linked if not (ROOT / name).exists()]
    assert missing == []
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:^|`)make ([a-z0-9-]+)", PAGE, re.M):
        assert target == "-f" or f"\n{target}:" in makefile, target


def test_the_wheel_has_the_name_that_the_page_installs():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"kyros_spark-{version}-py3-none-any.whl" in PAGE
    assert (
        f"kyros_spark-{version}-py3-none-any.whl" in (CONF / "databricks/notebook.py").read_text()
    )


@pytest.fixture
def calls(tmp_path):
    """Run a block with every foreign command replaced by one that records how it was called."""

    def run(block):
        for name in ("aws", "docker", "databricks", "make", "crontab"):
            path = tmp_path / "path" / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(RECORDER.format(python=sys.executable))
            path.chmod(0o755)
        env = {"PATH": f"{path.parent}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls")}
        done = subprocess.run(
            ["bash", "-eu"], input=block, text=True, capture_output=True, cwd=ROOT, env=env
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in (tmp_path / "calls").read_text().splitlines()]

    return run


def operation(command):
    return "".join(word.capitalize() for word in command.split("-"))


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("EMR Serverless", ["emr-serverless CreateApplication", "emr-serverless StartJobRun"]),
        ("EMR on EC2", ["emr RunJobFlow", "emr AddJobFlowSteps"]),
        ("Step Functions", ["scheduler CreateSchedule"]),
    ],
)
def test_the_services_accept_what_the_blocks_send(calls, name, sent):
    found = []
    for _, *words in calls(SECTIONS[name]):
        if "--cli-input-json" in words:
            request = json.loads(words[words.index("--cli-input-json") + 1])
            found.append(f"{words[0]} {operation(words[1])}")
            assert faults(*found[-1].split(), request) == []
            assert "${" not in json.dumps(request)
    assert found == sent


def test_what_the_jobs_read_from_the_bucket_is_put_there_first(calls):
    for name, folder in (("EMR Serverless", "emr/serverless"), ("EMR on EC2", "emr/ec2")):
        put = [words[-1] for words in calls(SECTIONS[name]) if words[1:3] == ["s3", "cp"]]
        put += [f"{target}{os.path.basename(source)}" for *_, source, target in
                (w for w in calls(SECTIONS[name]) if w[1:3] == ["s3", "cp"])]  # fmt: skip
        text = "".join(path.read_text() for path in (CONF / folder).iterdir())
        for wanted in re.findall(r"s3://\$\{BUCKET\}/(kyros/[\w./-]+)", text):
            if wanted.startswith(("kyros/logs", "kyros/jobs")):
                continue
            assert f"s3://an-insurer/{wanted}" in put, wanted
        assert "s3://an-insurer/kyros/jobs/" in put


def test_the_databricks_block_deploys_and_runs_what_the_bundle_declares(calls):
    ran = [words for words in calls(SECTIONS["Databricks"]) if words[1:3] == ["bundle", "run"]]
    bundle = (CONF / "databricks/databricks.yml").read_text()
    assert [words[3] for words in ran] == ["kyros", "kyros_serverless"]
    assert all(f"\n    {words[3]}:\n" in bundle for words in ran)


def test_the_commands_of_the_page_are_commands_of_ours():
    (line,) = re.findall(r"jobs/run\.py .*", SECTIONS["A standalone cluster"])
    taken = parser().parse_args(["run", *shlex.split(line)[1:]])
    assert (taken.config, taken.batch) == ("my.yaml", ["2026-10"])
