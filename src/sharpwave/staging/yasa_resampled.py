"""Adult human EEG at 45 to 80 Hz, below what YASA accepts: resampled to 100 Hz, then YASA's classifier.

The band above the old Nyquist frequency stays empty, which the classifier never saw in training; how little that costs
was measured by taking recordings at 100 Hz and more down to 50 Hz (docs/staging.md). A stager trained on the
public single-channel nights at hand did worse.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation
from sharpwave.staging.yasa_stager import LEAST_RATE, refuse_unless_human_eeg

TARGET_RATE = 100.0
MINIMUM_RATE = 45.0
"""Below this the sigma band (to 16 Hz) and the filter's roll-off no longer fit."""


class YasaResampledStager:
    """YASA's classifier on one EEG channel resampled to 100 Hz."""

    name = "yasa-resampled"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        reason = refuse_unless_human_eeg(recording, picks)
        if reason is not None:
            return reason
        rate = recording[picks["eeg"]].rate
        if not MINIMUM_RATE <= rate <= LEAST_RATE:
            return f"{picks['eeg']} is sampled at {rate:g} Hz; it is for {MINIMUM_RATE:g} to {LEAST_RATE:g} Hz"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        from sharpwave.signals.staging import stage_night

        name = picks["eeg"]
        resampled = replace(recording, signals={name: resample_signal(recording[name], rate=TARGET_RATE)})
        staged = stage_night(resampled, eeg=name)
        return replace(staged, scorer=f"{staged.scorer} on EEG resampled to {TARGET_RATE:g} Hz")

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="eeg")


def resample_signal(signal: Signal, *, rate: float) -> Signal:
    """The same channel at another rate, band-limited; NaN stays NaN.

    Args:
        signal: One channel.
        rate: New sampling rate in Hz.
    """
    from scipy.signal import resample_poly

    samples = signal.read()
    missing = ~np.isfinite(samples)
    ratio = Fraction(rate / signal.rate).limit_denominator(1000)
    values = resample_poly(np.where(missing, 0, samples), ratio.numerator, ratio.denominator).astype(np.float32)
    if missing.any():
        nearest = np.minimum((np.arange(values.size) * signal.rate / rate).astype(int), samples.size - 1)
        values[missing[nearest]] = np.nan
    return replace(
        signal, samples=values, rate=signal.rate * ratio.numerator / ratio.denominator, scale=1.0, offset=0.0
    )
