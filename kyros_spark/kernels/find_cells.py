"""Find the cell of each number: its leading bits, in a table of the cells known so far."""

import numpy as np
from numba.extending import register_jitable

OUTSIDE, UNKNOWN = -1, -2  # a number that is not looked at, and one whose cell is not known yet
_SIGN = np.uint64(1 << 63)


def find_cells(
    words: np.ndarray,
    first: np.ndarray,
    last: np.ndarray,
    cells: np.ndarray,
    dropped: int,
    bits: np.ndarray,
    places: np.ndarray,
) -> int:
    """Write each number's ordered bits and the place of its cell; return how many are not known.

    words        uint64[n], the bits of float64 values other than -0.0
    first, last  uint64[ranges], rising: the ordered bits to look at; all, if there is no range
    cells        uint64[c], rising: ordered bits without their last `dropped`
    bits         uint64[n], output: they rise with the numbers
    places       int64[n], output: of `cells`, or OUTSIDE (of NaN too), or UNKNOWN
    """
    unknown, shift = 0, np.uint64(dropped)
    for row in range(words.size):
        word = words[row]
        places[row] = OUTSIDE
        if (word & ~_SIGN) > np.uint64(0x7FF << 52):  # NaN
            continue
        ordered = ~word if word & _SIGN else word | _SIGN
        bits[row] = ordered
        if first.size:
            place = _last_up_to(first, ordered)
            if place < 0 or ordered > last[place]:
                continue
        cell = ordered >> shift
        place = _last_up_to(cells, cell)
        if place >= 0 and cells[place] == cell:
            places[row] = place
        else:
            places[row] = UNKNOWN
            unknown += 1
    return unknown


def widen_cells(bits: np.ndarray, places: np.ndarray, least: np.ndarray, most: np.ndarray) -> None:
    """Widen the ends of cells, uint64[c], in place, to hold the bits in them, uint64[n]."""
    for row in range(bits.size):
        place = places[row]
        if place >= 0:
            least[place] = min(least[place], bits[row])
            most[place] = max(most[place], bits[row])


@register_jitable
def _last_up_to(rising: np.ndarray, value: np.uint64) -> int:
    """Return the last place whose value is at most this one, or -1. Without a branch per step."""
    if not rising.size or rising[0] > value:
        return -1
    begin, length = 0, rising.size
    while length > 1:
        half = length >> 1
        begin = begin + half if rising[begin + half] <= value else begin
        length -= half
    return begin
