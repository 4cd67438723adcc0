"""Metastability round transitions: what varies beyond the way from one state to the next.

A window that holds two states varies more by that alone. So a course from one level to another, of any place and
steepness, is fitted to the synchrony of each window, and the variance that is left is compared: round transitions
against inside the states before and after, where the same course is fitted too. To take the variance of the mean level
away instead would take a peak away with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.dynamics import compute_order_parameter, compute_phases
from sharpwave.resilience.windows import Read, WindowSettings, read_window

FEWEST_WINDOWS = 3
"""Windows inside a state, and transitions, below which nothing is said."""

STEEPNESS = (0.01, 0.05, 0.15, 0.6)
"""Widths of the fitted course, in lengths of the window, besides a step: from steep to nearly a line."""


def compute_residual_variance(order: Float[np.ndarray, " time"]) -> float:
    """Variance of synchrony that is left after the best course from one level to another.

    The course is `a + b / (1 + exp(-(t - c) / w))`; `c` and `w` from a grid, `a` and `b` by least squares.

    Args:
        order: Kuramoto's order parameter over one window.

    >>> steps = np.repeat([0.2, 0.8], 50)
    >>> bool(compute_residual_variance(steps) < 1e-3), round(float(steps.var()), 2)
    (True, 0.09)
    """
    order = np.asarray(order, dtype=float)
    centred = order - order.mean()
    n, k = len(order), np.arange(1, len(order))
    steps = np.cumsum(centred)[:-1] ** 2 * n / (k * (n - k))
    gain = max(float(steps.max()), float(((_make_courses(n) @ centred) ** 2).max()))
    return max(0.0, (float(centred @ centred) - gain) / n)


@lru_cache(maxsize=4)
def _make_courses(n: int) -> Float[np.ndarray, "course time"]:
    """Courses of each place and width, with mean 0 and length 1."""
    times = np.linspace(0, 1, n)
    places, widths = np.meshgrid(np.linspace(0.1, 0.9, 33), STEEPNESS)
    scaled = (times - places.reshape(-1, 1)) / widths.reshape(-1, 1)
    courses = 1 / (1 + np.exp(-np.clip(scaled, -50, 50)))
    courses -= courses.mean(axis=1, keepdims=True)
    return courses / np.linalg.norm(courses, axis=1, keepdims=True)


@dataclass(frozen=True, eq=False)
class TransitionPeak:
    """Metastability round transitions beyond that inside the states, of one subject.

    Attributes:
        excess: Mean over transitions of the variance left, minus the mean of that inside the two states; NaN where
            there are too few.
        relative: The same, relative to that inside the two states.
        low: Lower end of the 95 % interval of `excess`, over transitions.
        high: Upper end of it.
        n: Transitions that were used.
        kinds: What each went from and to, such as "W to N2".
    """

    excess: float
    relative: float
    low: float
    high: float
    n: int
    kinds: tuple[str, ...] = ()


def find_transitions(hypnogram: Any, *, span: tuple[float, float], length: float, step: float = 1.0) -> list[float]:
    """Times at which one scored stage gives way to another, each lasting half a window on its side; by the second.

    Args:
        hypnogram: Anything with `at(times)` that gives codes, below 0 where unscored.
        span: First and last second.
        length: Length of a window in seconds.
        step: Distance of the times that are looked at, in seconds; default 1.
    """
    times = np.arange(span[0], span[1], step)
    codes = np.asarray(hypnogram.at(times))
    found = []
    half = round(length / 2 / step)
    for index in (np.flatnonzero(np.diff(codes)) + 1).tolist():
        before, after = codes[max(0, index - half) : index], codes[index : index + half]
        whole = min(len(before), len(after)) == half
        if whole and before[0] >= 0 and after[0] >= 0 and (before == before[0]).all() and (after == after[0]).all():
            found.append(float(times[index]))
    return found


def measure_transitions(
    read: Read,
    rate: float,
    *,
    span: tuple[float, float],
    hypnogram: Any,
    rng: np.random.Generator,
    settings: WindowSettings | None = None,
    most: int | None = None,
    states: Sequence[str] | None = None,
) -> TransitionPeak:
    """Is synchrony more variable round transitions than inside the states on either side?

    Args:
        read: Samples between two times in s, time first; NaN in gaps (such windows are left out).
        rate: Sampling rate in Hz.
        span: First and last second to measure.
        hypnogram: Anything with `at(times)` that gives codes, and `names`.
        rng: Source of randomness for the choice of windows and the interval.
        settings: How windows are cut and filtered; `WindowSettings.for_rate` where omitted.
        most: Largest number of windows inside each state, and of transitions; all where omitted.
        states: Names of the stages that count; all where omitted.

    Raises:
        SharpwaveError: If there is one channel alone.
    """
    settings = settings or WindowSettings.for_rate(rate)
    codes = np.asarray(hypnogram.at(np.arange(span[0], span[1])))
    names = hypnogram.names

    def measure(onset: float) -> float:
        piece, margin = read_window(read, rate, onset, span=span, settings=settings)
        if piece is None:
            return float("nan")
        piece = piece[:, piece.std(axis=0) > 0]
        if piece.shape[1] < 2:
            raise SharpwaveError("at least two channels", got="one", fix="synchrony needs several; see entropy for one")
        order = compute_order_parameter(compute_phases(piece, rate, band=settings.band))
        return compute_residual_variance(order[margin : len(order) - margin])

    def draw(onsets: list[float]) -> list[float]:
        if most is not None and len(onsets) > most:
            onsets = sorted(rng.choice(onsets, size=most, replace=False).tolist())
        return onsets

    times = find_transitions(hypnogram, span=span, length=settings.length)
    ends = {time: hypnogram.at(np.array([time - 1.0, time])) for time in times}
    sides = {time: (names[before], names[after]) for time, (before, after) in ends.items()}
    times = draw([time for time in times if states is None or set(sides[time]) <= set(states)])
    inside: dict[str, list[float]] = {}
    for name in {name for time in times for name in sides[time]}:
        onsets = _cut_inside(codes == list(names).index(name), settings.length, start=span[0])
        values = np.array([measure(onset) for onset in draw(onsets)])
        inside[name] = values[np.isfinite(values)].tolist()
    rows = [(measure(time - settings.length / 2), sides[time]) for time in times]
    return _compare(rows, inside, rng)


def _cut_inside(mask: np.ndarray, length: float, *, start: float) -> list[float]:
    """Onsets of windows that lie in one state, not overlapping."""
    found, width, at = [], round(length), 0
    while at + width <= len(mask):
        if mask[at : at + width].all():
            found.append(start + at)
            at += width
        else:
            at += 1
    return found


N_DRAWS = 500


def _compare(
    rows: list[tuple[float, tuple[str, str]]], inside: dict[str, list[float]], rng: np.random.Generator
) -> TransitionPeak:
    rows = [
        (value, pair)
        for value, pair in rows
        if np.isfinite(value) and min(len(inside[name]) for name in pair) >= FEWEST_WINDOWS
    ]
    if len(rows) < FEWEST_WINDOWS:
        nan = float("nan")
        return TransitionPeak(nan, nan, nan, nan, len(rows))

    def contrast(values: np.ndarray, sides: list[tuple[str, str]], means: dict[str, float]) -> tuple[float, float]:
        expected = np.array([(means[before] + means[after]) / 2 for before, after in sides])
        return float(np.mean(values - expected)), float(np.mean(values) / np.mean(expected) - 1)

    values, sides = np.array([value for value, _ in rows]), [side for _, side in rows]
    excess, relative = contrast(values, sides, {name: float(np.mean(row)) for name, row in inside.items() if row})
    draws = []
    for _ in range(N_DRAWS):
        chosen = rng.integers(len(rows), size=len(rows))
        means = {name: float(np.mean(rng.choice(row, size=len(row)))) for name, row in inside.items() if row}
        draws.append(contrast(values[chosen], [sides[index] for index in chosen.tolist()], means)[0])
    low, high = np.percentile(draws, [2.5, 97.5])
    kinds = tuple(f"{before} to {after}" for before, after in sides)
    return TransitionPeak(excess, relative, float(low), float(high), len(rows), kinds)
