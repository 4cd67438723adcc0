"""Adult human EEG: YASA's classifier, above 80 Hz as it is, at 45 to 80 Hz resampled to 100 Hz.

After resampling, the band above the old Nyquist frequency stays empty, which the classifier never saw in training; how
little that costs was measured by taking recordings at 100 Hz and more down to 50 Hz (docs/staging.md). A stager trained
on the public single-channel nights at hand did worse.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.preparation import LATEST, find_lights_off
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation

LEAST_RATE = 80.0


class YasaStager:
    """YASA (Vallat & Walker 2021, doi:10.7554/eLife.70092), with EOG and EMG where they are there.

    Args:
        from_file_start: Whether the start of the file is taken for that of the night, as YASA does, by default. If not,
            the night begins at lights off; where nobody knows when that was, no epoch has a time.
    """

    name = "yasa"

    def __init__(self, *, from_file_start: bool = True) -> None:
        self.from_file_start = from_file_start

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        reason = refuse_unless_human_eeg(recording, picks)
        if reason is not None:
            return reason
        signal = recording[picks["eeg"]]
        if signal.rate <= LEAST_RATE:
            return f"{picks['eeg']} is sampled at {signal.rate:g} Hz; its classifier needs more than {LEAST_RATE:g} Hz"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        from sharpwave.signals.staging import stage_night

        extra: dict[str, Any] = {
            role: picks[role] for role in ("eog", "emg") if role in picks and recording[picks[role]].rate > LEAST_RATE
        }
        hours = _count_hours_before(recording, picks["eeg"], from_file_start=self.from_file_start)
        return stage_night(recording, eeg=picks["eeg"], **extra, **_demography(recording), hours_before=hours)

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="eeg")


def _count_hours_before(recording: Recording, eeg: str, *, from_file_start: bool) -> float | None:
    """Hours from lights off to the start of the EEG; None where nobody knows, or it was recorded by day."""
    if from_file_start:
        return 0.0
    lights_off = find_lights_off(recording)
    if lights_off is None or recording[eeg].end <= lights_off or recording[eeg].start - lights_off >= LATEST:
        return None
    return (recording[eeg].start - lights_off) / 3600


def refuse_unless_human_eeg(recording: Recording, picks: Picks) -> str | None:
    """Why a classifier of human scalp EEG cannot take this recording; None where it can."""
    if recording.species not in ("human", "unknown"):
        return f"the subject is a {recording.species}; its classifier knows human EEG only"
    if "eeg" not in picks:
        return "no EEG channel"
    if recording[picks["eeg"]].modality.name != "eeg":
        return f"{picks['eeg']} is {recording[picks['eeg']].modality.name}, not scalp EEG"
    if recording[picks["eeg"]].duration < 30:
        return "less than one epoch of 30 s"
    return None


def _demography(recording: Recording) -> dict[str, Any]:
    age, male = recording.metadata.get("age"), recording.metadata.get("male")
    known = isinstance(age, int | float) and isinstance(male, bool) and 0 < age < 120
    return {"age": float(age), "male": male} if known else {}  # type: ignore[arg-type]


TARGET_RATE = 100.0
MINIMUM_RATE = 45.0
"""Below this the sigma band (to 16 Hz) and the filter's roll-off no longer fit."""


class YasaResampledStager:
    """YASA's classifier on one EEG channel resampled to 100 Hz.

    Args:
        from_file_start: As for `YasaStager`.
    """

    name = "yasa-resampled"

    def __init__(self, *, from_file_start: bool = True) -> None:
        self.from_file_start = from_file_start

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
        hours = _count_hours_before(recording, name, from_file_start=self.from_file_start)
        staged = stage_night(resampled, eeg=name, hours_before=hours)
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
