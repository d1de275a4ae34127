"""Reconcile clean claims with what their policies state, and say where they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from pyspark.errors import AnalysisException
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from kyros_spark.config import Config, ReconcileSettings
from kyros_spark.errors import ClaimsDifferError, ConfigError
from kyros_spark.foreign_errors import first_line
from kyros_spark.log import event
from kyros_spark.runs.run import Run
from kyros_spark.stages.clean.judge import JudgedSource
from kyros_spark.transforms.claim_totals import (
    KINDS,
    OF_CLAIMS,
    STATED,
    claims_beside_policies,
    column_of,
    difference,
)

_EXAMPLES = 5
_PARTS = ("stated", "of_claims", "more", "fewer", "unknown")


def reconcile_claims(
    config: Config,
    run: Run,
    judged: Mapping[str, JudgedSource],
    profiles: Sequence[dict[str, Any]],
) -> None:
    """Compare clean claims with their clean policies, as `sources.claims.reconcile` says.

    The numbers go to `details.claims.reconcile`, and the policies that differ to the profile of the
    column that states what they should have. No row is refused for it.

    Raises:
        ClaimsDifferError: more policies differ than the settings allow; nothing was written.
    """
    claims = judged["claims"].source if "claims" in judged else None
    if claims is None or claims.reconcile is None:
        return
    settings = _known(claims.reconcile, config.sources.policies.unknown_columns(run.batch))
    stated = {"count": settings.count, "total": settings.total}
    kinds = [kind for kind in KINDS if stated[kind] is not None]
    if not kinds:
        return  # not known for this batch
    key = judged["policies"].source.key
    beside = _beside(judged, settings)
    totals: dict[str, Any] = _totals(beside, settings, kinds)
    details: dict[str, Any] = {"policies": totals["policies"], "differ": totals["differ"]}
    for kind in kinds:
        name = stated[kind]
        details[kind] = {part: _plain(totals[f"{kind}_{part}"], kind) for part in _PARTS}
        _note(profiles, str(name), totals[f"{kind}_more"] + totals[f"{kind}_fewer"])
    if totals["differ"]:
        details["examples"] = _examples(beside, settings, kinds, key)
    run.details["claims"]["reconcile"] = details
    _tell(run, settings, details, stated)


def _known(settings: ReconcileSettings, unknown: set[str]) -> ReconcileSettings:
    """Return the settings without the columns that the batch does not have yet."""
    lacking = {
        kind: None
        for kind in KINDS
        if (getattr(settings, kind) or "").lower() in unknown
    }  # fmt: skip
    return settings.model_copy(update=lacking)


def _beside(judged: Mapping[str, JudgedSource], settings: ReconcileSettings) -> DataFrame:
    policies, claims = judged["policies"], judged["claims"]
    key, reference = policies.source.key, claims.source.reference
    stated = [name for name in (settings.count, settings.total) if name is not None]
    try:
        return claims_beside_policies(
            policies.rows.accepted(list(dict.fromkeys([*key, *stated]))),
            claims.rows.accepted(list(claims.source.columns)),
            key,
            reference,
            settings,
        )
    except AnalysisException as error:
        raise ConfigError(
            "sources.claims.reconcile.where: expected SQL over the columns of claims "
            f"({', '.join(claims.source.columns)}), found '{settings.where}': {first_line(error)}"
        ) from error


def _totals(beside: DataFrame, settings: ReconcileSettings, kinds: Sequence[str]) -> dict[str, Any]:
    sums = [F.count(F.lit(1)).alias("policies")]
    for kind in kinds:
        sign = difference(kind, settings)
        both = [column_of(kind, side) for side in (STATED, OF_CLAIMS)]
        sums += [
            F.sum(name).alias(f"{kind}_{part}") for name, part in zip(both, _PARTS, strict=False)
        ]
        sums += [
            F.count_if(sign == 1).alias(f"{kind}_more"),
            F.count_if(sign == -1).alias(f"{kind}_fewer"),
            F.count_if(sign.isNull()).alias(f"{kind}_unknown"),
        ]
    row = beside.agg(*sums, F.count_if(_differ(settings, kinds)).alias("differ")).first()
    assert row is not None
    return row.asDict()


def _differ(settings: ReconcileSettings, kinds: Sequence[str]) -> Column:
    """Tell whether a policy and its claims differ in a number that both have."""
    differ = F.lit(False)
    for kind in kinds:
        differ |= F.coalesce(difference(kind, settings) != 0, F.lit(False))
    return differ


def _examples(
    beside: DataFrame, settings: ReconcileSettings, kinds: Sequence[str], key: Sequence[str]
) -> list[str]:
    """Return some policies that differ, the first by key, with both numbers."""
    texts = []
    for row in beside.where(_differ(settings, kinds)).orderBy(*key).limit(_EXAMPLES).collect():
        numbers = (
            f"{kind} {_plain(row[column_of(kind, STATED)], kind)} stated, "
            f"{_plain(row[column_of(kind, OF_CLAIMS)], kind)} of claims"
            for kind in kinds
        )
        texts.append(f"{', '.join(str(row[name]) for name in key)}: {'; '.join(numbers)}")
    return texts


def _plain(value: Decimal | int | None, kind: str) -> int | str | None:
    """Return a number as JSON takes it: an amount as text, to the cent."""
    if value is None or isinstance(value, int):
        return value
    return int(value) if kind == "count" else str(value.quantize(Decimal("0.01")))


def _note(profiles: Sequence[dict[str, Any]], column: str, rows: int) -> None:
    """Count the policies that differ in the profile of the column that states their number."""
    for profile in profiles if rows else ():
        if profile["source"] == "policies" and profile["column"] == column:
            profile["rules"] = {**profile["rules"], f"reconcile:{column}": rows}


def _tell(
    run: Run,
    settings: ReconcileSettings,
    details: Mapping[str, Any],
    stated: Mapping[str, str | None],
) -> None:
    share = details["differ"] / max(details["policies"], 1)
    if not details["differ"] or share <= min(settings.warning_share, settings.max_share):
        return
    sums = "; ".join(
        f"{stated[kind]} adds up to {details[kind]['stated']}, "
        f"claims to {details[kind]['of_claims']}"
        for kind in KINDS
        if kind in details
    )
    differing = f"{details['differ']} of {details['policies']} policies ({share:.2%})"
    such_as = f"such as {details['examples'][0]}"
    if share > settings.max_share:
        raise ClaimsDifferError(
            f"claims, batch {run.batch}: expected at most {settings.max_share:.2%} of policies to "
            f"differ from their claims, found {differing}, {such_as} ({sums}); correct the "
            "extract, say in sources.claims.reconcile.where which claims count, or raise "
            "max_share; nothing was written"
        )
    event(
        f"claims, batch {run.batch}: {differing} differ from their claims, {such_as} ({sums})",
        level=30,
    )
