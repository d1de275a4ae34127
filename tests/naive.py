"""Slow, obvious twins of the kernels: plain Python, one row at a time, written from the formats.

They share no code with the package beyond the names of a model's arrays.
"""

import bisect
import math

import numpy as np


def rank(value, cuts):
    """Number of cuts that are <= value, by definition."""
    return sum(1 for cut in cuts if cut <= value)


def split_feature(arrays, split):
    return bisect.bisect_right(arrays["cut_start"].tolist(), int(arrays["split_cut"][split])) - 1


def goes_right(arrays, number, value, rule):
    """Ask a category set about one value, category by category."""
    begin, end = arrays["set_start"][number : number + 2]
    whole = {"truncate": math.trunc, "floor": math.floor, "whole": math.floor}[rule]
    category = whole(value) if math.isfinite(value) else -1
    if category < 0 or category >= 8 * (end - begin) or (rule == "whole" and category != value):
        return bool(arrays["set_other_right"][number])
    return bool(arrays["set_bits"][begin + category // 8] >> (category % 8) & 1)


def leaf_of(arrays, tree, row, rule="whole"):
    """Walk one tree for one row (already in the cuts' precision); return the leaf's number."""
    start = int(arrays["tree_start"][tree])
    if start == arrays["tree_start"][tree + 1]:
        return 0
    at = 0
    while at >= 0:
        split = start + at
        _, left = split_feature_and_side(arrays, split, row, rule)
        at = int(arrays["split_left" if left else "split_right"][split])
    return ~at


def split_feature_and_side(arrays, split, row, rule="whole"):
    """Return the feature that a split asks for, and whether the row goes left there."""
    number = int(arrays["split_cut"][split]) - arrays["cut_value"].size
    by_set = number >= 0
    feature = int(arrays["set_feature"][number]) if by_set else split_feature(arrays, split)
    value = row[feature]
    if math.isnan(value):
        return feature, bool(arrays["split_missing_left"][split])
    if by_set:
        return feature, not goes_right(arrays, number, float(value), rule)
    return feature, bool(value < arrays["cut_value"][arrays["split_cut"][split]])


def tree_scores(arrays, rows, start, rule="whole"):
    """Sum leaf by leaf in tree order, in the precision of the leaf values."""
    dtype = arrays["leaf_value"].dtype.type
    rows = np.asarray(rows).astype(arrays["cut_value"].dtype)
    scores = []
    for number, row in enumerate(rows):
        total = dtype(start[number])
        for tree in range(arrays["tree_start"].size - 1):
            first = int(arrays["tree_start"][tree]) + tree
            total = dtype(total + arrays["leaf_value"][first + leaf_of(arrays, tree, row, rule)])
        scores.append(float(total))
    return np.array(scores)


def glm_scores(features, tables, columns, start):
    """Sum a GLM's terms with math.fsum: the textbook linear predictor, rounded once."""
    scores = []
    for number in range(len(start)):
        terms = [start[number]]
        for (_name, kind, impute), table, column in zip(features, tables, columns, strict=True):
            if kind == "levels":
                terms.append(table[int(column[number])])
            else:
                value = impute if math.isnan(column[number]) else column[number]
                terms.append(table[0] * value)
        scores.append(math.fsum(terms))
    return np.array(scores)


def normal_equations(design, label, weight, offset, coefficients, variance):
    """X'WX and X'score of a GLM, from the dense design: with link log, or logit of a binomial."""
    mean = np.exp(design @ coefficients + offset)
    if variance == "mu (1 - mu)":
        mean = mean / (1 + mean)
        information, score = weight * mean * (1 - mean), weight * (label - mean)
    else:
        information = weight * mean * mean / variance(mean)
        score = weight * (label - mean) * mean / variance(mean)
    return design.T @ (design * information[:, None]), design.T @ score
