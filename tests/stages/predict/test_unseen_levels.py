"""A level that training never saw is named, with what it scores as, wherever rows are scored."""

import logging

import pytest
from portfolio import POLICIES, SECOND, UNSEEN_FUEL


@pytest.mark.repeats
@pytest.mark.parametrize("local_rows", [0, 5_000_000])
def test_an_unseen_level_and_where_it_went_are_named(portfolio, caplog, local_rows):
    portfolio.set("spark.local_rows", local_rows)
    portfolio.set("predict.rows_per_arrow_batch", 150)  # so that the work is done again
    with caplog.at_level(logging.WARNING, logger="kyros_spark"):
        line = portfolio.must(f"predict --batch {SECOND}")
    assert line["status"] == "done" and line["details"]["unseen_levels"] == {"fuel": UNSEEN_FUEL}
    (warning,) = [text for text in caplog.messages if text.startswith("feature fuel")]
    assert warning == (
        f"feature fuel: {UNSEEN_FUEL} of {POLICIES} rows hold a level that training never saw, "
        "such as 'hydrogen'; they score as 'petrol'"
    )
