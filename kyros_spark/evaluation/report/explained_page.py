"""Render explanations as one HTML page that contains its charts and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

from kyros_spark.evaluation.report.draw import drawn


@dataclass(frozen=True)
class PageSection:
    """A heading, sentences, and charts: each a caption and its specification."""

    title: str
    texts: tuple[str, ...] = ()
    charts: Sequence[tuple[str, Mapping[str, Any]]] = field(default_factory=tuple)


def explained_page(title: str, facts: Sequence[str], sections: Sequence[PageSection]) -> bytes:
    """Return the page as UTF-8 HTML.

    Raises:
        PlatformError: the charts could not be drawn.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    specs = {
        f"{n} {k}": spec
        for n, section in enumerate(sections)
        for k, (_, spec) in enumerate(section.charts)
    }
    # The SVG is our own, and its texts are escaped where it is drawn.
    svgs = {name: Markup(svg) for name, svg in drawn(specs).items()}
    blocks = [
        {
            "title": section.title,
            "texts": section.texts,
            "charts": [(f"{n} {k}", caption) for k, (caption, _) in enumerate(section.charts)],
        }
        for n, section in enumerate(sections)
    ]
    home = resources.files("kyros_spark.evaluation.report")
    text = (home / "explained.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    template = environment.from_string(text)
    return template.render(title=title, facts=facts, sections=blocks, svgs=svgs).encode()
