"""Random portfolios go through all stages, and a naive twin finds nothing that differs.

This one is small and holds most kinds of files, keys, rules, amounts and models. 40 are part of CI,
each eighth on the executors, and 1,000 are tried by `make bench ONLY=books`.
"""

import pytest

from benchmarks.book import draw
from benchmarks.book_laws import judge, put_through

SEEDS = (18,)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_that_a_naive_twin_computes_differs(spark, tmp_path, seed):
    book = draw(seed, tmp_path)
    put_through(spark, book)
    differences, ended = judge(book)
    assert not differences, "\n".join(differences[:20])
    assert ("clean", "2023") in ended
