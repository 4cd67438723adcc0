"""The actogram of a watch: activity by clock time, two days a row, with the nights that were taken from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float
from markupsafe import Markup

from sharpwave.night.several_nights import NightSpan
from sharpwave.recordings import Recording
from sharpwave.reports import svg
from sharpwave.reports.raster import encode_png
from sharpwave.signals.epoch_values import SLOW, compute_epoch_values

BIN = 600.0
DAY = 86_400.0
PER_DAY = int(DAY / BIN)
MOST_DAYS = 400
ROW, LEAST, MOST = 9.0, 70.0, 900.0
"""Pixels of a day, and of all days."""
LEVELS = 100
NIGHT, MISSING = 100, 200
"""Where in the palette the colours of a night, and that of nothing recorded, begin."""
WORDS = {"activity": "activity", "heart_rate": "heart rate", "temperature": "temperature", "oxygen": "oxygen"}


@dataclass(frozen=True, eq=False)
class Actogram:
    """What is drawn of one watch.

    Attributes:
        name: Name of the recording.
        what: What was measured ("activity", or "heart rate" where there is none).
        levels: Its rank from 0 to 1 among all bins, shape (day, bin); NaN where nothing was recorded.
        asleep: Whether a bin is in a night, of the same shape.
        first: Date of the first row; "" where no clock time is known, and rows then begin with the recording.
    """

    name: str
    what: str
    levels: Float[np.ndarray, "day bin"]
    asleep: np.ndarray
    first: str


def compute_actogram(recording: Recording, nights: Sequence[NightSpan], *, name: str) -> Actogram | None:
    """Activity in ten minutes from midnight to midnight; of a watch without it, the heart rate.

    Args:
        recording: Several days of a watch.
        nights: The nights that were found in it.
        name: Name of the recording.

    Returns:
        The actogram; None where nothing of the kind was recorded.

    >>> from datetime import datetime
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> moves = Signal("activity", np.tile([0.0, 9.0], 72), 1 / 1200, MODALITIES["activity"])
    >>> watch = Recording(signals={"activity": moves}, start=datetime(2024, 3, 1, 12))
    >>> shown = compute_actogram(watch, [NightSpan(39600, 68400, "2024-03-01", "")], name="arm")
    >>> shown.levels.shape, int(shown.asleep.sum()), shown.first
    ((3, 144), 48, '2024-03-01')
    """
    kind = next((kind for kind in ("activity", *SLOW) if recording.of(kind)), None)
    if kind is None or recording.duration > MOST_DAYS * DAY:
        return None
    signal = next(iter(recording.of(kind).values()))
    start = recording.start
    into = 0.0 if start is None else start.hour * 3600.0 + start.minute * 60 + start.second
    lead = int(into // BIN)
    n_bins = int(np.ceil(recording.duration / BIN))
    n_days = -(-(lead + n_bins) // PER_DAY)
    values = np.full(n_days * PER_DAY, np.nan)
    values[lead : lead + n_bins] = compute_epoch_values(signal, n_bins, epoch=BIN)
    asleep = np.zeros(len(values), dtype=bool)
    for night in nights:
        asleep[lead + round(night.start / BIN) : lead + round(night.end / BIN)] = True
    return Actogram(
        name,
        WORDS.get(kind, kind),
        _rank(values).reshape(n_days, PER_DAY),
        asleep.reshape(n_days, PER_DAY),
        "" if start is None else start.date().isoformat(),
    )


def _rank(values: Float[np.ndarray, " bin"]) -> Float[np.ndarray, " bin"]:
    """Rank among all that is known, from 0 to 1; equal values have one rank, so that stillness stays still."""
    known = np.isfinite(values)
    ranks = np.full(len(values), np.nan)
    if known.any():
        different, place = np.unique(values[known], return_inverse=True)
        share = np.cumsum(np.bincount(place)) / known.sum()
        ranks[known] = (np.r_[0.0, share[:-1]] if len(different) > 1 else np.array([0.5]))[place]
    return ranks


def draw_watch_actogram(actogram: Actogram) -> Markup:
    """Rows of two days each, the second of which is the first of the next row; nights are blue.

    Args:
        actogram: What to draw.
    """
    levels, asleep = (_double(array) for array in (actogram.levels, actogram.asleep.astype(float)))
    with np.errstate(invalid="ignore"):
        shade = np.nan_to_num(np.round(levels * (LEVELS - 1))).astype(int)
    codes = np.where(np.isfinite(levels), shade + NIGHT * (asleep == 1), MISSING)
    height = float(np.clip(ROW * len(codes), LEAST, MOST))
    content = [
        svg.image(
            0, 4, "100%", height, address=encode_png(codes.astype(np.uint8), _make_palette()),
            image_rendering="pixelated",
        )
    ]  # fmt: skip
    for hour in range(0, 49, 6):
        anchor = "start" if hour == 0 else "end" if hour == 48 else "middle"
        content.append(svg.text(svg.percent(hour / 48 * 100), height + 20, str(hour % 24), anchor=anchor))
    label = f"Actogram of {actogram.name}: {actogram.what} on {len(codes)} days, two days a row, nights in blue"
    return svg.plot(content, height=height + 26, label=label)


def _double(array: Float[np.ndarray, "day bin"]) -> Float[np.ndarray, "day bins"]:
    after = np.vstack([array[1:], np.full((1, array.shape[1]), np.nan)])
    return np.hstack([array, after])


def _make_palette() -> np.ndarray:
    """From light (still) to dark (active) in grey, the same in blue, and one colour for nothing recorded."""
    share = np.linspace(0, 1, LEVELS)[:, None]
    grey = (1 - share) * [226, 228, 232] + share * [40, 44, 54]
    blue = (1 - share) * [176, 208, 238] + share * [12, 42, 110]
    return np.vstack([grey, blue, [[250, 236, 214]]]).astype(np.uint8)


def describe_actogram(actogram: Actogram) -> str:
    """How to read it, in a sentence or two.

    Args:
        actogram: What is drawn.
    """
    nights = sum(1 for before, here in pairwise([False, *actogram.asleep.ravel().tolist()]) if here and not before)
    begin = f"from {actogram.first}, by the watch's clock" if actogram.first else "counted from its start (no clock)"
    return (
        f"{len(actogram.levels)} days {begin}; {nights} nights in blue, cut as the table says. Dark: more "
        f"{actogram.what}, ranked over all days; sand: nothing recorded. Each row shows two days, the second again as "
        f"the first of the next."
    )
