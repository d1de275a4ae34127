"""Fit one Poisson GLM per segment with every way that teams use: fits a second of CPU, agreement.

Coefficients, standard errors and deviances of each fit are asked for (glum gives the first only).
Every way gets the same arrays in memory, in a process of its own, and ways take turns. The peers
are statsmodels and glum in a loop, statsmodels under joblib, and statsmodels in applyInPandas;
they fit as many of the segments as SECONDS allow, Kyros all of them, its pooled fit, its sorting
and its tables' arrays included. CPU seconds of the whole process tree count, since a machine may be
shared; a session's start and the compiler's do not.
"""

import json
import os
import subprocess
import sys
import time
from importlib import metadata

import numpy as np

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

from benchmarks.engine import BUILD, ROOT, _machine, _say  # noqa: E402
from benchmarks.segments_rows import CELLS, DATA, SHORT, Cell, Rows, rows_of  # noqa: E402

SECONDS, TURNS, TIME_LIMIT = 10.0, 2, 1_500
COMPARED = 20
Fits = list[tuple[np.ndarray, np.ndarray, float]]  # coefficients, standard errors, deviance


def main(short: bool = False) -> None:
    """Measure every way on every cell, write and show it."""
    cells = [c for c in (SHORT if short else CELLS) if c.kind != "pg17" or DATA.exists()]
    records = []
    for cell in cells:
        best: dict[str, dict] = {}
        for _ in range(1 if short else TURNS):
            for way in WAYS:
                record = _turn(way, cell, short)
                if record.get("fits_per_second", 0) > best.get(way, {}).get("fits_per_second", -1):
                    best[way] = record
        records += [{"cell": cell.name, "way": way, **record} for way, record in best.items()]
        _say(table([r for r in records if r["cell"] == cell.name]))
    versions = {n: metadata.version(n) for n in ("pyspark", "numba", "glum", "statsmodels")}
    report = {"machine": _machine(), "versions": versions, "records": records}
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "segments.json").write_text(json.dumps(report, indent=1))
    _say(f"raw numbers: {BUILD / 'segments.json'}")


def table(records: list[dict]) -> str:
    """Return one cell's lines: speed, how many times Kyros's is, and the largest differences."""
    speed = {r["way"]: r.get("fits_per_second", float("nan")) for r in records}
    lines = [f"\n{records[0]['cell']}"]
    for r in records:
        if "cannot" in r:
            lines.append(f"  {r['way']:<26} -  ({r['cannot']})")
            continue
        times = speed.get("kyros", float("nan")) / r["fits_per_second"]
        lines.append(
            f"  {r['way']:<26}{r['fits_per_second']:>10,.1f} fits per CPU second; Kyros "
            f"{times:>7.1f} x; off statsmodels: coefficients {r.get('coefficients', 0):.1e}, "
            f"errors {r.get('errors', 0):.1e}, deviance {r.get('deviance', 0):.1e}"
        )
    return "\n".join(lines)


def _turn(way: str, cell: Cell, short: bool) -> dict:
    words = [sys.executable, "-m", "benchmarks.segments", way, cell.name, str(int(short))]
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=TIME_LIMIT, cwd=ROOT)
    except subprocess.TimeoutExpired:
        return {"cannot": f"not within {TIME_LIMIT} s"}
    lines = done.stdout.strip().splitlines()
    return json.loads(lines[-1]) if lines else {"cannot": done.stderr.strip()[-200:]}


def _statsmodels_fit(x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> tuple:
    import statsmodels.api as sm

    fit = sm.GLM(y, x, family=sm.families.Poisson(), offset=offset).fit()
    _ = fit.pvalues
    return fit.params, fit.bse, fit.deviance


def statsmodels_loop(rows: Rows, seconds: float) -> tuple[int, float, Fits]:
    """Fit segment after segment with statsmodels."""
    return _loop(rows, seconds, _statsmodels_fit)


def glum_loop(rows: Rows, seconds: float) -> tuple[int, float, Fits]:
    """Fit segment after segment with glum, which gives coefficients."""
    from glum import GeneralizedLinearRegressor

    def fit(x: np.ndarray, y: np.ndarray, offset: np.ndarray) -> tuple:
        model = GeneralizedLinearRegressor(family="poisson", alpha=0, gradient_tol=1e-9)
        model.fit(x[:, 1:], y, offset=offset)
        return np.append(model.intercept_, model.coef_), np.zeros(x.shape[1]), 0.0

    return _loop(rows, seconds, fit)


def _loop(rows: Rows, seconds: float, fit) -> tuple[int, float, Fits]:
    fit(*rows.part(0))
    fits, began = [], time.process_time()
    for segment in range(rows.begins.size - 1):
        fits.append(fit(*rows.part(segment)))
        if time.process_time() - began > seconds:
            break
    return len(fits), time.process_time() - began, fits[:COMPARED]


def joblib_statsmodels(rows: Rows, seconds: float) -> tuple[int, float, Fits]:
    """Fit segments with statsmodels in joblib's processes, one per core."""
    from joblib import Parallel, delayed

    count = min(rows.begins.size - 1, _affordable(rows, seconds))
    with Parallel(n_jobs=-1) as pool:
        pool(delayed(_statsmodels_fit)(*rows.part(s)) for s in range(4))
        began = _cpu_seconds()
        fits = pool(delayed(_statsmodels_fit)(*rows.part(s)) for s in range(count))
        return count, _cpu_seconds() - began, fits[:COMPARED]


def spark_apply_in_pandas(rows: Rows, seconds: float) -> tuple[int, float, Fits]:
    """Fit segments with statsmodels in Spark's applyInPandas, one group per segment."""
    import pandas as pd

    from kyros_spark import get_session

    count = min(rows.begins.size - 1, _affordable(rows, seconds))
    width = rows.matrix(0).shape[1]

    def frame(first: int, last: int) -> "pd.DataFrame":
        parts = []
        for segment in range(first, last):
            x, y, offset = rows.part(segment)
            part = pd.DataFrame(x, columns=[f"x{k}" for k in range(width)])
            parts.append(part.assign(segment=segment, y=y, offset=offset))
        return pd.concat(parts)

    def fit(group: "pd.DataFrame") -> "pd.DataFrame":
        x = group[[f"x{k}" for k in range(width)]].to_numpy()
        params, bse, deviance = _statsmodels_fit(x, group.y.to_numpy(), group.offset.to_numpy())
        values = [*params, *bse, deviance]
        return pd.DataFrame([[group.segment.iloc[0], values]], columns=["segment", "values"])

    spark, schema = get_session(), "segment long, values array<double>"

    def fitted(first: int, last: int) -> list:
        data = spark.createDataFrame(frame(first, last))
        return data.groupBy("segment").applyInPandas(fit, schema).collect()

    fitted(0, 4)
    began = _cpu_seconds()
    done = sorted(fitted(0, count))
    spent = _cpu_seconds() - began
    values = [np.array(row["values"]) for row in done[:COMPARED]]
    fits = [(v[:width], v[width : 2 * width], float(v[-1])) for v in values]
    return count, spent, fits


def kyros(rows: Rows, seconds: float) -> tuple[int, float, Fits]:
    """Fit all segments, from columns in memory to the arrays of a model's file."""
    from benchmarks.segments_kyros import fitted

    fitted(rows, most=50)  # compiles
    began = _cpu_seconds()
    fits = fitted(rows)
    return rows.begins.size - 1, _cpu_seconds() - began, fits[:COMPARED]


WAYS = {
    f.__name__: f
    for f in (statsmodels_loop, glum_loop, joblib_statsmodels, spark_apply_in_pandas, kyros)
}


def _affordable(rows: Rows, seconds: float) -> int:
    """Return how many segments statsmodels fits within the time."""
    _statsmodels_fit(*rows.part(0))
    began = time.process_time()
    _statsmodels_fit(*rows.part(0))
    return max(COMPARED, int(seconds / max(time.process_time() - began, 1e-4)))


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and all below it, ended or not."""
    from benchmarks.process_tree import processor

    return processor() + time.process_time()


def _differences(fits: Fits, rows: Rows) -> dict[str, float]:
    """Return the largest differences from statsmodels at its strictest tolerance."""
    import statsmodels.api as sm

    worst = {"coefficients": 0.0, "errors": 0.0, "deviance": 0.0}
    for segment, (coefficients, errors, deviance) in enumerate(fits):
        x, y, offset = rows.part(segment)
        fit = sm.GLM(y, x, family=sm.families.Poisson(), offset=offset).fit(
            tol=1e-14, tol_criterion="params", maxiter=100
        )
        apart = {
            "coefficients": np.abs(coefficients - fit.params).max(),
            "errors": np.abs(errors / fit.bse - 1).max(),
            "deviance": abs(deviance / fit.deviance - 1),
        }
        worst = {name: max(worst[name], float(value)) for name, value in apart.items()}
    return worst


if __name__ == "__main__":
    chosen, cell_name, is_short = sys.argv[1], sys.argv[2], sys.argv[3] == "1"
    cell = next(c for c in (SHORT if is_short else CELLS) if c.name == cell_name)
    data = rows_of(cell)
    try:
        count, spent, fits = WAYS[chosen](data, 2.0 if is_short else SECONDS)
        answer = {"fits": count, "cpu_seconds": spent, "fits_per_second": count / spent}
        answer |= _differences(fits, data)
    except Exception as error:
        answer = {"cannot": f"{type(error).__name__}: {str(error)[:200]}"}
    sys.stdout.write("\n" + json.dumps(answer) + "\n")
