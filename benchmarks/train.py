"""Fit one Poisson GLM with every solver on the same rows: seconds, peak memory, agreement.

From a Parquet file of levels, numbers, exposure and claims to coefficients, each solver in its own
process and on all cores; session, workers and compiled kernels are warm from a fit of a few rows.
glum and statsmodels hold the rows in memory; statsmodels' dense design is
asked for at most a million rows.
"""

import json
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from benchmarks.engine import BUILD, _machine, _say
from benchmarks.glm_rows import LEVELS, NUMBERS, bemtpl97, generate
from kyros_spark.environment import peak_memory

SOLVERS = ("mllib", "kyros", "glum", "statsmodels")
DENSE_ROWS = 1_000_000
TIME_LIMIT = 1_500
DATA = Path(__file__).resolve().parents[2] / "shared" / "data" / "bemtpl97" / "policies.parquet"


def main(short: bool = False, rows: int | None = None) -> None:
    """Measure each solver on the real rows and on generated ones, write and show it."""
    count = rows or (500_000 if short else 10_000_000)
    folder = BUILD / "train"
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"generated, {count:,} rows": folder / f"generated-{count}.parquet"}
    if DATA.exists():
        files = {"bemtpl97, 163,212 rows": bemtpl97(DATA, folder / "bemtpl97.parquet"), **files}
    generated = folder / f"generated-{count}.parquet"
    if not generated.exists():
        generate(generated, count)
    warm = folder / "generated-1000.parquet"
    generate(warm, 1000)
    records = []
    for name, file in files.items():
        for solver in SOLVERS:
            records.append({"rows": name, "solver": solver, **_measured(solver, file, warm)})
            _say(_line(records[-1], records))
    versions = {n: metadata.version(n) for n in ("pyspark", "numba", "glum", "statsmodels")}
    report = {"machine": _machine(), "versions": versions, "records": records}
    (BUILD / "train.json").write_text(json.dumps(report, indent=1))
    _say(_table(records))
    _say(f"raw numbers: {BUILD / 'train.json'}")


def _measured(solver: str, file: Path, warm: Path) -> dict:
    if solver == "statsmodels" and pq.ParquetFile(file).metadata.num_rows > DENSE_ROWS:
        return {"cannot": f"dense design of more than {DENSE_ROWS:,} rows"}
    words = [sys.executable, "-m", "benchmarks.train", solver, str(file), str(warm)]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=TIME_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return {"cannot": f"not within {TIME_LIMIT} s"}
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        return {"cannot": f"exit code {done.returncode}: {''.join(last)[:200]}"}
    return json.loads(done.stdout.splitlines()[-1])


def _difference(record: dict, records: list) -> float | None:
    """Return the largest difference of a coefficient from our own."""
    ours = [r for r in records if r["rows"] == record["rows"] and r["solver"] == "kyros"]
    if "cannot" in record or not ours or "cannot" in ours[0]:
        return None
    return float(np.abs(np.subtract(record["coefficients"], ours[0]["coefficients"])).max())


def _line(record: dict, records: list) -> str:
    head = f"{record['rows']:<28}{record['solver']:<13}"
    if "cannot" in record:
        return f"{head}-  ({record['cannot']})"
    return f"{head}{record['seconds']:>8.2f} s{record['peak_mb']:>8,.0f} MiB"


def _table(records: list) -> str:
    lines = [
        "",
        "| rows | solver | s | peak MiB | largest difference from kyros |",
        "|---|---|---|---|---|",
    ]
    for record in records:
        told = ["-", "-", record.get("cannot", "")]
        if "cannot" not in record:
            apart = _difference(record, records)
            told = [f"{record['seconds']:.2f}", f"{record['peak_mb']:,.0f}", f"{apart:.1e}"]
        lines.append(f"| {record['rows']} | {record['solver']} | {' | '.join(told)} |")
    return "\n".join(lines)


def solve(solver: str, file: str, warm: str) -> dict:
    """Return what one solver needs for a file, and its coefficients."""
    fit = {"glum": _glum, "statsmodels": _statsmodels}.get(solver) or _on_spark(solver)
    fit(warm)
    start = time.perf_counter()
    coefficients = fit(file)
    seconds = time.perf_counter() - start
    driver, worker = peak_memory()
    return {
        "seconds": seconds,
        "peak_mb": (driver or 0.0) + (worker or 0.0),
        "coefficients": [float(value) for value in coefficients],
    }


def _on_spark(solver: str):
    from pyspark.sql import functions as F

    from kyros_spark.config import ModelSettings, SparkSettings
    from kyros_spark.fitting.glm import fit_glm
    from kyros_spark.fitting.rows import LABEL, OFFSET, WEIGHT
    from kyros_spark.model.manifest import Feature
    from kyros_spark.spark.session import get_session

    spark = get_session(SparkSettings(driver_memory="4g"))
    own = {"kyros": {}, "mllib": {"solver": "mllib"}}[solver]
    settings = ModelSettings(
        method="glm", family="poisson", target="claims", per="exposure", glm=own
    )

    def fit(file: str) -> list:
        levels, numbers = _features(file)
        features = [Feature(name=n, kind="levels", levels=v) for n, v in levels.items()]
        features += [Feature(name=name, impute=0.0) for name in numbers]
        rows = spark.read.parquet(file).withColumns(
            {LABEL: F.col("claims"), WEIGHT: F.lit(1.0), OFFSET: F.log("exposure")}
        )
        found = fit_glm(rows, features, settings)
        tables = [value for name in levels for value in found.tables[name][1:]]
        return [found.intercept, *tables, *(found.slopes[name] for name in numbers)]

    return fit


def _features(file: str) -> tuple[dict, list]:
    """Return the file's levels by feature, the base first, and its numbers."""
    schema = pq.read_schema(file)
    told = json.loads(schema.metadata[LEVELS])
    return told, json.loads(schema.metadata[NUMBERS])


def _frame(file: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    levels, numbers = _features(file)
    rows = pd.read_parquet(file)
    columns = {n: pd.Categorical(rows[n], categories=v) for n, v in levels.items()}
    return rows, pd.DataFrame({**columns, **{n: rows[n] for n in numbers}})


def _glum(file: str) -> np.ndarray:
    import glum

    rows, design = _frame(file)
    model = glum.GeneralizedLinearRegressor(
        family="poisson", alpha=0, drop_first=True, gradient_tol=1e-9, max_iter=100
    ).fit(design, rows["claims"].to_numpy(), offset=np.log(rows["exposure"].to_numpy()))
    return np.array([model.intercept_, *model.coef_])


def _statsmodels(file: str) -> np.ndarray:
    import statsmodels.api as sm

    rows, design = _frame(file)
    dense = pd.get_dummies(design, drop_first=True, dtype=float)
    ordered = [c for n in _features(file)[0] for c in dense.columns if c.startswith(f"{n}_")]
    dense = dense[[*ordered, *_features(file)[1]]].to_numpy()
    model = sm.GLM(
        rows["claims"].to_numpy(), np.column_stack([np.ones(len(dense)), dense]),
        family=sm.families.Poisson(), offset=np.log(rows["exposure"].to_numpy()),
    )  # fmt: skip
    return model.fit(tol=1e-10).params


if __name__ == "__main__":
    sys.stdout.write(json.dumps(solve(*sys.argv[1:])) + "\n")
