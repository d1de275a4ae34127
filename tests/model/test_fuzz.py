"""Damaged model files are refused by name, or scored as their own library scores them.

Real models of every format are mutated: bytes, numbers and structure. A mutant must be refused with a
KyrosError, or be imported and scored within seconds. Then, for XGBoost, LightGBM and ONNX, the library
is shown the same file, in a process of its own with limits of time and memory (libraries crash on such
files, and hang). Where
it answers, our scores must be its scores: bit for bit, for ONNX to float32's precision. Where it refuses,
crashes or hangs, there is nothing to compare with, and ours need only be numbers of the right shape.
MLlib's own answer is not asked for: a JVM a mutant is too slow. Our own format is held against the slow
twin of tests/naive.py, its hash computed anew, so that the checks behind the hash are reached.

KYROS_FUZZ=10000 takes that many mutants of each format; the default is 300. KYROS_FUZZ_SEED moves on
to other mutants.
"""

import contextlib
import functools
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xgboost
from tests.model.fuzz_library import LIBRARIES

from kyros_spark.errors import KyrosError
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.model.importers.recognise import import_model
from kyros_spark.scoring.scorer import Scorer
from tests import naive
from tests.scoring.boosters import adversarial_rows, columns_of

MUTANTS = int(os.environ.get("KYROS_FUZZ", "300"))
SEED = int(os.environ.get("KYROS_FUZZ_SEED", "1"))
ROOT = Path(__file__).parents[2]
ODD = [0, 1, -1, 2, 3, 7, 31, 32, 255, 256, 65536, 2**31 - 1, 2**31, 2**53, 2**63, 2**64, -(2**31)]
ODD += [0.5, -0.5, -0.0, 1e-45, 1e-35, 1e-320, 3.5e38, 1e300, 1e400, "nan", "inf", "-inf", "x", ""]
NAMES = ["a", "b", "c"]


def training(categories):
    rng = np.random.default_rng(0)
    x = np.stack([rng.integers(0, 6, 600), rng.normal(size=600), rng.normal(size=600)], axis=1)
    y = rng.poisson(np.exp(np.sin(x[:, 0] * 3) + 0.5 * x[:, 1])).astype(float)
    if categories:
        x[rng.random(x.shape) < 0.1] = np.nan
    return x, y


def xgboost_model(form):
    x, y = training(categories=True)
    matrix = xgboost.DMatrix(x, y, feature_names=NAMES, feature_types=["c", "q", "q"])
    settings = {"objective": "count:poisson", "max_depth": 3, "nthread": 1, "max_cat_to_onehot": 1}
    return bytes(xgboost.train(settings, matrix, 3).save_raw(form))


def lightgbm_model():
    lightgbm = pytest.importorskip("lightgbm")
    x, y = training(categories=True)
    data = lightgbm.Dataset(x, y, feature_name=NAMES, categorical_feature=[0])
    settings = {"objective": "poisson", "verbose": -1, "num_leaves": 6, "min_data_per_group": 5}
    settings |= {"num_threads": 1, "max_cat_to_onehot": 1}
    text = lightgbm.train(settings, data, 3).model_to_string()
    return re.sub(r"\nparameters:\n.*end of parameters\n", "\n", text, flags=re.DOTALL).encode()


def onnx_model():
    skl2onnx = pytest.importorskip("skl2onnx")
    pytest.importorskip("onnxruntime")
    from sklearn.ensemble import RandomForestRegressor

    x, y = training(categories=False)
    fitted = RandomForestRegressor(3, max_depth=3, random_state=0).fit(x, y)
    return skl2onnx.to_onnx(fitted, x[:1].astype(np.float32)).SerializeToString()


MODELS = {
    "xgboost-json": lambda: xgboost_model("json"),
    "xgboost-ubj": lambda: xgboost_model("ubj"),
    "lightgbm": lightgbm_model,
    "onnx": onnx_model,
}


def by_bytes(data, rng):
    """Overwrite, insert, delete, double or cut."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, len(data))), int(rng.integers(1, 9))
        kind = rng.integers(0, 5)
        if kind == 0:
            data[at] = rng.integers(0, 256)
        elif kind == 1:
            data[at:at] = rng.bytes(length)
        elif kind == 2:
            del data[at : at + length]
        elif kind == 3:
            data[at:at] = data[at : at + 10 * length]
        else:
            data[at : at + 4] = np.float32(rng.choice([np.nan, np.inf, 1e30, 0, -1])).tobytes()
    return bytes(data)


def by_numbers(data, rng):
    """Put an odd number, or another one of the file, in the place of one to three."""
    data = re.sub(rb"\ntree_sizes=.*", b"", data)  # else every change of length is refused
    found = list(re.finditer(rb"-?\d+(\.\d+)?([eE][-+]?\d+)?", data))
    for number in sorted(rng.integers(0, len(found), rng.integers(1, 4)), reverse=True):
        start, end = found[number].span()
        other = rng.integers(0, len(found))
        new = (
            str(ODD[rng.integers(0, len(ODD))]).encode() if rng.random() < 0.6 else found[other][0]
        )
        data = data[:start] + new + data[end:]
    return data


def by_lines(data, rng):
    """Delete, double or exchange lines, or give one line's value to another."""
    lines = re.sub(rb"\ntree_sizes=.*", b"", data).split(b"\n")
    a, b = (int(one) for one in rng.integers(0, len(lines), 2))
    kind = rng.integers(0, 4)
    if kind == 0:
        del lines[a]
    elif kind == 1:
        lines.insert(b, lines[a])
    elif kind == 2:
        lines[a], lines[b] = lines[b], lines[a]
    else:
        lines[a] = lines[a].partition(b"=")[0] + b"=" + lines[b].partition(b"=")[2]
    return b"\n".join(lines)


def by_structure(data, rng):
    """Delete a key of a JSON document, or put an odd or another value in its place."""
    document = json.loads(data)
    places = []

    def walk(node):
        for key, value in list(node.items() if isinstance(node, dict) else enumerate(node)):
            places.append((node, key))
            if isinstance(value, dict | list):
                walk(value)

    walk(document)
    for _ in range(rng.integers(1, 3)):
        node, key = places[rng.integers(0, len(places))]
        other, place = places[rng.integers(0, len(places))]
        with contextlib.suppress(KeyError, IndexError):
            kind = rng.integers(0, 3)
            if kind == 0:
                del node[key]
            elif kind == 1:
                node[key] = ODD[rng.integers(0, len(ODD))]
            else:
                node[key] = json.loads(json.dumps(other[place]))
    return json.dumps(document).encode()


INTEGERS = {"default_left": "U", "split_type": "U", "values": "i"}
INTEGERS |= {"categories_segments": "L", "categories_sizes": "L"}  # others are "l"
UBJSON = {"U": ">u1", "i": ">i1", "l": ">i4", "L": ">i8", "d": ">f4"}
PLAIN = ("iteration_indptr", "tree_info", "feature_segments", "sorted_idx", "version")


def as_ubjson(value, name=""):
    """Write a document the way XGBoost does, its arrays of numbers with a type."""
    if isinstance(value, dict):
        pairs = [sized(key.encode()) + as_ubjson(one, key) for key, one in value.items()]
        return b"{" + b"".join(pairs) + b"}"
    if isinstance(value, list):
        start = struct.pack(">q", len(value))
        kinds = {type(one) for one in value}
        mark = "d" if kinds == {float} else INTEGERS.get(name, "l")
        if kinds and kinds <= {int, float} and name not in PLAIN:
            with contextlib.suppress(OverflowError, ValueError), np.errstate(over="ignore"):
                return (
                    b"[$" + mark.encode() + b"#L" + start + np.array(value, UBJSON[mark]).tobytes()
                )
        return b"[#L" + start + b"".join(map(as_ubjson, value))
    if isinstance(value, str):
        return b"S" + sized(value.encode())
    if type(value) is int and -(2**63) <= value < 2**63:
        mark = "l" if abs(value) < 2**31 else "L"
        return mark.encode() + np.array(value, UBJSON[mark]).tobytes()
    return b"Z" if value is None else b"d" + np.array(float(value), ">f4").tobytes()


def sized(text):
    return b"L" + struct.pack(">q", len(text)) + text


@functools.cache
def as_json(data):
    return bytes(xgboost.Booster(model_file=bytearray(data)).save_raw("json"))


def by_binary_structure(data, rng):
    """Change the structure as `by_structure` does, in binary form."""
    text = as_json(data)
    with np.errstate(over="ignore"):
        return as_ubjson(json.loads(by_structure(text, rng)))


def by_attributes(data, rng):
    """Change an ONNX operator's attributes: a value, a length, or all of one."""
    import onnx

    model = onnx.load_from_string(data)
    attributes = [one for node in model.graph.node for one in node.attribute]
    for _ in range(rng.integers(1, 3)):
        one = attributes[rng.integers(0, len(attributes))]
        values = next((v for v in (one.ints, one.floats, one.strings) if len(v)), None)
        if values is None:
            continue
        at, kind = int(rng.integers(0, len(values))), rng.integers(0, 3)
        if kind == 0:
            del values[at]
        elif kind == 1:
            values[at] = values[int(rng.integers(0, len(values)))]
        else:
            odd = {"i": [0, 1, 2, 7, -1, 2**31, 2**62], "f": [np.nan, np.inf, -np.inf, 1e30, 0.0]}
            odd["s"] = [b"LEAF", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_EQ", b"x"]
            pool = odd["i" if values is one.ints else "f" if values is one.floats else "s"]
            values[at] = pool[rng.integers(0, len(pool))]
    return model.SerializeToString()


WAYS = {
    "xgboost-json": [by_bytes, by_numbers, by_structure, by_structure],
    "xgboost-ubj": [by_bytes, by_binary_structure, by_binary_structure],
    "lightgbm": [by_bytes, by_numbers, by_numbers, by_lines],
    "onnx": [by_bytes, by_attributes, by_attributes],
}


@contextlib.contextmanager
def at_most(seconds):
    def late(*_):
        raise AssertionError(f"a mutant took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def rows_of(model, count=24):
    """Rows at, one ulp below and one above the model's thresholds; categories, and every odd float."""
    features = len(model.manifest.features)
    if model.manifest.kind != "trees" or not features:
        return np.zeros((count, features))
    with np.errstate(over="ignore"):
        rows = adversarial_rows(model.arrays, count).astype(np.float64)
    rng = np.random.default_rng(2)
    for feature in set(model.arrays.get("set_feature", np.zeros(0, int)).tolist()):
        pool = np.array([np.nan, np.inf, -np.inf, -1, -0.5, 0.5, 31, 32, 1e9, *range(9)])
        rows[:, feature] = pool[rng.integers(0, pool.size, count)]
    return rows


def scored(source, form=None):
    """Import and score a mutant; None when it is refused."""
    try:
        with at_most(20):
            model = import_model(
                source, "m", "claims", **({} if form != "onnx" else {"features": NAMES})
            )
            rows = rows_of(model)
            found = Scorer(model).raw(columns_of(rows)) if rows.shape[1] else None
    except KyrosError:
        return None
    assert found is None or (found.shape[0] == rows.shape[0] and found.dtype == np.float64)
    return rows, found


def ask_library(form, folder):
    """Let the library answer for all mutants in the folder."""
    command = [sys.executable, "-m", "tests.model.fuzz_library", form, str(folder)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, check=True)


@pytest.mark.parametrize("form", MODELS)
def test_a_mutant_is_refused_or_scored_as_its_library_scores_it(form, tmp_path):
    data, rng = MODELS[form](), np.random.default_rng(SEED)
    ours = {}
    for number in range(MUTANTS):
        way = WAYS[form][number % len(WAYS[form])]
        mutant = way(data, rng)
        result = scored(mutant, form)
        if result is not None and result[1] is not None:
            path = tmp_path / f"{number:06}.model"
            path.write_bytes(mutant)
            np.save(path.with_suffix(".rows.npy"), result[0])
            ours[path] = result[1]
    assert ours, "every mutant was refused: nothing was tested"
    ask_library(form, tmp_path)
    wrong = [path.name for path in ours if not agrees(form, path, ours[path])]
    if wrong and "KYROS_FUZZ_KEEP" in os.environ:
        shutil.copytree(tmp_path, os.environ["KYROS_FUZZ_KEEP"], dirs_exist_ok=True)
    assert not wrong, f"{len(wrong)} of {len(ours)} scored mutants differ: {wrong[:5]}"
    compared = sum(path.with_suffix(".scores.npy").exists() for path in ours)
    assert compared > MUTANTS // 50, f"the library answered for {compared} mutants only"


def agrees(form, path, found):
    answer = path.with_suffix(".scores.npy")
    if not answer.exists():
        return True
    theirs = np.load(answer)
    if form != "onnx":
        return np.array_equal(found, theirs, equal_nan=True)
    with np.errstate(over="ignore", invalid="ignore"):
        return np.allclose(found.astype("f4"), theirs.astype("f4"), 1e-5, 1e-5, equal_nan=True)


def test_every_format_is_mutated_and_has_a_jury():
    assert set(MODELS) == set(WAYS) == set(LIBRARIES)


def test_mutants_of_our_own_format_are_refused_or_scored_as_the_slow_twin():
    whole = import_model(xgboost_model("json"), "m", "claims")
    rng, kept = np.random.default_rng(SEED), 0
    for _ in range(MUTANTS):
        arrays = {name: array.copy() for name, array in whole.arrays.items()}
        for _ in range(rng.integers(1, 3)):
            name = sorted(arrays)[rng.integers(0, len(arrays))]
            array, kind = arrays[name], rng.integers(0, 4)
            if not array.size:
                continue
            at = int(rng.integers(0, array.size))
            if kind == 0:
                array[at] = array[rng.integers(0, array.size)]
            elif kind == 1:
                array.view(np.uint8)[rng.integers(0, array.nbytes)] = rng.integers(0, 256)
            elif kind == 2:
                arrays[name] = np.delete(array, at)
            else:
                arrays[name] = np.insert(array, at, array[at])
        try:
            with at_most(20):
                model = read_model(model_to_bytes(Model(whole.manifest, arrays)))
                rows = rows_of(model, 6)
                found = Scorer(model).raw(columns_of(rows))
        except KyrosError:
            continue
        start = np.full(6, model.manifest.intercept)
        with np.errstate(over="ignore"):
            expected = naive.tree_scores(model.arrays, rows, start, model.manifest.category_rule)
        np.testing.assert_array_equal(found, expected)
        kept += 1
    assert kept


def test_mutants_of_our_files_bytes_are_refused_or_are_the_same_model():
    whole = model_to_bytes(import_model(xgboost_model("json"), "m", "claims"))
    rng = np.random.default_rng(SEED)
    for _ in range(MUTANTS):
        try:
            with at_most(20):
                again = read_model(by_bytes(whole, rng))
        except KyrosError:
            continue
        assert model_to_bytes(again) == whole  # only spaces of the header differ


def test_mutants_of_an_mllib_folder_are_refused_or_scored(tmp_path):
    """A folder written by hand in MLlib's form: a tree with a threshold and a set of categories."""
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    split = [("featureIndex", 0, 1, -1), ("numCategories", 5, -1, -1)]
    nodes = [
        {
            "id": number, "prediction": float(number), "impurity": 0.0, "impurityStats": [1.0, 2.0],
            "gain": 0.0, "leftChild": left, "rightChild": right,
            "split": {
                "featureIndex": feature, "leftCategoriesOrThreshold": listed, "numCategories": count,
            },
        }
        for number, left, right, feature, listed, count in [
            (0, 1, 2, 0, [1.0, 3.0], 5), (1, 3, 4, 1, [0.25], -1), (2, -1, -1, -1, [], -1),
            (3, -1, -1, -1, [], -1), (4, -1, -1, -1, [], -1),
        ]
    ]  # fmt: skip
    assert split
    facts = {
        "class": "org.apache.spark.ml.regression.DecisionTreeRegressionModel",
        "sparkVersion": "4.1.0", "paramMap": {}, "defaultParamMap": {}, "numFeatures": 3,
    }  # fmt: skip
    folder, rng, kept = tmp_path / "m", np.random.default_rng(SEED), 0
    for part in ("metadata", "data"):
        (folder / part).mkdir(parents=True)
    text, table = folder / "metadata" / "part-00000", folder / "data" / "part-00000.parquet"
    for number in range(MUTANTS):
        words, rows = json.dumps(facts).encode(), json.dumps(nodes).encode()
        if number % 3 == 0:
            words = by_structure(words, rng)
        else:
            rows = by_structure(rows, rng)
        text.write_bytes(words)
        try:
            parquet.write_table(pyarrow.Table.from_pylist(json.loads(rows)), table)
        except (pyarrow.ArrowException, TypeError, ValueError, AttributeError, OverflowError):
            continue  # not a table at all
        if number % 5 == 0:
            table.write_bytes(by_bytes(table.read_bytes(), rng))
        try:
            with at_most(20):
                model = import_model(folder, "m", "y", features=NAMES)
                found = Scorer(model).raw(columns_of(rows_of(model)))
        except KyrosError:
            continue
        assert found.dtype == np.float64
        kept += 1
    assert kept


ROWS = {
    "text": [np.array(["a"])] * 3,
    "objects": [np.array([None])] * 3,
    "times": [np.zeros(1, "M8[s]")] * 3,
    "complex": [np.zeros(1, complex)] * 3,
    "too few columns": [np.zeros(1)] * 2,
    "too many columns": [np.zeros(1)] * 4,
    "no columns": [],
    "two dimensions": [np.zeros((1, 1))] * 3,
    "different lengths": [np.zeros(1), np.zeros(2), np.zeros(1)],
}


@pytest.mark.parametrize("form", MODELS)
def test_rows_of_any_kind_are_refused_by_name_or_scored(form):
    options = {"features": NAMES} if form == "onnx" else {}
    scorer = Scorer(import_model(MODELS[form](), "m", "claims", **options))
    for columns in ROWS.values():
        with pytest.raises(KyrosError):
            scorer.raw(columns)
    assert scorer.raw([np.zeros(0)] * 3).shape == (0,)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1e-40, 1e308, -1e308])
    for kind in (np.float64, np.float32, np.float16):
        with np.errstate(over="ignore"):
            assert np.isfinite(scorer.raw([odd.astype(kind)] * 3)).all()
    for kind in (np.int8, np.uint64, np.int64, bool):
        assert np.isfinite(scorer.raw([np.ones(5, kind)] * 3)).all()
