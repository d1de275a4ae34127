"""Add rows up by the bin that each lies in, and find the bin of a number."""

import numpy as np

from kyros_spark.kernels.find_cells import SIGN, firsts, last_up_to


def number_bins(words: np.ndarray, cuts: np.ndarray, bins: np.ndarray) -> None:
    """Write the bin of each number: how many cuts are at most the number.

    words  uint64[n], the bits of float64 values other than -0.0; NaN, which is no value, is in bin
           len(cuts) + 1
    cuts   uint64[c], rising: the bits of float64 values that rise, all turned over below zero, with
           the sign set above (as find_cells orders them)
    bins   int64[n], output
    """
    begins = firsts(cuts, np.uint64(0))
    for row in range(words.size):
        word = words[row]
        if (word & ~SIGN) > np.uint64(0x7FF << 52):  # NaN
            bins[row] = cuts.size + 1
            continue
        ordered = ~word if word & SIGN else word | SIGN
        bins[row] = last_up_to(cuts, ordered, begins, ordered) + 1


def bin_sums(
    bins: np.ndarray, weight: np.ndarray, values: np.ndarray, sums: np.ndarray, ends: np.ndarray
) -> None:
    """Add rows to the sums of their bins.

    bins    int64[n]; the rows of negative ones are left out
    weight  float64[n]
    values  float64[n], those that are not finite count as 0; float64[0] where there are none
    sums    float64[b, 4], added to: rows, weight, weight squared, weight x value
    ends    float64[2], widened to hold the finite values
    """
    has_values = values.size > 0
    for row in range(bins.size):
        place = bins[row]
        if place < 0:
            continue
        w = weight[row]
        sums[place, 0] += 1.0
        sums[place, 1] += w
        sums[place, 2] += w * w
        if has_values:
            value = values[row]
            if np.isfinite(value):
                sums[place, 3] += w * value
                ends[0] = min(ends[0], value)
                ends[1] = max(ends[1], value)
