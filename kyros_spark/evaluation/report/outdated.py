"""Say in the head of a written report that what it describes has been replaced."""

from __future__ import annotations

import html
import re

_HEAD = b"<main>\n"
_NOTICE = re.compile(rb'<p class="outdated"[^>]*>.*?</p>\n', re.DOTALL)


def marked_outdated(page: bytes, sentence: str) -> bytes:
    """Return a report's HTML with a notice above all else; an earlier notice gives way to it.

    A file that is no report of ours is returned as it is.
    """
    before, head, after = page.partition(_HEAD)
    if not head:
        return page
    notice = f'<p class="outdated" role="status">{html.escape(sentence)}</p>\n'.encode()
    return before + head + notice + _NOTICE.sub(b"", after, count=1)
