"""Run `kyros explain`: the stage, a page of what it wrote, or one policy in words and picture."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from kyros_spark.cli.commands import run_stage
from kyros_spark.cli.opening import open_portfolio


def run_explain(arguments: argparse.Namespace) -> dict[str, Any]:
    """Explain a batch, or in words one policy of it; draw it if a file is named."""
    from kyros_spark.operations.explain_pages import explain_page, explain_policy, sentence

    if arguments.policy is None:
        line = run_stage(arguments)
        if arguments.html is not None:
            opened = open_portfolio(arguments, "kyros explain")
            explain_page(*opened, arguments.batch, arguments.model, arguments.html)
            line["file"] = arguments.html
        return line
    opened = open_portfolio(arguments, "kyros explain")
    rows = explain_policy(
        *opened, arguments.policy, arguments.batch, arguments.model, arguments.html
    )
    sys.stdout.write("".join(f"{sentence(row)}\n" for row in rows))
    file = {} if arguments.html is None else {"file": arguments.html}
    return {"stage": "explain", "status": "done", "policy": arguments.policy, "prices": rows} | file
