"""Columns, rules, amounts and features of a random portfolio: each with its settings and its cells.

A column's `_make` gives a raw cell that fits, `_dirt` one that may not. Keys that begin with `_`
are the generator's own and are not written into the settings.
"""

import datetime as dt
import math
from decimal import Decimal

import numpy as np
import pandas as pd

WRONG_NUMBERS = ["1500d", "7F", "0x1p10", "1,500", "NaN", "abc", "--1", "1e400", "Infinity"]
WRONG_INTS = ["40.7", "40L", "abc", "99999999999999999999", "1_000"]
WRONG_DATES = ["2023-02-30", "yesterday", "2023", "31/31/2023"]


def policy_columns(chance, made, with_claims):
    """Return the policies' columns by name, and the columns that may be their key."""
    typed, prefix = made["_typed"], chance.choice(["", "", "src "])
    numbers = chance.random() < 0.3
    key_type = chance.choice(["int", "long"]) if numbers else "string"
    columns = {
        "tag": {"type": "string", "required": True},
        "policy": {
            "type": key_type,
            "required": True,
            "_make": lambda c, f: _policy_name(f, numbers),
            "_dirt": lambda c, v: None,
        },
        "part": {"type": "int", "required": True, "_make": lambda c, f: str(1 + f["number"] % 2)},
        "client": {
            "type": "string",
            "required": True,
            "_make": lambda c, f: f"C{f['number'] // 3}",
        },
        **_dates(chance, typed),
        **_exposure(chance),
        **_factors(chance),
    }
    if not with_claims:
        columns["n_claims"] = {
            "type": "int",
            "_make": lambda c, f: str(f["claims"]),
            "_dirt": lambda c, v: c.choice([None, "0", "3"]),
        }
        columns["paid"] = {
            "type": "double",
            "_make": lambda c, f: _paid(c, f["claims"]),
            "_dirt": lambda c, v: _odd_amount(c),
        }
    for name, column in columns.items():
        if "_make" in column and chance.random() < 0.15:
            column["from"] = f"{prefix}{name}_x"
    return columns, ["policy", "part"]


def _policy_name(facts, numbers):
    return str(facts["number"] // 2 * 2 + facts["number"] % 2) if numbers else f"P{facts['number']}"


def _dates(chance, typed):
    other = None if typed or chance.random() < 0.6 else "dd/MM/yyyy"
    wrong = lambda c, v: c.choice([None, *([] if typed else WRONG_DATES)])  # noqa: E731
    shape = {"type": "date", **({"format": other} if other else {})}
    text = (lambda day: f"{day:%d/%m/%Y}") if other else (lambda day: day.isoformat())
    return {
        "start": {
            **shape,
            "required": True,
            "_make": lambda c, f: text(f["first"]),
            "_dirt": wrong,
        },
        "until": {
            **shape,
            "required": True,
            "_make": lambda c, f: text(f["last"]),
            "_dirt": lambda c, v: c.choice([wrong(c, v), text(dt.date(2022, 1, 1))]),
        },
        "born": {
            **shape,
            "_make": lambda c, f: text(f["first"] - dt.timedelta(c.randrange(6600, 32000))),
            "_dirt": wrong,
        },
    }


def _exposure(chance):
    if chance.random() < 0.35:
        days = {
            "from": "start",
            "to": "until",
            "year": chance.choice([365, 365.25, 360, "actual"]),
            "last_day": chance.choice(["at_risk", "excluded"]),
        }
        column = {"type": "double", "days": days}
    else:
        column = {
            "type": "double",
            "_make": lambda c, f: c.choice(["1", "1.0", "0.5", f"{c.uniform(0.01, 1):.4f}"]),
            "_dirt": lambda c, v: c.choice(
                [None, "0", "-0.5", "0.0", "7.5", "1e-3", *WRONG_NUMBERS]
            ),
        }
    severity = {"max": "repair"} if chance.random() < 0.5 else {}
    return {
        "exposure": {**column, "required": True, "min": 0.0027, "max": 1.0, "severity": severity}
    }


def _factors(chance):
    severities = lambda *rules: {  # noqa: E731
        rule: chance.choice(["repair", "warn"]) for rule in rules if chance.random() < 0.5
    }
    age = {
        "type": chance.choice(["int", "long", "double"]),
        "min": 18,
        "max": 100,
        "severity": severities("min", "max", "type"),
        "_make": lambda c, f: c.choice(["{}", "{}", "{}.0"]).format(c.randrange(18, 95)),
        "_dirt": lambda c, v: c.choice([None, "17", "150", "1e+02", *WRONG_INTS]),
    }
    if chance.random() < 0.3:
        age["default"] = 44
    fuel = {
        "type": "string",
        "trim": True,
        "case": "lower",
        "aliases": {"gazole": "diesel"},
        "allowed": ["petrol", "diesel", "electric"],
        "severity": severities("allowed"),
        "_make": lambda c, f: c.choices(["petrol", "Diesel", " Gazole ", "electric"], [5, 3, 2, 1])[
            0
        ],
        "_dirt": lambda c, v: c.choice([None, "steam", "wood", " PETROL"]),
    }
    if chance.random() < 0.5:
        fuel["default"] = "petrol"
    columns = {
        "age": age,
        "fuel": fuel,
        "power": {
            "type": "double",
            "missing": ["0"],
            "_make": lambda c, f: c.choice(["0", *[f"{50 + c.randrange(90)}.5"] * 9]),
            "_dirt": lambda c, v: c.choice([None, "-40", "1e6", *WRONG_NUMBERS]),
        },
        "only": {"type": "string", "_make": lambda c, f: "same"},
        "value": {
            "type": "decimal(10,2)",
            "_make": lambda c, f: f"{c.randrange(10, 90000)}.{c.randrange(100):02d}",
            "_dirt": lambda c, v: c.choice([None, "0.005", "0.010", "0", "-3.20", "123456789012"]),
        },
        "flag": {
            "type": "boolean",
            "_make": lambda c, f: c.choice(["true", "false"]),
            "_dirt": lambda c, v: c.choice([None, "maybe"]),
        },
        "area": {
            "type": "string",
            "pattern": "[A-F][0-9]?",
            "severity": severities("pattern"),
            "_make": lambda c, f: c.choices("ABCDEF", [30, 20, 10, 5, 2, 0.3])[0],
            "_dirt": lambda c, v: c.choice([None, "A1", "Z", "A12", "a"]),
        },
        "bonus": {
            "type": "double",
            "min": 0.5,
            "max": 3.5,
            "severity": severities("min", "max"),
            "_make": lambda c, f: c.choice(["0.5", "1.0", "1.25", "2", "3.5"]),
            "_dirt": lambda c, v: c.choice([None, "0.49", "99", *WRONG_NUMBERS]),
        },
    }
    optional = [n for n in columns if n not in ("age", "fuel")]
    for name in chance.sample(optional, chance.randrange(0, 3)):
        del columns[name]
    if "power" in columns and chance.random() < 0.5:
        columns["per_age"] = {"type": "double", "sql": "power / age", "_sql": ("power", "age")}
    return columns


def add_policy_rules(chance, book, made, kind):
    """Add rules across columns and rows, and how records of one key are treated."""
    rules, columns = [], made["columns"]
    if chance.random() < 0.7:
        rules.append(
            {
                "id": "dates",
                "in_order": ["start", "until"],
                "severity": chance.choice(["reject", "warn"]),
            }
        )
    if "bonus" in columns and chance.random() < 0.4:
        repair = {"repair": {"bonus": "1.0D"}} if chance.random() < 0.5 else {}
        rules.append(
            {
                "id": "young_bonus",
                "check": "age >= 25 OR bonus < 3",
                **repair,
                "severity": "repair" if repair else chance.choice(["reject", "warn"]),
            }
        )
    if kind == "key" and chance.random() < 0.2:
        rules.append({"id": "client_start", "unique": ["client", "start"], "severity": "warn"})
    made["rules"] = rules
    book.kinds |= {f"rule {r['id']} {r['severity']}" for r in rules}
    if kind != "numbered":
        made["conflicts"] = chance.choice(["reject_all", "reject_all", "keep_latest", "sum"])
        if made["conflicts"] == "keep_latest":
            made["latest_by"] = "start"
        if made["conflicts"] == "sum":
            made["sum"] = ["exposure"] if "days" not in columns["exposure"] else ["bonus"]
            if made["sum"] == ["bonus"] and "bonus" not in columns:
                made["conflicts"] = "reject_all"
                del made["sum"]
        book.kinds.add(f"policies {made['conflicts']}")
    elif chance.random() < 0.3:
        made["duplicates"] = "remove"


def claim_columns(chance, made, policies):
    """Return the claims' columns by name."""
    wrong = [] if made["_typed"] else WRONG_DATES
    references = {
        f"of_{key}": {"type": policies["columns"][key]["type"], "required": True}
        for key in policies["key"]
    }

    def day(c, f):
        return (dt.date(int(f["batch"]), 1, 1) + dt.timedelta(c.randrange(500))).isoformat()

    return {
        "tag": {"type": "string", "required": True},
        "claim": {"type": "string", "required": True, "_make": lambda c, f: f"K{f['number']}"},
        **references,
        "day": {
            "type": "date",
            "required": True,
            "_make": day,
            "_dirt": lambda c, v: c.choice([None, *wrong]),
        },
        "cause": {"type": "string", "_make": lambda c, f: c.choice(["glass", "theft", "fire"])},
        "amount": {
            "type": "double",
            "_make": lambda c, f: _paid(c, 1),
            "_dirt": lambda c, v: _odd_amount(c),
        },
        "money": {
            "type": "string",
            "_make": lambda c, f: c.choice(["EUR", "EUR", "CHF"]),
            "_dirt": lambda c, v: c.choice([None, "XXX"]),
        },
    }


def _paid(chance, claims):
    if not claims:
        return "0"
    return chance.choice(["1236.0", *[f"{chance.lognormvariate(7, 1.4):.2f}"] * 7])


def _odd_amount(chance):
    return chance.choice(
        [
            None,
            "0",
            "0.0",
            "-250.75",
            "-0.01",
            "1e9",
            "123456789012.34",
            "abc",
            "-1e9",
            "1e12",
            "0.005",
            "1e20",
        ]
    )


def amount_settings(chance, book, count):
    """Draw the treatment of an amount."""
    made = {
        "negative": chance.choice(["keep", "zero", "reject"]),
        "zero": chance.choice(["keep", "keep", "reject"]) if count is None else "keep",
        "unknown": chance.choice(["keep", "keep", "reject"]),
    }
    if chance.random() < 0.5:
        made["cap"] = chance.choice([3000, 30000.0, 2500.5])
    if chance.random() < 0.3:
        made["convention"], made["convention_is"] = [1236.0], chance.choice(["keep", "reject"])
    if chance.random() < 0.2:
        made["unit"] = 0.01
    if count is not None:
        made["count"] = count
        made["without_count"] = chance.choice(["keep", "zero", "reject"])
        made["without_amount"] = chance.choice(["keep", "reject"])
    elif chance.random() < 0.25:
        made["currency"], made["rates"] = "money", {"EUR": 1, "CHF": 1.05}
    book.kinds |= {f"amount {k} {v}" for k, v in made.items() if isinstance(v, str)}
    book.kinds |= {f"amount {k}" for k in ("cap", "unit", "currency") if k in made}
    return made


def typed_cells(cells, kind):
    """Return cells as a typed source holds them; what cannot be of the type is missing."""
    if kind == "string":
        return pd.Series([None if c in (None, "") else c for c in cells], dtype=object)
    values = [typed(cell, kind) for cell in cells]
    if kind == "int" and any(v is None for v in values):
        return pd.Series([np.nan if v is None else float(v) for v in values])  # as pandas has it
    dtype = {"int": "int32", "long": "Int64", "double": "float64", "boolean": "boolean"}.get(
        kind, object
    )
    return pd.Series(
        [(np.nan if kind == "double" else None) if v is None else v for v in values], dtype=dtype
    )


def typed(cell, kind):
    """Return a raw cell as a value of a type, or None."""
    try:
        if cell in (None, ""):
            return None
        if kind in ("int", "long"):
            value = float(cell)
            return int(value) if value == int(value) and abs(value) < 2**31 else None
        if kind == "double":
            value = float(cell)
            return value if math.isfinite(value) and "_" not in cell else None
        if kind == "boolean":
            return {"true": True, "false": False}[cell]
        if kind == "date":
            return dt.date.fromisoformat(cell)
        value = Decimal(cell)
        return value if value == value.quantize(Decimal("0.01")) and abs(value) < 10**8 else None
    except (ValueError, KeyError, ArithmeticError):
        return None


def prepare_settings(chance, sources):
    """Draw exposure, split, targets and features."""
    columns, claims = sources["policies"]["columns"], sources.get("claims")
    split = {"by": ["client"], "train": 0.6, "valid": 0.2}
    if chance.random() < 0.3:
        parts = {n: ("train", "train", "train", "valid", "test")[n % 5] for n in range(1, 13)}
        split = {"sql": "month(start)", "parts": parts}
    made = {"exposure": "exposure", "max_exposure": 10.0, "split": split}
    if claims:
        made["claims"] = {
            "amount": "amount",
            "where": chance.choice(["true", "amount > 0", "cause != 'glass'"]),
        }
        if chance.random() < 0.4:
            made["claims"]["cap"] = 2000
    else:
        made["targets"] = {"number": "n_claims", "loss": "paid"}
    made["features"] = _features(chance, columns)
    return made


def _features(chance, columns):
    numbers = lambda: chance.choice([{}, {}, {"impute": "median"}, {"impute": 7.5}])  # noqa: E731
    rare = {"rare": "other"} if chance.random() < 0.3 else {}
    pool = {
        "fuel": {"kind": "levels", **rare},
        "age": {"kind": "numeric", **numbers()},
        "age_class": {"kind": "bins", "column": "age", "bins": [25, 40.5, 60], **rare},
        "log_age": {"kind": "numeric", "log": "age"},
        "young": {"kind": "levels", "sql": "if(age < 30, 'young', 'old')"},
        "years": {"kind": "numeric", "age": {"from": "born", "at": "start"}, **numbers()},
        "months": {
            "kind": "bins",
            "age": {"from": "born", "at": "start", "unit": "months"},
            "bins": [300, 600],
        },
        "days": {"kind": "numeric", "age": {"from": "born", "at": "start", "unit": "days"}},
        "only": {"kind": "levels"},
        "area": {"kind": "levels", "order": ["C", "A", "B"]}
        if chance.random() < 0.3
        else {"kind": "levels", **rare},
        "power": {"kind": "numeric", **numbers()},
        "power_tenth": {"kind": "bins", "column": "power", "quantiles": chance.choice([2, 3, 5])},
        "power_value": {"kind": "numeric", "ratio": ["power", "value"]},
        "log_value": {"kind": "numeric", "log": "value"},
        "value_class": {"kind": "bins", "column": "value", "bins": [0, 1000, 50000.5]},
        "flag": {"kind": "levels"},
        "bonus": {"kind": "levels"},
        "bonus_number": {
            "kind": "numeric",
            "column": "bonus",
            "precision": chance.choice(["double", "float"]),
        },
        "fuel_area": {"kind": "levels", "interaction": ["fuel", "area"]},
    }
    needs = {
        "only": ["only"],
        "area": ["area"],
        "power": ["power"],
        "power_tenth": ["power"],
        "power_value": ["power", "value"],
        "log_value": ["value"],
        "value_class": ["value"],
        "flag": ["flag"],
        "bonus": ["bonus"],
        "bonus_number": ["bonus"],
        "fuel_area": ["area"],
    }
    able = [n for n in pool if all(need in columns for need in needs.get(n, []))]
    return {
        name: pool[name] for name in chance.sample(able, min(len(able), chance.randrange(2, 8)))
    }
