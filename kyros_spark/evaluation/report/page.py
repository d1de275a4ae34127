"""Word the report: one HTML page with its charts in it, and nothing it would have to fetch."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Any

from kyros_spark.errors import PlatformError
from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.evaluation.report.sections import Told, sections


def check_report() -> None:
    """Refuse a report where what draws and words it is not installed.

    Raises:
        PlatformError: jinja2 or matplotlib is missing.
    """
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise PlatformError(
            f"the report needs {error.name}, which is not installed: pip install "
            "'kyros-spark[report]', or do without: --set evaluate.report=false"
        ) from error


def page(told: Told, facts: Mapping[str, Any]) -> bytes:
    """Return the report; ``facts`` say which batch and run it is of."""
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    found, charts = sections(told)
    svgs = {name: Markup(svg) for name, svg in drawn(charts).items()}  # our own, escaped there
    text = (resources.files("kyros_spark.evaluation.report") / "report.html").read_text(
        encoding="utf-8"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "percent": percent}
    template = environment.from_string(text)
    filled = template.render(sections=found, svgs=svgs, part=told.part, told=told, **facts)
    return filled.encode()


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands apart; a dash where there is none."""
    return "–" if value is None else f"{value:,.{digits}f}".replace(",", " ")


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent; a dash where there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"
