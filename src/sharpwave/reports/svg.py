"""Pieces of SVG. Numbers are shortened, text is escaped, nothing here knows about sleep.

A place is a number of pixels, or a string such as "12.5%" of the width. There are two kinds of picture: a `chart` has a
size of its own; a `plot` is as wide as its place: positions along time are percentages, so that text and hatches keep
their size at every width, on a phone as on paper, and only curves are stretched (`stretch`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup, escape

Place = float | str
"""Pixels, or "n%"."""


def number(value: float, digits: int = 2) -> str:
    """A coordinate in few characters.

    >>> number(12.3456), number(3.0), number(-0.0001)
    ('12.35', '3', '0')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def percent(value: float, digits: int = 2) -> str:
    """A place in per cent of the width.

    >>> percent(12.3456)
    '12.35%'
    """
    return f"{number(value, digits)}%"


def element(name: str, content: str | None = None, /, **attributes: Place | None) -> str:
    """An element with its attributes; those that are None are left out.

    Args:
        name: Name of the element.
        content: What it holds, as SVG.
        attributes: Numbers are shortened and strings escaped; `css` is the class, and `_` stands for `-`.

    >>> element("line", x1=0, x2="50%", css="rule", stroke_width=1.5)
    '<line x1="0" x2="50%" class="rule" stroke-width="1.5"/>'
    """
    written = ""
    for key, value in attributes.items():
        if value is not None:
            words = escape(value) if isinstance(value, str) else number(value)
            written += f' {"class" if key == "css" else key.replace("_", "-")}="{words}"'
    return f"<{name}{written}/>" if content is None else f"<{name}{written}>{content}</{name}>"


def line(x0: Place, y0: float, x1: Place, y1: float, **style: Place | None) -> str:
    """A straight line between two points."""
    return element("line", x1=x0, y1=y0, x2=x1, y2=y1, **style)


def vertical(x: float, top: float, bottom: float, *, css: str) -> str:
    """A vertical line at `x` per cent."""
    return line(percent(x), top, percent(x), bottom, css=css)


def horizontal(y: float, *, css: str) -> str:
    """A horizontal line over the whole width at `y` pixels."""
    return line(0, y, "100%", y, css=css)


def rect(x: Place, y: float, width: Place, height: float, **style: Place | None) -> str:
    """A rectangle from its corner at the top left."""
    return element("rect", x=x, y=y, width=width, height=height, **style)


def bar(x: float, y: float, width: float, height: float, **style: Place | None) -> str:
    """A rectangle on the time axis; `x` and `width` in per cent, fine enough for one epoch of a week."""
    return rect(percent(x, 3), y, percent(width, 3), height, **style)


def circle(x: float, y: float, radius: float, **style: Place | None) -> str:
    """A circle around a point."""
    return element("circle", cx=x, cy=y, r=radius, **style)


def image(x: Place, y: float, width: Place, height: float, *, address: str, **style: Place | None) -> str:
    """A picture stretched into a rectangle."""
    return element("image", x=x, y=y, width=width, height=height, preserveAspectRatio="none", **style, href=address)


def text(x: Place, y: float, words: object, *, css: str = "", anchor: str = "middle") -> str:
    """Escaped text beside a point: its middle, its start or its end is there."""
    return element("text", str(escape(words)), x=x, y=y, text_anchor=anchor, css=css or None)


def path(data: str, **style: Place | None) -> str:
    """A line or an area from its path data."""
    return element("path", d=data, **style)


def stretch(content: str, *, y: float, width: float, height: float, tall: float | None = None) -> str:
    """Content in units of its own (0 to `width`, 0 to `tall`), stretched over the plot's width and `height` pixels."""
    box = f"0 0 {number(width)} {number(tall or height)}"
    return element("svg", content, y=y, width="100%", height=height, viewBox=box, preserveAspectRatio="none")


def line_path(xs: np.ndarray, ys: np.ndarray) -> str:
    """Path data of a line that breaks where a value is NaN."""
    parts = []
    pen_down = False
    for x, y in zip(xs.tolist(), ys.tolist(), strict=True):
        if not (np.isfinite(x) and np.isfinite(y)):
            pen_down = False
            continue
        parts.append(f"{'L' if pen_down else 'M'}{number(x, 1)} {number(y, 1)}")
        pen_down = True
    return "".join(parts)


def area_path(xs: np.ndarray, tops: np.ndarray, bottoms: np.ndarray, *, scale: float = 1.0) -> str:
    """Path data of the area between two lines, in pieces where either is NaN."""
    good = np.isfinite(tops) & np.isfinite(bottoms)
    edges = np.flatnonzero(np.diff(np.r_[False, good, False].astype(int)))
    pieces = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        forward = zip(xs[first:last] * scale, tops[first:last] * scale, strict=True)
        back = zip(xs[first:last][::-1] * scale, bottoms[first:last][::-1] * scale, strict=True)
        points = [f"{number(x, 1)} {number(y, 1)}" for x, y in (*forward, *back)]
        pieces.append("M" + "L".join(points) + "Z")
    return "".join(pieces)


def plot(content: Iterable[str], *, height: float, label: str, css: str = "plot") -> Markup:
    """A picture as wide as its place and `height` pixels high, with `label` for who cannot see it; else hidden."""
    told: dict[str, str] = {"role": "img", "aria_label": label} if label else {"aria_hidden": "true"}
    return Markup(element("svg", "".join(content), css=css, width="100%", height=height, **told))


def chart(content: Iterable[str], *, width: float, height: float, label: str) -> Markup:
    """A picture of a fixed size in pixels, with `label` for who cannot see it."""
    box = f"0 0 {number(width)} {number(height)}"
    drawn = "".join(content)
    return Markup(
        element("svg", drawn, css="chart", viewBox=box, width=width, height=height, role="img", aria_label=label)
    )
