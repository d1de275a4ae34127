"""`drift`: one row per column or model of a batch, compared with the batches before it."""

from kyros_spark.tables.contract import BATCH_ID, RUN_ID, Column, Table

_TEST = "struct<statistic:double,pvalue:double>"
SUBJECT = (
    Column("column_name", "string", "a feature; prediction; or the target that claims tell"),
    Column("slice_key", "string", "the feature of monitor.segments; NULL for all rows"),
    Column("slice_value", "string", "the level of it; NULL for all rows"),
    Column("model_name", "string", "the model of a prediction or target; else NULL"),
    Column("model_version", "string", "its version"),
)

DRIFT = Table(
    name="drift",
    comment="How each column and model of a batch differs from before; see docs/monitor.md.",
    columns=(
        Column("window", "string", "the batch"),
        Column("window_cmp", "string", "the batch or batches that it is compared with"),
        Column("drift_type", "string", "BASELINE: the training batches; CONSECUTIVE: the last one"),
        *SUBJECT,
        Column("count_delta", "double", "rows more than before"),
        Column("avg_delta", "double", "change of a number's mean by exposure"),
        Column("percent_null_delta", "double", "change of the missing share, in percentage points"),
        Column("population_stability_index", "double", "PSI over the coarse bins, by exposure"),
        Column("js_distance", "double", "Jensen-Shannon distance to base 2, from 0 to 1"),
        Column("wasserstein_distance", "double", "of a number, in its own unit"),
        Column("tv_distance", "double", "total variation: the share of exposure that moved"),
        Column("l_infinity_distance", "double", "the largest change of a bin's share"),
        Column("ks_test", _TEST, "Kolmogorov-Smirnov over the fine bins, of a number"),
        Column("chi_squared_test", _TEST, "chi-square test of homogeneity, of levels"),
        Column("psi_by_chance", "double", "the PSI that chance gives: (bins - 1) (1/n + 1/m)"),
        Column("unseen_share", "double", "share of exposure of levels that were not there before"),
        Column("new_levels", "array<string>", "such levels, the largest first, at most 20"),
        Column("outside_share", "double", "share of exposure beyond all numbers of the baseline"),
        Column("interval_width_ratio", "double", "mean width of intervals over that before"),
        Column("actual_expected", "double", "observed / expected, where claims are known"),
        Column("lower", "double", "lower end of its interval, the expected taken as given"),
        Column("upper", "double", "upper end of it"),
        Column("balance", "double", "expected / observed"),
        Column("gini", "double", "Gini over the fine bins of the prediction"),
        Column("gini_change", "double", "Gini less that of the baseline's test part"),
        Column("calibration_error", "double", "share of the observed that lies in the wrong bin"),
        Column("corrected_pvalue", "map<string,double>", "by kind of test, corrected (Holm)"),
        Column("absent", "map<string,string>", "each measure that is NULL, with the reason"),
        Column("verdict", "string", "ok, warning or critical, by monitor.rules"),
        Column("broken", "array<string>", "the rules that are broken"),
        Column("monitored_at", "timestamp", "when it was measured"),
        BATCH_ID,
        RUN_ID,
    ),
    key=("batch_id", "drift_type", *(column.name for column in SUBJECT)),
    constraints={"known_drift_type": "drift_type IN ('BASELINE', 'CONSECUTIVE')"},
    skip_by=("batch_id", "column_name"),
)
