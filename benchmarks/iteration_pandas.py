"""The iteration benchmark's script as one writes it with pandas and xgboost: pg17, two models.

Each year's extract is read, judged by the rules of conf/pg17.yaml, given features and scored; year
0, which has claims, trains the models first. Nothing is kept but models and predictions. The last
line that is printed holds totals and the seconds of each part.
"""

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import xgboost

from benchmarks import iteration_pg17 as pg17


class Script:
    """One call of the script: what it was asked for, and what it has to tell."""

    def __init__(self, given):
        self.source, self.out, self.given = Path(given.source), Path(given.out), given
        self.phases, self.totals = {}, {}
        self.out.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def phase(self, name):
        start = time.perf_counter()
        yield
        self.phases[name] = self.phases.get(name, 0.0) + time.perf_counter() - start

    def year(self, year):
        """Take a year from its extract to its predictions."""
        claims = None
        with self.phase("read"):
            policies = read_policies(self.source, year)
            if year == "0":
                claims = read_claims(self.source, year)
        with self.phase("clean"):
            kept = clean_policies(policies)
            totals = {"rows_in": len(policies), "rows": len(kept)}
            if claims is not None:
                totals["claims_in"] = len(claims)
                claims = clean_claims(claims, kept)
                totals["claims"] = len(claims)
        with self.phase("features"):
            rows = prepared(kept, claims, self.given.cap)
            totals["exposure"] = float(rows["exposure"].sum())
        del policies, kept
        if claims is not None:
            with self.phase("train"):
                self._train(rows)
            totals |= {name: float(rows[name].sum()) for name in ("claim_count", "claim_amount")}
        with self.phase("predict"):
            scored = predicted(rows, self._models())
        with self.phase("write"):
            scored.to_parquet(self.out / f"predictions_year{year}.parquet", index=False)
        for name in ("frequency", "pure_premium"):
            totals[f"expected_{name}"] = float((scored[name] * scored["exposure"]).sum())
        self.totals[year] = totals

    def _train(self, rows):
        made = {}
        for name in pg17.MODELS:
            booster, made[name] = trained(name, rows, self.given.depth)
            booster.save_model(self.out / f"{name}.ubj")
        (self.out / "models.json").write_text(json.dumps(made))
        part = rows[rows["split"] == "train"]
        product = predicted(part, self._models() | {"pure_premium": {"factor": 1.0, "load": 0.0}})
        expected = (product["pure_premium"] * product["exposure"]).sum()
        made["pure_premium"] = {
            "factor": float(part["claim_amount"].sum() / expected),
            "load": float(part["claim_excess"].sum() / part["exposure"].sum()),
        }
        (self.out / "models.json").write_text(json.dumps(made))

    def _models(self):
        made = json.loads((self.out / "models.json").read_text())
        for name in pg17.MODELS:
            made[name]["booster"] = xgboost.Booster(model_file=str(self.out / f"{name}.ubj"))
        return made


def read_policies(source, year):
    """Read a year's policies, from one file or from a folder of several."""
    kinds = dict.fromkeys(pg17.TEXTS, "str")
    kinds |= dict.fromkeys((*pg17.LEVELS, *pg17.MAY_LACK, "vh_make", pg17.INSEE), "category")
    kinds |= dict.fromkeys(pg17.NUMBERS, "float64")
    return _read(source / f"policies_year{year}.csv.gz", kinds)


def read_claims(source, year):
    """Read a year's claims."""
    kinds = dict.fromkeys((*pg17.CLAIM_KEY, "id_year"), "str")
    return _read(source / f"claims_year{year}.csv.gz", kinds)


def _read(path, kinds):
    parts = sorted(path.glob("*.csv.gz")) if path.is_dir() else [path]
    frames = [
        pd.read_csv(part, dtype=kinds, keep_default_na=False, na_values=[""]) for part in parts
    ]
    if len(frames) == 1:
        return frames[0]
    # Frames of different categories would become texts again.
    for name in frames[0].columns[frames[0].dtypes == "category"]:
        both = pd.api.types.union_categoricals([frame[name] for frame in frames]).categories
        for frame in frames:
            frame[name] = frame[name].cat.set_categories(both)
    return pd.concat(frames, ignore_index=True)


def clean_policies(raw):
    """Return the policies that keep all rules, each once."""
    rows = raw.drop_duplicates()
    rows = rows.assign(**{name: rows[name].where(rows[name] != 0) for name in pg17.ZERO_IS_MISSING})
    good = rows[list(pg17.TEXTS)].notna().all(axis=1)
    for name, known in pg17.LEVELS.items():
        good &= rows[name].isin(known)
    for name, known in pg17.MAY_LACK.items():
        good &= rows[name].isna() | rows[name].isin(known)
    for name, ends in pg17.BETWEEN.items():
        good &= _between(rows[name], *ends)
    for name, ends in pg17.BETWEEN_OR_MISSING.items():
        good &= rows[name].isna() | _between(rows[name], *ends)
    rows = rows[good]
    return rows[~rows.duplicated(pg17.KEY, keep=False)]


def clean_claims(raw, policies):
    """Return the claims that keep all rules and belong to a policy, each once."""
    rows = raw.drop_duplicates()
    rows = rows.assign(**{pg17.KEY: rows[pg17.CLIENT] + "-" + rows["id_vehicle"]})
    good = rows[list(pg17.CLAIM_KEY)].notna().all(axis=1) & (rows["id_year"] == "Year 0")
    for name, ends in pg17.CLAIM_BETWEEN.items():
        good &= _between(rows[name], *ends)
    rows = rows[good & rows[pg17.KEY].isin(policies[pg17.KEY])]
    return rows[~rows.duplicated(list(pg17.CLAIM_KEY), keep=False)]


def _between(values, low, high):
    inside = values >= low
    return inside if high is None else inside & (values <= high)


def prepared(policies, claims, cap):
    """Return key, exposure, targets, split and features of clean policies."""
    made = {"policy_id": policies[pg17.KEY], "exposure": 1.0, "split": split(policies[pg17.CLIENT])}
    made |= {name: policies[column] for name, column in pg17.AS_IS.items()}
    for name, (column, cuts) in pg17.BINS.items():
        bins = np.searchsorted(cuts, policies[column], side="right")
        codes = np.where(policies[column].isna(), -1, bins)
        made[name] = pd.Categorical.from_codes(codes, pg17.labels(cuts), ordered=True)
    insee = policies[pg17.INSEE]
    department = insee.cat.rename_categories(range(len(insee.cat.categories))).cat.codes
    names, first = np.unique(insee.cat.categories.astype(str).str[:2], return_inverse=True)
    made["department"] = pd.Categorical.from_codes(first[department], names)
    made["licence_years"] = np.minimum(policies["drv_age_lic1"], policies["drv_age1"] - 16)
    made["contract_years"], made["power"] = policies["pol_duration"], policies["vh_din"]
    made["log_value"] = np.log(policies["vh_value"])
    made["weight"], made["speed"] = policies["vh_weight"], policies["vh_speed"]
    made["age_years"], made["bonus_value"] = policies["drv_age1"], policies["pol_bonus"]
    rows = pd.DataFrame(made, index=policies.index)
    if claims is not None:
        paid = claims[claims["claim_amount"] > 0]
        amount = paid["claim_amount"]
        paid = paid.assign(capped=amount.clip(upper=cap), excess=(amount - cap).clip(lower=0))
        sums = paid.groupby(pg17.KEY)[["claim_nb", "capped", "excess"]].sum()
        sums.columns = ["claim_count", "claim_amount", "claim_excess"]
        rows = rows.join(sums, "policy_id").fillna(dict.fromkeys(sums.columns, 0.0))
    return rows


def trained(name, rows, depth):
    """Return a booster and how to apply it: codes, start score, factor, rounds."""
    if name == "severity":
        rows = rows[rows["claim_amount"] > 0]
        label, weight = rows["claim_amount"] / rows["claim_count"], rows["claim_count"]
        units = np.ones(len(rows))
    else:
        label, weight, units = rows["claim_count"], np.ones(len(rows)), rows["exposure"]
    label, weight, units = map(np.asarray, (label, weight, units))
    train = np.asarray(rows["split"] == "train")
    codes = {feature: codes_of(rows[train], feature) for feature in pg17.CODED}
    x, start = matrix(rows, codes), float(np.log(
        (label * weight)[train].sum() / (weight * units)[train].sum()
    ))  # fmt: skip
    parts = []
    for part in (train, np.asarray(rows["split"] == "valid")):
        margin = np.log(units[part]) + start
        parts.append(xgboost.DMatrix(x[part], label[part], weight=weight[part], base_margin=margin))
    booster = xgboost.train(
        pg17.parameters(name, depth), parts[0], pg17.ROUNDS[name], verbose_eval=False,
        evals=[(parts[1], "valid")], early_stopping_rounds=pg17.PATIENCE,
    )  # fmt: skip
    rounds = booster.best_iteration + 1
    expected = booster.predict(parts[0], iteration_range=(0, rounds)) * weight[train]
    factor = float((label * weight)[train].sum() / expected.sum())
    return booster, {"codes": codes, "start": start, "rounds": rounds, "factor": factor}


def codes_of(rows, feature):
    """Return the code of each level: the one of most exposure is the base, and stands for all."""
    sums = rows.groupby(_texts(rows[feature]), observed=True)["exposure"].sum()
    levels = sums.rename_axis("level").reset_index()
    levels = levels.sort_values(["exposure", "level"], ascending=[False, True])
    kept = levels.loc[levels["exposure"] >= pg17.LEAST_SHARE * sums.sum(), "level"].astype(str)
    base, ordered = kept.iloc[0], list(kept)
    if feature in pg17.BINS:
        natural = [name for name in pg17.labels(pg17.BINS[feature][1]) if name in ordered]
        ordered = natural + [name for name in ordered if name not in natural]
    return {"levels": ordered, "base": ordered.index(base)}


def _texts(values):
    values = values.cat.remove_unused_categories()
    if values.isna().any():
        values = values.cat.add_categories(pg17.MISSING).fillna(pg17.MISSING)
    return values


def matrix(rows, codes):
    """Return what xgboost reads: codes of levels, and numbers."""
    x = np.empty((len(rows), len(pg17.FEATURES)), np.float32)
    for number, feature in enumerate(pg17.FEATURES):
        if feature in codes:
            values, base = _texts(rows[feature]), codes[feature]["base"]
            table = {level: code for code, level in enumerate(codes[feature]["levels"])}
            each = np.array([table.get(level, base) for level in values.cat.categories])
            x[:, number] = each[values.cat.codes]
        else:
            x[:, number] = rows[feature]
    return x


def predicted(rows, models):
    """Return frequency, severity and pure premium of each policy."""
    made = {"policy_id": rows["policy_id"], "exposure": rows["exposure"]}
    for name in pg17.MODELS:
        model = models[name]
        x = matrix(rows, model["codes"])
        margin = np.full(len(rows), model["start"], np.float32)
        mean = model["booster"].inplace_predict(
            x, base_margin=margin, iteration_range=(0, model["rounds"])
        )
        made[name] = mean.astype(float) * model["factor"]
    whole = models["pure_premium"]
    made["pure_premium"] = made["frequency"] * made["severity"] * whole["factor"] + whole["load"]
    return pd.DataFrame(made)


def split(clients):
    """Return train, valid or test by the hash that Spark's xxhash64 gives of salt and client."""
    salt = _xxhash64(np.array([pg17.SALT.encode()]), np.uint64(42))
    place = _xxhash64(clients.to_numpy().astype("S"), salt).view(np.int64) % pg17.STEPS
    ends = [pg17.TRAIN * pg17.STEPS, (pg17.TRAIN + pg17.VALID) * pg17.STEPS]
    parts = np.searchsorted(np.round(ends), place, side="right")
    return pd.Categorical.from_codes(parts, ["train", "valid", "test"])


_P1, _P2, _P3, _P4, _P5 = (
    np.uint64(prime) for prime in (
        0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
        0x27D4EB2F165667C5,
    )
)  # fmt: skip


def _xxhash64(texts, seed):
    """Return XXH64 of texts that all have one length, below 32 bytes."""
    length = texts.dtype.itemsize
    data = texts.view(np.uint8).reshape(len(texts), length)
    state, at = np.full(len(texts), _P5 + np.uint64(length)) + seed, 0
    while at + 8 <= length:
        word = np.ascontiguousarray(data[:, at : at + 8]).view("<u8")[:, 0]
        state = _rotated(state ^ _rotated(word * _P2, 31) * _P1, 27) * _P1 + _P4
        at += 8
    if at + 4 <= length:
        word = np.ascontiguousarray(data[:, at : at + 4]).view("<u4")[:, 0].astype(np.uint64)
        state = _rotated(state ^ word * _P1, 23) * _P2 + _P3
        at += 4
    for position in range(at, length):
        state = _rotated(state ^ data[:, position].astype(np.uint64) * _P5, 11) * _P1
    state = (state ^ (state >> np.uint64(33))) * _P2
    state = (state ^ (state >> np.uint64(29))) * _P3
    return state ^ (state >> np.uint64(32))


def _rotated(words, bits):
    return (words << np.uint64(bits)) | (words >> np.uint64(64 - bits))


def main():
    script = Script(pg17.arguments(__doc__))
    for year in script.given.years:
        script.year(year)
    sys.stdout.write(json.dumps({"phases": script.phases, "totals": script.totals}) + "\n")


if __name__ == "__main__":
    main()
