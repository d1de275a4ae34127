"""Define the options of `kyros sql`."""

from __future__ import annotations

import argparse

from kyros_spark.cli.sql import FORMATS

_FORMAT = "of -e: by default a table of the first 100 rows, or that of the ending of --out"


def add_sql_options(command: argparse.ArgumentParser) -> None:
    """Add what the command takes beside the portfolio."""
    command.add_argument("-e", "--execute", help="one query; without it a prompt opens")
    command.add_argument("--format", choices=FORMATS, help=_FORMAT)
    command.add_argument("--out", metavar="FILE", help="write all rows of the query there")
    command.add_argument("--views", action="store_true", help="write the views for spark-sql -i")
