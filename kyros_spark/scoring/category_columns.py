"""Lay out a tree model's category sets as code columns: one byte per row, one bit per question.

A question is a set together with the side that a missing value takes. Eight questions of one
feature share a column: a row's byte is looked up by its category. The look-up table has one entry
per category, one for any value that is no category of the sets, and one for a missing value.
"""

import numpy as np

Arrays = dict[str, np.ndarray]
QUESTIONS_PER_COLUMN = 8


def set_tests(model: Arrays, by_set: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the column among the set columns and the bit's mask of each split by categories."""
    split_questions = _questions(model, by_set)
    questions, question_of_split = np.unique(split_questions, return_inverse=True)
    column, bit = _columns_and_bits(model, questions)
    return column[question_of_split], np.int64(1) << bit[question_of_split]


def build_set_columns(model: Arrays) -> Arrays:
    """Return the set columns' features and tables, see kernels/quantise_sets.py.

    set_column_feature  int64[columns], ascending
    set_table_start     int64[columns + 1]: where each column's table begins
    set_table           uint8: for each column one byte per category, then the byte of a value that
                        is no category, then that of a missing value
    """
    by_set = model["split_cut"] >= model["cut_value"].size
    questions = np.unique(_questions(model, by_set))
    column, bit = _columns_and_bits(model, questions)
    number, missing_right = questions >> 1, questions & 1
    n_columns = int(column.max(initial=-1)) + 1
    feature = np.zeros(n_columns, np.int64)
    feature[column] = model["set_feature"][number] if number.size else 0
    sizes = np.diff(model["set_start"])[number] * 8 if number.size else np.zeros(0, np.int64)
    categories = np.zeros(n_columns, np.int64)
    np.maximum.at(categories, column, sizes)
    start = np.concatenate([[0], np.cumsum(categories + 2)]).astype(np.int64)
    table = np.zeros(start[-1], np.uint8)
    for k, set_number in enumerate(number):
        column_table = table[start[column[k]] : start[column[k] + 1]]
        mask = np.uint8(1 << int(bit[k]))
        bits = model["set_bits"][
            model["set_start"][set_number] : model["set_start"][set_number + 1]
        ]
        right = np.unpackbits(bits, bitorder="little").astype(bool)
        column_table[: right.size][right] |= mask
        if model["set_other_right"][set_number]:
            column_table[right.size : -1] |= mask
        if missing_right[k]:
            column_table[-1] |= mask
    return {"set_column_feature": feature, "set_table_start": start, "set_table": table}


def _questions(model: Arrays, by_set: np.ndarray) -> np.ndarray:
    """Return the splits' question numbers: twice the set, plus one if missing goes right."""
    number = model["split_cut"][by_set].astype(np.int64) - model["cut_value"].size
    return 2 * number + (1 - model["split_missing_left"][by_set].astype(np.int64))


def _columns_and_bits(model: Arrays, questions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the column and the bit of each question.

    Small sets share a column with small sets, since a column's table is as long as its largest set.
    """
    if not questions.size:
        return questions, questions
    number = questions >> 1
    feature, size = model["set_feature"][number], np.diff(model["set_start"])[number]
    order = np.lexsort((questions, size, feature))
    counts = np.bincount(feature)
    within = np.arange(order.size) - (np.cumsum(counts) - counts)[feature[order]]
    columns = -(-counts // QUESTIONS_PER_COLUMN)
    first = np.cumsum(columns) - columns
    column, bit = np.empty(order.size, np.int64), np.empty(order.size, np.int64)
    column[order] = first[feature[order]] + within // QUESTIONS_PER_COLUMN
    bit[order] = within % QUESTIONS_PER_COLUMN
    return column, bit
