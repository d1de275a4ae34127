"""pg17's extracts, many times over: each copy with clients of its own, a file a copy."""

import gzip
import re
import shutil
from pathlib import Path

PG17 = Path(__file__).resolve().parents[2] / "shared" / "data" / "pg17"
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
    for source in sorted(PG17.glob("*.csv.gz")):
        lines = gzip.decompress(source.read_bytes()).splitlines(keepends=True)
        if source.name.startswith("policies"):
            kept = lines[: count + 1]
            last = kept[-1].split(b",")[0]
        else:  # claims come by client, as policies do; those of the last one may lack a vehicle
            kept = lines[:1] + [line for line in lines[1:] if line.split(b",")[0] < last]
        (target / source.name).write_bytes(gzip.compress(b"".join(kept), 1))
    return target
