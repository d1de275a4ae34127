"""The case study before and after: a job as teams write it, and this package, on the same extract.

Both score the same policies by the same two LightGBM models, each from the extract on, in a process
of its own that may take both cores and the same heap. Then both are killed at four fifths of the
time they took, and given again: what the failure cost is the time that this took longer.
"""

import json
import os
import platform
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote

import lightgbm
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyspark

from benchmarks.case_naive import FEATURES
from benchmarks.demo_settings import demo_settings, generate, written
from benchmarks.host_memory import watched
from benchmarks.storm_tables import listed

FOLDER = Path("build/bench/case").resolve()
SIZES = {False: (1_500_000, 5_000), True: (100_000, 200)}  # policies, trees a model
LEAVES, LEARNT_ON = 64, 150_000
MEMORY, FAILS_AT, BATCH = "3200m", 0.8, "2023"
MODELS = {"frequency": ("claim_count", "poisson"), "pure_premium": ("claim_amount", "tweedie")}
FORMULAS = {
    "age_years": "driver_age", "bonus_value": "bonus_malus", "licence": "licence_years",
    "vehicle": "vehicle_age", "power": "vehicle_power", "log_value": "ln(vehicle_value)",
    "area_code": "array_position(array('city', 'suburb', 'village'), area)",
    "fuel_code": "array_position(array('petrol', 'diesel', 'electric'), fuel)",
}  # fmt: skip


def main(short=False, policies=None, trees=None):
    policies, trees = policies or SIZES[short][0], trees or SIZES[short][1]
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    settings = _settings()
    generate(settings, policies)
    models = {name: _trained(name, trees) for name in MODELS}
    for name, path in models.items():
        words = ["import", "--config", settings, "--model-file", path, "--name", name]
        _kyros(
            "import", "-m", "kyros_spark", *words, "--target", MODELS[name][0], "--per", "exposure"
        )
    ours = ["-m", "kyros_spark", "run", "--config", settings, "--batch", BATCH]
    ours += ["--stages", "clean,prepare,predict"]
    theirs = ["-m", "benchmarks.case_naive", FOLDER / f"source/{BATCH}", FOLDER / "naive", MEMORY]
    theirs.append(json.dumps(models))
    told = {}
    for side, words in (("naive", theirs), ("kyros", ours)):
        told[side] = whole = _kyros(side, *words)
        if side == "naive":
            (FOLDER / "naive").rename(FOLDER / "expected")
        else:
            _compared(FOLDER / "expected", FOLDER / "tables/predictions")
            _forget_all_but_the_models()
        killed = watched(
            [sys.executable, *words], FOLDER / f"{side}-killed.txt", FAILS_AT * whole.seconds
        )
        assert killed.code != 0, f"{side} ended before it could be killed"
        again = _kyros(f"{side}-again", *words)
        told[f"{side} after a failure"] = again.seconds + killed.seconds
        _say(f"{side}: {whole.seconds:.1f} s, {whole.mib:,.0f} MiB at most")
    result = _result(policies, trees, told)
    (FOLDER / "case.json").write_text(json.dumps(result, indent=1))
    _say(_table(result))


def _kyros(name, *words):
    done = watched([sys.executable, *words], FOLDER / f"{name}.txt")
    assert done.code == 0, done.told[-3000:]
    return done


def _settings():
    """Write the settings: the demo's sources, the models' features, nothing trained here."""
    made = demo_settings(FOLDER, [BATCH])
    made["prepare"]["features"] = {
        name: {"kind": "numeric", "sql": FORMULAS[name]} for name in FEATURES
    }
    made.pop("train")
    made["predict"], made["spark"] = {"models": list(MODELS)}, {"driver_memory": MEMORY}
    return written(FOLDER, made)


def _trained(name, trees):
    """Train a model on the first rows of the extract; return its file."""
    target, objective = MODELS[name]
    policies = _first_rows("policies").drop_duplicates("policy_id")
    claims = _first_rows("claims").query("amount > 0").groupby("policy_id")["amount"]
    sums = pd.DataFrame({"claim_count": claims.count(), "claim_amount": claims.sum()})
    rows = policies.join(sums, "policy_id").fillna({"claim_count": 0, "claim_amount": 0})
    rows = rows[rows["exposure"].between(0.0027, 1)]
    codes = {"area": ["city", "suburb", "village"], "fuel": ["petrol", "diesel", "electric"]}
    x = pd.DataFrame({
        "age_years": rows["driver_age"], "bonus_value": rows["bonus_malus"],
        "licence": rows["licence_years"], "vehicle": rows["vehicle_age"],
        "power": rows["vehicle_power"],
        "log_value": np.log(rows["vehicle_value"].replace(0, np.nan)),
        **{f"{c}_code": rows[c].map({v: i + 1 for i, v in enumerate(levels)})
           for c, levels in codes.items()},
    })[FEATURES].astype(float)  # fmt: skip
    y = rows[target] / rows["exposure"]
    settings = {"objective": objective, "num_leaves": LEAVES, "learning_rate": 0.01, "verbose": -1}
    data = lightgbm.Dataset(x, y, weight=rows["exposure"])
    path = FOLDER / f"{name}.txt"
    lightgbm.train(settings, data, trees).save_model(path)
    return str(path)


def _first_rows(source):
    parts = sorted((FOLDER / f"source/{BATCH}/{source}").glob("*.csv"))
    return pd.read_csv(parts[0], nrows=LEARNT_ON)


def _compared(naive, predictions):
    """See that both scored the policies alike; each leaves out others of the dirty ones."""
    parts = [
        pq.ParquetFile(predictions / unquote(path)).read().to_pandas().assign(**values)
        for path, values in listed(predictions)[-1].items()
    ]
    found = pd.concat(parts)[["policy_id", "model_name", "prediction"]]
    wide = found.pivot(index="policy_id", columns="model_name", values="prediction")
    expected = pq.read_table(naive, columns=["policy_id", *MODELS]).to_pandas()
    expected = expected.drop_duplicates("policy_id", keep=False).set_index("policy_id")
    both = wide.join(expected, rsuffix=" naive", how="inner")
    assert len(both) > 0.97 * len(expected), (len(both), len(expected))
    for name in MODELS:
        np.testing.assert_allclose(both[name], both[f"{name} naive"], rtol=1e-6)


def _forget_all_but_the_models():
    for table in (FOLDER / "tables").iterdir():
        if table.name not in ("models", "artefacts", "runs"):
            shutil.rmtree(table)


def _result(policies, trees, told):
    naive, kyros = told["naive"], told["kyros"]
    failed = [told[f"{side} after a failure"] for side in ("naive", "kyros")]
    return {
        "machine": platform.processor() or platform.machine(), "cores": os.cpu_count(),
        "pyspark": pyspark.__version__, "lightgbm": lightgbm.__version__, "heap": MEMORY,
        "policies": policies, "models": len(MODELS), "trees": trees, "leaves": LEAVES,
        "seconds": [naive.seconds, kyros.seconds], "mib": [naive.mib, kyros.mib],
        "lost": [failed[0] - naive.seconds, failed[1] - kyros.seconds],
    }  # fmt: skip


def _table(result):
    model = f"{result['models']} models of {result['trees']:,} trees of {LEAVES} leaves"
    lines = [
        f"{result['policies']:,} policies, {model}, {result['cores']} cores",
        f"{'':34}{'naive':>10}{'kyros':>10}{'ratio':>8}",
    ]
    named = {"seconds": "seconds, extract to predictions", "mib": "MiB at most, all processes",
             "lost": f"seconds lost to a kill at {FAILS_AT:.0%}"}  # fmt: skip
    for key, name in named.items():
        naive, kyros = result[key]
        lines.append(f"{name:34}{naive:10,.1f}{kyros:10,.1f}{naive / max(kyros, 0.1):8.1f}")
    return "\n".join(lines)


def _say(text):
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
