"""Random portfolios go through all stages, and a naive twin finds nothing that differs.

These two are small and hold most kinds of files, keys, rules, amounts and models; 40 of them are
part of CI, and 1,000 are tried by `make bench ONLY=books`.
"""

import pytest

from benchmarks.book import draw
from benchmarks.book_laws import judge, put_through

SEEDS = (18, 3)  # in the driver and on the executors


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_a_naive_twin_computes_differs(spark, tmp_path, seed):
    book = draw(seed, tmp_path)
    put_through(spark, book)
    differences, ended = judge(book)
    assert not differences, "\n".join(differences[:20])
    assert ("clean", "2023") in ended
