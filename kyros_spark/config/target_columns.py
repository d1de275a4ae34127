"""Find the columns of policies that targets are made from, and keep keys and splits from them."""

from __future__ import annotations

from collections.abc import Iterator

from kyros_spark.config.expressions import inputs_of, made_from, words
from kyros_spark.config.features import PrepareSettings
from kyros_spark.config.models import TrainSettings
from kyros_spark.config.sources import SourceSettings

# A target is a count or an amount. A text or a date in its SQL only says which rows have one.
_COUNTED = ("int", "long", "double", "boolean")


def target_columns(policies: SourceSettings, prepare: PrepareSettings) -> set[str]:
    """Return the columns that hold what a target is made from, in lower case.

    They are the numbers in the SQL of targets, but those of exposure, and all columns computed from
    any of them.
    """
    computed = policies.computed
    numbers = {
        name.lower()
        for name, column in policies.columns.items()
        if column.type in _COUNTED or column.type.startswith("decimal")
    }
    used = inputs_of(set().union(*map(words, prepare.targets.values())), computed)
    own = {name.lower() for name in policies.numbers}
    of_exposure = inputs_of(words(prepare.exposure), computed)
    return made_from((used & numbers) - of_exposure - own, computed) & {
        name.lower() for name in policies.columns
    }


def check_keys(
    policies: SourceSettings, prepare: PrepareSettings, train: TrainSettings | None
) -> None:
    """Refuse keys, splits and folds that know the claims.

    A hash of the claims deals them out anew: rows with a claim differ from each other, and rows
    without one are alike, so that one part gets more of the claims than its share.

    Raises:
        ValueError: names the setting and the columns.
    """
    of_targets = target_columns(policies, prepare)
    for setting, used in _deciding(policies, prepare, train):
        known = sorted({name.lower() for name in used} & of_targets)
        if known:
            allowed = (
                "; if the parts are dealt out by targets on purpose: prepare.split.stratified: true"
                if setting == "prepare.split.sql"
                else ""
            )
            raise ValueError(
                f"{setting}: expected columns that do not know the claims, found "
                f"{', '.join(known)}, which prepare.targets or a column that it uses is made from; "
                "take a client, a policy or a period; without a key, rows are numbered "
                f"(row_number){allowed}"
            )


def _deciding(
    policies: SourceSettings, prepare: PrepareSettings, train: TrainSettings | None
) -> Iterator[tuple[str, set[str]]]:
    """Yield the settings that decide which rows belong together, with the columns they use."""
    split = prepare.split
    yield "prepare.split.by", set(split.by)
    if split.sql is not None and not split.stratified:
        yield "prepare.split.sql", words(split.sql)
    yield "sources.policies.key", set(policies.key)
    for name, model in train.models.items() if train is not None else ():
        if model.search is not None:
            yield f"train.models.{name}.search.by", set(model.search.by)


def known_targets(
    policies: SourceSettings, prepare: PrepareSettings, batch: str
) -> PrepareSettings:
    """Return the settings with NULL for each target that is made from a column not known yet."""
    unknown = policies.unknown_columns(batch)
    targets = {
        name: "CAST(NULL AS DOUBLE)" if words(sql) & unknown else sql
        for name, sql in prepare.targets.items()
    }
    return prepare.model_copy(update={"targets": targets})
