"""What conf/pg17.yaml says, for the scripts written by hand: rules, features, parameters, paths.

Written once, so that pandas and PySpark judge and compute the same.
"""

import argparse

KEY, CLIENT, INSEE = "id_policy", "id_client", "pol_insee_code"
# The columns that a rule judges: the levels that are known, or the range.
LEVELS = {
    "id_year": [f"Year {year}" for year in range(5)],
    "pol_coverage": ["Mini", "Median1", "Median2", "Maxi"],
    "pol_pay_freq": ["Monthly", "Quarterly", "Biannual", "Yearly"],
    "pol_payd": ["Yes", "No"],
    "pol_usage": ["Retired", "WorkPrivate", "Professional", "AllTrips"],
    "drv_drv2": ["Yes", "No"], "drv_sex1": ["M", "F"], "vh_fuel": ["Gasoline", "Diesel", "Hybrid"],
    "vh_type": ["Tourism", "Commercial"],
}  # fmt: skip
TEXTS = (CLIENT, "id_vehicle", KEY, INSEE, "vh_make", "vh_model")  # required, anything goes
MAY_LACK = {"drv_sex2": ["M", "F"]}
BETWEEN = {
    "pol_bonus": (0.5, 3.5), "pol_duration": (0, 100), "pol_sit_duration": (0, 100),
    "drv_age1": (17, 110), "drv_age_lic1": (0, 120),
}  # fmt: skip
BETWEEN_OR_MISSING = {
    "drv_age2": (16, 110), "drv_age_lic2": (0, 120), "vh_age": (0, 100), "vh_cyl": (1, None),
    "vh_din": (1, None), "vh_sale_begin": (0, None), "vh_sale_end": (0, None),
    "vh_speed": (1, None), "vh_value": (1, None), "vh_weight": (1, None),
}  # fmt: skip
ZERO_IS_MISSING = (
    "drv_age2", "drv_age_lic2", "vh_cyl", "vh_din", "vh_speed", "vh_value", "vh_weight",
)  # fmt: skip
NUMBERS = (*BETWEEN, *BETWEEN_OR_MISSING)
CLAIM_BETWEEN = {"claim_nb": (1, None), "claim_amount": (-100_000, 1_000_000)}
CLAIM_KEY = (CLIENT, "id_vehicle", "id_claim")

# Features: a column as it is, a number cut into bins, a number.
AS_IS = {
    "coverage": "pol_coverage", "pay_freq": "pol_pay_freq", "usage": "pol_usage",
    "payd": "pol_payd", "fuel": "vh_fuel", "vehicle_type": "vh_type", "second_driver": "drv_drv2",
}  # fmt: skip
BINS = {
    "bonus": ("pol_bonus", [0.51, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]),
    "age": ("drv_age1", [25, 30, 35, 40, 50, 60, 70, 80]),
    "vehicle_age": ("vh_age", [2, 4, 6, 8, 10, 13, 16, 20]),
}
FEATURES = (
    "coverage", "pay_freq", "usage", "payd", "bonus", "age", "vehicle_age", "fuel", "vehicle_type",
    "second_driver", "department", "licence_years", "contract_years", "power", "log_value",
    "weight", "speed", "age_years", "bonus_value",
)  # fmt: skip
CODED = FEATURES[:11]
LEAST_SHARE = 0.0005  # of the exposure: a rarer level counts as the base level
MISSING = "(missing)"

SALT, TRAIN, VALID, STEPS = "pg17", 0.7, 0.15, 1_000_000
CAP, DEPTH = 30_000.0, 3
COMMON = {
    "tree_method": "hist", "colsample_bytree": 1.0, "subsample": 1.0, "reg_lambda": 1.0,
    "max_bin": 256, "seed": 1,
}  # fmt: skip
MODELS = {
    "frequency": {
        "objective": "count:poisson", "eval_metric": "poisson-nloglik", "max_depth": 4,
        "learning_rate": 0.1, "min_child_weight": 20,
    },
    "severity": {
        "objective": "reg:gamma", "eval_metric": "gamma-deviance", "max_depth": DEPTH,
        "learning_rate": 0.05, "min_child_weight": 50,
    },
}  # fmt: skip
ROUNDS, PATIENCE = {"frequency": 300, "severity": 200}, 20


def arguments(description):
    """Return what a script is asked to do: years of an extract, into a folder."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("source", help="folder of the extract's years")
    parser.add_argument("out", help="folder for models and predictions")
    parser.add_argument("--years", default="0,1,2,3,4", type=lambda text: text.split(","))
    parser.add_argument("--cap", type=float, default=CAP, help="of a claim")
    parser.add_argument("--depth", type=int, default=DEPTH, help="of the severity's trees")
    parser.add_argument("--memory", default="3g", help="the JVM's heap, if there is one")
    return parser.parse_args()


def parameters(name, depth):
    """Return xgboost's parameters of a model."""
    return {**COMMON, **MODELS[name], **({"max_depth": depth} if name == "severity" else {})}


def labels(cuts):
    """Return the names of the bins, in order."""
    return [str(number) for number in range(len(cuts) + 1)]
