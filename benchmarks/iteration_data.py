"""pg17's extracts, many times over: each copy with clients of its own, a file a copy."""

import gzip
import os
import re
import shutil
from pathlib import Path

_DATA = os.environ.get("KYROS_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
PG17 = Path(_DATA, "pg17")
YEARS = ("0", "1", "2", "3", "4")
BYTES_A_COPY = 4e8  # of extracts, tables and what is held on the way, by the fullest side
_POLICY = re.compile(rb"\nA00(\d{6},V\d+,)A00")
_CLAIM = re.compile(rb"\nA00")
ROWS = 100_000  # policies of a year


def extract(folder, times):
    """Return the folder of an extract of so many times pg17's rows; write it where it is not."""
    if times == 1:
        return PG17
    target, partial = folder / f"{times}x", folder / f"{times}x-partial"
    if not target.exists():
        shutil.rmtree(partial, ignore_errors=True)
        for source in sorted(PG17.glob("*.csv.gz")):
            _repeated(source, partial / source.name, times)
        partial.rename(target)
    return target


def _repeated(source, target, times):
    target.mkdir(parents=True)
    text = gzip.decompress(source.read_bytes())
    for copy in range(times):
        own = b"A%02d" % copy  # the numbers of 91,488 clients leave two digits free
        if source.name.startswith("policies"):
            changed, count = _POLICY.subn(rb"\n%s\1%s" % (own, own), text)
            assert count == ROWS, (source, count)
        else:
            changed = _CLAIM.sub(rb"\n%s" % own, text)
        (target / f"part-{copy:02}.csv.gz").write_bytes(gzip.compress(changed, 1))


def first_rows(folder, count):
    """Return the folder of an extract of pg17's first policies, and their claims, of each year."""
    target = folder / f"first-{count}"
    target.mkdir(parents=True, exist_ok=True)
    for year in YEARS:
        policies = _lines(PG17 / f"policies_year{year}.csv.gz")[: count + 1]
        _write(target / f"policies_year{year}.csv.gz", policies)
        claims = PG17 / f"claims_year{year}.csv.gz"
        if claims.exists():
            # Both come by client. The last one may have lost a vehicle, and has no claims here.
            last, (head, *rows) = policies[-1].split(b",")[0], _lines(claims)
            kept = [row for row in rows if row.split(b",")[0] < last]
            _write(target / claims.name, [head, *kept])
    return target


def _lines(path):
    return gzip.decompress(path.read_bytes()).splitlines(keepends=True)


def _write(path, lines):
    path.write_bytes(gzip.compress(b"".join(lines), 1))
