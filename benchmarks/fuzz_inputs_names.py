"""Random names of products, models, batches and portfolios, and writes under those that pass.

A name either is refused when the settings are read, or it is written through the code that stages
write with, beside another batch, of which no file may change.
"""

import random
import string
from collections import Counter

import pyarrow as pa
from pydantic import ValidationError
from yaml import YAMLError

from benchmarks.fuzz_inputs_settings import START
from kyros_spark.config import Config
from kyros_spark.config.yaml_values import yaml_value
from kyros_spark.delta.frames import arrow_as_frame
from kyros_spark.delta.where import Among, Where, batch
from kyros_spark.errors import KyrosError
from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

KINDS = ("product", "model", "batch", "portfolio")
TREE = yaml_value(START)
OTHER, RUN = "2023", "run"  # the batch that may not change
TABLE = Table(
    name="predictions",
    comment="Predictions, of the columns that a write needs.",
    columns=(Column("policy_id", "string", "key"), Column("model_name", "string", "model"),
             Column("prediction", "double", "value"), BATCH_ID, RUN_ID),
    key=("batch_id", "model_name", "policy_id"),
    partition_by=("batch_id", "model_name"),
)  # fmt: skip
_HOSTILE = (
    "x' OR '1'='1", "x') OR (batch_id = '2023", "x\\' OR 1=1 --", 'x" OR "1"="1', "x`; DROP", "a.b",
    "premium.x", "../x", "..", ".", "", " ", "x y", "x\ny", "x\x00y", "x/y", "x%2F", "x=1", "*",
    "x--",
    "/*x", "${x}", "{batch}", "é", "\u202ex", "x" * 129, "2023", "NULL", "true", "_x", "x;", "\\",
    "'",
)  # fmt: skip
_LETTERS = string.ascii_letters + string.digits + "_.-' \"`\\;()=%/*é\n"


def name(chance):
    """Return a random name: hostile, of random letters, or plain."""
    how = chance.random()
    if how < 0.25:
        return chance.choice(_HOSTILE)
    if how < 0.4:
        first, second = chance.choice(_HOSTILE), chance.choice(_HOSTILE)
        return f"{first}{second}"
    if how < 0.7:
        return "".join(chance.choices(_LETTERS, k=chance.randint(1, 12)))
    plain = string.ascii_letters + string.digits + ("_" if how < 0.85 else "_.-")
    return "".join(chance.choices(plain, k=chance.randint(1, 70)))


def is_read(kind, text):
    """Return whether settings with a name are read: from its YAML on, as a file's are.

    Raises:
        Exception: any but the error that names the setting.
    """
    change = {
        "product": {"predict": {"products": {text: ["frequency_glm", "severity_glm"]}}},
        "model": {"predict": {"models": [text]}},
        "batch": {"batches": [text]},
        "portfolio": {"portfolio": text},
    }[kind]
    try:
        changed = {section: yaml_value(_yaml(value)) for section, value in change.items()}
        Config.model_validate(TREE | changed)
    except YAMLError as error:
        assert "no text" in str(error), error
        return False
    except ValidationError as error:
        assert next(iter(change)) in str(error), error
        return False
    return True


def _yaml(value):
    """Return a value as YAML of one line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_yaml(k)}: {_yaml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_yaml, value)) + "]"
    escaped = "".join(c if c.isalnum() or c in " _" else f"\\U{ord(c):08x}" for c in value)
    return f'"{escaped}"'


def rows(label, model, count=2):
    """Return rows of a batch and a model."""
    return pa.table({
        "policy_id": [f"P{n}" for n in range(count)],
        "model_name": [model] * count,
        "prediction": [1.0] * count,
        "batch_id": [label] * count,
        "run_id": [RUN] * count,
    })  # fmt: skip


def write(tables, kind, names, by_spark=False):
    """Write under names of a kind as predict writes; return whether it was, or the named error.

    A batch's name has a commit of its own, other names share one.
    """
    label = names[0] if kind == "batch" else "2024"
    models = ["frequency"] if kind == "batch" else names
    heads = Among(("model_name",), tuple({(m.partition(".")[0],) for m in models}), head=True)
    where = Where((*batch(label).conditions, heads))
    new = pa.concat_tables([rows(label, model) for model in dict.fromkeys(models)])
    try:
        if by_spark:
            frame = arrow_as_frame(tables.spark, TABLE, [new])
            tables.replace(TABLE, frame, RUN, where, batch=label)
        else:
            tables.replace_arrow(TABLE, new, RUN, where, batch=label)
    except KyrosError as error:
        return type(error).__name__
    return "written"


def files_of(tables, label=OTHER):
    """Return the files of a batch as an outside reader of the table's log sees them."""
    import deltalake

    table = deltalake.DeltaTable(tables.location(TABLE.name))
    actions = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return sorted(a["path"] for a in actions if a["partition.batch_id"] == label)


def start(tables):
    """Write the batch that may not change, under models that others are named after."""
    for model in ("frequency", "premium", "x", "a"):
        heads = Among(("model_name",), ((model,),), head=True)
        where = Where((*batch(OTHER).conditions, heads))
        tables.replace_arrow(TABLE, rows(OTHER, model), RUN, where, batch=OTHER)
    return files_of(tables)


def fuzz(tables, count, hostile=40, by_spark=5, together=20, seed=20):
    """Try so many names; return how they ended, and writes after which the other batch had changed.

    hostile: refused names that are written nevertheless, as if no pattern had refused them.
    by_spark: so many commits of each kind are made by Spark's own writer as well.
    together: names of products and models per commit. A portfolio's name reaches no table's rows
    but those of the ledger, so it is read only.
    """
    ended, changed, before = Counter(), [], start(tables)
    waiting = {kind: [] for kind in KINDS}
    for number in range(count):
        kind, text = KINDS[number % len(KINDS)], name(random.Random(f"{seed} {number}"))
        passed = is_read(kind, text)
        ended[f"{kind}: {'read' if passed else 'refused'}"] += 1
        hostile -= not passed
        if kind != "portfolio" and (passed or hostile > 0) and (kind, text) != ("batch", OTHER):
            waiting[kind].append(text)
        for of_kind, names in waiting.items():
            is_last = number == count - 1
            if names and (is_last or of_kind == "batch" or len(names) == together):
                ended[write(tables, of_kind, names)] += len(names)
                if ended[f"{of_kind}: commits by Spark"] < by_spark:
                    write(tables, of_kind, names, by_spark=True)
                    ended[f"{of_kind}: commits by Spark"] += 1
                if files_of(tables) != before:
                    changed.append({"kind": of_kind, "names": names})
                    before = files_of(tables)
                names.clear()
    return dict(ended), changed
