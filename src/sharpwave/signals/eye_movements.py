"""Rapid eye movements: peaks of the negative product of the two eyes' signals, as YASA finds them.

The eyes move together, so the two electro-oculograms move apart (Agarwal et al. 2005, doi:10.1109/TBME.2005.851512).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Signal
from sharpwave.signals.filters import design_bandpass, filter_piece
from sharpwave.signals.pieces import (
    MICROVOLTS,
    check_one_channel,
    iter_pieces,
    join_events,
    mark_searchable,
    read_piece,
    stage_names,
)

STAGES = ("R",)
MARGIN = 10.0
GUARD = 1.0
BAND = (0.5, 5.0)
AMPLITUDE_UV = (50.0, 325.0)
DURATION = (0.3, 1.2)
RELATIVE_PROMINENCE = 0.8

COLUMNS: dict[str, type] = {
    "onset": float,
    "duration": float,
    "label": str,
    "channel": str,
    "stage": str,
    "peak": float,
    "left_uv": float,
    "right_uv": float,
}


def detect_eye_movements(loc: Signal, roc: Signal, *, hypnogram: Hypnogram | None = None) -> pd.DataFrame:
    """Rapid eye movements in a pair of electro-oculograms; with a hypnogram, in REM sleep only.

    Args:
        loc: Left outer canthus, in V.
        roc: Right outer canthus, at the same rate and start.
        hypnogram: Stages on the same clock, or None.

    Returns:
        Events: onset and duration in s, label "rapid_eye_movement", channel (both names), stage, `peak` (s) and the
        size of either eye's signal there (`left_uv`, `right_uv`; 0.5–5 Hz).

    Raises:
        SharpwaveError: If the two signals do not share their clock.

    >>> from sharpwave.recordings import MODALITIES
    >>> times = np.arange(2000) / 100
    >>> jump = 150 * np.exp(-(((times - 10) / 0.15) ** 2))  # the eyes move against each other
    >>> left = Signal("LOC", jump, 100.0, MODALITIES["eog"], scale=1e-6)
    >>> right = Signal("ROC", -jump, 100.0, MODALITIES["eog"], scale=1e-6)
    >>> detect_eye_movements(left, right)["peak"].round(1).tolist()
    [10.0]
    """
    check_one_channel(roc)
    if (loc.rate, len(loc), loc.start) != (roc.rate, len(roc), roc.start):
        raise SharpwaveError(
            "both eyes at one rate, length and start",
            got=f"{loc.rate:g} and {roc.rate:g} Hz, {len(loc)} and {len(roc)} samples",
            fix="restrict both to the same interval, and resample one",
        )
    taps = design_bandpass(loc.rate, *BAND)
    reach, margin = taps.size // 2 + 1, round(MARGIN * loc.rate)
    tables = []
    for left in iter_pieces(loc, pad=reach + margin):
        right = read_piece(roc, left.first, left.length, pad=left.pad)
        searched = mark_searchable(left, loc, hypnogram=hypnogram, stages=STAGES, guard=GUARD)
        searched &= mark_searchable(right, roc, hypnogram=hypnogram, stages=STAGES, guard=GUARD)
        if not searched[left.pad : left.pad + left.length].any():
            continue
        origin = left.first - left.pad
        valid = slice(max(reach, -origin), min(left.samples.size - reach, len(loc) - origin))
        eyes = [filter_piece(piece.samples * MICROVOLTS, taps)[valid] for piece in (left, right)]
        peaks, begin, end = _find_movements(eyes[0], eyes[1], searched[valid], rate=loc.rate)
        index = peaks + origin + valid.start
        mine = (index >= left.first) & (index < left.first + left.length)
        peaks, begin, end = peaks[mine], begin[mine], end[mine]
        first = loc.start + (origin + valid.start) / loc.rate
        table = pd.DataFrame({"onset": first + begin / loc.rate, "duration": (end - begin) / loc.rate})
        table["peak"] = first + peaks / loc.rate
        table["left_uv"], table["right_uv"] = np.abs(eyes[0][peaks]), np.abs(eyes[1][peaks])
        tables.append(table.assign(label="rapid_eye_movement", channel=f"{loc.name}, {roc.name}", stage="?"))
    events = join_events(tables, COLUMNS)
    events["stage"] = stage_names(hypnogram, events["onset"].to_numpy())
    return events


def _find_movements(
    left: np.ndarray, right: np.ndarray, searched: np.ndarray, *, rate: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Peak, first and last sample of each movement in two filtered signals (µV)."""
    from scipy.signal import find_peaks

    peaks, bases = find_peaks(
        -left * right,
        height=(AMPLITUDE_UV[0] ** 2, AMPLITUDE_UV[1] ** 2),
        distance=DURATION[0] * rate,
        prominence=RELATIVE_PROMINENCE * AMPLITUDE_UV[0] ** 2,
        wlen=DURATION[1] * rate,
    )
    begin, end = bases["left_bases"], bases["right_bases"]
    duration = end / rate - begin / rate
    good = searched[peaks] & (np.sign(left[peaks]) != np.sign(right[peaks]))
    good &= (duration >= DURATION[0]) & (duration < DURATION[1])
    return peaks[good], begin[good], end[good]
