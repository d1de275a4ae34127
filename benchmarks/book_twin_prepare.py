"""The naive twin of prepare: joins claims to policies and computes features, one row at a time.

It follows docs/prepare.md. What part of a hashed split a client falls into is the package's choice;
the twin is told, and the laws see that a client is in one part only.
"""

import datetime as dt
import math
from collections import defaultdict

import numpy as np

WHERE = {
    "true": lambda claim: True,
    "amount > 0": lambda claim: claim["amount"] is not None and claim["amount"] > 0,
    "cause != 'glass'": lambda claim: claim["cause"] is not None and claim["cause"] != "glass",
}


def prepare(settings, sources, cleaned, part_of):
    """Return the prepared rows by the policy's key; ``part_of`` gives a hashed split's part."""
    claims = None
    if settings.get("claims"):
        claims = defaultdict(list) if "claims" in cleaned else None
        for claim in cleaned["claims"].accepted.values() if claims is not None else ():
            claims[tuple(claim[n] for n in sources["claims"]["reference"])].append(claim)
    key = sources["policies"]["key"] or ["row_number"]
    rows = {}
    for policy in cleaned["policies"].accepted.values():
        name = tuple(policy[n] for n in key)
        row = dict(zip(key, name, strict=True))
        row["exposure"] = policy["exposure"]
        if settings.get("claims"):
            row |= _targets(settings["claims"], None if claims is None else claims[name])
        else:
            row |= {"number": _number(policy["n_claims"]), "loss": policy["paid"]}
        row["split"] = _part(settings["split"], policy, part_of)
        for title, feature in settings["features"].items():
            row[title] = feature_value(title, feature, policy)
        rows[name] = row
    return rows


def _number(value):
    return None if value is None else float(value)


def _targets(settings, claims):
    if claims is None:
        return {"claim_count": None, "claim_amount": None, "claim_excess": None}
    counted = [claim for claim in claims if WHERE[settings["where"]](claim)]
    amounts = [claim[settings["amount"]] for claim in counted]
    if None in amounts:
        return {"claim_count": float(len(counted)), "claim_amount": None, "claim_excess": None}
    cap = settings.get("cap", math.inf)
    return {
        "claim_count": float(len(counted)),
        "claim_amount": math.fsum(min(amount, cap) for amount in amounts),
        "claim_excess": math.fsum(max(amount - cap, 0.0) for amount in amounts),
    }


def _part(split, policy, part_of):
    if "by" in split:
        return part_of(policy["client"])
    return split["parts"].get(policy["start"].month)


def feature_value(name, settings, policy):
    """Return what table prepared holds of a feature for one policy."""
    value = _raw_value(name, settings, policy)
    if settings["kind"] == "levels":
        return _text(value)
    if value is not None:
        value = float(value)
    if settings["kind"] == "bins" and "bins" in settings:
        return None if value is None else bin_label(value, settings["bins"])
    if settings.get("precision") == "float" and value is not None:
        value = float(np.float32(value))
    return value


def _raw_value(name, settings, policy):
    if "sql" in settings:
        assert settings["sql"] == "if(age < 30, 'young', 'old')"
        return "young" if policy["age"] is not None and policy["age"] < 30 else "old"
    if "log" in settings:
        value = policy[settings["log"]]
        return math.log(value) if value is not None and value > 0 else None
    if "ratio" in settings:
        above, below = (policy[n] for n in settings["ratio"])
        if above is None or below is None or below == 0:
            return None
        return float(above) / float(below)
    if "age" in settings:
        return _age(
            policy[settings["age"]["from"]],
            policy[settings["age"]["at"]],
            settings["age"].get("unit", "years"),
        )
    if "interaction" in settings:
        parts = [_text(policy[n]) for n in settings["interaction"]]
        return None if None in parts else " x ".join(parts)
    return policy[settings.get("column", name)]


def _age(first, last, unit):
    if first is None or last is None:
        return None
    if unit == "days":
        return (last - first).days
    months = (last.year - first.year) * 12 + last.month - first.month - (last.day < first.day)
    return months // 12 if unit == "years" else months


def _text(value):
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return str(value).lower()
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def bin_label(value, cuts):
    """Return the label of the bin that a number lies in; bins are closed on the left."""
    texts = [f"{cut:g}" if abs(cut) < 1e5 else repr(cut) for cut in cuts]
    if value < cuts[0]:
        return f"<{texts[0]}"
    if value >= cuts[-1]:
        return f"{texts[-1]}+"
    at = max(n for n, cut in enumerate(cuts) if value >= cut)
    return f"{texts[at]}-<{texts[at + 1]}"
