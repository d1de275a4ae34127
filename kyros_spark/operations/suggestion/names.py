"""Recognise what a column may be by its name: an identity, a claim count, an amount, exposure."""

from __future__ import annotations

import re

_IDENTITY_WORDS = {
    "id", "ids", "uuid", "guid", "key", "ref", "reference", "serial", "no", "nr", "num", "number",
    "index", "policy", "pol", "contract", "client", "customer", "insured", "certificate", "cert",
    "police", "vertrag", "kunde", "contrat", "rownames",
}  # fmt: skip
_IDENTITY = re.compile(
    r"^id[a-z]{2,}$|(pol|policy|contract|client|customer|vehicle|insured|cert)[a-z]{0,3}"
    r"(no|nr|num|id|number)$|^rownames$|^unnamed"
)
_PERSON = re.compile(r"client|customer|insured|person|holder|owner|household|member|kunde")
_PERIOD = re.compile(r"year|yr|period|season|date|begin|start|month|quarter|version|endors|annee")
_CLAIM = re.compile(r"claim|clm|sinist|schaden|schade|loss|accident")
_AMOUNT = re.compile(r"amount|amt|paid|cost|cst|charge|incurred|payment|montant|betrag|indem")
_COUNT = re.compile(r"(^|\b)(num|nb|n|nr|no|cnt|count|number|freq)(\b|$)|claim|clm|sinist|schade")
_HISTORY = re.compile(r"prev|prior|past|hist|last|former|before|free|ncd|nclaims?_?\dy|years")
_EXPOSURE = re.compile(
    r"expo|exp(days|yrs?|years)|policy years?\b|duration years?|years? at risk|earned|risk years?"
    r"|(car|veh|vehicle|insured) years?\b|days at risk|days insured|duree"
)
_CODE = re.compile(r"post|\bzip|insee|\bcodes?\b|\bdep(t|artment)?\b|commune|region|municip")
_AMOUNT_PART = {"amt", "amount", "paid", "cost", "sum", "total"}
_COUNT_PART = {"num", "nb", "n", "nr", "no", "cnt", "count", "number"}


def words(name: str) -> list[str]:
    """Return the words of a name in lower case: NbClaim is nb claim, IDpol is id pol."""
    spaced = re.sub(r"^ID(?=[A-Za-z])", "ID ", name)
    spaced = re.sub(r"([a-z])([A-Z])", r"\1 \2", spaced)
    return re.findall(r"[a-z]+|\d+", spaced.lower())


def is_identity(name: str) -> bool:
    """Tell whether the name is that of a policy number or another identity."""
    parts = words(name)
    if not parts:
        return False
    return (
        bool({"id", "uuid", "guid", "rownames"} & set(parts))
        or parts[-1] in _IDENTITY_WORDS
        or (parts[0] in ("policy", "polnum") and len(parts) == 1)
        or any(_IDENTITY.search(part) for part in (parts[-1], "".join(parts)))
    )


def is_person(name: str) -> bool:
    """Tell whether an identity is that of a client rather than of a policy."""
    return bool(_PERSON.search(name.lower()))


def is_period(name: str) -> bool:
    """Tell whether the name is that of a year or another period."""
    return bool(_PERIOD.search(name.lower()))


def is_claim_id(name: str) -> bool:
    """Tell whether the name is that of a claim's number, which a claims file has."""
    return is_identity(name) and bool(_CLAIM.search(name.lower()))


def is_claim(name: str) -> bool:
    """Tell whether the name speaks of claims of this period, not of earlier ones."""
    return bool(_CLAIM.search(name.lower())) and not is_history(name)


def is_history(name: str) -> bool:
    """Tell whether the name speaks of earlier claims, which are known beforehand."""
    return bool(_HISTORY.search(" ".join(words(name))))


def is_count(name: str) -> bool:
    """Tell whether the name may be that of a claim count."""
    text = " ".join(words(name))
    return bool(_COUNT.search(text)) and not _AMOUNT.search(text) and not is_history(name)


def is_amount(name: str) -> bool:
    """Tell whether the name may be that of what claims cost."""
    return bool(_AMOUNT.search(" ".join(words(name)))) and not is_history(name)


def is_exposure(name: str) -> bool:
    """Tell whether the name is that of an exposure."""
    return bool(_EXPOSURE.search(" ".join(words(name))))


def is_code(name: str) -> bool:
    """Tell whether the numbers of such a column are codes, such as postcodes."""
    return bool(_CODE.search(" ".join(words(name))))


def peril(name: str) -> tuple[str, ...]:
    """Return the words of a name but those that say count or amount: num_visits is visits."""
    return tuple(word for word in words(name) if word not in _AMOUNT_PART | _COUNT_PART)


def is_begin(name: str) -> bool:
    """Tell whether the name is that of a first day of cover."""
    return bool(re.search(r"begin|beg\b|start|incept|effect|\bfrom\b|debut", _spaced(name)))


def is_end(name: str) -> bool:
    """Tell whether the name is that of the last day of cover."""
    return bool(re.search(r"\bend\b|expir|until|\bto\b|terminat|\bfin\b", _spaced(name)))


def _spaced(name: str) -> str:
    return " ".join(words(name))
