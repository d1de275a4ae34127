"""Read the deployment files as a user's shell would: every ${NAME} filled in."""

import json
import string
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
GIVEN = {
    "BUCKET": "an-insurer",
    "BATCH": "2026-10",
    "APPLICATION_ID": "00f1abcdefghij01",
    "CLUSTER_ID": "j-2AXXXXXXGAPLF",
    "SUBNET_ID": "subnet-0a1b2c3d",
    "ROLE_ARN": "arn:aws:iam::123456789012:role/kyros",
}
STAGES = ("clean", "prepare", "train", "predict", "evaluate")


def request(path, **given):
    """Return a request file's content; a name that nothing fills in fails, as a typo would."""
    text = (CONF / path).read_text(encoding="utf-8")
    return json.loads(string.Template(text).substitute(GIVEN | given))


def spark_conf(path):
    """Return the settings of a spark-defaults file."""
    lines = (CONF / path).read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))
