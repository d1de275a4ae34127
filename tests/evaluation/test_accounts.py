"""evaluate says how many rows judge a model, why others do not, and which models it cannot judge."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.config import EvaluateSettings, ModelSettings
from kyros_spark.errors import BatchMissingError, PredictionValueError
from kyros_spark.evaluation.base import BatchTotals
from kyros_spark.evaluation.judged_rows import LocalJudgedRows
from kyros_spark.evaluation.subjects import EvaluatedModel
from kyros_spark.stages.evaluate import judgeable as stage
from kyros_spark.stages.evaluate.judgeable import account_details, judgeable

MODELS = [
    EvaluatedModel(n, name, "1", ModelSettings(method="glm", family=f, target=t, per=p))
    for n, (name, f, t, p) in enumerate([
        ("frequency", "poisson", "claim_count", "exposure"),
        ("severity", "gamma", "claim_amount", "claim_count"),
        ("premium", "tweedie", "claim_amount", "exposure"),
    ])
]  # fmt: skip


def totals_of(models=MODELS, **changed):
    """Return the totals of six policies, each standing for two of a sample."""
    columns = {
        "split": ["train", "train", "train", "test", "test", "test"],
        "exposure": np.ones(6), "_stands_for": np.full(6, 2.0), "_group": np.zeros(6),
        "claim_count": pa.array([1.0, 0.0, None, 2.0, None, None]),
        "claim_amount": pa.array([100.0, 0.0, None, 0.0, None, None]),
        **{model.prediction: np.ones(6) for model in models}, **changed,
    }  # fmt: skip
    return BatchTotals(LocalJudgedRows(pa.table(columns)), models)


def marked(totals, models=MODELS, asked=MODELS):
    selection = SimpleNamespace(models=asked, stored=SimpleNamespace(models=models))
    return judgeable("2024", selection, totals)


def test_rows_left_out_are_counted_by_part_with_the_reason():
    totals = totals_of()
    models, reasons = marked(totals)
    assert reasons == {} and all(model.labelled for model in models.values())
    accounts = totals.accounts(models[0])
    assert accounts["all"].details() == {"in": 12, "used": 6, "left_out": {"target_missing": 6}}
    assert accounts["train"].left_out == {"target_missing": 2.0}
    severity = totals.accounts(models[1])["all"]
    assert severity.details() == {"in": 12, "used": 2, "left_out": {
        "units_not_above_zero": 2, "units_missing": 6, "target_not_above_zero": 2}}  # fmt: skip


def test_a_batch_without_the_target_leaves_none_out():
    unknown = pa.nulls(6, pa.float64())
    totals = totals_of(claim_count=unknown, claim_amount=unknown)
    models, _ = marked(totals)
    assert totals.accounts(models[0])["all"].details() == {"in": 12, "used": 12, "left_out": {}}


def test_many_rows_left_out_are_warned_of_and_refused_above_the_limit(monkeypatch):
    totals, warnings = totals_of(), []
    models = list(marked(totals)[0].values())
    monkeypatch.setattr(stage, "event", lambda message, level: warnings.append((message, level)))
    details = account_details(totals, models, EvaluateSettings())
    assert list(details) == ["frequency@1", "severity@1", "premium@1"]
    assert warnings[0] == (
        "model frequency@1 is judged with 6 of 12 rows left out (claim_count is NULL in 6)",
        30,
    )
    warnings.clear()
    account_details(totals, models, EvaluateSettings(left_out_warning_share=0.9))
    assert not warnings
    account_details(totals, models[:1], EvaluateSettings(max_left_out_share=0.5))
    with pytest.raises(PredictionValueError, match=r"frequency@1: 6 of 12 .* share of 0.49"):
        account_details(totals, models, EvaluateSettings(max_left_out_share=0.49))


@pytest.mark.parametrize(
    ("changed", "number", "why"),
    [({"_p1": [1.0, 1.0, np.nan, 1.0, 1.0, 1.0]}, 1, "found 1 rows that are NaN"),
     ({"_p2": pa.array([1.0, 1.0, None, 1.0, 1.0, 1.0])}, 2, "found 1 without")],
)  # fmt: skip
def test_a_model_that_cannot_be_judged_is_named_and_the_others_are_judged(changed, number, why):
    models, reasons = marked(totals_of(**changed))
    assert list(reasons) == [number] and why in reasons[number]
    assert models[number].settings is None and models[number].reason == reasons[number]
    assert [m.labelled for n, m in models.items() if n != number] == [True, True]


def test_negative_amounts_are_the_pure_premium_s_fault_alone():
    amounts = pa.array([100.0, 0.0, None, -5.0, None, None])
    totals = totals_of(claim_amount=amounts)
    models, reasons = marked(totals)
    assert list(reasons) == [2] and "premium@1 by, found 1 rows" in reasons[2]
    assert totals.accounts(models[1])["all"].left_out["target_not_above_zero"] == 2


def test_where_no_model_asked_for_can_be_judged_the_first_fault_is_raised():
    with pytest.raises(BatchMissingError, match="model premium@1"):
        marked(totals_of(_p2=pa.nulls(6, pa.float64())), asked=MODELS[2:])
