"""Leave out of the pages' links those to files beside the pages, which the site does not hold."""

import re
from typing import Any

_OUTSIDE = re.compile(r"\[([^\]]*)\]\(\.\./[^)]*\)")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Return the page with such links as plain text."""
    return _OUTSIDE.sub(r"\1", markdown)
