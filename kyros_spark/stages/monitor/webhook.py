"""Post the broken rules of a batch to a web address, as Slack and Teams take it.

The address is a secret: it comes from an environment variable, and is in no log, table or message.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Sequence

from kyros_spark.config import WebhookSettings
from kyros_spark.log import event, masked
from kyros_spark.monitoring.rules import Alarm
from kyros_spark.runs.run import Run


def post(
    settings: WebhookSettings | None, portfolio: str, run: Run, alarms: Sequence[Alarm]
) -> None:
    """Post the alarms that are due, if there are any; a receiver that is dead fails nothing."""
    due = [alarm for alarm in alarms if alarm.is_due]
    chosen = [a for a in due if settings is not None and settings.takes(a.rule.severity)]
    if settings is None or not chosen:
        return
    address = os.environ.get(settings.url_env, "")
    if not address.startswith(("http://", "https://")):
        event(f"monitor.webhook: expected an http address in the environment variable "
              f"{settings.url_env}, found none", level=30)  # fmt: skip
        return
    head = f"{portfolio}, batch {run.batch}: {len(chosen)} rules of monitor are broken"
    content = {
        "text": "\n".join([head, *(f"- {alarm.sentence()}" for alarm in chosen)]),
        "portfolio": portfolio, "batch": run.batch, "run_id": run.run_id,
        "alarms": [alarm.to_json() for alarm in chosen],
    }  # fmt: skip
    request = urllib.request.Request(
        address,
        json.dumps(masked(content)).encode(),
        {"Content-Type": "application/json"},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=settings.timeout_seconds):
            pass
    except Exception as error:  # of the network, of HTTP, of an address that is none
        reason = str(error).replace(address, "its address")
        event(f"monitor.webhook: {settings.url_env} did not take the alarms: {reason}", level=30)
