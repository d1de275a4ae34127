"""Hash columns of numbers as `row_hash` does, in one loop over the rows.

As NumPy passes, the same steps took more than twice as long as 500 trees did for the same rows.
"""

import numpy as np
from numba.extending import register_jitable

from kyros_spark.kernels.row_hash import P1, P2, P3, P4, P5

_SIGN_OUT_64 = np.uint64(0x7FFFFFFFFFFFFFFF)
_INFINITY_64, _NAN_64 = np.uint64(0x7FF0000000000000), np.uint64(0x7FF8000000000000)
_SIGN_OUT_32 = np.uint64(0x7FFFFFFF)
_INFINITY_32, _NAN_32 = np.uint64(0x7F800000), np.uint64(0x7FC00000)
_4, _8, _0 = np.uint64(4), np.uint64(8), np.uint64(0)


def hash_doubles(bits: np.ndarray, missing: np.ndarray, hashes: np.ndarray) -> None:
    """Take a column of float64 into the rows' hashes: whether it is missing, then its value.

    bits     uint64[rows], the numbers' own; any value where one is missing
    missing  uint8[rows], 0 or 1
    hashes   uint64[rows], updated in place
    """
    for row in range(bits.size):
        flagged = _add32(hashes[row] + P5 + _4, np.uint64(missing[row]))
        value = bits[row]
        size = value & _SIGN_OUT_64
        value = _NAN_64 if size > _INFINITY_64 else value
        value = _0 if size == _0 else value  # -0.0 is 0.0
        hashed = _add64(flagged + P5 + _8, value)
        hashes[row] = flagged if missing[row] else hashed


def hash_floats(bits: np.ndarray, missing: np.ndarray, hashes: np.ndarray) -> None:
    """Take a column of float32 into the rows' hashes, as `hash_doubles` does.

    bits     uint32[rows]
    missing  uint8[rows], 0 or 1
    hashes   uint64[rows], updated in place
    """
    for row in range(bits.size):
        flagged = _add32(hashes[row] + P5 + _4, np.uint64(missing[row]))
        value = np.uint64(bits[row])
        size = value & _SIGN_OUT_32
        value = _NAN_32 if size > _INFINITY_32 else value
        value = _0 if size == _0 else value
        hashed = _add32(flagged + P5 + _4, value)
        hashes[row] = flagged if missing[row] else hashed


@register_jitable
def _add32(total: np.uint64, word: np.uint64) -> np.uint64:
    total = total ^ (word * P1)
    return _mixed(((total << np.uint64(23)) | (total >> np.uint64(41))) * P2 + P3)


@register_jitable
def _add64(total: np.uint64, word: np.uint64) -> np.uint64:
    word = word * P2
    word = ((word << np.uint64(31)) | (word >> np.uint64(33))) * P1
    total = total ^ word
    return _mixed(((total << np.uint64(27)) | (total >> np.uint64(37))) * P1 + P4)


@register_jitable
def _mixed(total: np.uint64) -> np.uint64:
    total = (total ^ (total >> np.uint64(33))) * P2
    total = (total ^ (total >> np.uint64(29))) * P3
    return total ^ (total >> np.uint64(32))
