"""Lay out a tree model's category sets as code columns: a byte a row, a bit a question.

A question is a set together with the side that a missing value takes. Eight questions of one
feature share a column: a row's byte is looked up by its category, in a table with an entry a
category, one for what is no category of the sets, and one for a missing value.
"""

import numpy as np

Arrays = dict[str, np.ndarray]
QUESTIONS_A_COLUMN = 8


def set_tests(model: Arrays, by_set: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return of each split by categories its column among the set columns, and its bit's mask."""
    asked = _asked(model, by_set)
    questions, which = np.unique(asked, return_inverse=True)
    column, bit = _places(model, questions)
    return column[which], np.int64(1) << bit[which]


def build_set_columns(model: Arrays) -> Arrays:
    """Return the set columns' features and tables, see kernels/quantise_sets.py.

    set_column_feature  int64[columns], ascending
    set_table_start     int64[columns + 1]: where each column's table begins
    set_table           uint8: a category's byte each, then that of no category, then of missing
    """
    by_set = model["split_cut"] >= model["cut_value"].size
    questions = np.unique(_asked(model, by_set))
    column, bit = _places(model, questions)
    number, missing_right = questions >> 1, questions & 1
    n_columns = int(column.max(initial=-1)) + 1
    feature = np.zeros(n_columns, np.int64)
    feature[column] = model["set_feature"][number] if number.size else 0
    sizes = np.diff(model["set_start"])[number] * 8 if number.size else np.zeros(0, np.int64)
    categories = np.zeros(n_columns, np.int64)
    np.maximum.at(categories, column, sizes)
    start = np.concatenate([[0], np.cumsum(categories + 2)]).astype(np.int64)
    table = np.zeros(start[-1], np.uint8)
    for k, one in enumerate(number):
        own = table[start[column[k]] : start[column[k] + 1]]
        mask = np.uint8(1 << int(bit[k]))
        bits = model["set_bits"][model["set_start"][one] : model["set_start"][one + 1]]
        right = np.unpackbits(bits, bitorder="little").astype(bool)
        own[: right.size][right] |= mask
        if model["set_other_right"][one]:
            own[right.size : -1] |= mask
        if missing_right[k]:
            own[-1] |= mask
    return {"set_column_feature": feature, "set_table_start": start, "set_table": table}


def _asked(model: Arrays, by_set: np.ndarray) -> np.ndarray:
    """Number the questions that the splits ask: twice the set, plus one if missing goes right."""
    number = model["split_cut"][by_set].astype(np.int64) - model["cut_value"].size
    return 2 * number + (1 - model["split_missing_left"][by_set].astype(np.int64))


def _places(model: Arrays, questions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return column and bit of each question.

    Small sets go with small ones: a column's table is as long as its largest set.
    """
    if not questions.size:
        return questions, questions
    number = questions >> 1
    feature, size = model["set_feature"][number], np.diff(model["set_start"])[number]
    order = np.lexsort((questions, size, feature))
    counts = np.bincount(feature)
    within = np.arange(order.size) - (np.cumsum(counts) - counts)[feature[order]]
    columns = -(-counts // QUESTIONS_A_COLUMN)
    first = np.cumsum(columns) - columns
    column, bit = np.empty(order.size, np.int64), np.empty(order.size, np.int64)
    column[order] = first[feature[order]] + within // QUESTIONS_A_COLUMN
    bit[order] = within % QUESTIONS_A_COLUMN
    return column, bit
