"""Name the bins of a number that is cut: one rule for every place that cuts."""

import itertools
from collections.abc import Sequence


def bin_labels(cuts: Sequence[float]) -> list[str]:
    """Return the labels of left-closed bins, in order: '<18', '18-<25', '25+'."""
    texts = _texts(cuts)
    inner = [f"{low}-<{high}" for low, high in itertools.pairwise(texts)]
    return [f"<{texts[0]}", *inner, f"{texts[-1]}+"]


def _texts(cuts: Sequence[float]) -> list[str]:
    """Write the cuts with six digits, or with as many more as they need to differ."""
    for digits in range(6, 17):
        texts = [f"{cut:.{digits}g}" for cut in cuts]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(cut) for cut in cuts]
