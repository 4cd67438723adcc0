"""Brainµ's explanation of a recording: the weights, their calibration and what lies beside them, in one call."""

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
from sharpwave.brainmu.shipped import SHIPPED, load_weights
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording


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
    """What moved Brainµ's forecasts of a recording.

    Args:
        recording: Its own stages are not looked at.
        history: Stages that the model may see; signals alone where omitted.
        at: Times of forecasts in seconds; the surest of a change where there are none.
        n_forecasts: How many, where no times are given.
        horizon: Seconds ahead.
        attribution: For the weights of parts; see `explain_night`.
        weights: Folder; the shipped ones where omitted.

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
