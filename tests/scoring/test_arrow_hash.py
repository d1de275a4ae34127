"""The hash of the features behind a prediction: Spark's own function, and the driver's."""

import numpy as np
import pyarrow as pa
import pytest

from kyros_spark.kernels.row_hash import hash_flags, hash_numbers, hash_texts, seeds
from kyros_spark.scoring.arrow_hash import row_hashes
from kyros_spark.transforms.encode import input_hash

ALPHABET = "aÄ é日本語𝔘 0123456789-xyzXYZ_()<>+|/\\'\"."


def texts(longest):
    """Return a text of every length, and some that a hash might mix up."""
    lengths = [(ALPHABET * 4)[n : n + n % longest] for n in range(2 * longest)]
    return [None, "", "a", "a ", "b", *lengths]


def test_bytes_hash_as_the_reference_says():
    """Values of the xxHash project's own tests and of its Python binding, seed 0."""
    known = {
        b"": 0xEF46DB3751D8E999,
        b"a": 0xD24EC4F1A98C6E5B,
        b"abc": 0x44BC2CF5AD770999,
        b"Nobody inspects the spammish repetition": 0xFBCEA83C8A378BF1,
    }
    for text, expected in known.items():
        data = np.frombuffer(text, np.uint8)
        hashed = hash_texts(data, np.zeros(1, int), np.array([len(text)]), np.zeros(1, np.uint64))
        assert hashed.tolist() == [expected], text


@pytest.mark.parametrize("coded", [False, True], ids=["texts", "codes"])
def test_the_driver_hashes_as_spark_does(spark, coded):
    names = texts(70)
    n = len(names)
    numbers = np.linspace(-1e9, 1e9, n).tolist()
    numbers[:8] = [None, 0.0, -0.0, 1.5, 5e-324, float("inf"), -(2.0**63), float("nan")]
    table = pa.table({
        "text": names,
        "number": pa.array(numbers, pa.float64()),
        "other": names[::-1],
        "short": pa.array(numbers, pa.float32()),
        "nothing": pa.nulls(n, pa.string()),
    })  # fmt: skip
    schema = "text string, number double, other string, short float, nothing string"
    frame = spark.createDataFrame([tuple(row.values()) for row in table.to_pylist()], schema)
    expected = [row[0] for row in frame.select(input_hash(frame.columns)).collect()]
    columns = [column.combine_chunks() for column in table.columns]
    if coded:
        columns = [
            column.dictionary_encode() if pa.types.is_string(column.type) else column
            for column in columns
        ]
    assert row_hashes(columns, n).tolist() == expected
    assert len(set(expected)) > 0.9 * n


@pytest.mark.parametrize("kind", ["f8", "f4"])
def test_many_numbers_hash_by_the_compiled_loop_as_few_do_without(kind):
    random = np.random.default_rng(7)
    bits = random.integers(0, 2**63, 5_000, np.uint64) * 2 + random.integers(0, 2, 5_000, np.uint64)
    numbers = bits.astype(f"u{kind[1]}").view(kind)  # any bits at all: NaN of many kinds, denormals
    numbers[:7] = [0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1.0]
    missing = random.random(numbers.size) < 0.1
    hashes = seeds(numbers.size)
    for column in (numbers, numbers[::-1]):
        hashes = hash_numbers(column, ~missing, hash_flags(missing, hashes))
    columns = [pa.array(c, mask=missing, from_pandas=False) for c in (numbers, numbers[::-1])]
    assert row_hashes(columns, numbers.size).tolist() == hashes.view(np.int64).tolist()
