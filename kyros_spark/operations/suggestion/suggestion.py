"""Put the guesses about a source together: key, exposure, targets, split, features, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from kyros_spark.operations.suggestion.dialect import Dialect
from kyros_spark.operations.suggestion.exposure import Exposure, exposure_of
from kyros_spark.operations.suggestion.frequency import Frequency, frequency_of
from kyros_spark.operations.suggestion.guess import Guess
from kyros_spark.operations.suggestion.keys import declared_parts, split_column
from kyros_spark.operations.suggestion.names import is_exposure, is_history
from kyros_spark.operations.suggestion.sentinels import set_sentinels
from kyros_spark.operations.suggestion.targets import Targets, targets_of


@dataclass(frozen=True)
class Seen:
    """How much of a source was looked at.

    rows     all rows
    sampled  rows drawn at random for types, roles and the shares in the comments
    copies   rows that are exact copies of another
    unread   rows whose value is not of the guessed type, by column name
    """

    rows: int
    sampled: int
    copies: int = 0
    unread: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Suggestion:
    """All that is suggested for one source."""

    columns: list[Guess]
    seen: Seen
    key: list[str]
    exposure: Exposure
    targets: Targets
    frequency: Frequency
    split: str
    split_evidence: str
    dialect: Dialect

    @property
    def undecided(self) -> str:
        """Return the decision without which nothing can be trained; empty if none is open."""
        if self.targets.is_claims_file and not self.targets.counts:
            return (
                "the rows look like claims rather than policies, since there is a claim's number: "
                "which file has the policies, with their exposure? suggest for that one, and add "
                "this as sources.claims"
            )
        if not self.targets.counts:
            return (
                "no column looks like a claim count: which one is it, or which file has the "
                "claims? name it in prepare.targets, or as sources.claims, and add section train"
            )
        return ""

    def decisions(self) -> list[str]:
        """Return what a person should confirm, what matters most first."""
        return list(dict.fromkeys(decision for decision in self._decisions() if decision))

    def _decisions(self) -> Iterator[str]:
        yield self.undecided
        yield self._about_rows()
        yield from self.dialect.decisions
        yield self.exposure.decision
        counts, amounts = self.targets.counts, self.targets.amounts
        if len(counts) > 1:
            names = ", ".join(c.source for c in counts)
            yield f"prepare.targets: claims adds up {names}; is one model for all of them right?"
        elif counts:
            yield f"prepare.targets: {counts[0].source} is {self.targets.why[counts[0].name]}"
        if amounts:
            yield f"prepare.targets: amounts of claims are {', '.join(a.source for a in amounts)}"
        if self.targets.others:
            names = ", ".join(c.source for c in self.targets.others)
            yield f"prepare.features: {names} known from claims only, and left out"
        history = [c.source for c in self.columns if c.name in self.frequency.features
                   and is_history(c.source) and "claim" in c.source.lower()]  # fmt: skip
        if history:
            yield f"prepare.features: {', '.join(history)} taken for claims of earlier years"
        yield f"prepare.split: {self.split_evidence}"
        for column in self.columns:
            if column.decision:
                yield f"columns.{column.name}.{column.decision}"
        for name, rows in self.seen.unread.items():
            yield f"columns.{name}.type: {rows:,} rows hold another value, and will be refused"
        if self.frequency.ridge:
            yield (f"train.models.frequency_glm.glm.alpha: {self.frequency.evidence}, so that a "
                   "small ridge keeps coefficients finite")  # fmt: skip

    def _about_rows(self) -> str:
        copies, rows = self.seen.copies, self.seen.rows
        if self.key:
            names = ", ".join(self.key)
            unique = f"sources.policies.key: [{names}] is unique in all {rows:,} rows"
            if not copies:
                return f"{unique}; is it a policy's identity, and not unique by chance?"
            return f"{unique}, once {copies:,} exact copies are removed; is that right?"
        numbered = "sources.policies.key: nothing identifies a row, so rows are numbered"
        if not copies:
            return numbered
        return (
            f"{numbered}, and {copies:,} of {rows:,} rows ({copies / rows:.0%}) that are exact "
            "copies are kept: remove them with duplicates: remove, if they are no policies of "
            "their own"
        )


def guess_roles(columns: Sequence[Guess]) -> None:
    """Read sentinels as missing, where the column has no role in which a number is never one."""
    exposure = exposure_of(columns)
    targets = targets_of(columns, set(exposure.columns))
    kept = {*exposure.columns, *targets.names}
    kept |= {c.name for c in columns if is_history(c.source) or is_exposure(c.source)}
    set_sentinels(columns, kept)


def suggestion_of(
    columns: list[Guess], key: Sequence[Guess], seen: Seen, dialect: Dialect | None = None
) -> Suggestion:
    """Return what the columns suggest together.

    columns: as `guesses` and `guess_roles` left them. key: the columns that identify a row.
    """
    exposure = exposure_of(columns)
    targets = targets_of(columns, set(exposure.columns))
    names = [column.name for column in key]
    parts = declared_parts(columns)
    excluded = {*exposure.columns, *targets.names, *({parts[0].name} if parts else ())}
    excluded |= {c.name for c in columns if c.is_number and is_exposure(c.source)}
    frequency = frequency_of(columns, targets, excluded, names)
    split, evidence = _split(columns, key, parts, seen.sampled)
    return Suggestion(
        columns, seen, names, exposure, targets, frequency, split, evidence, dialect or Dialect()
    )


def roles_taken(columns: Sequence[Guess]) -> set[str]:
    """Return the names of columns that no key may hold: exposure and what claims tell."""
    exposure = exposure_of(columns)
    taken = set(exposure.columns) - {c.name for c in columns if c.type == "date"}
    return taken | targets_of(columns, set(exposure.columns)).names


def _split(
    columns: Sequence[Guess],
    key: Sequence[Guess],
    parts: tuple[Guess, dict[str, str]] | None,
    rows: int,
) -> tuple[str, str]:
    """Return the setting of the split, and why it is so."""
    if parts is not None:
        column, meaning = parts
        mapped = ", ".join(f"{_quoted(level)}: {part}" for level, part in meaning.items())
        return (
            f"{{sql: {column.name}, parts: {{{mapped}}}}}",
            f"'{column.source}' says {', '.join(meaning)}",
        )
    by = split_column(columns, key, rows)
    reason = "the row's number, as nothing identifies a policy" if by == "row_number" else by
    return (
        f"{{by: [{by}], train: 0.7, valid: 0.15}}",
        f"by {reason}; what comes back every year, such as a client, belongs in one part",
    )


def _quoted(level: str) -> str:
    return f'"{level}"'
