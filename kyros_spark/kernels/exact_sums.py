"""Add doubles exactly, as whole numbers in chunks of 32 bits: a sum then depends on no order.

Source: Neal, Fast exact summation using small and large superaccumulators, 2015; here each value is
cut into three pieces, so that carries are needed only once in 2^29 values.
"""

import numpy as np

CHUNKS = 67  # of 32 bits: from 2^-1074, the smallest double, to 2^1024, and room for carries
MOST_VALUES = 1 << 29  # a piece is below 2^33, and a chunk holds 2^63


def add_exactly(bits: np.ndarray, groups: np.ndarray, chunks: np.ndarray) -> None:
    """Add each value to its group's sum.

    bits    int64[n], the bits of finite float64 values
    groups  int64[n], rows of `chunks`; a row with a negative group is left out
    chunks  int64[groups, CHUNKS], in place: the sum is that of chunk k times 2^(32 k - 1074)
    """
    for row in range(bits.size):
        group = groups[row]
        if group < 0:
            continue
        word = bits[row]
        exponent = (word >> 52) & 0x7FF
        mantissa = word & 0xFFFFFFFFFFFFF
        if exponent == 0:
            exponent = 1
        else:
            mantissa |= 1 << 52
        chunk, shift = (exponent - 1) >> 5, (exponent - 1) & 31
        low = np.uint64(mantissa & 0xFFFFFFFF) << np.uint64(shift)
        high = np.uint64(mantissa >> 32) << np.uint64(shift)
        first = np.int64(low & np.uint64(0xFFFFFFFF))
        second = np.int64(low >> np.uint64(32)) + np.int64(high & np.uint64(0xFFFFFFFF))
        third = np.int64(high >> np.uint64(32))
        if word < 0:
            first, second, third = -first, -second, -third
        chunks[group, chunk] += first
        chunks[group, chunk + 1] += second
        chunks[group, chunk + 2] += third


def carry(chunks: np.ndarray) -> None:
    """Bring all chunks but the last between 0 and 2^32; chunks: int64[groups, CHUNKS], in place."""
    for group in range(chunks.shape[0]):
        for chunk in range(chunks.shape[1] - 1):
            over = chunks[group, chunk] >> 32
            chunks[group, chunk] -= over << 32
            chunks[group, chunk + 1] += over
