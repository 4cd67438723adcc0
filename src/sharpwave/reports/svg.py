"""Small pieces of SVG. Numbers are shortened, text is escaped, nothing here knows about sleep.

Plots have no viewBox: positions along time are percentages, so text and hatches keep their size at every width, on a
phone as on paper. Curves sit in a nested SVG that stretches (`stretch`).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from markupsafe import Markup, escape


def number(value: float, digits: int = 2) -> str:
    """A coordinate in few characters.

    >>> number(12.3456), number(3.0), number(-0.0001)
    ('12.35', '3', '0')
    """
    text = f"{value:.{digits}f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def rect(x: float, y: float, width: float, height: float, *, fill: str, css: str = "") -> str:
    """A rectangle; `x` and `width` in per cent of the plot's width, `y` and `height` in pixels."""
    style = f' class="{css}"' if css else ""
    return (
        f'<rect x="{number(x, 3)}%" y="{number(y)}" width="{number(width, 3)}%" height="{number(height)}" '
        f'fill="{fill}"{style}/>'
    )


def vertical(x: float, top: float, bottom: float, *, css: str) -> str:
    """A vertical line at `x` per cent."""
    return f'<line x1="{number(x)}%" x2="{number(x)}%" y1="{number(top)}" y2="{number(bottom)}" class="{css}"/>'


def horizontal(y: float, *, css: str) -> str:
    """A horizontal line over the whole width at `y` pixels."""
    return f'<line x1="0" x2="100%" y1="{number(y)}" y2="{number(y)}" class="{css}"/>'


def text(x: str, y: float, words: object, *, css: str = "", anchor: str = "start") -> str:
    """Escaped text at `x` (pixels or "n%") and `y` pixels."""
    style = f' class="{css}"' if css else ""
    return f'<text x="{x}" y="{number(y)}" text-anchor="{anchor}"{style}>{escape(words)}</text>'


def stretch(content: str, *, y: float, width: float, height: float, tall: float | None = None) -> str:
    """Content in units of its own (0 to `width`, 0 to `tall`), stretched over the plot's width and `height` pixels."""
    return (
        f'<svg y="{number(y)}" width="100%" height="{number(height)}" '
        f'viewBox="0 0 {number(width)} {number(tall or height)}" preserveAspectRatio="none">{content}</svg>'
    )


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
    """An SVG as wide as its place and `height` pixels high, with `label` for who cannot see it."""
    return Markup(
        f'<svg class="{css}" width="100%" height="{number(height)}" role="img" aria-label="{escape(label)}">'
        f"{''.join(content)}</svg>"
    )
