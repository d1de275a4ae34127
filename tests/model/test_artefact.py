"""A model file is read whole and right, or refused by name."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load as library_load

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.artefact import Model, model_to_bytes, read_model
from kyros_spark.scoring.scorer import Scorer
from tests.scoring.boosters import boost, columns_of, model_of

STORED = Path(__file__).parent / "stored"


@pytest.fixture(scope="module")
def model():
    return model_of(boost(rounds=4))


@pytest.fixture(scope="module")
def data(model):
    return model_to_bytes(model)


def parts(data):
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]), data[8 + length :]


def joined(header, body):
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + body


def test_a_model_survives_its_file(model, data):
    again = read_model(data)
    assert again.manifest == model.manifest
    assert set(again.arrays) == set(model.arrays)
    for name, array in model.arrays.items():
        np.testing.assert_array_equal(again.arrays[name], array)
        assert again.arrays[name].dtype == array.dtype


def test_the_safetensors_library_reads_the_same_arrays(data, model):
    for name, array in library_load(data).items():
        np.testing.assert_array_equal(array, model.arrays[name])


def test_arrays_are_read_only_views_of_the_buffer(data):
    buffer = bytearray(data)
    array = read_model(buffer).arrays["leaf_value"]
    assert not array.flags.writeable
    assert np.shares_memory(array, np.frombuffer(buffer, np.uint8))


def test_an_unaligned_buffer_gives_aligned_arrays(data):
    again = read_model(memoryview(b"x" + data)[1:])
    assert all(array.flags.aligned for array in again.arrays.values())


def test_the_same_model_gives_the_same_bytes(model, data):
    assert model_to_bytes(read_model(data)) == data == model_to_bytes(model)


@pytest.mark.parametrize("size", [0, 7, 8, 100, 1000, -1])
def test_a_truncated_file_is_refused(data, size):
    with pytest.raises(ModelFormatError):
        read_model(data[:size])


def test_trailing_bytes_are_refused(data):
    with pytest.raises(ModelFormatError, match="file size"):
        read_model(data + b"\0")


def test_no_flipped_bit_goes_unnoticed(data):
    rng = np.random.default_rng(0)
    for at in rng.integers(0, len(data), 300):
        damaged = bytearray(data)
        damaged[at] ^= 1 << int(rng.integers(0, 8))
        try:
            again = read_model(bytes(damaged))
        except ModelFormatError:
            continue
        assert model_to_bytes(again) == data  # only a space in the header may differ


HEADERS = {
    "a huge header": (lambda h, b: (1 << 62).to_bytes(8, "little") + b, "header"),
    "not JSON": (lambda h, b: (8).to_bytes(8, "little") + b"{broken}" + b, "not JSON"),
    "nested too deeply": (
        lambda h, b: (200_000).to_bytes(8, "little") + b"[" * 200_000 + b,
        "not JSON",
    ),
    "a list": (lambda h, b: joined([1], b), "not a JSON object"),
    "no manifest": (lambda h, b: joined(h | {"__metadata__": {}}, b), "no manifest"),
    "metadata of another kind": (lambda h, b: joined(h | {"__metadata__": 3}, b), "__metadata__"),
}


@pytest.mark.parametrize("case", HEADERS)
def test_a_hostile_header_is_refused(data, case):
    change, said = HEADERS[case]
    with pytest.raises(ModelFormatError, match=said):
        read_model(change(*parts(data)))


ENTRIES = {
    "unknown type": ({"dtype": "F8_E4M3"}, "not an array"),
    "negative shape": ({"shape": [-1]}, "whole numbers"),
    "huge shape": ({"shape": [1 << 62, 4]}, "expected"),
    "many dimensions": ({"shape": [1] * 100}, "expected|dimension"),
    "offsets past the end": ({"data_offsets": [0, 1 << 40]}, "expected"),
    "offsets reversed": ({"data_offsets": [8, 0]}, "expected"),
    "offsets of text": ({"data_offsets": ["0", "8"]}, "whole numbers"),
    "one offset": ({"data_offsets": [0]}, "not an array"),
    "booleans": ({"shape": [True]}, "whole numbers"),
}


@pytest.mark.parametrize("case", ENTRIES)
def test_a_hostile_array_entry_is_refused(data, case):
    change, said = ENTRIES[case]
    header, body = parts(data)
    header["leaf_value"] |= change
    with pytest.raises(ModelFormatError, match=said):
        read_model(joined(header, body))


def test_overlapping_arrays_are_refused(data):
    header, body = parts(data)
    header["split_left"]["data_offsets"] = header["split_right"]["data_offsets"]
    with pytest.raises(ModelFormatError, match="overlap"):
        read_model(joined(header, body))


def test_a_later_format_version_is_refused_with_both_versions_named(model):
    later = Model(model.manifest.model_copy(update={"format_version": 99}), model.arrays)
    with pytest.raises(ModelFormatError, match="reads 1 to 5, the file has 99"):
        read_model(model_to_bytes(later))


@pytest.mark.parametrize("version", [1, 2, 3, 4])
@pytest.mark.parametrize("kind", ["trees", "glm"])
def test_files_that_earlier_versions_wrote_still_give_their_scores(kind, version):
    """stored/ was written by the last code of each format version; it is never written again."""
    expected = json.loads((STORED / f"version-{version}-scores.json").read_text())[kind]
    model = read_model((STORED / f"version-{version}-{kind}.kyros").read_bytes())
    assert model.manifest.format_version == version
    assert (model.manifest.rebalance, model.manifest.large_loss_load) == (1.0, 0.0)
    rows = np.array([[float.fromhex(one) for one in row] for row in expected["rows"]])
    found = Scorer(model).raw(columns_of(rows))
    assert [float(one).hex() for one in found] == expected["raw"]


def test_an_unknown_manifest_key_is_refused(data):
    header, body = parts(data)
    manifest = json.loads(header["__metadata__"]["manifest"]) | {"surprise": 1}
    header["__metadata__"]["manifest"] = json.dumps(manifest)
    with pytest.raises(ModelFormatError, match="surprise"):
        read_model(joined(header, body))


def changed(name, change):
    def apply(arrays):
        array = arrays[name].copy()
        change(array)
        return arrays | {name: array}

    return apply


def put(index, value):
    def change(array):
        array[index] = value

    return change


ARRAYS = {
    "a missing array": (lambda a: {k: v for k, v in a.items() if k != "split_cut"}, "arrays"),
    "an extra array": (lambda a: a | {"more": np.zeros(1)}, "arrays"),
    "a wrong type": (lambda a: a | {"split_cut": a["split_cut"].astype("i8")}, "split_cut"),
    "two dimensions": (lambda a: a | {"split_cut": a["split_cut"][None]}, "split_cut"),
    "a cut out of range": (changed("split_cut", put(0, 10**6)), "split_cut"),
    "a negative cut": (changed("split_cut", put(0, -1)), "split_cut"),
    "a child that is its parent": (changed("split_left", put(1, 1)), "split_left"),
    "a child that is the root": (changed("split_right", put(3, 0)), "split_right"),
    "a child of another tree": (changed("split_left", put(0, 10**6)), "split_left"),
    "a leaf of another tree": (changed("split_left", put(0, -(10**6))), "split_left"),
    "the smallest integer": (changed("split_left", put(0, -(2**31))), "split_left"),
    "two parents": (lambda a: a | {"split_left": a["split_right"]}, "one parent"),
    "a NaN leaf": (changed("leaf_value", put(0, np.nan)), "leaf_value"),
    "an infinite leaf": (changed("leaf_value", put(0, np.inf)), "leaf_value"),
    "a leaf too few": (lambda a: a | {"leaf_value": a["leaf_value"][1:]}, "leaf_value"),
    "a NaN cut": (changed("cut_value", put(0, np.nan)), "cut_value"),
    "unsorted cuts": (changed("cut_value", put(0, np.inf)), "cut_value"),
    "cut offsets that fall": (changed("cut_start", put(1, 10**9)), "cut_start"),
    "negative cut offsets": (changed("cut_start", put(0, -1)), "cut_start"),
    "tree offsets that fall": (changed("tree_start", put(1, 10**9)), "tree_start"),
    "no tree offsets": (lambda a: a | {"tree_start": a["tree_start"][:0]}, "tree_start"),
    "a flag of two": (changed("split_missing_left", put(0, 2)), "split_missing_left"),
}


@pytest.mark.parametrize("case", ARRAYS)
def test_arrays_that_no_kernel_could_trust_are_refused(model, case):
    change, said = ARRAYS[case]
    with pytest.raises(ModelFormatError, match=said):
        model_to_bytes(Model(model.manifest, change(model.arrays)))
