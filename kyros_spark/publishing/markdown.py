"""Write a model card as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kyros_spark.publishing.plain_text import plain
from kyros_spark.publishing.sections import Block, CardSection, CardTable, headline, lead, sections


def markdown(card: Mapping[str, Any]) -> str:
    """Return the card's Markdown, which ends with a line break and depends on the card alone.

    No text of the card, such as a level or a purpose, is read as markup.
    """
    parts = [
        f"# {plain(headline(card))}",
        *map(plain, lead(card)),
        *map(_section, sections(card)),
    ]
    return "\n\n".join(parts) + "\n"


def _section(section: CardSection) -> str:
    lines = [f"## {plain(section.title)}"]
    before: Block | None = None
    for block in section.blocks:
        # A table ends a paragraph, and a paragraph would go on in a list's last item.
        apart = isinstance(block, CardTable) or not isinstance(before, str)
        lines += [""] if before is not None and apart else []
        lines += _lines(block)
        before = block
    return "\n".join(lines)


def _lines(block: Block) -> list[str]:
    if isinstance(block, CardTable):
        heads, *rows = ([plain(cell) for cell in row] for row in (block.heads, *block.rows))
        return [_row(heads), _row(["---"] * len(heads)), *map(_row, rows)]
    return [plain(block)] if isinstance(block, str) else [f"- {plain(item)}" for item in block]


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
