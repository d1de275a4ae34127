"""Render a portfolio as one HTML page that contains its charts and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.evaluation.report.page import number, percent

Chart = Mapping[str, Any]


@dataclass(frozen=True)
class PortfolioFacts:
    """What the page says.

    facts    words below the title
    stages   the stages that have columns in the index of batches
    batches  per batch: ``label``, ``stages`` (stage -> day, time and seconds), ``rows``,
             ``rejected``, ``verdict``, ``alarms``, ``report`` (an address or None)
    charts   by heading: specifications for `report.plots`
    models   per registered version: its columns, and ``card`` (an address or None)
    left_out what is not shown, a sentence each
    """

    title: str
    facts: Sequence[str]
    stages: Sequence[str]
    batches: Sequence[Mapping[str, Any]]
    charts: Mapping[str, Sequence[Chart]]
    models: Sequence[Mapping[str, Any]]
    left_out: Sequence[str]


def portfolio_page(content: PortfolioFacts) -> bytes:
    """Return the page as UTF-8 HTML.

    Raises:
        PlatformError: the charts could not be drawn.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    specs = {
        f"{heading} {n}": chart
        for heading, charts in content.charts.items()
        for n, chart in enumerate(charts)
    }
    # The SVG is our own, and its texts are escaped where it is drawn.
    svgs = {name: Markup(svg) for name, svg in drawn(specs).items()}
    sections = {
        heading: [(chart["title"], svgs[f"{heading} {n}"]) for n, chart in enumerate(charts)]
        for heading, charts in content.charts.items()
    }
    home = resources.files("kyros_spark.evaluation.report")
    text = (home / "portfolio.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "percent": percent}
    return environment.from_string(text).render(content=content, sections=sections).encode()
