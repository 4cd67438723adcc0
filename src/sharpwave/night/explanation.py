"""What Brainµ's forecasts of a recording depend on: modality, channel and moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.brainmu.epochs import epoch_recording
from sharpwave.brainmu.explanation.explanation import Explanation, explain_night
from sharpwave.brainmu.explanation.latents import FILE as DIRECTIONS
from sharpwave.brainmu.explanation.latents import load_directions
from sharpwave.brainmu.explanation.out_of_distribution import FILE as NOVELTY
from sharpwave.brainmu.explanation.out_of_distribution import load_out_of_distribution
from sharpwave.brainmu.shipped import SHIPPED, find_refusal, load_weights
from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import ForecastExplanation
from sharpwave.night.methods import UNEXPLAINED, is_from_signals
from sharpwave.night.prepare import PreparedNight
from sharpwave.night.several_nights import NightSpan, take_night
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

N_EXPLAINED = 3
"""Forecasts explained on a night's page; `sharpwave explain` gives more."""


LONGEST_EXPLAINED, DAY = 36 * 3600.0, 24 * 3600.0
"""Seconds: of a longer recording one day is explained, so that its signals are never held as a whole."""


def explain_forecasts(
    prepared: PreparedNight, forecast: pd.DataFrame | None = None
) -> tuple[ForecastExplanation, list[str]]:
    """What Brainµ's forecasts from the stages and all that was recorded depend on; or why that cannot be said.

    Args:
        prepared: The night. Of more than 36 h the day around the surest forecast of a change is explained.
        forecast: The forecasts that were made: onset, p_change; of a long recording the first day where omitted.
    """
    weights = prepared.options.weights
    if forecast is not None and is_from_signals(str(forecast.attrs.get("method", ""))):
        return ForecastExplanation(), [UNEXPLAINED]
    if prepared.hypnogram.n_stages != 5 or find_refusal(weights) is not None:
        return ForecastExplanation(), []
    seen, history, said, begin = prepared.seen, prepared.hypnogram, [], 0.0
    if seen.duration > LONGEST_EXPLAINED:
        begin = choose_day(forecast, seen.duration)
        seen = take_night(seen, NightSpan(begin, begin + DAY, "", ""))
        history = history.restrict(begin, begin + DAY)
        history = replace(history, start=history.start - begin)
        said = [
            f"Of this long recording one day was explained, from {begin / 3600:.1f} to {(begin + DAY) / 3600:.1f} h."
        ]
    try:
        found = explain_recording(seen, history=history, n_forecasts=N_EXPLAINED, weights=weights)
    except SharpwaveError as error:
        return ForecastExplanation(), [f"What moved the forecasts is not known: {error}"]
    return to_explanation(found, begin=begin), said


def choose_day(forecast: pd.DataFrame | None, duration: float) -> float:
    """Start of the day with the surest forecast of a change in its middle, in whole minutes, in seconds.

    >>> choose_day(pd.DataFrame({"onset": [0.0, 200_000.0], "p_change": [0.1, 0.9]}), 300_000.0)
    156780.0
    """
    at = 0.0
    if forecast is not None and forecast["p_change"].notna().any():
        at = float(forecast["onset"].to_numpy()[int(np.nanargmax(forecast["p_change"]))])
    return 60.0 * round(float(np.clip(at - DAY / 2, 0.0, max(duration - DAY, 0.0))) // 60)


def to_explanation(found: Explanation, *, begin: float = 0.0) -> ForecastExplanation:
    """The tables of an explanation as a decoded night holds them.

    Args:
        found: The explanation.
        begin: Seconds from the start of the night to the start of what was explained; 0 by default.
    """

    def shift(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(onset=table["onset"] + begin) if begin and "onset" in table else table

    return ForecastExplanation(
        forecasts=shift(found.forecasts),
        parts=shift(found.parts),
        modalities=found.modalities,
        latents=shift(found.latents),
        directions=found.directions,
        out_of_distribution=shift(found.out_of_distribution),
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
