"""Rows brought together by segment: every segment is worked on once, in order, whatever its size."""

from itertools import pairwise

import numpy as np
import pytest

from kyros_spark.fitting.segments.columns import SegmentRows
from kyros_spark.fitting.segments.sources import BATCH_ROWS, LocalSegments

HALF = BATCH_ROWS // 2
KEYS = {
    "even": np.repeat(np.arange(1, 3001), 50),
    "one has half of the rows": np.concatenate([np.full(HALF, 7000), np.arange(1, HALF + 1) % 900]),
    "numbers beyond 16 bits": np.repeat(np.array([1, 70_000, 3 << 40]), 60_000),
    "one": np.full(10, 4),
    "none": np.zeros(0, int),
}


@pytest.mark.parametrize("keys", KEYS.values(), ids=KEYS)
def test_each_segment_has_its_own_rows(keys):
    shuffled = np.random.default_rng(0).permutation(keys).astype(np.int64)
    label = np.arange(shuffled.size, dtype=float)
    rows = SegmentRows(
        np.zeros((label.size, 0), np.int32), np.ones((label.size, 1)), label, np.ones(label.size),
        np.zeros(label.size), np.array([0, label.size]),
    )  # fmt: skip
    seen = []

    def work(numbers, part):
        seen.extend(numbers.tolist())
        begins = part.begins
        return [np.array([part.label[a:b].sum() for a, b in pairwise(begins)])]

    numbers, sums = LocalSegments(shuffled, rows, np.array([1])).map(1, work)
    expected = {key: label[shuffled == key].sum() for key in np.unique(keys)}
    assert dict(zip(numbers.tolist(), sums.tolist(), strict=True)) == expected
    assert sorted(seen) == numbers.tolist() == sorted(expected)
