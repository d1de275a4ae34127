"""Answer queries at a prompt."""

from __future__ import annotations

import functools
import pydoc
import shutil
import sys
import time
from collections.abc import Iterable

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from kyros_spark.cli.sql import answer as answers
from kyros_spark.cli.sql.earned import earned
from kyros_spark.cli.sql.formats import format_of
from kyros_spark.cli.sql.line_editor import line_editor
from kyros_spark.cli.sql.signatures import signatures
from kyros_spark.config import Config
from kyros_spark.errors import KyrosError, UsageError
from kyros_spark.foreign_errors import first_line
from kyros_spark.tables.all import all_tables
from kyros_spark.tables.contract import Table

_HELP = """\
\\d         the tables         \\d TABLE   its columns and what they mean
\\x         one line per value, for wide rows; again for a table
\\timing    tell how long each answer took
\\o FILE    write the next answer to a .csv, .json, .md or .parquet file
\\?         this help          \\q         leave (or exit; or Ctrl-D)
A query ends with ';' and may take several lines. SUMMARIZE TABLE; or SUMMARIZE SELECT ...; tells of
each column what it holds. Ctrl-C drops what is typed, or stops the query."""


def prompt(spark: SparkSession, config: Config) -> None:
    """Answer queries from the terminal until its input ends or is `exit`."""
    Prompt(spark, config).run()


class Prompt:
    """The state of one conversation: how answers are shown, and where the next one goes."""

    def __init__(self, spark: SparkSession, config: Config) -> None:
        self._spark, self._config = spark, config
        try:
            self._tables = answers.register_views(spark, config)
        except PySparkException:  # settings newer than the tables; a query of `earned` says so
            self._tables = answers.register_views(spark, config, with_earned=False)
        self._kind, self._is_timed = "table", False
        self._file: str | None = None  # where the next answer goes

    def run(self) -> None:
        """Read and answer until the input ends."""
        _say(f"tables: {', '.join(self._tables) or 'none yet; run the stages first'}")
        for signature in signatures(self._spark, self._config):
            _say(f"function: {signature}")
        _say("a query ends with ';'. \\? shows what else there is. exit; or Ctrl-D leaves.")
        columns = {name: table.columns for name, table in self._tables.items()}
        read = line_editor(columns, functools.cache(self._functions))
        while True:
            try:
                text = read().strip()
            except EOFError:
                return
            except KeyboardInterrupt:  # the line is dropped, as in a shell
                _say("")
                continue
            if text.rstrip(";").lower() in ("exit", "quit", "\\q"):
                return
            if text.rstrip(";"):
                self._respond(text)

    def _respond(self, text: str) -> None:
        start = time.perf_counter()
        try:
            if text.startswith("\\"):
                self._command(text[1:].rstrip(";").split())
                return
            self._answer(text)
        except KyrosError as error:
            _say(str(error))
        except PySparkException as error:
            _say(first_line(error))
        except KeyboardInterrupt:
            _say("interrupted")
        if self._is_timed:
            _say(f"{time.perf_counter() - start:.1f} s")

    def _answer(self, text: str) -> None:
        if self._file is None:
            _page(answers.answer(self._spark, self._config, text, self._kind))
            return
        file, self._file = self._file, None
        _say(answers.write_answer(self._spark, self._config, text, None, file))

    def _command(self, words: list[str]) -> None:
        match words:
            case ["d"]:
                _say("\n".join(f"{t.name:22}{t.comment}" for t in self._contracts()))
            case ["d", name]:
                _page(self._described(name.lower()))
            case ["x"]:
                self._kind = "vertical" if self._kind == "table" else "table"
                _say(f"answers are shown as a {self._kind} list"
                     if self._kind == "vertical" else "answers are shown as a table")  # fmt: skip
            case ["timing"]:
                self._is_timed = not self._is_timed
                _say(f"timing is {'on' if self._is_timed else 'off'}")
            case ["o", file]:
                format_of(None, file)
                self._file = file
                _say(f"the next answer goes to {file}")
            case ["?"] | ["h"] | ["help"]:
                _say(_HELP)
            case _:
                raise UsageError(f"\\{' '.join(words)}: expected \\d, \\x, \\timing, \\o or \\?")

    def _contracts(self) -> list[Table]:
        contracts = (*all_tables(self._config), earned(self._config))
        return [table for table in contracts if table.name in self._tables]

    def _described(self, name: str) -> str:
        comments = {
            column.name: column.comment
            for table in self._contracts() if table.name == name for column in table.columns
        }  # fmt: skip
        if name not in self._tables:
            expected = ", ".join(self._tables) or "none yet"
            raise UsageError(f"\\d {name}: expected a table ({expected}), found no such one")
        fields = self._tables[name].schema.fields
        widths = [max(len(f.name) for f in fields), 20]
        return "\n".join(
            f"{field.name:{widths[0]}}  {field.dataType.simpleString():{widths[1]}}  "
            f"{comments.get(field.name) or ''}".rstrip()
            for field in fields
        )

    def _functions(self) -> Iterable[str]:
        return [
            row[0] for row in self._spark.sql("SHOW FUNCTIONS").collect() if row[0].isidentifier()
        ]


def _page(text: str) -> None:
    """Show a text; one that is longer than the terminal by the user's pager."""
    height = shutil.get_terminal_size().lines
    if sys.stdin.isatty() and sys.stdout.isatty() and text.count("\n") >= height:
        pydoc.pager(text)
    else:
        _say(text.rstrip("\n"))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
