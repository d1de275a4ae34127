"""Find the columns of a design that earlier columns determine, from X'WX alone."""

from __future__ import annotations

import numpy as np

# A column is aliased when less than this share of its weighted square is left after regression on
# the columns before it: a variance inflation above 1e9. X'WX has about 1e-13 of that share exact.
TOLERANCE = 1e-9


def aliased_columns(gram: np.ndarray, tolerance: float = TOLERANCE) -> list[int]:
    """Return the columns to drop, by Cholesky elimination in the order of the columns.

    gram       float64[p, p], X'WX
    tolerance  share of a column's weighted square below which it counts as determined

    Of columns that determine each other the last ones are dropped, as R and SAS do. A column
    without any weight is dropped too.
    """
    square = gram.diagonal()
    empty = square <= 0.0
    scale = 1.0 / np.sqrt(np.where(empty, 1.0, square))
    scaled = gram * scale[:, None] * scale[None, :]
    if not empty.any():
        try:
            unexplained = np.linalg.cholesky(scaled).diagonal() ** 2
        except np.linalg.LinAlgError:
            unexplained = np.zeros(0)
        if unexplained.size and unexplained.min() > tolerance:
            return []
    return _eliminate(scaled, empty, tolerance)


def _eliminate(scaled: np.ndarray, empty: np.ndarray, tolerance: float) -> list[int]:
    """Return the columns to drop. scaled: float64[p, p] with unit diagonal; empty: bool[p]."""
    size = len(scaled)
    factor = np.zeros((size, size))
    rank, dropped = 0, []
    for j in range(size):
        unexplained = scaled[j, j] - factor[j, :rank] @ factor[j, :rank]
        if empty[j] or unexplained <= tolerance:
            dropped.append(j)
            continue
        rest = scaled[j:, j] - factor[j:, :rank] @ factor[j, :rank]
        factor[j:, rank] = rest / np.sqrt(unexplained)
        rank += 1
    return dropped
