"""Find the columns of a design that earlier ones determine, from X'WX alone."""

from __future__ import annotations

import numpy as np

# A column is aliased when less than this share of its weighted square is its own, given the columns
# before it: a variance inflation above 1e9. X'WX is exact to about 1e-13 of that share.
TOLERANCE = 1e-9


def aliased_columns(gram: np.ndarray, tolerance: float = TOLERANCE) -> list[int]:
    """Return the columns to drop, by Cholesky's elimination in the columns' own order.

    gram: X'WX [p, p]. Of columns that determine each other the last ones are dropped, as R and SAS
    do; a column without weight at all is one of them.
    """
    square = gram.diagonal()
    empty = square <= 0.0
    scale = 1.0 / np.sqrt(np.where(empty, 1.0, square))
    scaled = gram * scale[:, None] * scale[None, :]
    if not empty.any():
        try:
            left = np.linalg.cholesky(scaled).diagonal() ** 2
        except np.linalg.LinAlgError:
            left = np.zeros(0)
        if left.size and left.min() > tolerance:
            return []
    return _eliminate(scaled, empty, tolerance)


def _eliminate(scaled: np.ndarray, empty: np.ndarray, tolerance: float) -> list[int]:
    size = len(scaled)
    factor = np.zeros((size, size))
    kept, dropped = 0, []
    for j in range(size):
        own = scaled[j, j] - factor[j, :kept] @ factor[j, :kept]
        if empty[j] or own <= tolerance:
            dropped.append(j)
            continue
        rest = scaled[j:, j] - factor[j:, :kept] @ factor[j, :kept]
        factor[j:, kept] = rest / np.sqrt(own)
        kept += 1
    return dropped
