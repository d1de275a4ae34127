"""`kyros export` and `kyros import` of its file: the same predictions, and an account of both."""

import json

import numpy as np
import pytest
from portfolio import SECOND

pytest.importorskip("onnxruntime")


def test_what_was_exported_and_imported_predicts_what_the_model_did(portfolio, spark):
    told = {"boosted": "claim_count", "premium": "claim_amount"}
    for name, target in told.items():
        out = portfolio.folder / f"{name}.onnx"
        line = portfolio.must(f"export {name}@1 --out {out}")
        found = line["details"]["parity"]
        assert found["runtime_relative"] < 5e-6 and found["imported_relative"] < 1e-15
        assert line["details"]["opsets"]["ai.onnx"] == 17 and out.stat().st_size > 0
        words = f"import --model-file {out} --name {name}_again --target {target} --per exposure"
        assert portfolio.must(words)["details"][f"{name}_again"]["from"].startswith("onnx (kyros")
    names = " ".join(f"--model {name} --model {name}_again" for name in told)
    portfolio.must(f"predict --batch {SECOND} {names} --run-id both")
    rows = portfolio.read(spark, "predictions", SECOND).where("run_id = 'both'").toPandas()
    table = rows.pivot_table("prediction", "policy_id", "model_name")
    for name in told:
        assert table[name].nunique() > 3
        np.testing.assert_allclose(table[f"{name}_again"], table[name], rtol=1e-14)
    ledger = portfolio.read(spark, "runs").where("stage = 'export'").collect()
    stored = {row["batch_id"]: json.loads(row["details"])["parity"]["rows"] for row in ledger}
    assert stored == {"boosted@1": 10_000, "premium@1": 10_000}


def test_an_export_of_a_composite_names_its_parts(portfolio):
    out = portfolio.folder / "composite.onnx"
    outcome = portfolio.kyros(f"export pure_premium --out {out}")
    assert outcome.code == 2 and "frequency@1, severity@1" in outcome.message
    assert not out.exists()
