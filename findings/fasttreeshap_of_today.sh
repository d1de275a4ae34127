#!/usr/bin/env bash
# fasttreeshap 0.1.6 (2023, the newest) beside the libraries that pip installs with it today: it installs, and explains
# nothing. With NumPy 2.4.6 its compiled part is not loaded, which it only prints, and a LightGBM 4.7.0 model then ends in
# an AttributeError of its own; a model of XGBoost 3.2.0 ends in a UnicodeDecodeError, since it reads the binary form that
# XGBoost no longer writes. With NumPy 1.26.4 at build and run time the LightGBM model is explained as LightGBM does.
#
# Needs python3.11, a C compiler, and network. Exits 0 if all of that is still so.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >explain.py <<'PYTHON'
import sys

import fasttreeshap
import numpy as np

rows = np.random.default_rng(1).standard_normal((500, 5))
target = rows[:, 0] + rows[:, 1] * rows[:, 2]
if sys.argv[1] == "lightgbm":
    import lightgbm

    model = lightgbm.train({"verbose": -1}, lightgbm.Dataset(rows, target), 10)
    expected = model.predict(rows, pred_contrib=True)[:, :-1]
else:
    import xgboost

    model = xgboost.train({}, xgboost.DMatrix(rows, target), 10)
    expected = model.predict(xgboost.DMatrix(rows), pred_contribs=True)[:, :-1]
try:
    values = fasttreeshap.TreeExplainer(model).shap_values(rows, check_additivity=False)
    print("as the library" if np.allclose(values, expected, atol=1e-6) else "otherwise")
except Exception as error:
    print(type(error).__name__)
PYTHON
python3 -m venv today && today/bin/pip install --quiet fasttreeshap==0.1.6 numpy==2.4.6 lightgbm==4.7.0 xgboost-cpu==3.2.0
python3 -m venv before && before/bin/pip install --quiet numpy==1.26.4 "setuptools<70" wheel cython==3.0.12 \
  scipy==1.13.1 pandas==2.2.3 scikit-learn==1.4.2 numba==0.60.0 shap==0.45.1 psutil lightgbm==4.7.0
before/bin/pip install --quiet --no-build-isolation --no-deps fasttreeshap==0.1.6
of() { "$1/bin/python" explain.py "$2" 2>/dev/null | tail -n 1; }
lightgbm=$(of today lightgbm) xgboost=$(of today xgboost) with_numpy_1=$(of before lightgbm)
echo "NumPy 2.4.6: LightGBM $lightgbm, XGBoost $xgboost; NumPy 1.26.4: LightGBM $with_numpy_1"
[ "$lightgbm" = AttributeError ] && [ "$xgboost" = UnicodeDecodeError ] && [ "$with_numpy_1" = "as the library" ]
