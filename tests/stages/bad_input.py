"""A case of bad input, ways to spoil the finished tiny portfolio, and the check of what comes of it.

Each case spoils one thing and gives one command. `says` are pieces of the message: the table or
source, the column, what was expected, what was found, what to do.
"""

import gzip
import shutil
from dataclasses import dataclass

from portfolio import FIRST

CLEAN, PREPARE = f"clean --batch {FIRST}", f"prepare --batch {FIRST}"


@dataclass
class Case:
    id: str
    spoil: object
    command: str
    error: str
    code: int
    says: tuple
    first: tuple = ()


def nothing(p):
    """Leave everything as it is: the command itself is wrong."""


def text(change, name="policies"):
    return lambda p: p.spoil(change, name)


def bytes_of(content, name="policies"):
    return text(lambda _: content, name)


def cells(column, values, name="policies"):
    return lambda p: p.spoil_cells(column, dict(values), name)


def setting(path, value):
    return lambda p: p.set(path, value)


def every(column, value, name="policies"):
    return cells(column, ((n, value) for n in range(120 if name == "policies" else 52)), name)


def header(old, new, name="policies"):
    return text(lambda t: t.replace(old, new, 1), name)


def gone(name="policies"):
    def spoil(p):
        p.own_sources()
        p.source(name).unlink()

    return spoil


def empty_folder(p):
    p.own_sources()
    p.source().unlink()
    p.source().mkdir()


def truncated_gzip(p):
    whole = gzip.compress(p.source().read_bytes() * 20)
    path = p.own_sources() / "policies_2023.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    p.set("sources.policies.path", str(path))


def second_part(change):
    """Make the source a folder of two parts, the second of them changed."""

    def spoil(p):
        folder = p.own_sources() / "parts"
        folder.mkdir()
        shutil.copy(p.source(), folder / "part-1.csv")
        lines = p.source().read_text().splitlines()
        (folder / "part-2.csv").write_text("\n".join(change([lines[0], "P900" + lines[1][4:]])))
        p.set("sources.policies.path", str(folder))

    return spoil


def file_as_base(p):
    (p.folder / "file").write_text("not a folder")
    p.set("tables.base", str(p.folder / "file"))


def check(portfolio, case, tables_as_before):
    case.spoil(portfolio)
    for command in case.first:
        portfolio.must(command)
    tables_as_before(portfolio.base)
    outcome = portfolio.kyros(case.command)
    line = outcome.line
    assert (line["status"], line.get("error", {}).get("type")) == ("failed", case.error), line
    assert outcome.code == case.code
    assert len(outcome.lines) == 1, "stdout holds the result line and nothing else"
    assert [piece for piece in case.says if piece not in outcome.message] == [], outcome.message
    assert "\tat " not in outcome.message and len(outcome.message) < 1500
    assert line["stage"] == (case.command if isinstance(case.command, list) else
                             case.command.split(" "))[0]  # fmt: skip
