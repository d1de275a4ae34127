"""conf/stepfunctions: a state machine whose tasks EMR Serverless accepts, fired with the right month."""

import json
import re
import subprocess

import pytest
from deployment import CHAIN, CONF, ROOT, lowered, request
from service_model import faults

from kyros_spark.cli.parser import parser

MACHINE = request("stepfunctions/kyros.asl.json")
TASKS = {name: state for name, state in MACHINE["States"].items() if state["Type"] == "Task"}
NODE = ROOT / "build/asl/node_modules"


def said(value):
    """Return a task's arguments with the batch that JSONata would put in."""
    text = json.dumps(value).replace("{% $batch %}", "2026-10")
    return json.loads(re.sub(r"\{% '([\w-]+)' & \$batch %\}", r"\g<1>2026-10", text))


@pytest.mark.parametrize("name", list(TASKS))
def test_emr_serverless_accepts_what_the_task_sends(name):
    sent = lowered(said(TASKS[name]["Arguments"]))
    assert faults("emr-serverless", "StartJobRun", sent) == []
    driver = sent["jobDriver"]["sparkSubmit"]
    job = driver["entryPoint"].rpartition("/")[2]
    assert job == f"{name.lower()}.py" and (ROOT / "jobs" / job).is_file()
    taken = parser().parse_args([name.lower(), *driver["entryPointArguments"]])
    assert taken.batch == (None if name == "Train" else "2026-10")


def test_the_stages_follow_each_other_and_each_is_tried_again():
    walked, state = [], MACHINE["StartAt"]
    while state:
        walked.append(state.lower())
        state = MACHINE["States"][state].get("Next")
    assert walked == ["batch", *CHAIN]
    for task in TASKS.values():
        assert task["Resource"].endswith(":startJobRun.sync")
        assert task["Retry"][0]["MaxAttempts"] == 2


def test_the_scheduler_accepts_the_schedule_and_hands_on_the_time_it_was_due():
    asked = request("stepfunctions/schedule.json")
    assert faults("scheduler", "CreateSchedule", asked) == []
    assert json.loads(asked["Target"]["Input"]) == {"time": "<aws.scheduler.scheduled-time>"}


@pytest.mark.asl
def test_the_definition_is_in_the_states_language():
    path = CONF / "stepfunctions/kyros.asl.json"
    command = [NODE / ".bin/asl-validator", "--json-path", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.asl
@pytest.mark.parametrize(
    ("given", "batch"),
    [
        ({"time": "2026-11-01T04:00:00Z"}, "2026-10"),
        ({"time": "2027-01-01T04:00:00Z"}, "2026-12"),
        ({"time": "2026-11-01T04:00:00Z", "batch": "2023"}, "2023"),
    ],
)
def test_the_batch_is_the_month_that_ended_or_the_one_given(given, batch):
    expression = MACHINE["States"]["Batch"]["Assign"]["batch"].strip("{%} ")
    program = (
        f"require('jsonata')({json.dumps(expression)})"
        f".evaluate({{}}, {{states: {{input: {json.dumps(given)}}}}}).then(console.log)"
    )
    done = subprocess.run(["node", "-e", program], capture_output=True, text=True, cwd=NODE)
    assert done.stdout.strip() == batch, done.stderr
