"""Wake and sleep from heart beats alone, by LightGBM trained on the MIT-BIH Polysomnographic Database.

Those people were men with sleep apnoea, some under CPAP: what it does for others is not known but for what
`docs/staging.md` says of a second world. It learns wake, NREM and REM, but finds hardly any REM in people it has not
seen (F1 .01), so it says sleep for both. It looks ahead, so it is for recorded nights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.heart_beats import (
    LEAST_RATE,
    MEASURES,
    clean_intervals,
    compute_beat_measures,
    detect_beats,
    find_rate_beats,
)
from sharpwave.staging.boosted import EPOCH, relate_to_night, stage_with_weights, to_hypnogram
from sharpwave.staging.contract import Picks
from sharpwave.staging.lightgbm_stagers import MINIMUM_MINUTES, average_over, describe_surroundings
from sharpwave.staging.weights import load_validation

OWN_SCALE = ("low_to_high", "breathing", "regularity", "slow_share", "persistence", "rise", "fall")
"""Measures that say something as they are, and not only against the night: averaged over some minutes."""


LEAST_STEP = 0.012
"""Seconds: root mean square of successive differences, in the usual 5 min, from which a night is staged. It is half of
the least among those it learned from; where beats hardly differ (simulated nights, 9 ms) it is at chance."""


class HeartStager:
    """Wake and sleep from the times of heart beats: a value of heart rate for each beat, or an ECG."""

    name = "lightgbm-heart"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        if recording.species not in ("human", "unknown"):
            return f"the subject is a {recording.species}; it was trained on people"
        rates = list(recording.of("heart_rate").values())
        fast = [ecg for ecg in recording.of("ecg").values() if ecg.rate >= LEAST_RATE]
        if not fast and all(find_rate_beats(signal) is None for signal in rates):
            return (
                "the heart rate does not come beat by beat"
                if rates
                else f"no heart beats, as intervals or times, and no ECG from {LEAST_RATE:g} Hz"
            )
        if recording.duration < 60 * MINIMUM_MINUTES:
            return f"{recording.duration / 60:.0f} min; it needs {MINIMUM_MINUTES} min to know what is usual"
        steps = measure_steps(find_beats(recording))
        if np.isnan(steps):
            return "no heart beats are found in what should hold them"
        if steps < LEAST_STEP:
            return (
                f"intervals differ by {1000 * steps:.0f} ms from one to the next and it needs {1000 * LEAST_STEP:.0f}"
                " (those it learned from have 23 and more): a smoothed pulse, or a heart that breathing hardly moves"
            )
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        three = stage_with_weights(self.name, compute_heart_table(recording))
        wake = np.asarray(three.probabilities)[:, 0]
        return to_hypnogram(np.column_stack([wake, 1 - wake]), scorer=str(three.scorer))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="heart")


def find_beats(recording: Recording) -> Float[np.ndarray, " beat"]:
    """Times (s) of heart beats: of the first heart rate that has a value for each, else of the first ECG; none else.

    >>> len(find_beats(Recording()))
    0
    """
    for signal in recording.of("heart_rate").values():
        beats = find_rate_beats(signal)
        if beats is not None:
            return beats
    fast = [ecg for ecg in recording.of("ecg").values() if ecg.rate >= LEAST_RATE and len(ecg.samples.shape) == 1]
    return detect_beats(fast[0]) if fast else np.zeros(0)


def measure_steps(beats: Float[np.ndarray, " beat"]) -> float:
    """Root mean square of the differences (s) of successive intervals, of the usual stretch of 300; NaN without beats.

    >>> round(measure_steps(np.cumsum(np.tile([0.8, 0.9], 1000))), 3)
    0.1
    """
    intervals, _ = clean_intervals(beats)
    n = (len(intervals) - 1) // 300 * 300
    if n == 0:
        return float("nan")
    squares = np.diff(intervals)[:n].reshape(-1, 300) ** 2
    return float(np.median(np.sqrt(squares.mean(axis=1))))


def compute_heart_table(recording: Recording) -> pd.DataFrame:
    """What the booster is given, one row per 30 s epoch from the recording's start."""
    n_epochs = int(recording.duration / EPOCH + 1e-6)
    return add_heart_context(compute_beat_measures(find_beats(recording), n_epochs))


def add_heart_context(measures: Float[np.ndarray, "epoch measure"]) -> pd.DataFrame:
    """Measures relative to the night with their surroundings, before and after told apart; some as they are, too.

    Nothing tells the time since the file began, so a file may begin whenever it likes.

    Args:
        measures: `sharpwave.signals.heart_beats.MEASURES`, one row per epoch; NaN where unknown.

    >>> add_heart_context(np.random.default_rng(0).random((100, len(MEASURES)))).shape
    (100, 292)
    """
    frame = pd.DataFrame(np.asarray(measures, dtype=float), columns=list(MEASURES))
    relative = relate_to_night(frame)
    columns = describe_surroundings(relative)
    columns |= {f"{name}_itself": average_over(frame[name].to_numpy(), 3) for name in OWN_SCALE}
    return pd.DataFrame(columns).mask(relative.isna().all(axis=1))
