"""conf/emr: requests that the services accept, of jobs that the command line accepts."""

import hashlib
import os
import subprocess
import sys
import tarfile

import boto3
import pytest
from deployment import CONF, GIVEN, ROOT, STAGES, request, spark_conf
from moto import mock_aws
from service_model import faults

from kyros_spark.cli.parser import parser

SERVERLESS = ["application", *STAGES, "run"]
LOCAL_ONLY = {"spark.driver.extraJavaOptions", "spark.master", "spark.driver.memory", "spark.driver.bindAddress", "spark.driver.host",
              "spark.ui.enabled", "spark.databricks.delta.snapshotPartitions",
              "spark.databricks.delta.allFilesInCrc.enabled",
              "spark.sql.shuffle.partitions",
              "spark.databricks.delta.properties.defaults.checkpointInterval",
              "spark.hadoop.parquet.hadoop.vectored.io.enabled"}  # fmt: skip


def operation(name):
    return "CreateApplication" if name == "application" else "StartJobRun"


@pytest.mark.parametrize("name", SERVERLESS)
def test_emr_serverless_accepts_the_request(name):
    assert faults("emr-serverless", operation(name), request(f"emr/serverless/{name}.json")) == []


@pytest.mark.parametrize(
    ("name", "operation"), [("cluster", "RunJobFlow"), ("steps", "AddJobFlowSteps")]
)
def test_emr_on_ec2_accepts_the_request(name, operation):
    assert faults("emr", operation, request(f"emr/ec2/{name}.json")) == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"architecture": "X86"}, "X86 is not one of ARM64, X86_64"),
        ({"maximumCapacity": {"cpu": "many", "memory": "1 GB"}}, "cpu: many does not match"),
        ({"releaselabel": "emr-7.13.0"}, "Unknown parameter in input"),
        ({"autoStopConfiguration": {"enabled": True, "idleTimeoutMinutes": 20000}}, "above 10080"),
        ({"name": "n" * 65}, "65 characters, at most 64"),
    ],
)
def test_a_wrong_request_would_be_seen(change, told):
    wrong = request("emr/serverless/application.json") | change
    assert told in faults("emr-serverless", "CreateApplication", wrong)[0]


def job_words():
    """Yield (file, script, arguments) of every job in the requests."""
    for name in SERVERLESS[1:]:
        driver = request(f"emr/serverless/{name}.json")["jobDriver"]["sparkSubmit"]
        yield name, driver["entryPoint"], driver["entryPointArguments"]
    for name in ("cluster", "steps"):
        for step in request(f"emr/ec2/{name}.json")["Steps"]:
            program, *words = step["HadoopJarStep"]["Args"]
            assert program == "spark-submit" and words[:2] == ["--deploy-mode", "client"]
            yield name, words[2], words[3:]


@pytest.mark.parametrize(("name", "script", "words"), list(job_words()), ids=lambda v: str(v)[-20:])
def test_every_request_names_a_job_that_is_there_with_arguments_that_it_takes(name, script, words):
    folder, job = script.rsplit("/", 2)[1:]
    assert (ROOT / folder / job).is_file()
    taken = parser().parse_args([job.removesuffix(".py"), *words])
    assert taken.config == "s3://an-insurer/kyros/settings.yaml"
    assert job == "train.py" or taken.batch in (GIVEN["BATCH"], [GIVEN["BATCH"]])


def test_the_stages_come_in_the_order_of_the_chain():
    names = [step["HadoopJarStep"]["Args"][3] for step in request("emr/ec2/steps.json")["Steps"]]
    assert names == [f"/opt/kyros/jobs/{stage}.py" for stage in STAGES]


@pytest.mark.parametrize("kind", ["serverless", "ec2"])
def test_spark_gets_on_emr_what_it_gets_locally_and_delta_from_the_platform(kind):
    given = {
        "serverless": lambda: request("emr/serverless/application.json")["runtimeConfiguration"],
        "ec2": lambda: request("emr/ec2/cluster.json")["Configurations"],
    }[kind]()
    (defaults,) = ({k.lower(): v for k, v in one.items()} for one in given)
    assert defaults["classification"] == "spark-defaults"
    local = {k: v for k, v in spark_conf("spark/local.conf").items() if k not in LOCAL_ONLY}
    assert local.items() <= defaults["properties"].items()
    assert defaults["properties"]["spark.jars"].count("/usr/share/aws/delta/lib/delta-") == 2


@pytest.fixture
def aws(monkeypatch):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with mock_aws():
        yield lambda service: boto3.client(service)


def test_an_application_is_made_and_runs_every_job(aws):
    client = aws("emr-serverless")
    # The mock knows releases of the form emr-7.13.0 only.
    asked = request("emr/serverless/application.json") | {"releaseLabel": "emr-7.13.0"}
    made = client.create_application(**asked)
    found = client.get_application(applicationId=made["applicationId"])["application"]
    assert (found["name"], found["type"]) == ("kyros-spark", "Spark")
    for name in SERVERLESS[1:]:
        asked = request(f"emr/serverless/{name}.json", APPLICATION_ID=made["applicationId"])
        run = client.start_job_run(**asked)
        told = client.get_job_run(applicationId=made["applicationId"], jobRunId=run["jobRunId"])
        assert told["jobRun"]["jobDriver"] == asked["jobDriver"]


def test_a_cluster_is_made_and_takes_the_steps(aws):
    subnets = aws("ec2").describe_subnets()["Subnets"]
    client, subnet = aws("emr"), subnets[0]["SubnetId"]
    made = client.run_job_flow(**request("emr/ec2/cluster.json", SUBNET_ID=subnet))
    added = client.add_job_flow_steps(**request("emr/ec2/steps.json", CLUSTER_ID=made["JobFlowId"]))
    assert len(added["StepIds"]) == len(STAGES)
    told = client.describe_cluster(ClusterId=made["JobFlowId"])["Cluster"]
    assert told["Ec2InstanceAttributes"]["Ec2SubnetId"] == subnet
    listed = client.list_bootstrap_actions(ClusterId=made["JobFlowId"])["BootstrapActions"]
    assert listed[0]["Args"] == ["s3://an-insurer/kyros", GIVEN["ARCHIVE_HASH"]]


def bootstrap(tmp_path, environment_python, sha256=None):
    """Run the bootstrap action with an aws command that serves a folder."""
    bucket = tmp_path / "bucket"
    bucket.mkdir()
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{environment_python}\n")
    python.chmod(0o755)
    with tarfile.open(bucket / "environment.tar.gz", "w:gz") as archive:
        archive.add(python, "bin/python")
        archive.add(ROOT / "jobs/clean.py", "jobs/clean.py")
    sha256 = sha256 or hashlib.sha256((bucket / "environment.tar.gz").read_bytes()).hexdigest()
    aws = tmp_path / "path" / "aws"
    aws.parent.mkdir()
    aws.write_text(f"#!/bin/sh\ncat {bucket}/${{3##*/}}\n")
    aws.chmod(0o755)
    done = subprocess.run(
        [CONF / "emr/ec2/bootstrap.sh", "s3://an-insurer/kyros", sha256, tmp_path / "opt"],
        env=os.environ | {"PATH": f"{aws.parent}:{os.environ['PATH']}"},
        capture_output=True, text=True,
    )  # fmt: skip
    return done, tmp_path / "opt"


def test_the_bootstrap_action_puts_environment_and_jobs_where_the_steps_look(tmp_path):
    done, folder = bootstrap(tmp_path, f'exec {sys.executable} "$@"')
    assert done.returncode == 0, done.stderr
    assert (folder / "bin/python").is_file() and (folder / "jobs/clean.py").is_file()


def test_an_archive_of_another_machine_stops_the_cluster_with_a_sentence(tmp_path):
    done, _ = bootstrap(tmp_path, "exit 126")
    assert done.returncode == 1 and "cannot import kyros_spark" in done.stderr


def test_another_archive_than_the_one_named_is_not_unpacked(tmp_path):
    done, folder = bootstrap(tmp_path, f'exec {sys.executable} "$@"', sha256="0" * 64)
    assert done.returncode == 1 and f"expected sha256 {'0' * 64}, found " in done.stderr
    assert not list(folder.iterdir())


def test_the_base_image_is_named_by_a_digest_and_by_no_tag():
    lines = (CONF / "emr/Dockerfile").read_text().splitlines()
    images = [line.split()[1] for line in lines if line.startswith("FROM ")]
    assert images and all("@${" in image or image == "scratch" for image in images)


def test_packing_without_a_wheel_says_what_to_run(tmp_path):
    (tmp_path / "conf/emr").mkdir(parents=True)
    script = tmp_path / "conf/emr/pack.sh"
    script.write_bytes((CONF / "emr/pack.sh").read_bytes())
    done = subprocess.run(["bash", script, tmp_path], capture_output=True, text=True)
    assert done.returncode == 2 and "make wheel" in done.stderr
