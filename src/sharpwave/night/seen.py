"""Was this person among those that the shipped weights were trained on? Then a good fit here proves nothing."""

from __future__ import annotations

from pathlib import Path

from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.recordings.recording import Recording
from sharpwave.staging.weights import load_card

_COHORTS = {"lightgbm-wearable": "walch", "lightgbm-lfp": "pd-lfp"}
"""Data set that each shipped stager was trained on."""


def was_stager_trained_on(recording: Recording, stager: str, *, weights: Path | None = None) -> bool:
    """True if the stager's weights saw this subject's stages."""
    if stager == "brainmu":
        return _is_in_brainmu(f"{recording.source.partition('/')[0]}/{recording.subject}", weights)
    cohort = _COHORTS.get(stager)
    if cohort is None or not recording.source.startswith(f"{cohort}/"):
        return False
    return recording.subject in load_card(stager)["training_subjects"]


def was_forecaster_trained_on(recording: Recording, *, weights: Path | None = None) -> bool:
    """True if the forecast's weights, LightGBM's or Brainµ's, saw this subject's stages."""
    person = f"{recording.source.partition('/')[0]}/{recording.subject}"
    return person in load_shipped_forecaster(30.0).subjects or _is_in_brainmu(person, weights)


def _is_in_brainmu(person: str, weights: Path | None) -> bool:
    from sharpwave.brainmu.shipped import find_refusal, load_weights

    return find_refusal(weights) is None and person in load_weights(weights).card.get("trained_on", ())
