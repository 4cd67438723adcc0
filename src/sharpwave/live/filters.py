"""Causal filters with carried state: designed once, then state in and state out; in chunks of any size the same bits.

They run as plain arithmetic on Python's floats, in one fixed order, so that a night replayed on another machine or
another NumPy gives the same numbers to the last bit. A section of second order has, with b and a its coefficients,

    y[n] = b0 x[n] + s1[n-1]
    s1[n] = b1 x[n] - a1 y[n] + s2[n-1]
    s2[n] = b2 x[n] - a2 y[n]
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from sharpwave.errors import SharpwaveError

Sections = tuple[tuple[float, float, float, float, float], ...]
"""Coefficients b0, b1, b2, a1, a2 of each section of second order."""
FilterState = tuple[tuple[float, float], ...]
"""What each section carries from sample to sample."""

DIGITS = 12
"""Digits that coefficients keep: no version of a library changes those."""


@lru_cache(maxsize=64)
def design_causal(kind: str, edges: float | tuple[float, float], *, order: int, rate: float) -> Sections:
    """A Butterworth filter as sections of second order.

    Args:
        kind: `lowpass`, `highpass` or `bandpass`.
        edges: The edge in Hz, or both edges of a `bandpass`.
        order: Order of the filter; a `bandpass` has twice as many poles.
        rate: Samples a second, in Hz.

    Raises:
        SharpwaveError: If an edge does not lie between 0 and half the rate.

    >>> len(design_causal("bandpass", (11.0, 16.0), order=2, rate=256.0))
    2
    """
    from scipy.signal import butter

    both = (edges,) if isinstance(edges, int | float) else edges
    if not all(0 < edge < rate / 2 for edge in both):
        raise SharpwaveError(
            f"edges between 0 and {rate / 2:g} Hz, half the rate", got=repr(edges), fix="take a higher rate"
        )
    rows = butter(order, edges, kind, fs=rate, output="sos")
    return tuple(tuple(_round(one) for one in (*row[:3], *row[4:])) for row in rows)  # type: ignore[misc]


@lru_cache(maxsize=16)
def design_resonator(frequency: float, *, width: float, rate: float) -> Sections:
    """A narrow band round one frequency, such as that of the mains.

    Args:
        frequency: Its middle, in Hz.
        width: Its width at half the power, in Hz.
        rate: Samples a second, in Hz.

    >>> len(design_resonator(50.0, width=2.0, rate=256.0))
    1
    """
    from scipy.signal import iirpeak

    b, a = iirpeak(frequency, frequency / width, fs=rate)
    return ((_round(b[0]), _round(b[1]), _round(b[2]), _round(a[1]), _round(a[2])),)


def _round(value: float) -> float:
    return float(f"{float(value):.{DIGITS}g}")


def settle_filter(sections: Sections, value: float) -> FilterState:
    """The state of a filter that has seen `value` for ever, so that an offset of the amplifier makes no jolt.

    Args:
        sections: The filter.
        value: What it has seen, in the unit of the samples.

    >>> settle_filter(((1.0, 0.0, 0.0, 0.0, 0.0),), 3.0)
    ((0.0, 0.0),)
    """
    states = []
    for b0, b1, b2, a1, a2 in sections:
        out = value * (b0 + b1 + b2) / (1.0 + a1 + a2)
        second = b2 * value - a2 * out
        states.append((b1 * value - a1 * out + second, second))
        value = out
    return tuple(states)


def step_filter(sections: Sections, state: FilterState, samples: Iterable[float]) -> tuple[list[float], FilterState]:
    """Filter the samples of a chunk.

    Args:
        sections: The filter.
        state: State so far, from `settle_filter` at first.
        samples: Samples in any unit, as Python's floats.

    Returns:
        As many filtered samples, and the state for the next chunk.

    >>> low = design_causal("lowpass", 8.0, order=2, rate=128.0)
    >>> out, state = step_filter(low, settle_filter(low, 5.0), [5.0, 5.0, 5.0])
    >>> [round(one, 6) for one in out]
    [5.0, 5.0, 5.0]
    """
    values = list(samples)
    states = []
    for (b0, b1, b2, a1, a2), (s1, s2) in zip(sections, state, strict=True):
        out: list[float] = []
        add = out.append
        for x in values:
            y = b0 * x + s1
            s1 = b1 * x - a1 * y + s2
            s2 = b2 * x - a2 * y
            add(y)
        states.append((s1, s2))
        values = out
    return values, tuple(states)
