"""Damage model files of every format, and hold what is scored all the same against its library.

A mutant has to be refused by name, or score as its own library scores it: bit for bit, for ONNX to
float32's precision, for MLlib to a double's rounding. Mutants that the library itself refuses, or
crashes or hangs on, have nothing to be compared with; ours need only be numbers. Our own format is
held against the naive twin. 10,000 mutants of each format are tried in full, 300 in the short form.

    make bench ONLY=fuzz-models        (SHORT=1 for the short form)

Writes build/bench/fuzz-models.json. What is wrong stays in build/bench/fuzz-models/.
"""

import json
import shutil
import sys
from pathlib import Path

from benchmarks.fuzz_models_judge import WAYS, judge, said
from benchmarks.fuzz_models_mllib import judge_mllib
from benchmarks.fuzz_models_own import judge_own
from kyros_spark.config import SparkSettings
from kyros_spark.spark.session import get_session

FOLDER = Path("build/bench/fuzz-models").resolve()
RESULT = FOLDER.with_suffix(".json")
PART = 1000  # mutants tried with one seed
PARTS = {True: 1, False: 10}
SHORT_PART = 300
ASKED_OF_SPARK = {True: 3, False: 20}  # of each part, since Spark takes a second for each
FORMATS = (*WAYS, "own", "mllib")


def main(short=False, formats=FORMATS):
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    totals = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    for form in formats:
        totals[form] = {}
        for seed in range(1, PARTS[short] + 1):
            add(totals[form], part(form, seed, SHORT_PART if short else PART, short))
            RESULT.write_text(json.dumps(totals, indent=1))
        sys.stdout.write(f"{form}: {said(totals[form])}\n")
        sys.stdout.flush()
    wrong = [form for form in formats if totals[form]["mis-scored"] or totals[form]["unnamed"]]
    assert not wrong, f"mis-scored or refused without a name: {wrong}, see {RESULT}"


def part(form, seed, mutants, short):
    """Try the mutants of one seed."""
    if form == "own":
        return judge_own(mutants, seed)
    if form == "mllib":
        spark = get_session(SparkSettings(driver_memory="1g", conf={"spark.master": "local[1]"}))
        return judge_mllib(mutants, seed, FOLDER / "mllib", spark, ASKED_OF_SPARK[short])
    return judge(form, mutants, seed, FOLDER)


def add(total, result):
    """Add a part's counts and lists to those of the parts before it."""
    for name, value in result.items():
        total[name] = total[name] + value if name in total else value
