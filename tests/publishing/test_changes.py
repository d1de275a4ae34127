"""A change since the last champion lists what can be compared."""

from datetime import UTC, datetime

from kyros_spark.publishing.changes import change
from kyros_spark.registry import Entry


def tweedie(version, power, **metrics):
    return Entry(
        "premium", version, "champion", "1.kyros", "", "", {"tweedie_power": power, **metrics},
        "glm", "tweedie", "claim_amount", "exposure", "", {"tweedie_power": "profile"},
        datetime.now(UTC), "2023", "run", {"prepared 2023": "3"}, "", "", {}, {}, {}, {}, {}, None,
        "", "",
    )  # fmt: skip


def test_a_change_of_the_power_lists_no_deviances_side_by_side():
    before = tweedie(1, 1.5, test_deviance=30.0, test_d2=0.1)
    now = tweedie(2, 1.6, test_deviance=20.0, test_d2=0.2, test_balance=1.0)
    told = change(now, before)
    assert told["metrics"] == {
        "test_balance": {"before": None, "now": 1.0},
        "tweedie_power": {"before": 1.5, "now": 1.6},
    }
    same = tweedie(2, 1.5, test_deviance=20.0)
    assert change(same, before)["metrics"]["test_deviance"] == {"before": 30.0, "now": 20.0}
