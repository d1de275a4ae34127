"""Small files of each kind that people bring, and what has to be found in each.

The rows follow from fixed rules, so that the right answers are known without any guess.
"""

import csv
import random
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Source:
    """A file, and what is right about it: settings by their path, as a reader would write them."""

    name: str
    header: list[str] | None
    rows: list[list[str]]
    right: dict[str, object]
    delimiter: str = ","
    undecided: str = ""
    no_features: list[str] = field(default_factory=list)

    def write(self, folder):
        path = folder / f"{self.name}.csv"
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter=self.delimiter, lineterminator="\n")
            writer.writerows(([self.header] if self.header else []) + self.rows)
        return path


def sources():
    """Return the files, each with the right answers."""
    draw = random.Random(7)
    n = 400
    ages = [18 + draw.randrange(60) for _ in range(n)]
    claims = [int(draw.random() < 0.15) for _ in range(n)]
    paid = [200 + draw.randrange(3000) if c else 0 for c in claims]
    share = [1 + draw.randrange(1000) for _ in range(n)]  # thousandths of a year
    columns = "sources.policies.columns"
    yield Source(
        "semicolon_and_decimal_comma",
        ["Vertrag Nr", "alter", "exposure", "claims", "premium"],
        [[f"V{i}", str(ages[i]), f"{share[i] / 1000:.3f}".replace(".", ","), str(claims[i]),
          f"{ages[i] * 7.25:.2f}".replace(".", ",")] for i in range(n)],
        {
            "sources.policies.options": {"sep": ";"},
            "sources.policies.key": ["Vertrag_Nr"],
            f"{columns}.exposure.type": "double",
            f"{columns}.exposure.decimal": ",",
            f"{columns}.premium.decimal": ",",
            f"{columns}.premium.min": min(ages) * 7.25,
            "prepare.exposure": "exposure",
            "prepare.targets": {"claims": "claims"},
            "train.models.frequency_glm.family": "poisson",
        },
        delimiter=";",
        no_features=["Vertrag_Nr", "exposure", "claims"],
    )  # fmt: skip
    yield Source(
        "days_first",
        ["policy", "begin", "end", "born", "exposure", "NbClaims"],
        [[f"P{i}", f"{1 + i % 28:02d}/{1 + i % 12:02d}/2023", "NA",
          f"{1 + i % 31:02d}/01/19{50 + i % 40}", str(share[i] / 1000), str(claims[i])]
         for i in range(n)],
        {
            f"{columns}.begin.type": "date",
            f"{columns}.begin.format": "dd/MM/yyyy",
            f"{columns}.born.format": "dd/MM/yyyy",
            f"{columns}.end.missing": ["NA"],
            "prepare.targets": {"claims": "NbClaims"},
        },
        no_features=["begin", "end", "born"],
    )  # fmt: skip
    yield Source(
        "months_first",
        ["policy", "since", "expo", "nclaims"],
        [[f"P{i}", f"{1 + i % 12:02d}/{1 + i % 28:02d}/2023", "1.0", str(claims[i])]
         for i in range(n)],
        {f"{columns}.since.format": "MM/dd/yyyy"},
    )  # fmt: skip
    yield Source(
        "firsts_of_months",  # both orders read it: a day of the month is rarely always the first
        ["policy", "since", "expo", "nclaims"],
        [[f"P{i}", f"01/{1 + i % 12:02d}/2023", "1.0", str(claims[i])] for i in range(n)],
        {f"{columns}.since.format": "dd/MM/yyyy"},
    )
    yield Source(
        "no_header",
        None,
        [[f"P{i}", str(ages[i]), "diesel" if i % 3 else "petrol", str(claims[i])]
         for i in range(n)],
        {
            "sources.policies.options": {"header": "false"},
            f"{columns}.column_1.from": "_c0",
            f"{columns}.column_2.type": "int",
            f"{columns}.column_3.allowed": ["diesel", "petrol"],
        },
        undecided="claim count",
    )  # fmt: skip
    yield Source(
        "exposure_in_days",
        ["polnum", "age", "expdays", "nclaims", "paid"],
        [[str(1000 + i), str(ages[i]), str(1 + share[i] % 365), str(claims[i]), str(paid[i])]
         for i in range(n)],
        {
            "sources.policies.key": ["polnum"],
            "prepare.exposure": "expdays / 365D",
            "prepare.max_exposure": 1,
            "prepare.targets": {"claims": "nclaims", "claim_cost": "paid"},
            "prepare.features": {"age": {"kind": "numeric"}},
            f"{columns}.paid.missing": None,  # 0 is no sentinel for an amount
            f"{columns}.paid.min": 0,
        },
        no_features=["polnum", "expdays", "nclaims", "paid"],
    )  # fmt: skip
    yield Source(
        "key_of_two",
        ["IDpol", "Year", "NbClaim", "Expo", "power"],
        [[f"PN{i // 4}", str(2001 + i % 4), str(claims[i]), str(share[i] / 1000), str(ages[i])]
         for i in range(n)],
        {
            "sources.policies.key": ["IDpol", "Year"],
            "prepare.split.by": ["IDpol"],
            "prepare.features": {"power": {"kind": "numeric"}},
        },
    )  # fmt: skip
    yield Source(
        "key_of_three",
        ["client_id", "vehicle_id", "year", "claim_count", "exposure", "power"],
        [[f"C{i // 8}", f"V{i // 4 % 2}", str(2001 + i % 4), str(claims[i]), "1", str(ages[i])]
         for i in range(n)],
        {
            "sources.policies.key": ["client_id", "vehicle_id", "year"],
            "prepare.targets": {"claims": "claim_count"},
        },
    )  # fmt: skip
    words = ["NA", ".", ""]
    yield Source(
        "words_for_missing",
        ["age", "weight", "area", "nclaims", "expo"],
        [[str(ages[i]) if i % 9 else words[i // 9 % 3], "0" if i % 25 == 4 else str(900 + i % 60),
          (" north ", "south")[i % 2] if i % 10 else "NA",
          str(claims[i]), str(share[i] / 1000)] for i in range(n)],
        {
            "sources.policies.key": None,  # rows are numbered
            "prepare.split.by": ["row_number"],
            f"{columns}.age.type": "int",
            f"{columns}.age.missing": ["NA", "."],
            f"{columns}.weight.missing": ["0"],
            f"{columns}.weight.min": 900,
            f"{columns}.area.missing": ["NA"],
            f"{columns}.area.trim": True,
            f"{columns}.area.allowed": ["north", "south"],
        },
    )  # fmt: skip
    yield Source(
        "common_zeros",  # no second driver in two rows of three: 0 is a value
        ["policy_id", "age_second_driver", "previous_claims", "claims", "exposure"],
        [[f"P{i}", str(ages[i]) if i % 3 == 0 else "0", str(i % 2), str(claims[i]), "1"]
         for i in range(n)],
        {
            f"{columns}.age_second_driver.missing": None,
            "prepare.targets": {"claims": "claims"},
            # Claims of earlier years are known when a policy is rated.
            "prepare.features.previous_claims": {"kind": "numeric"},
        },
    )  # fmt: skip
    yield Source(
        "what_follows_from_claims",
        ["id", "expo", "claim", "nclaims", "amount", "average", "age"],
        [[str(i + 1), "1", str(int(claims[i] > 0)), str(2 * claims[i] if i % 5 else claims[i]),
          str(paid[i]), str(paid[i] / (2 if i % 5 else 1)) if claims[i] else "", str(ages[i])]
         for i in range(n)],
        {
            "prepare.targets": {"claims": "nclaims", "claim_cost": "amount"},
            "prepare.features": {"age": {"kind": "numeric"}},
        },
        no_features=["claim", "average"],
    )  # fmt: skip
    yield Source(
        "counts_by_peril",
        ["id", "num_theft", "num_glass", "amt_theft", "amt_glass", "group", "policy_years"],
        [[f"Z{i}", str(claims[i]), str(claims[-1 - i]), str(paid[i]), str(paid[-1 - i]),
          ("train", "train", "valid", "test")[i % 4], str(share[i] / 200)] for i in range(n)],
        {
            "prepare.targets.claims": "num_theft + num_glass",
            "prepare.targets.claim_cost": "amt_theft + amt_glass",
            "prepare.split.sql": "group",
            "prepare.max_exposure": max(share) / 200,
        },
        no_features=["group"],
    )  # fmt: skip
    yield Source(
        "claims_file",
        ["claim_id", "policy_id", "claim_amount"],
        [[f"K{i}", f"P{i // 2}", str(paid[i] + 1)] for i in range(n)],
        {"sources.policies.key": ["claim_id"], "train": None},
        undecided="claims rather than policies",
    )


SOURCES = {source.name: source for source in sources()}
