"""Render the report: one HTML page that contains its charts and fetches nothing."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from importlib.util import find_spec
from typing import Any

from kyros_spark.errors import PlatformError
from kyros_spark.evaluation.report.draw import drawn
from kyros_spark.evaluation.report.evaluation_rows import EvaluationRows
from kyros_spark.evaluation.report.measured import measure
from kyros_spark.evaluation.report.sections import sections


def lacking() -> list[str]:
    """Return which of the libraries that draw and render pages are not installed."""
    return [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]


def check_report() -> None:
    """Refuse a report if the libraries that draw and render it are not installed.

    Raises:
        PlatformError: jinja2 or matplotlib is missing.
    """
    missing = lacking()
    if missing:
        raise PlatformError(
            f"the report needs {' and '.join(missing)}, not installed here: pip install "
            "'kyros-spark[report]', or do without: --set evaluate.report=false"
        )


def page(
    evaluation: EvaluationRows,
    facts: Mapping[str, Any],
    explained: Mapping[str, Mapping[str, Mapping[str, Any]]],
    segments: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> bytes:
    """Return the report as UTF-8 HTML.

    facts: the template's other variables, such as batch, run, tier and the stages' seconds.
    explained: the charts of models whose prices were explained, by model and chart; segments: those
    of models with a fit per segment.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    blocks, charts = sections(evaluation)
    for model, specs in (*explained.items(), *segments.items()):
        charts |= {f"{model} {name}": dict(spec) for name, spec in specs.items()}
    # The SVG is our own, and its texts are escaped where it is drawn.
    svgs = {name: Markup(svg) for name, svg in drawn(charts).items()}
    text = (resources.files("kyros_spark.evaluation.report") / "report.html").read_text(
        encoding="utf-8"
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"number": number, "percent": percent}
    template = environment.from_string(text)
    html = template.render(
        sections=blocks,
        svgs=svgs,
        part=evaluation.part,
        measure=measure,
        explained=_captions(explained),
        segments=_captions(segments),
        **facts,
    )
    return html.encode()


def _captions(
    by_model: Mapping[str, Mapping[str, Mapping[str, Any]]],
) -> dict[str, list[tuple[str, str]]]:
    """Return the names of each model's charts, with what stands below them."""
    return {
        model: [(f"{model} {name}", spec["title"]) for name, spec in specs.items()]
        for model, specs in by_model.items()
    }


def number(value: float | None, digits: int = 0) -> str:
    """Return a number with thousands separated by commas, as in the charts; a dash for None."""
    return "–" if value is None else f"{value:,.{digits}f}"


def percent(value: float | None, digits: int = 1) -> str:
    """Return a share in per cent; a dash for None."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"
