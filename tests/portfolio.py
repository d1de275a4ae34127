"""A tiny, complete portfolio on disk, and what it takes to spoil it and to see what came of that.

Two batches of 120 policies; claims of the first only. The data are made by arithmetic on the row
number, so every expected value in a test can be worked out by hand.
"""

import contextlib
import copy
import csv
import hashlib
import io
import json
import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from kyros_spark.cli.main import main

FIRST, SECOND = "2023", "2024"
POLICIES = 120
UNSEEN_FUEL = 7  # policies of the second batch that run on what the first never saw

POLICY_HEADER = [
    "policy", "client", "start", "age", "power", "fuel", "area", "bonus", "exposure",
]  # fmt: skip
CLAIM_HEADER = ["claim", "policy", "day", "amount"]

SETTINGS = {
    "portfolio": "tiny",
    "tables": {"base": None},
    "batches": [FIRST, SECOND],
    "sources": {
        "policies": {
            "path": None,
            "key": ["policy_id"],
            "columns": {
                "policy_id": {"type": "string", "from": "policy", "required": True},
                "client_id": {"type": "string", "from": "client", "required": True},
                "start": {"type": "date", "required": True, "min": "2000-01-01"},
                "age": {"type": "int", "required": True, "min": 18, "max": 100},
                "power": {"type": "double", "missing": ["0"], "description": "engine power in kW"},
                "fuel": {"type": "string", "required": True},
                "area": {"type": "string", "allowed": ["city", "country"]},
                "bonus": {"type": "double", "required": True},
                "exposure": {"type": "double"},
                "city": {"type": "boolean", "sql": "area = 'city'"},
            },
        },
        "claims": {
            "path": None,
            "batches": [FIRST],
            "key": ["claim_id"],
            "reference": ["policy_id"],
            "columns": {
                "claim_id": {"type": "string", "from": "claim", "required": True},
                "policy_id": {"type": "string", "from": "policy", "required": True},
                "day": {"type": "date", "required": True},
                "amount": {"type": "double", "required": True, "max": 100000},
            },
        },
    },
    "clean": {"max_rejected_share": 0.05},
    "prepare": {
        "exposure": "exposure",
        "split": {"by": ["client_id"], "train": 0.7, "valid": 0.15},
        "claims": {"amount": "amount", "where": "amount > 0", "cap": 5000},
        "features": {
            "fuel": {"kind": "levels"},
            "place": {"kind": "levels", "sql": "upper(area)", "description": "where it is kept"},
            "driver": {"kind": "bins", "column": "age", "bins": [30, 50]},
            "power": {"kind": "numeric"},
            "log_bonus": {"kind": "numeric", "sql": "ln(bonus)"},
        },
    },
    "train": {
        "batches": [FIRST],
        "models": {
            "frequency": {
                "method": "glm", "family": "poisson", "target": "claim_count", "per": "exposure",
            },
            "severity": {
                "method": "glm", "family": "gamma", "target": "claim_amount", "per": "claim_count",
                "features": ["fuel", "power"],
            },
            "premium": {
                "method": "glm", "family": "tweedie", "target": "claim_amount", "per": "exposure",
                "features": ["driver", "log_bonus"], "large_loss_load": True,
            },
            "boosted": {
                "method": "boosting", "family": "poisson", "target": "claim_count",
                "per": "exposure",
                "boosting": {"rounds": 12, "early_stopping": 0, "max_depth": 3,
                             "min_child_weight": 1, "eta": 0.3},
            },
            "pure_premium": {
                "method": "composite", "parts": ["frequency", "severity"], "beside": ["premium"],
                "interval": {"level": 0.8},
            },
        },
    },
    "predict": {
        "models": ["frequency", "severity", "premium", "boosted", "pure_premium"],
        "products": {"product": ["frequency", "severity"]},
    },
}  # fmt: skip


def policy_rows(batch):
    """Return the policies of a batch as texts, in the order of POLICY_HEADER."""
    rows = []
    for n in range(POLICIES):
        fuel = ("petrol", "diesel", "electric")[(n * n + n // 7) % 3]
        if batch == SECOND and n < UNSEEN_FUEL:
            fuel = "hydrogen"
        rows.append([
            f"P{n:03d}", f"C{n // 2:03d}", f"{batch}-{1 + n % 12:02d}-01",
            str(20 + (n * 13) % 60), "0" if n % 17 == 5 else f"{50 + (n * 29) % 90}.5", fuel,
            "" if n % 19 == 3 else ("city", "country")[n % 5 // 3],
            f"{0.5 + (n * 7 % 20) / 20:.2f}", ("1.0", "0.5", "0.25")[n % 4 // 2 + n % 3 // 2],
        ])  # fmt: skip
    return rows


def claim_rows(batch):
    """Return the claims of a batch: one in three policies, one more in ten, two of them dear."""
    claimants = [n for n in range(POLICIES) if n % 3 == 0] + [
        n for n in range(POLICIES) if n % 10 == 1
    ]
    return [
        [f"K{k:03d}", f"P{n:03d}", f"{batch}-12-{1 + k % 28:02d}",
         "9000.0" if k in (4, 11) else f"{200 + (k * 137) % 1900}.0"]
        for k, n in enumerate(claimants)
    ]  # fmt: skip


@dataclass
class Outcome:
    """What a command left: its exit code and the lines it wrote to stdout."""

    code: int
    lines: list

    @property
    def line(self):
        return json.loads(self.lines[-1])

    @property
    def status(self):
        return self.line["status"]

    @property
    def message(self):
        return self.line["error"]["message"]


@dataclass
class Portfolio:
    """A folder with sources, settings and tables; a test may change them."""

    folder: Path
    settings: dict = field(default_factory=lambda: copy.deepcopy(SETTINGS))

    def __post_init__(self):
        self.folder.mkdir(parents=True, exist_ok=True)
        self.base = self.folder / "tables"
        self.settings["tables"]["base"] = str(self.base)

    def write_sources(self):
        for batch in (FIRST, SECOND):
            self.write("policies", POLICY_HEADER, policy_rows(batch), batch)
        self.write("claims", CLAIM_HEADER, claim_rows(FIRST))
        for name in ("policies", "claims"):
            path = self.folder / "source" / f"{name}_{{batch}}.csv"
            self.settings["sources"][name]["path"] = str(path)
        return self

    def source(self, name="policies", batch=FIRST):
        return Path(self.settings["sources"][name]["path"].replace("{batch}", batch))

    def write(self, name, header, rows, batch=FIRST):
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        path = self.folder / "source" / f"{name}_{batch}.csv"
        path.parent.mkdir(exist_ok=True)
        path.write_text(out.getvalue(), encoding="utf-8")

    def own_sources(self):
        """Take the sources into this folder, so that changing them leaves others' alone."""
        mine = self.folder / "source"
        if not mine.exists():
            shutil.copytree(self.source().parent, mine)
            for name in ("policies", "claims"):
                pattern = Path(self.settings["sources"][name]["path"]).name
                self.settings["sources"][name]["path"] = str(mine / pattern)
        return mine

    def spoil(self, change, name="policies", batch=FIRST):
        """Change a source's text by ``change(text) -> text or bytes``."""
        self.own_sources()
        path = self.source(name, batch)
        changed = change(path.read_text(encoding="utf-8"))
        path.write_bytes(changed if isinstance(changed, bytes) else changed.encode())

    def spoil_cells(self, column, values, name="policies", batch=FIRST):
        """Put ``values`` (row number -> text) into a column."""

        def change(text):
            header, *rows = csv.reader(io.StringIO(text))
            for row, value in values.items():
                rows[row][header.index(column)] = value
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows([header, *rows])
            return out.getvalue()

        self.spoil(change, name, batch)

    def set(self, path, value):
        """Set a setting by its dotted path; None removes it."""
        *parents, last = path.split(".")
        node = self.settings
        for parent in parents:
            node = node.setdefault(parent, {})
        if value is None:
            del node[last]
        else:
            node[last] = value

    def config_file(self):
        path = self.folder / "settings.yaml"
        part = self.folder / f".settings-{os.getpid()}.yaml"  # a reader sees all of it or none
        part.write_text(yaml.safe_dump(self.settings, sort_keys=False))
        return part.replace(path)

    def kyros(self, command):
        """Run ``kyros STAGE ...`` in this process with the portfolio's settings."""
        stage, *words = command.split(" ") if isinstance(command, str) else command
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            code = main([stage, "--config", str(self.config_file()), *words])
        return Outcome(code, out.getvalue().splitlines())

    def must(self, command):
        """Run a command that has to end well, and return its result line."""
        outcome = self.kyros(command)
        assert outcome.code == 0, outcome.line
        return outcome.line

    def read(self, spark, table, batch=None):
        rows = spark.read.format("delta").load(str(self.base / table))
        return rows if batch is None else rows.where(rows.batch_id == batch)

    def copy_to(self, folder):
        """Return a portfolio of its own with the same tables; sources are shared until spoiled."""
        twin = Portfolio(folder, copy.deepcopy(self.settings))
        if self.base.exists():
            shutil.copytree(self.base, twin.base)
        return twin


def snapshot(base):
    """Return what a reader can see of every table but `runs`: its log, and the files it lists."""
    seen = {}
    for log in sorted(base.glob("*/_delta_log")):
        table = log.parent.name
        if table == "runs":
            continue
        commits = sorted(log.glob("*.json"))
        listed = {
            json.loads(line)["add"]["path"]
            for commit in commits
            for line in commit.read_text().splitlines()
            if line.startswith('{"add"')
        }
        content = {
            str(path): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (*commits, *(log.parent / name for name in listed))
            if path.exists()
        }
        seen[table] = (len(commits) - 1, content)
    for model in sorted((base / "artefacts").rglob("*.kyros")):
        seen[f"model file {model.name}"] = hashlib.sha256(model.read_bytes()).hexdigest()
    return seen
