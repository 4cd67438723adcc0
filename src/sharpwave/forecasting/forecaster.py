"""What comes next, throughout a night that has been staged."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import Forecast, carry_stages, compose_forecast
from sharpwave.forecasting.shipped import load_shipped_forecaster
from sharpwave.forecasting.signal_forecaster import METHOD as ENSEMBLE_METHOD
from sharpwave.forecasting.signal_forecaster import NAME as ENSEMBLE
from sharpwave.forecasting.signal_forecaster import find_kind, forecast_from_signals, load_ensemble
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

EPOCH = 30.0
METHODS = ("brainmu+lightgbm", "brainmu", "lightgbm", ENSEMBLE)
"""Forecasters that a user can name; the first is the mean of the next two, the last sees signals alone."""


def forecast_night(hypnogram: Hypnogram, *, horizon: float = 30.0) -> pd.DataFrame:
    """Forecast the stage `horizon` seconds ahead from each epoch, from the stages up to and including that epoch.

    The probabilities were calibrated on experts' hypnograms. An automatic stager errs in its own way, mostly near
    transitions, and may itself have looked ahead: on its hypnogram they are an approximation, and better than live use
    would be. With probabilities in the hypnogram, the present stage's own uncertainty is added: the chance of each
    stage at the horizon is averaged over what the present stage may be; `p_change` stays relative to the staged one.

    Five-stage human hypnograms use the shipped LightGBM; other epoch lengths are brought to 30 s first. With fewer
    stages (rodents) nothing was trained: a Markov chain learns from the night so far, which `attrs` says.

    Args:
        hypnogram: Stages, hard or with probabilities.
        horizon: Seconds ahead: 30, 60 or 300; any multiple of the epoch for fewer stages.

    Returns:
        One row per epoch: `onset` (s), `stage` (now), `p_change`, `p_<stage>` at the horizon, `persistence_p_change`,
        `markov_p_change`, `semi_markov_p_change`; NaN where the present epoch is unscored. `attrs` has `method`,
        `horizon`, `calibrated_on` and `note`.

    Raises:
        SharpwaveError: If no model was trained for this horizon.
    """
    if hypnogram.n_stages != 5:
        return _forecast_from_itself(hypnogram, horizon)
    staged = hypnogram.resample(EPOCH)
    shipped = load_shipped_forecaster(float(horizon))
    night = EpochTable("", "", np.asarray(staged.stages), np.empty((len(staged), 0)))
    forecast = shipped.predict(night)
    frame = _to_frame(staged, _blur(forecast, staged) if staged.probabilities is not None else forecast)
    frame["persistence_p_change"] = shipped.persistence
    frame["markov_p_change"] = shipped.markov.predict(night).change
    frame["semi_markov_p_change"] = shipped.semi_markov.predict(night).change
    frame.loc[~staged.scored, frame.columns[2:]] = np.nan
    frame.attrs.update(
        method="LightGBM on stage history, calibrated",
        horizon=float(horizon),
        calibrated_on=f"experts' hypnograms of {len(shipped.subjects)} people",
        note="calibrated on experts' hypnograms; on an automatic stager's hypnogram this is an approximation",
    )
    return frame


def forecast_with_best(
    hypnogram: Hypnogram,
    *,
    recording: Recording | None = None,
    weights: Path | None = None,
    forecaster: str | None = None,
    found_from: Recording | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Forecast 30 s ahead by the mean of Brainµ and LightGBM, or by what can be used here.

    Where the stages were found by a program, and the signals are those of a wrist or LFP band power as measured, it is
    the ensemble on these alone: it is better there, and looks at nothing that comes later. Where they are one channel
    of human EEG, it is the mean of both, which was better than either kind alone in log-loss, and better than found
    stages in AUPRC, wherever it was measured (docs/forecasting.md). Elsewhere it is LightGBM where the weights of
    Brainµ are missing, a Markov chain for fewer stages than five, and a user's own weights alone, for nobody knows how
    these do together with LightGBM.

    Args:
        hypnogram: Stages, hard or with probabilities.
        recording: Signals for a user's own weights to see; the shipped ones see stages alone, as in the benchmark.
        weights: Folder of a user's own weights.
        forecaster: One of `METHODS`, where the user has chosen.
        found_from: Recording whose stages a program found, with the EEG channel that it took; None where given.

    Returns:
        As `forecast_night`, and why Brainµ was not used.

    Raises:
        SharpwaveError: If the user's own weights cannot be used, or there is no such forecaster.
    """
    if forecaster is not None and forecaster not in METHODS:
        raise SharpwaveError(
            f"a forecaster among {', '.join(METHODS)}", got=repr(forecaster), fix="choose one of these"
        )
    frame = forecast_night(hypnogram)
    if not hypnogram.scored.any():
        frame[frame.columns[2:]] = np.nan
        return frame, ["There is no forecast, because no epoch has a stage."]
    signals = _choose_signals(hypnogram, recording, found_from, weights=weights, forecaster=forecaster)
    if signals is not None and (forecaster == ENSEMBLE or find_kind(signals) != "eeg"):
        return _forecast_by_ensemble(frame, signals, hypnogram), []
    frame, why_not = _forecast_by_stages(frame, hypnogram, recording, weights=weights, forecaster=forecaster)
    return frame if signals is None else _mix(frame, signals, hypnogram), why_not


def _forecast_by_stages(
    frame: pd.DataFrame,
    hypnogram: Hypnogram,
    recording: Recording | None,
    *,
    weights: Path | None,
    forecaster: str | None,
) -> tuple[pd.DataFrame, list[str]]:
    """The table of LightGBM on stage history with Brainµ's in its place, or the mean of both; and why not."""
    if hypnogram.n_stages != 5 or forecaster == "lightgbm":
        return frame, []
    from sharpwave.brainmu.shipped import find_refusal, forecast_with_brainmu

    refusal = find_refusal() if weights is None else None
    if refusal is not None:
        return frame, [f"The forecast is not Brainµ's: {refusal}."]
    staged = hypnogram.resample(EPOCH)
    said = forecast_with_brainmu(staged, recording=None if weights is None else recording, weights=weights)
    elsewhere = said[[f"p_{name}" for name in staged.names]].to_numpy()
    forecast = compose_forecast(carry_stages(np.asarray(staged.stages)), said["p_change"].to_numpy(), elsewhere)
    ours = _to_frame(staged, _blur(forecast, staged) if staged.probabilities is not None else forecast)
    columns = list(ours.columns[2:])
    together = forecaster == "brainmu+lightgbm" or (forecaster is None and weights is None)
    frame[columns] = (frame[columns] + ours[columns]) / 2 if together else ours[columns]
    frame.loc[~staged.scored, frame.columns[2:]] = np.nan
    seen = "stage history" if weights is None else "stage history and signals"
    method = f"{said.attrs['method']} on {seen}"
    method = f"mean of {method} and LightGBM on stage history" if together else method
    frame.attrs.update(method=method, calibrated_on="experts' hypnograms")
    return frame, []


def _choose_signals(
    hypnogram: Hypnogram,
    recording: Recording | None,
    found_from: Recording | None,
    *,
    weights: Path | None,
    forecaster: str | None,
) -> Recording | None:
    """The recording that the ensemble forecasts from: where it was asked for, or is better than found stages."""
    if forecaster == ENSEMBLE:
        return found_from or recording or Recording()
    if found_from is None or forecaster is not None or weights is not None or hypnogram.n_stages != 5:
        return None
    try:
        find_kind(found_from)
    except SharpwaveError:
        return None
    return found_from


def _forecast_by_ensemble(frame: pd.DataFrame, recording: Recording, hypnogram: Hypnogram) -> pd.DataFrame:
    """The table with what the ensemble says in each epoch that has a stage; Markov chains stay those of the stages."""
    if hypnogram.n_stages != 5:
        raise SharpwaveError(
            f"five stages for {ENSEMBLE}", got=f"{hypnogram.n_stages}", fix="leave --forecaster out for such stages"
        )
    kind, forecast = find_kind(recording), forecast_from_signals(recording)
    place = np.round(frame["onset"].to_numpy(dtype=float) / EPOCH).astype(int)
    rows = np.clip(place, 0, len(forecast.change) - 1)
    unknown = frame["p_change"].isna().to_numpy() | (rows != place)
    frame["p_change"] = np.where(unknown, np.nan, forecast.change[rows])
    for code, name in enumerate(hypnogram.names):
        frame[f"p_{name}"] = np.where(unknown, np.nan, forecast.destination[rows, code])
    people = len(load_ensemble(kind).subjects)
    frame.attrs.update(
        method=ENSEMBLE_METHOD,
        calibrated_on=f"changes in experts' hypnograms of {people} people",
        note="from signals alone, up to each epoch: no stage goes in, neither a found one nor an expert's",
    )
    return frame


def _mix(frame: pd.DataFrame, recording: Recording, hypnogram: Hypnogram) -> pd.DataFrame:
    """The mean of a forecast from stages and of the ensemble on signals; the former where the signals say nothing."""
    other = _forecast_by_ensemble(frame.copy(), recording, hypnogram)
    for name in ["p_change", *(f"p_{stage}" for stage in hypnogram.names)]:
        frame[name] = (frame[name] + other[name].fillna(frame[name])) / 2
    frame.attrs["method"] = f"mean of two, one half each: {ENSEMBLE_METHOD}; {frame.attrs['method']}"
    frame.attrs["calibrated_on"] = f"{frame.attrs['calibrated_on']}; {other.attrs['calibrated_on']}"
    return frame


def _to_frame(hypnogram: Hypnogram, forecast: Forecast) -> pd.DataFrame:
    frame = pd.DataFrame({"onset": hypnogram.onsets, "stage": hypnogram.labels, "p_change": forecast.change})
    for code, name in enumerate(hypnogram.names):
        frame[f"p_{name}"] = forecast.destination[:, code]
    return frame


def _blur(forecast: Forecast, hypnogram: Hypnogram) -> Forecast:
    """Stay in whichever stage it is now, by the stager's own probabilities; go where the forecast says."""
    now = np.maximum(np.asarray(hypnogram.stages), 0)
    rows = np.arange(len(now))
    present = np.array(hypnogram.probabilities)
    unknown = ~np.isfinite(present).all(axis=1)
    present[unknown] = np.eye(hypnogram.n_stages)[now[unknown]]
    elsewhere = forecast.destination.copy()
    elsewhere[rows, now] = 0
    return Forecast(forecast.change, elsewhere + (1 - forecast.change)[:, None] * present)


def _forecast_from_itself(hypnogram: Hypnogram, horizon: float) -> pd.DataFrame:
    """A Markov chain whose counts hold only what was seen up to each epoch; a weak prior says that stages last."""
    steps = max(1, round(horizon / hypnogram.epoch_length))
    n_stages = hypnogram.n_stages
    stages = np.asarray(hypnogram.stages)
    counts = np.full((n_stages, n_stages), 0.25) + 4.0 * np.eye(n_stages)
    table = np.full((len(stages), n_stages), np.nan)
    changes = np.full(len(stages), np.nan)
    for now, stage in enumerate(stages):
        before = stages[now - steps] if now >= steps else -1
        if before >= 0 and stage >= 0:
            counts[before, stage] += 1
        if stage >= 0:
            table[now] = counts[stage] / counts[stage].sum()
            changes[now] = 1 - np.trace(counts) / counts.sum()
    change = 1 - table[np.arange(len(stages)), np.maximum(stages, 0)]
    frame = _to_frame(hypnogram, Forecast(change, table))
    frame["persistence_p_change"] = changes
    frame["markov_p_change"] = frame["p_change"]
    frame["semi_markov_p_change"] = np.nan
    frame.attrs.update(
        method="Markov chain, learned from the night so far",
        horizon=float(steps * hypnogram.epoch_length),
        calibrated_on="nothing: no staged nights with these stages were trained on",
        note=f"no model was trained for {n_stages} stages; a Markov chain learns from the night so far",
    )
    return frame
