"""Draw a random portfolio from a seed: its settings, its files, and what is odd about them.

Nothing here knows how the package works. A column is drawn with its settings and with the raw cells
that fit them or not; the twin (`book_twin`) reads the same settings and the same files.
"""

import csv
import datetime as dt
import gzip
import json
import random
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import yaml

from benchmarks import book_columns
from benchmarks.book_models import model_settings

BATCHES = ("2023", "2024")
# What no two records share but exact copies: it names a record in `rejects` and in the tables.
TAG = "tag"


@dataclass
class Book:
    """A portfolio on disk, as drawn; ``raw`` holds the cells by source and batch, in file order."""

    seed: int
    folder: Path
    settings: dict
    raw: dict = field(default_factory=dict)
    kinds: set = field(default_factory=set)

    def settings_text(self):
        return yaml.safe_dump(self.settings, sort_keys=False)


def draw(seed, folder):
    """Draw a portfolio, write its files into a folder, and return it."""
    chance = random.Random(seed)
    book = Book(seed, Path(folder), {})
    rows = round(50 * (60 ** (chance.random() ** 1.6)))
    with_claims = chance.random() < 0.7
    policies = _policies(chance, book, with_claims)
    claims = _claims(chance, book, policies) if with_claims else None
    sources = {"policies": policies, **({"claims": claims} if claims else {})}
    for batch in BATCHES:
        cells = _policy_cells(chance, policies, rows, batch)
        book.raw["policies", batch] = _dirtied(chance, book, policies, cells, "policies", batch)
        if claims and batch in (claims.get("batches") or BATCHES):
            cells = _claim_cells(chance, policies, claims, book.raw["policies", batch], batch)
            book.raw["claims", batch] = _dirtied(chance, book, claims, cells, "claims", batch)
    for (name, batch), raw in book.raw.items():
        _write(chance, book, name, sources[name], batch, raw)
    book.settings = _settings(chance, book, sources, rows)
    (book.folder / "settings.yaml").write_text(book.settings_text())
    return book


def _settings(chance, book, sources, rows):
    prepare = book_columns.prepare_settings(chance, sources)
    local = 0 if book.seed % 8 == 3 else 5_000_000
    book.kinds |= {
        "executors" if local == 0 else "driver",
        f"split by {next(iter(prepare['split']))}",
    }
    trained = list(BATCHES) if chance.random() < 0.3 else [BATCHES[0]]
    known = (sources.get("claims") or {}).get("batches") or BATCHES
    trained = [batch for batch in trained if batch in known]
    models = model_settings(chance, sources, prepare, rows)
    book.kinds |= {f"{m['method']} {m.get('family', '')}".strip() for m in models.values()}
    products = (
        {"product": ["frequency", "severity"]}
        if "severity" in models and "premium" in models
        else {}
    )
    return {
        "portfolio": f"book{book.seed}",
        "tables": {"base": str(book.folder / "tables")},
        "batches": list(BATCHES),
        "sources": {name: _public(source) for name, source in sources.items()},
        "clean": {
            "max_rejected_share": 0.01 if chance.random() < 0.05 else 0.95,
            "max_duplicate_share": 0.001 if chance.random() < 0.03 else 1.0,
            "profile_rows": chance.choice([0, 100, 100_000]),
        },
        "prepare": prepare,
        "train": {"batches": trained, "models": models},
        "predict": {"models": list(models), "products": products},
        "evaluate": {"report": False, "max_left_out_share": 1.0},
        "spark": {"local_rows": local},
    }


def _public(source):
    """Return a source's settings without what only the generator needs."""
    columns = {
        name: {k: v for k, v in column.items() if not k.startswith("_")}
        for name, column in source["columns"].items()
    }
    return {**{k: v for k, v in source.items() if not k.startswith("_")}, "columns": columns}


def _format(chance, book):
    kind = chance.choice(["csv", "csv", "csv", "parquet", "parquet", "json"])
    made = {"format": kind}
    if kind == "csv":
        separator = chance.choice([",", ";", "|", "\t"])
        if separator != ",":
            made["options"] = {"sep": separator}
        book.kinds.add(f"csv {separator!r}")
    else:
        book.kinds.add(kind)
    made["_typed"] = kind == "parquet" and chance.random() < 0.5
    made["_gz"] = kind == "csv" and chance.random() < 0.2
    return made


def _path(book, name, made):
    ending = made["format"] + (".gz" if made["_gz"] else "")
    return str(book.folder / f"{name}_{{batch}}.{ending}")


def _policies(chance, book, with_claims):
    made = _format(chance, book)
    made["path"] = _path(book, "policies", made)
    columns, key = book_columns.policy_columns(chance, made, with_claims)
    made["columns"] = columns
    kind = chance.choice(["key", "key", "key", "two", "numbered"])
    if kind == "numbered" and (with_claims or made["format"] == "parquet"):
        kind = "key"
    made["key"] = {"key": key[:1], "two": key, "numbered": []}[kind]
    book.kinds.add(f"key {kind}")
    book_columns.add_policy_rules(chance, book, made, kind)
    if not with_claims:
        made["amounts"] = {"paid": book_columns.amount_settings(chance, book, "n_claims")}
    return made


def _claims(chance, book, policies):
    made = _format(chance, book)
    made["path"] = _path(book, "claims", made)
    made["columns"] = book_columns.claim_columns(chance, made, policies)
    made["key"], made["reference"] = ["claim"], [f"of_{name}" for name in policies["key"]]
    if chance.random() < 0.25:
        made["batches"] = [BATCHES[0]]
        book.kinds.add("claims not known yet")
    if chance.random() < 0.5:
        made["period"] = {"date": "day", "from": "start", "to": "until"}
        book.kinds.add("period")
    made["conflicts"] = chance.choice(["reject_all", "reject_all", "sum"])
    if made["conflicts"] == "sum":
        made["sum"] = ["amount"]
    made["amounts"] = {"amount": book_columns.amount_settings(chance, book, None)}
    book.kinds.add(f"claims {made['conflicts']}")
    return made


def _policy_cells(chance, source, rows, batch):
    """Return clean raw cells, a dict per record."""
    records = []
    for number in range(rows):
        first = dt.date(int(batch), 1, 1) + dt.timedelta(days=chance.randrange(300))
        last = first + dt.timedelta(days=chance.randrange(1, 366))
        facts = {"number": number, "first": first, "last": last, "batch": batch}
        facts["claims"] = (chance.random() < 0.25) + (chance.random() < 0.05)
        records.append(
            {
                name: column["_make"](chance, facts)
                for name, column in source["columns"].items()
                if "_make" in column
            }
        )
    return records


def _claim_cells(chance, policies, claims, raw, batch):
    keys = policies["key"]
    records = []
    for record in raw:
        for _ in range((chance.random() < 0.3) + (chance.random() < 0.08)):
            facts = {"number": len(records), "policy": record, "batch": batch}
            cells = {
                n: c["_make"](chance, facts) for n, c in claims["columns"].items() if "_make" in c
            }
            for key in keys:
                orphan = chance.random() < 0.01
                cells[f"of_{key}"] = "999999" if orphan else (record[key] or "999998")
            records.append(cells)
    return records or [
        {
            n: c["_make"](chance, {"number": 0, "policy": raw[0], "batch": batch})
            for n, c in claims["columns"].items()
            if "_make" in c
        }
        | {f"of_{key}": raw[0][key] or "999998" for key in keys}
    ]


def _dirtied(chance, book, source, records, name, batch):
    """Spoil cells, and add copies and records of the same key with other contents."""
    rate = chance.choice([0, 0.002, 0.01, 0.03])
    for number, record in enumerate(records):
        record[TAG] = f"T{'PC'[name == 'claims']}{batch}{number:06d}"
        for column, settings in source["columns"].items():
            if "_dirt" in settings and chance.random() < rate:
                book.kinds.add("dirt")
                record[column] = settings["_dirt"](chance, record.get(column))
    extra = []
    for number in range(len(records)):
        if chance.random() < rate:
            book.kinds.add("copies")
            extra.append(dict(records[number]))
            for column, settings in source["columns"].items():
                cell = extra[-1].get(column)
                if (
                    settings["type"] == "double"
                    and cell
                    and str(cell).count(".") == 1
                    and "e" not in cell
                ):
                    extra[-1][column] = cell + "0" if cell[-1].isdigit() else cell
        if chance.random() < rate and source["key"]:
            book.kinds.add("conflicts")
            other = dict(chance.choice(records))
            other.update({n: records[number].get(n) for n in source["key"]})
            other[TAG] = f"T{'PC'[name == 'claims']}{batch}{900000 + len(extra):06d}"
            extra.append(other)
    records = records + extra
    if source["_typed"]:
        for column, settings in source["columns"].items():
            for record in records if settings["type"] != "string" and column in records[0] else ():
                value = book_columns.typed(record[column], settings["type"])
                record[column] = None if value is None else str(value).lower()
    elif source["format"] == "csv" and rate:
        for record in records:
            record["_extra"] = chance.random() < rate / 10
    if chance.random() < 0.5:
        chance.shuffle(records)
    return records


def _write(chance, book, name, source, batch, records):
    path = Path(source["path"].replace("{batch}", batch))
    path.parent.mkdir(parents=True, exist_ok=True)
    read = [
        n
        for n, c in source["columns"].items()
        if c.get("sql") is None and "days" not in c and not c.get("row_number")
    ]
    header = [source["columns"][n].get("from", n) for n in read]
    if source["format"] == "csv":
        open_text = gzip.open if source["_gz"] else open
        with open_text(path, "wt", newline="") as out:
            writer = csv.writer(
                out, delimiter=source.get("options", {}).get("sep", ","), lineterminator="\n"
            )
            writer.writerow(header)
            for record in records:
                cells = ["" if record[n] is None else record[n] for n in read]
                if record.get("_extra"):
                    cells.append("more")
                writer.writerow(cells)
    elif source["format"] == "json":
        lines = [
            json.dumps({h: record[n] for h, n in zip(header, read, strict=True)})
            for record in records
        ]
        path.write_text("\n".join(lines) + "\n")
    else:
        frame = {}
        for h, n in zip(header, read, strict=True):
            kind = source["columns"][n]["type"] if source["_typed"] else "string"
            frame[h] = book_columns.typed_cells([record[n] for record in records], kind)
        pd.DataFrame(frame).to_parquet(path, coerce_timestamps="us")
