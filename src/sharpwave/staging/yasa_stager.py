"""Adult human EEG at more than 80 Hz: YASA's classifier."""

from __future__ import annotations

from typing import Any

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation

LEAST_RATE = 80.0


class YasaStager:
    """YASA (Vallat & Walker 2021, doi:10.7554/eLife.70092), with EOG and EMG where they are there."""

    name = "yasa"

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
        return stage_night(recording, eeg=picks["eeg"], **extra, **_demography(recording))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="eeg")


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
