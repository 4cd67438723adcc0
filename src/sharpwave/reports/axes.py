"""The axes of charts: scales from values to pixels, ticks with their rules and numbers, rows, whiskers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.reports import svg

_RATIOS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_NEAR = (0.8, 0.9, 1.0, 1.1, 1.25)
_FARTHEST = 10.0
"""Ratio beyond which an interval is cut at the edge of the chart."""


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: Value that lies at `first`.
        high: Value that lies at `last`.
        first: Place of the lowest value in pixels.
        last: Place of the highest value in pixels; less than `first` where values rise up the page.
        beyond: Share of the length by which a value may lie outside before it is cut off; by default 0.
        logarithmic: True for ratios; by default False.

    >>> Scale(0.0, 2.0, first=100.0, last=0.0).at(0.5)
    75.0
    >>> round(Scale(0.1, 10.0, first=0.0, last=100.0, logarithmic=True).at(1.0), 6)
    50.0
    """

    low: float
    high: float
    first: float
    last: float
    beyond: float = 0.0
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Place of one value."""
        return float(self.along(np.array([value], dtype=float))[0])

    def along(self, values: Float[np.ndarray, " value"]) -> Float[np.ndarray, " value"]:
        """Places of values; NaN stays NaN."""
        low, high = self.low, self.high
        if self.logarithmic:
            low, high, values = np.log(low), np.log(high), np.log(values)
        share = (values - low) / max(high - low, 1e-12)
        return self.first + (self.last - self.first) * np.clip(share, -self.beyond, 1 + self.beyond)


@dataclass(frozen=True)
class Box:
    """The part of a chart that its data fill, in pixels.

    Attributes:
        left: Place of its left side.
        top: Place of its upper side.
        width: From left to right.
        height: From top to bottom.
    """

    left: float
    top: float
    width: float
    height: float

    @classmethod
    def of_rows(cls, n: int, *, step: float, left: float, width: float, top: float = 0.0) -> Box:
        """A box that holds `n` rows of `step` pixels."""
        return cls(left, top, width, step * n + 4)

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.height

    @property
    def middle(self) -> float:
        """Half-way from left to right."""
        return self.left + self.width / 2

    def across(self, low: float, high: float, *, beyond: float = 0.0, logarithmic: bool = False) -> Scale:
        """Values from left to right."""
        return Scale(low, high, self.left, self.right, beyond, logarithmic)

    def up(self, low: float, high: float, *, beyond: float = 0.0) -> Scale:
        """Values from the bottom upwards."""
        return Scale(low, high, self.bottom, self.top, beyond)

    def rows(self, n: int) -> list[float]:
        """Middles of `n` rows, the first one on top."""
        return [self.top + 2 + (self.height - 4) / n * (row + 0.5) for row in range(n)]

    def draw_names(self, names: Sequence[str], *, css: str = "", gap: float = 10.0) -> list[str]:
        """The names of the rows, to their left."""
        rows = self.rows(len(names)) if len(names) else []
        return [
            svg.text(self.left - gap, y + 4, name, anchor="end", css=css) for y, name in zip(rows, names, strict=True)
        ]

    def draw_levels(self, scale: Scale, ticks: Iterable[float]) -> list[str]:
        """A rule from left to right at each tick of the side, and its number before it."""
        drawn = []
        for tick in ticks:
            y = scale.at(tick)
            drawn.append(svg.line(self.left, y, self.right, y, css="rule"))
            drawn.append(svg.text(self.left - 5, y + 4, write(tick), anchor="end"))
        return drawn

    def draw_columns(self, scale: Scale, ticks: Sequence[float], *, none: float | None = None) -> list[str]:
        """A rule from top to bottom at each tick of the bottom; dashed at `none`, the value of no effect."""
        css = ["diagonal" if tick == none else "rule" for tick in ticks]
        return [self.draw_upright(scale.at(tick), css=kind) for tick, kind in zip(ticks, css, strict=True)]

    def draw_upright(self, x: float, *, css: str) -> str:
        """A line from top to bottom."""
        return svg.line(x, self.top, x, self.bottom, css=css)

    def draw_numbers(
        self, scale: Scale, ticks: Sequence[float], words: Sequence[str] | None = None, *, gap: float = 14.0
    ) -> list[str]:
        """Words below the ticks of the bottom, by default the numbers themselves; `gap` is down to their feet."""
        words = words or [write(tick) for tick in ticks]
        return [svg.text(scale.at(tick), self.bottom + gap, said) for tick, said in zip(ticks, words, strict=True)]

    def draw_ends(self, first: str, last: str) -> list[str]:
        """Words below both ends of the bottom, which do not stick out of the box."""
        y = self.bottom + 14
        return [svg.text(self.left, y, first, anchor="start"), svg.text(self.right, y, last, anchor="end")]


def draw_whisker(row: Mapping[Any, Any], scale: Scale, at: float, *, upright: bool = False) -> list[str]:
    """The interval from `low` to `high` of a table's row as a line; nothing where it has none.

    Args:
        row: A row of the table, with `low` and `high` or without them.
        scale: The scale of the values.
        at: Place of the line on the other side, in pixels.
        upright: True where values rise up the page; by default they lie from left to right.
    """
    ends = np.array([row.get("low", np.nan), row.get("high", np.nan)], dtype=float)
    if not np.isfinite(ends).all():
        return []
    low, high = scale.along(ends).tolist()
    return [svg.line(at, low, at, high, css="whisker") if upright else svg.line(low, at, high, at, css="whisker")]


def write(value: float, form: str = "g") -> str:
    """A number with a true minus sign.

    >>> write(-0.5), write(1.25, "+.1f")
    ('−0.5', '+1.2')
    """
    return format(value, form).replace("-", "−")


def choose_step(span: float, sizes: Iterable[float], *, most: int) -> float:
    """The first of the sizes that parts a span in at most `most` pieces, otherwise the last one.

    >>> choose_step(7.0, (1, 2, 5), most=4)
    2
    """
    size = 0.0
    for size in sizes:
        if span / size <= most:
            break
    return size


def list_ticks(low: float, high: float, step: float) -> Float[np.ndarray, " tick"]:
    """The multiples of `step` from `low` to `high`.

    >>> list_ticks(-0.3, 1.0, 0.25).tolist()
    [-0.25, 0.0, 0.25, 0.5, 0.75, 1.0]
    """
    first, last = np.ceil(low / step - 1e-9), np.floor(high / step + 1e-9)
    return np.arange(first, last + 1) * step + 0.0  # never −0


def choose_ticks(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, " tick"]:
    """Three to seven round ticks around zero that hold all values."""
    finite = values[np.isfinite(values)]
    low, high = min(float(finite.min(initial=0.0)), 0.0), max(float(finite.max(initial=0.0)), 0.0)
    sizes = (digit * 10.0**power for power in range(-6, 7) for digit in (1, 2, 5))
    step = choose_step(max(high - low, 1e-6), sizes, most=4)
    return np.arange(np.floor(low / step + 1e-9), np.ceil(high / step - 1e-9) + 1) * step


def choose_ratios(values: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, " tick"]:
    """Ticks that hold all ratios: from a half to two or wider, or the small ones where all lie near 1."""
    finite = values[np.isfinite(values) & (values > 0)]
    if finite.size and _NEAR[0] <= finite.min() and finite.max() <= _NEAR[-1]:
        return np.array(_NEAR)
    low = max(min(float(finite.min(initial=0.5)), 0.5), 1 / _FARTHEST)
    high = min(max(float(finite.max(initial=2.0)), 2.0), _FARTHEST)
    inside = [tick for tick in _RATIOS if low / 2.5 < tick < high * 2.5]
    first = max((tick for tick in inside if tick <= low), default=inside[0])
    last = min((tick for tick in inside if tick >= high), default=inside[-1])
    return np.array([tick for tick in _RATIOS if first <= tick <= last])
