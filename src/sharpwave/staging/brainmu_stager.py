"""Brainµ as a stager: any signals of a person, in any subset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation

SIGNALS = {"eeg": "eeg", "lfp": "lfp", "heart_rate": "wearable", "activity": "wearable"}
"""What validation rows call the signals, by modality, the telling ones first."""
LEAST_STEPS = 20


class BrainMuStager:
    """Brainµ on the picked channels and whatever else was recorded.

    Args:
        weights: Folder of a model; the shipped one where omitted.
    """

    name = "brainmu"

    def __init__(self, weights: Path | None = None) -> None:
        self.weights = weights

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        from sharpwave.brainmu.shipped import find_refusal

        if recording.species not in ("human", "unknown"):
            return f"it stages people, and this is a {recording.species}"
        if not set(SIGNALS) & set(recording.modalities):
            return "no EEG, LFP, heart rate or activity"
        if recording.duration < LEAST_STEPS * 30.0:
            return f"less than {LEAST_STEPS * 30 // 60} min"
        return find_refusal(self.weights)

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        from sharpwave.brainmu.shipped import stage_with_brainmu

        return stage_with_brainmu(recording, picks, weights=self.weights)

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        if self.weights is not None:
            return []
        signals = next(words for modality, words in SIGNALS.items() if modality in recording.modalities)
        return load_validation(self.name, signals=signals)
