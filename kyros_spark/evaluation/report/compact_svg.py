"""Make matplotlib's SVG fit to stand in a page beside others: a third as long, with ids of its own.

matplotlib gives equal shapes the same id in every picture. Where a page shows one picture and hides
another, a shape may be looked for in the hidden one, and not be drawn.
"""

from __future__ import annotations

import re

_STYLE = re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")  # matplotlib escapes > in attributes and texts
_ID = re.compile(r' id="([^"]*)"')
_USED = re.compile(r'(?:href="|url\()#([^")]*)')
_FONTS = re.compile(r"font-family: [^;\"]*;? ?")
_NUMBER = re.compile(r"-?\d+\.\d{2,}")
_NO_TURN = re.compile(r' transform="rotate\(-?0 [^"]*"')


def compact_svg(svg: str, prefix: str) -> str:
    """Return matplotlib's picture without what it repeats, its ids beginning with a prefix.

    The page has the fonts; lines end as matplotlib's style sheet, which would hold for the whole
    page, had them end.
    """
    svg = _STYLE.sub("", svg[svg.index("<svg") :])
    names = {old: f"{prefix}{n}" for n, old in enumerate(dict.fromkeys(_USED.findall(svg)))}

    def compact(tag: re.Match[str]) -> str:
        text = _ID.sub(lambda own: f' id="{names[own[1]]}"' if own[1] in names else "", tag[0])
        text = _USED.sub(lambda used: used[0].replace(used[1], names[used[1]]), text)
        text = _FONTS.sub("", text).replace("xlink:href", "href")
        text = _NUMBER.sub(lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), text)
        return _NO_TURN.sub("", " ".join(text.split()))

    svg = _TAG.sub(compact, svg).replace(' xmlns:xlink="http://www.w3.org/1999/xlink"', "")
    svg = svg.replace("<svg ", '<svg stroke-linejoin="round" ', 1)
    return re.sub(r">\s*\n\s*<", "><", svg).strip()
