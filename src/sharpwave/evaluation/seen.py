"""Was this person among those that the shipped weights were trained on? Then a good fit here proves nothing."""

from __future__ import annotations

from sharpwave.evaluation.shipped import load_shipped_forecaster
from sharpwave.evaluation.stagers.weights import load_card
from sharpwave.recordings.recording import Recording

_COHORTS = {"lightgbm-wearable": "walch", "lightgbm-lfp": "pd-lfp"}
"""Data set that each shipped stager was trained on."""


def was_stager_trained_on(recording: Recording, stager: str) -> bool:
    """True if the stager's weights saw this subject's stages."""
    cohort = _COHORTS.get(stager)
    if cohort is None or not recording.source.startswith(f"{cohort}/"):
        return False
    return recording.subject in load_card(stager)["training_subjects"]


def was_forecaster_trained_on(recording: Recording) -> bool:
    """True if the shipped forecast saw this subject's stages."""
    cohort = recording.source.partition("/")[0]
    return f"{cohort}/{recording.subject}" in load_shipped_forecaster(30.0).subjects
