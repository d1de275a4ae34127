"""Write a suggestion as the text of a settings file, each guess under a comment with its evidence.

Bounds, levels and required columns have severity `warn`: the file runs unchanged and counts what
breaks them, and a person then decides what to refuse.
"""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator
from pathlib import Path

from kyros_spark.operations.suggestion.guess import MAX_ALLOWED, Guess
from kyros_spark.operations.suggestion.keys import is_index
from kyros_spark.operations.suggestion.suggestion import Suggestion
from kyros_spark.operations.suggestion.targets import Targets

_WIDTH = 100
_USUAL = {"policies", "policy", "contracts", "claims", "data", "extract", "export", "portfolio"}
_REFUSED = 0.05  # clean.max_rejected_share, unless more rows have no exposure


def settings_text(suggestion: Suggestion, path: str, format_: str) -> str:
    """Return the text of the settings file for the source at a path."""
    seen, dialect = suggestion.seen, suggestion.dialect
    portfolio = _portfolio(path)
    options = ", ".join(f"{name}: {_text(value)}" for name, value in dialect.options().items())
    lines = [
        f"# Suggested from {path}. What was looked at:",
        *_comment(_looked_at(suggestion), ""),
        "# It runs as it is, and is a first guess: see 'please decide' at the end. A value that",
        "# breaks a suggestion of severity warn is counted, not refused: make the severity reject,",
        "# repair or fail where you know better (docs/clean.md).",
        f"portfolio: {_text(portfolio)}",
        "tables:",
        f"  base: {_text(f'build/{portfolio}')}",
        'batches: ["1"]',
        "",
        "sources:",
        "  policies:",
        f"    format: {format_}",
        f"    path: {_text(path)} # put {{batch}} where the batch id belongs",
        *(line for reason in dialect.evidence for line in _comment(reason, "    ")),
        *([f"    options: {{{options}}}"] if options else []),
        *_key(suggestion),
        "    columns:",
        *(line for column in suggestion.columns for line in _column(column, suggestion)),
        *([f"      {suggestion.exposure.computed}"] if suggestion.exposure.computed else []),
        "",
        "clean:",
        *_clean(suggestion),
        "",
        *_prepare(suggestion),
        "",
        *_train(suggestion),
        "",
        "# Please decide:",
        *(
            line
            for number, decision in enumerate(suggestion.decisions(), start=1)
            for line in _comment(decision, "", f"{number}. ")
        ),
    ]
    assert seen.rows
    return "\n".join(lines) + "\n"


def _portfolio(path: str) -> str:
    """Return the file's name, or the folder's where the file has a name that many have."""
    place = Path(path.rstrip("/"))
    name = place.name.split(".")[0]
    return place.parent.name if name.lower() in _USUAL and place.parent.name else name


def _looked_at(suggestion: Suggestion) -> str:
    seen = suggestion.seen
    if seen.sampled >= seen.rows:
        return f"all {seen.rows:,} rows, for everything"
    return (
        f"all {seen.rows:,} rows for bounds, levels, keys and copies; {seen.sampled:,} of them, "
        "drawn at random, for types, words for missing values and the shares in the comments"
    )


def _comment(sentence: str, indent: str, first: str = "") -> list[str]:
    later = " " * len(first)
    return textwrap.wrap(
        sentence,
        _WIDTH,
        initial_indent=f"{indent}# {first}",
        subsequent_indent=f"{indent}# {later}",
        break_long_words=False,
    )


def _key(suggestion: Suggestion) -> list[str]:
    if suggestion.key:
        return [f"    key: [{', '.join(suggestion.key)}] # unique in all rows"]
    return ["    # No key: no columns identify a row, so rows are numbered (row_number)."]


def _column(guess: Guess, suggestion: Suggestion) -> Iterator[str]:
    """Yield the lines of a column in `sources.policies.columns`, with its evidence above."""
    evidence = list(guess.evidence)
    why = suggestion.targets.why.get(guess.name)
    if guess.name in suggestion.exposure.columns:
        evidence.insert(0, "exposure")
    if why:
        evidence.insert(0, why)
    elif guess.name in suggestion.frequency.left_out:
        evidence.append(f"no feature: {suggestion.frequency.left_out[guess.name]}")
    yield from _comment("; ".join(evidence) or guess.no_feature, "      ")
    parts, warned = [f"type: {guess.type}"], []
    if guess.source != guess.name:
        parts.append(f"from: {_text(guess.source)}")
    if guess.decimal != ".":
        parts.append(f"decimal: {_text(guess.decimal)}")
    if guess.format is not None:
        parts.append(f"format: {_text(guess.format)}")
    if guess.trim:
        parts.append("trim: true")
    if guess.missing:
        parts.append(f"missing: [{', '.join(map(_text, guess.missing))}]")
    is_exposure = guess.is_number and guess.name in suggestion.exposure.columns
    if is_exposure:
        parts.append("required: true")
        low = guess.low if guess.low is not None and guess.low > 0 else 1e-06
        parts.append(f"min: {_number(low)}")
    elif guess.required:
        parts.append("required: true")
        warned.append("required")
    bounds = () if is_index(guess) else (("min", guess.low), ("max", guess.high))
    for name, bound in bounds:
        if bound is not None and not (is_exposure and name == "min"):
            parts.append(f"{name}: {_number(bound)}")
            warned.append(name)
    if 0 < len(guess.levels) <= MAX_ALLOWED:
        parts.append(f"allowed: [{', '.join(map(_text, guess.levels))}]")
        warned.append("allowed")
    if warned:
        parts.append(f"severity: {{{', '.join(f'{name}: warn' for name in warned)}}}")
    yield f"      {guess.name}: {{{', '.join(parts)}}}"


def _clean(suggestion: Suggestion) -> list[str]:
    seen = suggestion.seen
    bad = suggestion.exposure.bad / max(1, seen.sampled)
    unread = max(seen.unread.values(), default=0) / max(1, seen.rows)
    share = _REFUSED
    lines = []
    if bad + unread > _REFUSED * 0.9:
        share = min(1.0, round((bad + unread) * 1.1 + 0.01, 2))
        lines += _comment(f"{bad:.1%} of the rows have no exposure above 0, and are refused", "  ")
    lines.append(f"  max_rejected_share: {share:g}")
    copies = seen.copies / max(1, seen.rows)
    if suggestion.key and copies > 0.45:
        lines += _comment(f"{copies:.1%} of the rows are exact copies of another", "  ")
        lines.append(f"  max_duplicate_share: {min(1.0, round(copies * 1.1, 2)):g}")
    return lines


def _prepare(suggestion: Suggestion) -> Iterator[str]:
    exposure = suggestion.exposure
    yield "prepare:"
    yield from _comment(exposure.evidence, "  ")
    yield f"  exposure: {exposure.sql}"
    yield f"  max_exposure: {_number(exposure.most)}"
    yield from _comment(suggestion.split_evidence, "  ")
    yield f"  split: {suggestion.split}"
    targets = _target_lines(suggestion.targets)
    if targets:
        yield "  targets:"
        yield from (f"    {line}" for line in targets)
    yield "  # Whatever is known only from claims is a target, not a feature."
    yield "  features:"
    for name, settings in suggestion.frequency.features.items():
        yield f"    {name}: {settings}"


def _target_lines(targets: Targets) -> list[str]:
    """Return the targets: claims in all, what they cost, and each kind where there are several."""
    lines = []
    for name, columns in (("claims", targets.counts), ("claim_cost", targets.amounts)):
        if not columns:
            continue
        lines.append(f"{name}: {' + '.join(column.name for column in columns)}")
        if len(columns) > 1:
            lines += [f"of_{column.name}: {column.name}" for column in columns]
    return lines


def _train(suggestion: Suggestion) -> list[str]:
    frequency = suggestion.frequency
    model = [
        "train:",
        '  batches: ["1"]',
        "  models:",
        "    frequency_glm:",
        "      method: glm",
        "      family: poisson",
        "      target: claims",
        "      per: exposure",
        f"      min_level_share: {frequency.level_share:g} # levels with less count as the base",
    ]
    if frequency.ridge:
        model += _comment(frequency.evidence, "      ")
        model.append(f"      glm: {{alpha: {frequency.ridge:g}}}")
    if not suggestion.undecided:
        return model
    stop = _comment(f"No model yet: {suggestion.undecided}.", "")
    return [*stop, *(f"# {line}" for line in model)]


def _number(value: float) -> str:
    """Return a number so that it is read as the same one again."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
