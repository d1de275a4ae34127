"""What a model file becomes in memory, and the work to read it, stay in proportion to its size.

Memory is counted by tracemalloc and work by counters: neither depends on the machine.
"""

import json
import struct
import tracemalloc

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from benchmarks.fuzz_models_subjects import (
    MLLIB_FACTS,
    MLLIB_TREE_FACTS,
    MODELS,
    NAMES,
    mllib_rows,
    write_mllib,
)
from kyros_spark.errors import KyrosError, ModelFormatError, ModelNotSupportedError
from kyros_spark.model.artefact import read_model
from kyros_spark.model.importers import onnx_wire
from kyros_spark.model.importers.growth import BYTES_PER_FILE_BYTE, SMALL_BYTES
from kyros_spark.model.importers.imported import Imported
from kyros_spark.model.importers.onnx_wire import read_message
from kyros_spark.model.importers.recognise import _names, import_model
from kyros_spark.model.importers.ubjson import read_ubjson

PER_BYTE = 128  # bytes of memory for a byte of file: what an empty object in a list takes, twice
FEW = 1 << 20


def peak(read, data):
    """Return the most bytes that reading took; a refusal by name is an end like any other."""
    tracemalloc.start()
    try:
        read(data)
    except KyrosError:
        pass
    finally:
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    return most


def long(count):
    return b"L" + struct.pack(">q", count)


def field(number, content):
    return varint(number << 3 | 2) + varint(len(content)) + content


def varint(number):
    octets = b""
    while number > 127:
        octets, number = octets + bytes([number & 127 | 128]), number >> 7
    return octets + bytes([number])


def of_attribute(content):
    """Wrap an ONNX attribute's fields in its node, graph and model."""
    return field(7, field(1, field(5, content)))


SMALL = 14_000
UBJSON = {
    **{f"lists of {mark}": b"[" + (b"[$" + mark.encode() + b"#" + long(SMALL // 2)) * 1000 + b"]"
       for mark in "ZTFN"},
    "empty lists": b"[" + b"[]" * SMALL + b"]",
    "empty objects": b"[" + b"{}" * SMALL + b"]",
    "flags": b"[" + b"T" * SMALL + b"]",
    "bytes": b"[$U#" + long(SMALL) + b"\0" * SMALL,
    "numbers": b"[" + b"i\x05" * SMALL + b"]",
    "nothing": b"[" + b"N" * SMALL + b"]",
}  # fmt: skip
ONNX = {
    "whole numbers one by one": of_attribute((b"\x40\x01" + b"\x90\x01\x01") * 6000),
    "numbers one by one": of_attribute((b"\x3d\0\0\0\0" + b"\x90\x01\x01") * 4000),
    "dims one by one": field(7, field(5, (b"\x08\x01" + b"\x90\x01\x01") * 6000)),
    "empty attributes": field(7, field(1, field(5, b"") * 10_000)),
    "empty nodes": field(7, field(1, b"") * 10_000),
    "empty texts": field(7, field(1, field(1, b"") * 10_000)),
    "a run": of_attribute(b"\x40\x01" * 14_000),
    "packed": of_attribute(field(8, b"\x01" * 28_000)),
}


@pytest.mark.parametrize("what", UBJSON)
def test_a_ubjson_file_takes_memory_in_proportion(what):
    assert peak(read_ubjson, UBJSON[what]) < FEW + PER_BYTE * len(UBJSON[what])


@pytest.mark.parametrize("what", ONNX)
def test_an_onnx_file_takes_memory_and_work_in_proportion(what, monkeypatch):
    data, decoded = ONNX[what], []
    real = onnx_wire._varints
    monkeypatch.setattr(onnx_wire, "_varints", lambda part: decoded.append(len(part)) or real(part))
    assert peak(read_message, data) < FEW + PER_BYTE * len(data)
    assert sum(decoded) <= 32 * len(data)


def doubled_columns():
    """Each Concat doubles the columns of the one before it: 20 bytes for twice the memory."""
    import onnx

    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [helper.make_node("Concat", [f"x{k}", f"x{k}"], [f"x{k + 1}"], axis=1)
             for k in range(40)]  # fmt: skip
    given = [helper.make_tensor_value_info("x0", number, [None, 2])]
    made = [helper.make_tensor_value_info("x40", number, [None, None])]
    return helper.make_model(helper.make_graph(nodes, "g", given, made)).SerializeToString()


def wide_modes():
    """One long name of a mode among many short ones."""
    import onnx

    model = onnx.load_from_string(MODELS["onnx"]())
    for attribute in model.graph.node[0].attribute:
        if attribute.name == "nodes_modes":
            attribute.strings.extend([b""] * 10_000 + [b"x" * 10_000])
    return model.SerializeToString()


def many_classes():
    """10,000 classes and nodes by the hundred, of which each would have 10,000 weights."""
    import onnx

    count, lists = 4000, {}
    for name in ("treeids", "nodeids", "featureids", "truenodeids", "falsenodeids"):
        lists[f"nodes_{name}"] = list(range(count)) if name == "treeids" else [0] * count
    node = onnx.helper.make_node(
        "TreeEnsembleClassifier", ["x"], ["label", "p"], domain="ai.onnx.ml",
        classlabels_int64s=list(range(10_000)), nodes_modes=["LEAF"] * count,
        nodes_values=[0.0] * count, class_treeids=[0], class_nodeids=[0], class_ids=[0],
        class_weights=[1.0], **lists,
    )  # fmt: skip
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    given = [helper.make_tensor_value_info("x", number, [None, 3])]
    made = [helper.make_tensor_value_info("p", number, [None, None])]
    return helper.make_model(helper.make_graph([node], "g", given, made)).SerializeToString()


def large_categories():
    """Each split lists one category, the largest that there may be: 2 MiB of bits."""
    document = json.loads(MODELS["xgboost-json"]())
    for tree in document["learner"]["gradient_booster"]["model"]["trees"]:
        tree["categories"] = [(1 << 24) - 1] * len(tree["categories"])
    trees = document["learner"]["gradient_booster"]["model"]["trees"]
    document["learner"]["gradient_booster"]["model"] |= {
        "trees": [tree | {"id": k} for k, tree in enumerate(trees * 10)],
        "tree_info": [0] * 30, "iteration_indptr": list(range(31)),
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "30"},
    }  # fmt: skip
    return json.dumps(document).encode()


BOMBS = {
    "doubled columns": doubled_columns,
    "wide modes": wide_modes,
    "many classes": many_classes,
    "large categories": large_categories,
}


@pytest.mark.parametrize("what", BOMBS)
def test_a_file_that_would_grow_is_refused_before_it_does(what):
    data = BOMBS[what]()

    def read(data):
        with pytest.raises(ModelNotSupportedError):
            import_model(data, "m", "y", features=NAMES if b"learner" not in data[:20] else None)

    assert peak(read, data) < SMALL_BYTES + BYTES_PER_FILE_BYTE * len(data)


def test_a_parquet_folder_of_equal_rows_is_refused_by_its_footer(tmp_path):
    """Four million equal values take a few kilobytes in a file, and gigabytes as rows."""
    trees = [{"_1": k, "_2": json.dumps(MLLIB_TREE_FACTS), "_3": 1.0} for k in (0, 1)]
    write_mllib(tmp_path, json.dumps(MLLIB_FACTS).encode(), mllib_rows(), trees)
    part = tmp_path / "data/part-00000.parquet"
    row = pyarrow.parquet.read_table(part).slice(0, 1)
    many = pyarrow.concat_tables([row] * 1000).combine_chunks()
    with pyarrow.parquet.ParquetWriter(part, many.schema) as writer:
        for _ in range(10):
            writer.write_table(many.take(pyarrow.array(np.zeros(60_000, np.int64))))
    with pytest.raises(ModelNotSupportedError, match="expected at most"):
        import_model(tmp_path, "m", "y", features=NAMES)


@pytest.mark.parametrize("shape", [[10**4000], [10**3000] * 5, [2**63], [2**40] * 8, [1] * 65])
def test_a_shape_of_a_thousand_digits_is_refused_by_name(shape):
    entry = {"a": {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]}}
    header = json.dumps(entry).encode()
    header += b" " * (-len(header) % 8)
    with pytest.raises(ModelFormatError):
        read_model(len(header).to_bytes(8, "little") + header)


class Counted(str):
    """A name that counts how often it is compared."""

    compared = 0

    def __eq__(self, other):
        Counted.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def test_features_names_are_checked_in_one_pass():
    count = 16_384
    names = tuple(Counted(f"f{k}") for k in range(count))
    imported = Imported(
        kind="trees", library="xgboost", version="", objective="", family="poisson", link="log",
        intercept=0.0, feature_names=names, n_features=count, arrays={},
    )  # fmt: skip
    Counted.compared = 0
    assert _names(imported, None) == names
    assert Counted.compared <= 4 * count
    with pytest.raises(ModelNotSupportedError, match="twice"):
        _names(Imported(**{**vars(imported), "feature_names": names[:-1] + names[:1]}), None)


def test_a_message_holds_no_more_of_a_file_than_a_person_reads():
    """A name of a million characters, in places that a message would quote."""
    document, huge = json.loads(MODELS["xgboost-json"]()), "x" * 1_000_000
    document["learner"]["objective"]["name"] = huge
    for data in (json.dumps(document).encode(), json.dumps({huge: 1}).encode()):
        with pytest.raises(KyrosError) as refusal:
            import_model(data, "m", "y")
        assert len(str(refusal.value)) < 2000
