"""Write a model card as one HTML page that contains its pictures and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.publishing.plain_text import visible
from kyros_spark.publishing.sections import FACTORS, headline, lead, sections

_COLUMN = 4.3  # inches: a wider picture does not go into a column of narrow ones


@dataclass(frozen=True)
class Pictures:
    """Sentences and pictures, as specifications for `report.plots`, that follow the factors."""

    title: str
    notes: Sequence[str]
    charts: Sequence[Mapping[str, Any]]


def card_page(card: Mapping[str, Any], factors: Pictures, others: Sequence[Pictures] = ()) -> bytes:
    """Return the page as UTF-8 HTML, which depends on the arguments alone.

    factors: the pictures of the section of factors. others: sections of their own.

    Raises:
        PlatformError: the pictures could not be drawn.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    parts = []
    for section in sections(card):
        is_factors = section.title == FACTORS
        parts.append((section.title, factors if is_factors else None, section.blocks))
        parts += [(other.title, other, ()) for other in others if is_factors]
    specs = {
        f"{title} {n}": spec
        for title, pictures, _ in parts
        for n, spec in enumerate(pictures.charts if pictures else ())
    }
    # The SVG is our own, and its texts are escaped where it is drawn.
    svgs = {name: Markup(svg) for name, svg in drawn(specs).items()} if specs else {}
    shown = [
        {
            "title": title,
            "notes": pictures.notes if pictures else (),
            "charts": [
                {"caption": spec["title"], "svg": svgs[f"{title} {n}"],
                 "wide": spec["size"][0] > _COLUMN}
                for n, spec in enumerate(pictures.charts if pictures else ())
            ],
            "blocks": blocks,
        }
        for title, pictures, blocks in parts
    ]  # fmt: skip
    home = resources.files("kyros_spark.publishing")
    text = (home / "card.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters["visible"] = visible
    template = environment.from_string(text)
    page = template.render(title=visible(headline(card)), lead=lead(card), sections=shown)
    return page.encode()
