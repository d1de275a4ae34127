"""The naive twin of clean: reads the files again and applies the written rules, one cell at a time.

It follows docs/clean.md and imports nothing of the package. A record becomes a dict of values; what
it broke is a set of (rule, column).
"""

import csv
import datetime as dt
import gzip
import itertools
import json
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq

NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?\Z")
CHOICES = {"keep": "warn", "zero": "repair", "reject": "reject", "fail": "fail"}


@dataclass
class Cleaned:
    """What the twin makes of one source of a batch, by the records' tags."""

    rows_in: int = 0
    copies: int = 0
    accepted: dict = field(default_factory=dict)  # tag -> values
    refused: dict = field(default_factory=dict)  # tag -> set of (rule, column)
    failed: set = field(default_factory=set)
    repaired: Counter = field(default_factory=Counter)
    warned: Counter = field(default_factory=Counter)
    amounts: dict = field(default_factory=dict)


def read(source, batch):
    """Return the records of a file as dicts by declared name; text that is empty is missing."""
    path = Path(source["path"].replace("{batch}", batch))
    origin = {c.get("from", n): n for n, c in source["columns"].items() if is_read(c)}
    if source["format"] == "csv":
        open_text = gzip.open if path.suffix == ".gz" else open
        with open_text(path, "rt", newline="") as text:
            sep = source.get("options", {}).get("sep", ",")
            header, *rows = csv.reader(text, delimiter=sep)
        records = [
            dict(zip(header, row, strict=False))
            | ({"_malformed": row} if len(row) != len(header) else {})
            for row in rows
        ]
    elif source["format"] == "json":
        records = [json.loads(line) for line in path.read_text().splitlines()]
    else:
        records = pq.read_table(path).to_pylist()
    return [
        {
            origin.get(k, k): None if v == "" or (isinstance(v, float) and math.isnan(v)) else v
            for k, v in r.items()
        }
        for r in records
    ]


def _is_missing(cell, listed):
    """Tell whether a raw value is one of those read as missing; a typed source holds 0 as 0.0."""
    if isinstance(cell, str) or cell is None:
        return cell in listed
    return any(float(cell) == float(text) for text in listed)


def is_read(column):
    return column.get("sql") is None and "days" not in column and not column.get("row_number")


class WrongType(Exception):
    """A value that the type does not keep."""


def typed(cell, column):
    """Return a raw cell in the column's type, or raise WrongType."""
    kind = column["type"]
    if cell is None:
        return None
    if kind == "string":
        return cell
    if kind == "boolean":
        if cell in (True, False, "true", "false"):
            return cell in (True, "true")
        raise WrongType
    if kind == "date":
        return _date(cell, column.get("format"))
    if isinstance(cell, str):
        if not NUMBER.match(cell):
            raise WrongType
        exact = Decimal(cell)
    elif isinstance(cell, float):
        exact = Decimal(repr(cell))
    else:
        exact = Decimal(cell)
    if kind == "double":
        value = float(exact)
        if math.isinf(value):
            raise WrongType
        return value
    if kind in ("int", "long"):
        most = 2 ** (31 if kind == "int" else 63)
        if exact != exact.to_integral_value() or not -most <= exact < most:
            raise WrongType
        return int(exact)
    digits, scale = map(int, re.findall(r"\d+", kind))
    value = exact.quantize(Decimal(1).scaleb(-scale)) if abs(exact) < Decimal(10) ** 20 else exact
    if value != exact or abs(value) >= Decimal(10) ** (digits - scale):
        raise WrongType
    return value


def _date(cell, form):
    if isinstance(cell, dt.date):
        return cell
    shape = {None: r"(\d{4})-(\d{2})-(\d{2})", "dd/MM/yyyy": r"(\d{2})/(\d{2})/(\d{4})"}[form]
    parts = re.fullmatch(shape, cell)
    if not parts:
        raise WrongType
    numbers = [int(part) for part in parts.groups()]
    try:
        return dt.date(*(numbers if form is None else numbers[::-1]))
    except ValueError as error:
        raise WrongType from error


class Row:
    """One record being judged: its values, what it broke, and what was repaired or only noted."""

    def __init__(self, raw, source):
        self.raw, self.source = raw, source
        self.values, self.broken, self.notes = {}, set(), set()

    def breaks(self, rule, column, severity):
        """Note a broken rule; tell whether it is to be repaired."""
        title = (rule, column)
        if severity == "reject":
            self.broken.add(title)
        else:
            self.notes.add((severity, *title))
        return severity == "repair"

    def judge_column(self, name, column, given):
        weigh = lambda rule: column.get("severity", {}).get(rule, "reject")  # noqa: E731
        default = (
            None
            if column.get("default") is None
            else typed(str(column["default"]), {"type": column["type"]})
        )
        cell = None if _is_missing(given, column.get("missing", [])) else given
        try:
            value = typed(cell, column) if is_read(column) else cell
        except WrongType:
            value = default if self.breaks("type", name, weigh("type")) else None
        else:
            lacks = value is None and column.get("required")
            if lacks and self.breaks("required", name, weigh("required")):
                value = default
        if isinstance(value, str):
            plain = value
            value = value.strip() if column.get("trim") else value
            value = value.lower() if column.get("case") == "lower" else value
            value = column.get("aliases", {}).get(value, value)
            if value != plain:
                self.notes.add(("repair", "respelled", name))
        if value is not None:
            if column.get("allowed") and value not in column["allowed"]:
                value = default if self.breaks("allowed", name, weigh("allowed")) else value
            elif column.get("pattern") and not re.fullmatch(column["pattern"], value):
                value = default if self.breaks("pattern", name, weigh("pattern")) else value
            elif column.get("min") is not None and value < column["min"]:
                value = (
                    type(value)(column["min"]) if self.breaks("min", name, weigh("min")) else value
                )
            elif column.get("max") is not None and value > column["max"]:
                value = (
                    type(value)(column["max"]) if self.breaks("max", name, weigh("max")) else value
                )
        self.values[name] = value

    def compute(self, name, column):
        v = self.values
        if "days" in column:
            days = column["days"]
            first, last = v[days["from"]], v[days["to"]]
            if first is None or last is None:
                return None
            count = (last - first).days + (days["last_day"] == "at_risk")
            year = days["year"]
            if year == "actual":
                year = (dt.date(first.year + 1, 1, 1) - dt.date(first.year, 1, 1)).days
            return count / year
        assert column["sql"] == "power / age", column
        if v["power"] is None or v["age"] in (None, 0):
            return None
        return v["power"] / v["age"]

    def judge_rules(self):
        v = self.values
        for rule in self.source.get("rules", []):
            severity = rule.get("severity", "reject")
            if "in_order" in rule:
                days = [v[name] for name in rule["in_order"]]
                holds = any(
                    a is not None and b is not None and a > b for a, b in itertools.pairwise(days)
                )
                if holds:
                    self.breaks(rule["id"], ", ".join(rule["in_order"]), severity)
            elif "check" in rule:
                assert rule["check"] == "age >= 25 OR bonus < 3"
                parts = [
                    None if v["age"] is None else v["age"] >= 25,
                    None if v["bonus"] is None else v["bonus"] < 3,
                ]
                if parts == [False, False] and self.breaks(rule["id"], "(row)", severity):
                    v["bonus"] = 1.0

    def judge_amount(self, name, settings):
        """Apply the rules of an amount; the record keeps what came in, before any repair."""
        v = self.values
        value = v[name]
        if value is not None:
            value *= settings.get("unit", 1.0)
        if "currency" in settings:
            rate = settings["rates"].get(v[settings["currency"]])
            if rate is None:  # worth nothing, and refused
                self.breaks("currency", settings["currency"], "reject")
                value = None if value is None else 0.0
            elif value is not None:
                value *= rate
        self.came = getattr(self, "came", {}) | {name: value}
        count = v[settings["count"]] if "count" in settings else None
        # The rules of an amount judge it as it came, in the unit of account.
        broken = {
            "negative": value is not None and value < 0,
            "zero": value == 0,
            "unknown": value is None and count != 0,
            "convention": value in settings.get("convention", []),
            "without_count": value not in (None, 0) and count == 0,
            "without_amount": value in (None, 0) and count is not None and count > 0,
        }
        if value is not None and abs(value) > 9e13:
            self.breaks("too_large", name, "reject")
        for rule, is_broken in broken.items():
            choice = settings.get("convention_is" if rule == "convention" else rule, "keep")
            if is_broken and self.breaks(rule, name, CHOICES[choice]):
                value = 0.0
        v[name] = value
        if "cap" in settings:
            above = None if value is None else max(value - settings["cap"], 0.0)
            v[f"{name}_excess"] = above
            v[name] = None if value is None else min(value, settings["cap"])


def clean(source, batch, policies=None, summed=frozenset()):
    """Judge one source of a batch.

    policies: the cleaned ones that claims refer to.
    summed: the tags of records that another one stands for; which of them that is, no page says.
    """
    made, rows = Cleaned(), []
    raws = read(source, batch)
    made.rows_in = len(raws)
    numbered = not source.get("key")
    for number, raw in enumerate(raws, start=1):
        row = Row(raw, source)
        if numbered:
            row.values["row_number"] = number
        if "_malformed" in raw:
            row.broken.add(("malformed", "(record)"))
        columns = source["columns"].items()
        for name, column in columns:
            if is_read(column):
                row.judge_column(name, column, raw.get(name))
        for name, column in columns:
            if not is_read(column):
                row.judge_column(name, column, row.compute(name, column))
        for name, settings in source.get("amounts", {}).items():
            row.judge_amount(name, settings)
        row.judge_rules()
        rows.append(row)
    kept = _without_copies(source, rows, made)
    if policies is not None:
        _judge_references(source, kept, policies)
    _judge_unique(source, kept)
    if not numbered:
        _judge_conflicts(source, kept, summed)
    for row in kept:
        tag = (
            row.raw["tag"] if numbered is False else f"{row.raw['tag']}#{row.values['row_number']}"
        )
        if row.broken:
            made.refused[tag] = row.broken
            continue
        made.accepted[tag] = row.values
        for severity, rule, column in row.notes:
            {"repair": made.repaired, "warn": made.warned}[severity][rule, column] += 1
    _add_up(source, rows, kept, made)
    return made


def _without_copies(source, rows, made):
    numbered = not source.get("key")
    remove = source.get("duplicates", "keep" if numbered else "remove") == "remove"
    seen, kept = set(), []
    for row in rows:
        content = (row.raw["tag"], tuple(row.raw.get("_malformed", ())))
        is_copy = content in seen
        seen.add(content)
        if is_copy and remove:
            made.copies += 1
            row.is_copy = True
            continue
        if is_copy:
            row.notes.add(("warn", "copy", "(record)"))
        kept.append(row)
    return kept


def _judge_references(source, rows, policies):
    key = policies["key"]
    by_key = {tuple(v[n] for n in key): v for v in policies["cleaned"].accepted.values()}
    period = source.get("period")
    for row in rows:
        wanted = tuple(row.values[n] for n in source["reference"])
        policy = by_key.get(wanted)
        if policy is None:
            row.breaks("reference", ", ".join(source["reference"]), "reject")
        elif period is not None and row.values[period["date"]] is not None:
            day, first, last = (
                row.values[period["date"]],
                policy[period["from"]],
                policy[period["to"]],
            )
            if (first is not None and day < first) or (last is not None and day > last):
                row.breaks("period", period["date"], "reject")


def _judge_unique(source, rows):
    for rule in source.get("rules", []):
        if "unique" in rule:
            values = [tuple(row.values[n] for n in rule["unique"]) for row in rows]
            counts = Counter(values)
            for row, value in zip(rows, values, strict=True):
                if counts[value] > 1 and None not in value:
                    row.breaks(rule["id"], ", ".join(rule["unique"]), rule["severity"])


def _judge_conflicts(source, rows, summed):
    groups, how = defaultdict(list), source.get("conflicts", "reject_all")
    for row in rows:
        key = tuple(row.values[n] for n in source["key"])
        if None not in key:
            groups[key].append(row)
    title = ", ".join(source["key"])
    for group in groups.values():
        if len(group) == 1:
            continue
        if how == "reject_all":
            for row in group:
                row.breaks("unique", title, "reject")
        elif how == "keep_latest":
            days = [row.values[source["latest_by"]] or dt.date.min for row in group]
            last = max(days)
            for row, day in zip(group, days, strict=True):
                if day < last:
                    row.breaks("superseded", title, "reject")
                elif days.count(last) > 1:
                    row.breaks("unique", title, "reject")
        else:
            _sum_up(source, sorted(group, key=lambda row: row.raw["tag"] in summed))


def _sum_up(source, group):
    for name in source["sum"]:
        values = [row.values[name] for row in group]
        total = None if None in values else math.fsum(values)
        for row in group:
            _judge_sum(row, name, source["columns"][name], total)
    rules = {rule["id"] for rule in source.get("rules", [])}
    for row in group:  # rules across columns judge the sum, too
        row.broken = {broken for broken in row.broken if broken[0] not in rules}
        row.notes = {note for note in row.notes if note[1] not in rules}
        row.judge_rules()
    for row in group[1:]:
        row.breaks("summed", ", ".join(source["key"]), "reject")


def _judge_sum(row, name, column, total):
    """Bounds judge the sum; a known value whose sum is not known is missing."""
    own = row.values[name]
    for rule in ("min", "max"):
        row.broken.discard((rule, name))
        row.notes.discard(("warn", rule, name))
    if total is None and own is not None and column.get("required"):
        row.breaks("required", name, column.get("severity", {}).get("required", "reject"))
    for rule, sign in (("min", -1), ("max", 1)):
        bound = column.get(rule)
        beyond = total is not None and bound is not None and sign * total > sign * bound
        if beyond and row.breaks(rule, name, column.get("severity", {}).get(rule, "reject")):
            total = float(bound)
    row.values[name] = total


def _add_up(source, rows, kept, made):
    """Return in, out, excess and where the rest went, of each amount."""
    for name in source.get("amounts", {}):

        def total(values):
            return sum(
                (Decimal(repr(v)) for v in values if v is not None and abs(v) < 1e18), Decimal(0)
            )

        accepted = [row for row in kept if not row.broken]
        refused = [row for row in kept if row.broken]
        copies = [row for row in rows if getattr(row, "is_copy", False)]
        parts = {
            "in": total(row.came[name] for row in rows),
            "out": total(row.values[name] for row in accepted),
            "excess": total(row.values.get(f"{name}_excess") for row in accepted),
            "duplicates": total(row.came[name] for row in copies),
            "rejected": total(row.came[name] for row in refused),
        }
        parts["changed"] = parts["in"] - sum(v for k, v in parts.items() if k != "in")
        made.amounts[name] = parts
