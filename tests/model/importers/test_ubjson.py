"""The UBJSON reader against documents written by hand from the specification."""

import numpy as np
import pytest

from kyros_spark.errors import ModelFormatError
from kyros_spark.model.importers.ubjson import read_ubjson

DOCUMENTS = [
    (b"{}", {}),
    (b"[]", []),
    (b"Z", None),
    (b"T", True),
    (b"i\xff", -1),
    (b"U\xff", 255),
    (b"I\x01\x00", 256),
    (b"l\x00\x01\x00\x00", 65536),
    (b"d\x3f\x80\x00\x00", 1.0),
    (b"D\x3f\xf0\x00\x00\x00\x00\x00\x00", 1.0),
    (b"Si\x02ab", "ab"),
    (b"Ca", "a"),
    (b"[NTNF]", [True, False]),
    (b"[#i\x02TF", [True, False]),
    (b"[$S#i\x02i\x01ai\x01b", ["a", "b"]),
    (b"{i\x01ai\x01i\x01bT}", {"a": 1, "b": True}),
    (b"{#i\x01i\x01aT", {"a": True}),
    (b"{$i#i\x02i\x01a\x05i\x01b\x06", {"a": 5, "b": 6}),
]


@pytest.mark.parametrize(("data", "expected"), DOCUMENTS)
def test_each_form_of_the_specification_is_read(data, expected):
    assert read_ubjson(data) == expected


def test_typed_arrays_become_native_numpy_arrays():
    array = read_ubjson(b"[$d#i\x02\x3f\x80\x00\x00\x40\x00\x00\x00")
    assert array.dtype == np.float32 and array.dtype.isnative
    np.testing.assert_array_equal(array, [1, 2])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"{",
        b"[T",
        b"[$i",
        b"[$iT",
        b"[#l\x7f\xff\xff\xffT",
        b"[#i\xff",
        b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"Si\x05ab",
        b"Si\xff",
        b"Si\x01\xff",
        b"{T}",
        b"{i\x01aTi\x01aF}",
        b"TT",
        b"[" * 100_000,
    ],
)
def test_a_damaged_document_is_refused(data):
    with pytest.raises(ModelFormatError):
        read_ubjson(data)
