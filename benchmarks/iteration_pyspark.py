"""The iteration benchmark's script as one writes it in plain PySpark: pg17, two models.

The same rules, features and models as `iteration_pandas`: DataFrames for the rows, xgboost.spark
for the fits, a pandas UDF for the scores, Parquet for what is written. The rows of a year are held
while they are used. The last line that is printed holds totals and the seconds of each part.
"""

import json
import os
import sys
import time
from contextlib import contextmanager
from functools import reduce
from itertools import pairwise
from operator import and_
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost
from pyspark.sql import SparkSession, Window
from pyspark.sql import functions as F
from xgboost.spark import SparkXGBRegressor

from benchmarks import iteration_pg17 as pg17
from kyros_spark.spark.java import find_java

TARGETS = {"claim_nb": "claim_count", "capped": "claim_amount", "excess": "claim_excess"}


class Script:
    """One call of the script: what it was asked for, and what it has to tell."""

    def __init__(self, spark, given):
        self.spark, self.source, self.out, self.given = spark, given.source, given.out, given
        self.phases, self.totals = {}, {}
        Path(self.out).mkdir(parents=True, exist_ok=True)

    @contextmanager
    def phase(self, name):
        start = time.perf_counter()
        yield
        self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - start

    def year(self, year):
        """Take a year from its extract to its predictions."""
        claims = None
        with self.phase("clean"):
            raw = self._read(f"policies_year{year}")
            policies = clean_policies(raw)
            if year == "0":
                claims = clean_claims(self._read(f"claims_year{year}"), policies)
            rows = prepared(policies, claims, self.given.cap).persist()
            sums = [F.count(F.lit(1)).alias("rows"), F.sum("exposure").alias("exposure")]
            known = ["claim_count", "claim_amount"] if claims is not None else []
            sums += [F.sum(name).alias(name) for name in known]
            totals = {"rows_in": raw.count(), **rows.agg(*sums).first().asDict()}
        if claims is not None:
            with self.phase("train"):
                self._train(rows)
        with self.phase("predict"):
            path = f"{self.out}/predictions_year{year}"
            predicted(rows, self._models()).write.mode("overwrite").parquet(path)
            names = ("frequency", "pure_premium")
            expected = (F.sum(F.col(n) * F.col("exposure")).alias(f"expected_{n}") for n in names)
            totals |= self.spark.read.parquet(path).agg(*expected).first().asDict()
        rows.unpersist()
        self.totals[year] = totals

    def _read(self, name):
        path = Path(self.source, f"{name}.csv.gz")
        return self.spark.read.option("header", "true").csv(str(path))

    def _train(self, rows):
        made = {name: trained(name, rows, self.given.depth) for name in pg17.MODELS}
        part = rows.where("split = 'train'")
        scored = predicted(part, {**made, "pure_premium": {"factor": 1.0, "load": 0.0}})
        expected = scored.agg(F.sum(F.col("pure_premium") * F.col("exposure"))).first()[0]
        amount, excess, exposure = part.agg(
            F.sum("claim_amount"), F.sum("claim_excess"), F.sum("exposure")
        ).first()
        made["pure_premium"] = {"factor": amount / expected, "load": excess / exposure}
        Path(self.out, "models.json").write_text(json.dumps(made))

    def _models(self):
        return json.loads(Path(self.out, "models.json").read_text())


def clean_policies(raw):
    """Return the policies that keep all rules, each once."""
    numbers = {
        name: F.expr(f"nullif(CAST({name} AS DOUBLE), 0)" if name in pg17.ZERO_IS_MISSING
                     else f"CAST({name} AS DOUBLE)")
        for name in pg17.NUMBERS
    }  # fmt: skip
    rows = raw.dropDuplicates().withColumns(numbers)
    rules = [F.col(name).isNotNull() for name in pg17.TEXTS]
    rules += [F.col(name).isin(known) for name, known in pg17.LEVELS.items()]
    rules += [_missing_or(name, F.col(name).isin(known)) for name, known in pg17.MAY_LACK.items()]
    rules += [_between(name, *ends) for name, ends in pg17.BETWEEN.items()]
    rules += [
        _missing_or(name, _between(name, *ends)) for name, ends in pg17.BETWEEN_OR_MISSING.items()
    ]
    return _only_of_its_key(rows.where(reduce(and_, rules)), [pg17.KEY])


def clean_claims(raw, policies):
    """Return the claims that keep all rules and belong to a policy, each once."""
    rows = raw.dropDuplicates().withColumns({
        pg17.KEY: F.concat_ws("-", pg17.CLIENT, "id_vehicle"),
        **{name: F.col(name).cast("double") for name in pg17.CLAIM_BETWEEN},
    })  # fmt: skip
    rules = [F.col(name).isNotNull() for name in pg17.CLAIM_KEY] + [F.col("id_year") == "Year 0"]
    rules += [_between(name, *ends) for name, ends in pg17.CLAIM_BETWEEN.items()]
    good = rows.where(reduce(and_, rules)).join(policies.select(pg17.KEY), pg17.KEY, "left_semi")
    return _only_of_its_key(good, list(pg17.CLAIM_KEY))


def _only_of_its_key(rows, key):
    count = F.count(F.lit(1)).over(Window.partitionBy(*key))
    return rows.withColumn("_count", count).where("_count = 1").drop("_count")


def _between(name, low, high):
    inside = F.col(name) >= low
    return inside if high is None else inside & (F.col(name) <= high)


def _missing_or(name, rule):
    return F.col(name).isNull() | rule


def prepared(policies, claims, cap):
    """Return key, exposure, targets, split and features of clean policies."""
    place = F.pmod(F.xxhash64(F.lit(pg17.SALT), pg17.CLIENT), F.lit(pg17.STEPS))
    ends = [round(share * pg17.STEPS) for share in (pg17.TRAIN, pg17.TRAIN + pg17.VALID)]
    split = F.when(place < ends[0], "train").when(place < ends[1], "valid").otherwise("test")
    rows = policies.select(
        F.col(pg17.KEY).alias("policy_id"),
        F.lit(1.0).alias("exposure"),
        split.alias("split"),
        *(F.col(column).alias(name) for name, column in pg17.AS_IS.items()),
        *(_bin(column, cuts).alias(name) for name, (column, cuts) in pg17.BINS.items()),
        F.substring(pg17.INSEE, 1, 2).alias("department"),
        F.least("drv_age_lic1", F.col("drv_age1") - 16).alias("licence_years"),
        F.col("pol_duration").alias("contract_years"),
        F.col("vh_din").alias("power"),
        F.log("vh_value").alias("log_value"),
        F.col("vh_weight").alias("weight"),
        F.col("vh_speed").alias("speed"),
        F.col("drv_age1").alias("age_years"),
        F.col("pol_bonus").alias("bonus_value"),
    )
    if claims is None:
        return rows
    capped = F.least("claim_amount", F.lit(cap))
    paid = claims.where("claim_amount > 0").withColumns({
        "capped": capped, "excess": F.col("claim_amount") - capped,
    })  # fmt: skip
    sums = paid.groupBy(F.col(pg17.KEY).alias("policy_id")).agg(
        *(F.sum(column).alias(name) for column, name in TARGETS.items())
    )
    return rows.join(sums, "policy_id", "left").fillna(0.0, list(TARGETS.values()))


def _bin(column, cuts):
    names = pg17.labels(cuts)
    label = F.when(F.col(column) < cuts[0], names[0])
    for name, (_, high) in zip(names[1:], pairwise(cuts), strict=False):
        label = label.when(F.col(column) < high, name)
    return label.when(F.col(column).isNotNull(), names[-1])


def trained(name, rows, depth):
    """Fit a model; return its bytes as text, and how to apply it: codes, start, factor, rounds."""
    if name == "severity":
        rows = rows.where("claim_amount > 0").withColumns({
            "_label": F.expr("claim_amount / claim_count"), "_weight": F.col("claim_count"),
            "_units": F.lit(1.0),
        })  # fmt: skip
    else:
        rows = rows.withColumns({
            "_label": F.col("claim_count"), "_weight": F.lit(1.0), "_units": F.col("exposure"),
        })  # fmt: skip
    train = rows.where("split = 'train'")
    codes = codes_of(train)
    observed, units = train.agg(
        F.sum(F.expr("_label * _weight")), F.sum(F.expr("_weight * _units"))
    ).first()
    start = float(np.log(observed / units))
    fitted = rows.where("split != 'test'").select(
        *columns(codes), "_label", "_weight", (F.log("_units") + F.lit(start)).alias("_margin"),
        (F.col("split") == "valid").alias("_valid"),
    )  # fmt: skip
    parameters = pg17.parameters(name, depth)
    model = SparkXGBRegressor(
        features_col=[f"x{number}" for number in range(len(pg17.FEATURES))], label_col="_label",
        weight_col="_weight", base_margin_col="_margin", validation_indicator_col="_valid",
        early_stopping_rounds=pg17.PATIENCE, n_estimators=pg17.ROUNDS[name], verbose=False,
        num_workers=rows.sparkSession.sparkContext.defaultParallelism,
        random_state=parameters.pop("seed"), **parameters,
    ).fit(fitted)  # fmt: skip
    booster = model.get_booster()
    made = {"codes": codes, "start": start, "rounds": booster.best_iteration + 1, "factor": 1.0}
    made["model"] = bytes(booster.save_raw("json")).decode()
    score = scorer({name: made})
    expected = train.withColumn("_mean", score(*columns(codes)))
    total = expected.agg(F.sum(F.expr(f"_mean.{name} * _weight * _units"))).first()[0]
    return {**made, "factor": observed / total}


def codes_of(train):
    """Return each feature's codes: the level of most exposure is the base, and stands for all."""
    pairs = F.explode(F.array(*(
        F.struct(F.lit(f).alias("feature"), F.coalesce(f, F.lit(pg17.MISSING)).alias("level"))
        for f in pg17.CODED
    )))  # fmt: skip
    sums = train.select(pairs.alias("pair"), "exposure").groupBy("pair.feature", "pair.level")
    told = sums.agg(F.sum("exposure").alias("exposure")).toPandas()
    made = {}
    for feature, levels in told.groupby("feature"):
        levels = levels.sort_values(["exposure", "level"], ascending=[False, True])
        least = pg17.LEAST_SHARE * levels["exposure"].sum()
        ordered = list(levels.loc[levels["exposure"] >= least, "level"])
        base = ordered[0]
        if feature in pg17.BINS:
            natural = [name for name in pg17.labels(pg17.BINS[feature][1]) if name in ordered]
            ordered = natural + [name for name in ordered if name not in natural]
        made[feature] = {"levels": ordered, "base": ordered.index(base)}
    return made


def columns(codes):
    """Return what xgboost reads, as columns: codes of levels, and numbers."""
    made = []
    for number, feature in enumerate(pg17.FEATURES):
        value = F.col(feature)
        if feature in codes:
            pairs = [F.lit(word) for pair in enumerate(codes[feature]["levels"])
                     for word in reversed(pair)]  # fmt: skip
            level = F.coalesce(feature, F.lit(pg17.MISSING))
            code = F.element_at(F.create_map(*pairs), level)
            value = F.coalesce(code, F.lit(codes[feature]["base"]))
        value = F.coalesce(value.cast("double"), F.lit(float("nan")))
        made.append(value.alias(f"x{number}"))
    return made


def scorer(models):
    """Return a pandas UDF that applies models of the same columns."""
    boosters = {}

    @F.pandas_udf(", ".join(f"{name} double" for name in models))
    def score(*values: pd.Series) -> pd.DataFrame:
        x, made = np.column_stack(values), {}
        for name, model in models.items():
            if name not in boosters:
                boosters[name] = xgboost.Booster(model_file=bytearray(model["model"], "utf8"))
            made[name] = boosters[name].inplace_predict(
                x, base_margin=np.full(len(x), model["start"], np.float32),
                iteration_range=(0, model["rounds"]),
            ).astype(float) * model["factor"]  # fmt: skip
        return pd.DataFrame(made)

    return score


def predicted(rows, models):
    """Return frequency, severity and pure premium of each policy."""
    whole = models["pure_premium"]
    for name in pg17.MODELS:
        score = scorer({name: models[name]})
        rows = rows.withColumn(name, score(*columns(models[name]["codes"]))[name])
    return rows.select(
        "policy_id", "exposure", *pg17.MODELS,
        (F.col("frequency") * F.col("severity") * whole["factor"] + whole["load"])
        .alias("pure_premium"),
    )  # fmt: skip


def session(memory):
    """Start Spark as one does for a machine of a few cores."""
    os.environ["JAVA_HOME"] = str(find_java().home)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    cores = os.cpu_count()
    builder = SparkSession.builder.master(f"local[{cores}]").config("spark.driver.memory", memory)
    builder = builder.config("spark.sql.shuffle.partitions", 2 * cores)
    builder = builder.config("spark.sql.execution.arrow.pyspark.enabled", "true")
    builder = builder.config("spark.ui.enabled", "false")
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def main():
    given = pg17.arguments(__doc__)
    start = time.perf_counter()
    spark = session(given.memory)
    script = Script(spark, given)
    script.phases["session"] = time.perf_counter() - start
    for year in given.years:
        script.year(year)
    sys.stdout.write(json.dumps({"phases": script.phases, "totals": script.totals}) + "\n")
    spark.stop()


if __name__ == "__main__":
    main()
