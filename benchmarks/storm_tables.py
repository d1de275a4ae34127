"""Read Delta tables without Spark: what the log lists, version by version, and the rows."""

import json
from collections import Counter
from urllib.parse import unquote

import pyarrow.parquet as pq

# What differs between two runs of the same work, and should.
_OF_THE_RUN = {
    "run_id", "predicted_at", "profiled_at", "prepared_at", "logged_at", "trained_at", "created_at",
    "promoted_at", "started_at",
}  # fmt: skip
_TABLES = ("policies", "claims", "rejects", "prepared", "predictions", "relativities")


def rows_of(folder):
    """Return the rows of each table, sorted, as tuples of (column, value)."""
    found = {}
    for name in _TABLES:
        table = folder / "tables" / name
        rows = []
        for path, values in listed(table)[-1].items():
            read = pq.ParquetFile(table / unquote(path)).read().to_pylist()
            rows += [
                tuple(sorted((k, str(v)) for k, v in {**row, **values}.items()
                             if k not in _OF_THE_RUN))
                for row in read
            ]  # fmt: skip
        found[name] = sorted(rows)
    return found


def listed(table):
    """Return, for each version of a table, its files with their partition values."""
    versions, files = [], {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        files = dict(files)
        for line in commit.read_text().splitlines():
            action = json.loads(line)
            if "remove" in action:
                files.pop(action["remove"]["path"], None)
            if "add" in action:
                files[action["add"]["path"]] = action["add"]["partitionValues"]
        versions.append(files)
    return versions


def broken_versions(table, whole):
    """Return the versions in which a (batch, model) is neither whole nor absent.

    whole: rows by (batch, model).
    """
    broken, sizes = [], {}
    for version, files in enumerate(listed(table)):
        seen = Counter()
        for path, values in files.items():
            if path not in sizes:
                sizes[path] = pq.ParquetFile(table / unquote(path)).metadata.num_rows
            seen[values["batch_id"], values["model_name"]] += sizes[path]
        if any(count != whole[at] for at, count in seen.items()):
            broken.append(version)
    return broken
