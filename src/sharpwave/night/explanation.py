"""What Brainµ's forecasts of a recording depend on: modality, channel and moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.brainmu.explanation.explanation import Explanation, explain_night
from sharpwave.brainmu.explanation.latents import FILE as DIRECTIONS
from sharpwave.brainmu.explanation.latents import load_directions
from sharpwave.brainmu.explanation.out_of_distribution import FILE as NOVELTY
from sharpwave.brainmu.explanation.out_of_distribution import load_out_of_distribution
from sharpwave.brainmu.shipped import SHIPPED, find_refusal, load_weights
from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import ForecastExplanation
from sharpwave.night.prepare import PreparedNight
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

N_EXPLAINED = 3
"""Forecasts explained on a night's page; `sharpwave explain` gives more."""


def explain_forecasts(prepared: PreparedNight) -> tuple[ForecastExplanation, list[str]]:
    """What Brainµ's forecasts from the stages and all that was recorded depend on; or why that cannot be said."""
    weights = prepared.options.weights
    if prepared.hypnogram.n_stages != 5 or find_refusal(weights) is not None:
        return ForecastExplanation(), []
    try:
        found = explain_recording(prepared.seen, history=prepared.hypnogram, n_forecasts=N_EXPLAINED, weights=weights)
    except SharpwaveError as error:
        return ForecastExplanation(), [f"What moved the forecasts is not known: {error}"]
    return to_explanation(found), []


def to_explanation(found: Explanation) -> ForecastExplanation:
    """The tables of an explanation as a decoded night holds them."""
    return ForecastExplanation(
        forecasts=found.forecasts,
        parts=found.parts,
        modalities=found.modalities,
        latents=found.latents,
        directions=found.directions,
        out_of_distribution=found.out_of_distribution,
    )


def explain_recording(
    recording: Recording,
    *,
    history: Hypnogram | None = None,
    at: Sequence[float] = (),
    n_forecasts: int = 5,
    horizon: float = 30.0,
    attribution: str = "spans",
    weights: Path | None = None,
) -> Explanation:
    """What Brainµ's forecasts of a recording depend on.

    Args:
        recording: The recording; its own stages are not looked at.
        history: Stages that the model may see; signals alone where omitted.
        at: Times of forecasts in seconds; the surest forecasts of a change where there are none.
        n_forecasts: Number of forecasts to explain, where no times are given.
        horizon: Time ahead that is forecast, in seconds.
        attribution: Method that weighs the parts; see `explain_night`.
        weights: Folder of a model; the shipped one where omitted.

    Raises:
        SharpwaveError: If there are no weights, or the recording has nothing that the model knows.
    """
    loaded = load_weights(weights)
    folder = SHIPPED if weights is None else weights
    seen = replace(recording, hypnogram=history)
    piece = epoch_recording(seen, step=loaded.model.config.step, modalities=loaded.model.config.modalities)
    return explain_night(
        loaded.model,
        piece,
        at=at,
        n_forecasts=n_forecasts,
        horizon=horizon,
        attribution=attribution,
        calibration=loaded.calibrate("signal-only" if history is None else "observed"),
        directions=load_directions(folder) if (folder / DIRECTIONS).exists() else None,
        out_of_distribution=load_out_of_distribution(folder) if (folder / NOVELTY).exists() else None,
    )
