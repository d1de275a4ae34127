"""Find the cell of each number: its leading bits, in a table of the cells known so far."""

import numpy as np
from numba.extending import register_jitable

OUTSIDE, UNKNOWN = -1, -2  # a number that is not looked at, and one whose cell is not known yet
LEADING = 16  # bits: sign, exponent, and a sixteenth of an octave
SIGN, _REST = np.uint64(1 << 63), np.uint64(64 - LEADING)


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
    of_ranges = firsts(first, np.uint64(0))
    of_cells = firsts(cells, shift)
    for row in range(words.size):
        word = words[row]
        places[row] = OUTSIDE
        if (word & ~SIGN) > np.uint64(0x7FF << 52):  # NaN
            continue
        ordered = ~word if word & SIGN else word | SIGN
        bits[row] = ordered
        if first.size:
            place = last_up_to(first, ordered, of_ranges, ordered)
            if place < 0 or ordered > last[place]:
                continue
        cell = ordered >> shift
        place = last_up_to(cells, cell, of_cells, ordered)
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
def firsts(rising: np.ndarray, dropped: np.uint64) -> np.ndarray:
    """Return where numbers of each value of the leading bits begin, int64[2^LEADING + 1].

    rising: uint64[n], without the last bits that were dropped
    """
    begins = np.zeros((1 << LEADING) + 1, np.int64)
    for place in range(rising.size):
        begins[np.int64((rising[place] << dropped) >> _REST) + 1] += 1
    for leading in range(1 << LEADING):
        begins[leading + 1] += begins[leading]
    return begins


@register_jitable
def last_up_to(rising: np.ndarray, value: np.uint64, begins: np.ndarray, ordered: np.uint64) -> int:
    """Return the last place whose value is at most this one, or -1: near its leading bits."""
    leading = np.int64(ordered >> _REST)
    begin, end = begins[leading] - 1, begins[leading + 1]
    while end - begin > 1:
        middle = (begin + end) >> 1
        if rising[middle] <= value:
            begin = middle
        else:
            end = middle
    return begin
