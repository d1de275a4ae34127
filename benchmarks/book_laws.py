"""Put a random portfolio through all stages, and hold what comes out against its naive twin."""

import json
import re
from collections import Counter
from decimal import Decimal

import kyros_spark as ks
from benchmarks import book_model_laws as laws
from benchmarks import book_twin
from benchmarks.book import BATCHES
from benchmarks.book_tables import rows_of
from kyros_spark.config import parse_config
from kyros_spark.errors import KyrosError

TAG = re.compile(r"T[PC]\d{10}")
CENT = Decimal("0.01")


class Differences(list):
    """What differs, one sentence each."""

    def same(self, what, ours, theirs):
        if ours != theirs:
            self.append(f"{what}: kyros {ours!r}, twin {theirs!r}")

    def close(self, what, ours, theirs, relative=1e-9, absolute=1e-12):
        """See that two numbers are equal up to rounding, or both missing."""
        if ours == theirs:  # as two infinities are
            return
        one_lacks = (ours is None) != (theirs is None)
        known = ours is not None and theirs is not None
        if one_lacks or (known and not abs(ours - theirs) <= max(relative * abs(theirs), absolute)):
            self.append(f"{what}: kyros {ours!r}, twin {theirs!r}")


def put_through(spark, book):
    """Give a portfolio to all stages; what they leave on disk is for `judge`.

    A stage that is refused is no difference yet: the twin says whether it should be.
    """
    config, failed = parse_config(book.settings_text()), set()

    def stage(work, **words):
        try:
            getattr(ks, work)(spark, config, **words)
        except KyrosError:
            failed.add((work, words.get("batch")))

    for batch in BATCHES:
        stage("clean", batch=batch)
        if ("clean", batch) not in failed:
            stage("prepare", batch=batch)
    if any(
        (work, batch) in failed
        for work in ("clean", "prepare")
        for batch in book.settings["train"]["batches"]
    ):
        return
    stage("train")
    names = tuple(registered(book.folder / "tables"))
    for batch in BATCHES if names else ():
        if not failed & {("clean", batch), ("prepare", batch)}:
            stage("predict", batch=batch, models=() if ("train", None) not in failed else names)
            stage("evaluate", batch=batch)


def registered(base):
    """Return the rows of table models by name."""
    exists = (base / "models/_delta_log").exists()
    return {row["model_name"]: row for row in rows_of(base, "models")} if exists else {}


def judge(book):
    """Return what differs from the twin in what all stages left, and how each stage ended."""
    found, base, rows, parts = Differences(), book.folder / "tables", {}, {}
    runs = {
        (row["stage"], row["batch_id"]): row
        for row in sorted(rows_of(base, "runs"), key=lambda row: row["ordinal"])
    }
    ended = {at: row["error_type"] or "done" for at, row in runs.items()}
    for batch in BATCHES:
        cleaned = _judge_clean(found, book, base, batch, runs["clean", batch])
        if cleaned and _is_done(found, runs, "prepare", batch):
            rows[batch] = laws.judge_prepared(found, book, batch, cleaned, parts)
    trained = book.settings["train"]["batches"]
    if not set(trained) <= set(rows):
        return found, ended
    error = next((row["error"] for at, row in runs.items() if at[0] == "train"), None)
    of_training = [row for batch in trained for row in rows[batch].values()]
    models = registered(base)
    fits = laws.judge_models(found, book, of_training, models, error)
    for batch, of_batch in rows.items():
        if models and _is_done(found, runs, "predict", batch):
            stored = laws.judge_predictions(found, book, batch, of_batch, fits)
            if _is_done(found, runs, "evaluate", batch):
                laws.judge_metrics(found, book, batch, of_batch, stored, models)
    return found, ended


def _is_done(found, runs, stage, batch):
    run = runs.get((stage, batch))
    if run is None or run["error_type"]:
        found.append(f"{stage} {batch}: {run and run['error_type']}: {run and run['error']}")
    return run is not None and not run["error_type"]


def _judge_clean(found, book, base, batch, run):
    error = run["error_type"]
    sources, cleaned = book.settings["sources"], {}
    limits = book.settings["clean"]
    policies = None
    rejects = [] if error else rows_of(base, "rejects", batch)
    summed = {
        TAG.search(row["record"]).group()
        for row in rejects
        if "summed" in {r["rule"] for r in row["reasons"]}
    }
    for name, source in sources.items():
        if batch not in source.get("batches", BATCHES):
            continue
        cleaned[name] = book_twin.clean(source, batch, policies, summed)
        policies = {"key": source["key"], "cleaned": cleaned[name]}
        if len(cleaned[name].refused) > limits["max_rejected_share"] * cleaned[name].rows_in:
            found.same(f"{name} {batch} refused", error, "TooManyRejectsError")
            return None
        if cleaned[name].copies > max(limits["max_duplicate_share"], 0.01) * cleaned[name].rows_in:
            found.same(f"{name} {batch} refused", error, "TooManyDuplicatesError")
            return None
    if error:
        found.append(f"clean {batch}: {error}: {run['error']}")
        return None
    told_of = json.loads(run["details"])
    for name, twin in cleaned.items():
        at = f"{name} {batch}"
        details = told_of[name]
        told = {k: details[k] for k in ("rows_in", "duplicates", "rejected", "rows_out")}
        found.same(
            f"{at} counts",
            told,
            {
                "rows_in": twin.rows_in,
                "duplicates": twin.copies,
                "rejected": len(twin.refused),
                "rows_out": len(twin.accepted),
            },
        )
        found.same(
            f"{at} balance",
            told["rows_in"],
            told["rows_out"] + told["duplicates"] + sum(details["rules"].values()),
        )
        numbered = not sources[name]["key"]
        _judge_rejects(found, at, twin, [r for r in rejects if r["source"] == name], numbered)
        _judge_notes(found, at, twin, details)
        repairs = [r for r in rows_of(base, "repairs", batch) if r["source"] == name]
        _judge_repairs(found, at, details.get("repaired", {}), repairs)
        _judge_amounts(found, at, twin, details.get("amounts", {}))
        _judge_rows(found, at, sources[name], twin, rows_of(base, name, batch))
    return cleaned


def _judge_rejects(found, at, twin, rejects, numbered):
    ours = Counter()
    for row in rejects:
        tag = TAG.search(row["record"])
        titles = frozenset((r["rule"], r["column"]) for r in row["reasons"])
        ours[tag and tag.group(), titles] += 1
    theirs = Counter()
    for tag, titles in twin.refused.items():
        theirs[tag.partition("#")[0], frozenset(titles)] += 1
    for (tag, titles), n in (ours - theirs).items():
        found.append(f"{at} rejects: kyros has {n} x {tag} for {sorted(map(str, titles))}")
    for (tag, titles), n in (theirs - ours).items():
        found.append(f"{at} rejects: twin has {n} x {tag} for {sorted(map(str, titles))}")


def _judge_notes(found, at, twin, details):
    for title in ("repaired", "warned"):
        theirs = {f"{rule}:{column}": n for (rule, column), n in getattr(twin, title).items()}
        found.same(f"{at} {title}", details.get(title, {}), theirs)


def _judge_repairs(found, at, repaired, repairs):
    """A row per repaired value: a book's rule across columns repairs one of them."""
    counts = Counter()
    for title, n in repaired.items():
        counts[title.partition(":")[0]] += n
    found.same(f"{at} repairs", dict(Counter(row["rule"] for row in repairs)), dict(counts))


def _judge_amounts(found, at, twin, amounts):
    for name, parts in twin.amounts.items():
        ours = {k: Decimal(v) for k, v in amounts[name].items()}
        gone = sum(v for k, v in ours.items() if k != "in")
        found.same(f"{at} {name} reconciles", ours["in"], gone)
        for kind, value in parts.items():
            if abs(ours[kind] - value) > CENT:
                found.append(f"{at} {name} {kind}: kyros {ours[kind]}, twin {value}")


def _judge_rows(found, at, source, twin, rows):
    numbered = not source["key"]
    ours = {f"{r['tag']}#{r['row_number']}" if numbered else r["tag"]: r for r in rows}
    for tag, values in twin.accepted.items():
        row = ours.pop(tag, None)
        if row is None:
            found.append(f"{at} rows: kyros has no {tag}")
            continue
        for name, value in values.items():
            if isinstance(value, float) and row[name] is not None:
                # What is above a cap is a difference, whose last digits are noise.
                noise = 1e-9 if name.endswith("_excess") else 1e-14
                found.close(f"{at} {tag} {name}", row[name], value, noise, 0)
            else:
                found.same(f"{at} {tag} {name}", row[name], value)
    for tag in ours:
        found.append(f"{at} rows: twin has no {tag}")
