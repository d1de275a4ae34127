"""Read the deployment files as a user's shell would: every ${NAME} filled in."""

import json
import re
import string
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
GIVEN = {
    "BUCKET": "an-insurer",
    "BATCH": "2026-10",
    "ARCHIVE_HASH": "5e" * 32,
    "APPLICATION_ID": "00f1abcdefghij01",
    "CLUSTER_ID": "j-2AXXXXXXGAPLF",
    "SUBNET_ID": "subnet-0a1b2c3d",
    "STATE_MACHINE_ARN": "arn:aws:states:eu-west-1:123456789012:stateMachine:kyros",
    "SCHEDULER_ROLE_ARN": "arn:aws:iam::123456789012:role/kyros-scheduler",
    "ROLE_ARN": "arn:aws:iam::123456789012:role/kyros",
}
CHAIN = ("clean", "prepare", "train", "predict", "monitor")
STAGES = (*CHAIN, "explain", "evaluate")


class _Braces(string.Template):
    """Takes ${NAME} and leaves $name alone, as `envsubst '${NAME}'` does."""

    pattern = r"\$\{(?P<braced>[A-Z_]+)\}|(?P<escaped>(?!))|(?P<named>(?!))|(?P<invalid>(?!))"


def request(path, **given):
    """Return a request file's content; a name that nothing fills in fails, as a typo would."""
    text = (CONF / path).read_text(encoding="utf-8")
    return json.loads(_Braces(text).substitute(GIVEN | given))


def lowered(value):
    """Return a request with its names as the service spells them: Step Functions capitalises."""
    if isinstance(value, dict):
        return {k[:1].lower() + k[1:]: lowered(one) for k, one in value.items()}
    return [lowered(one) for one in value] if isinstance(value, list) else value


def spark_conf(path):
    """Return the settings of a spark-defaults file."""
    lines = (CONF / path).read_text(encoding="utf-8").splitlines()
    return dict(line.split(maxsplit=1) for line in lines if line and not line.startswith("#"))


def metrics_in(expression):
    """Return the names of our metrics that a query of Prometheus asks for."""
    return set(re.findall(r"\b(?:kyros|model|inference)_\w+", expression))
