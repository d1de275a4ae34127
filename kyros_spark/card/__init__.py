"""The model card: what a registered version is, as JSON and as Markdown."""

from kyros_spark.card.content import card
from kyros_spark.card.markdown import markdown

__all__ = ["card", "markdown"]
