"""Learned stagers of wearables and of LFP band power.

Heart rate and movement from the wrist: trained on Walch et al. 2019, in the form of their published features.
Subthalamic LFP band power of people with Parkinson's disease: trained on the UH3-RestoreSleepPD nights.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.epoch_values import compute_epoch_values, describe_sparse_signals
from sharpwave.staging.boosted import EPOCH, RECIPES, add_context, relate_to_night, stage_with_weights
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation

N_BANDS = 6
LFP_SIGNALS = ("power", "power_sd")
MINIMUM_MINUTES = 60
FEATURES = ("heart_rate", "activity")


class LfpStager:
    """Stages from band power per 30 s, averaged over contacts and relative to the night."""

    name = "lightgbm-lfp"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        for name in LFP_SIGNALS:
            if name not in recording.signals:
                return f"no signal {name!r} of band power per 30 s (band1_contact1 …)"
            shape = recording[name].samples.shape
            if len(shape) != 2 or shape[1] % N_BANDS or abs(recording[name].rate * EPOCH - 1) > 1e-6:
                return f"{name!r} is not {N_BANDS} bands per contact once in {EPOCH:g} s"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        return stage_with_weights(self.name, compute_lfp_table(recording))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="lfp")


def compute_lfp_table(recording: Recording) -> pd.DataFrame:
    """What the booster is given: log power and its deviation per band, over contacts, with context."""
    features, names = compute_lfp_features(recording)
    return add_context(features, names, windows=RECIPES["lightgbm-lfp"].windows)


def compute_lfp_features(recording: Recording) -> tuple[Float[np.ndarray, "epoch feature"], list[str]]:
    """Log power, its spread over contacts and its deviation, per band, each from its own epoch; and their names."""
    power, deviation = (recording[name].read(dtype=np.float64) for name in LFP_SIGNALS)
    power, deviation = (np.log(np.maximum(x, 1e-9)).reshape(len(x), N_BANDS, -1) for x in (power, deviation))
    features = np.concatenate([power.mean(axis=2), power.std(axis=2), deviation.mean(axis=2)], axis=1)
    return features, [f"{kind}{band}" for kind in ("power", "contacts", "deviation") for band in range(1, N_BANDS + 1)]


class WearableStager:
    """Stages from how heart rate and movement vary, each relative to the night."""

    name = "lightgbm-wearable"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        if recording.species not in ("human", "unknown"):
            return f"the subject is a {recording.species}; it was trained on people"
        absent = [modality for modality in FEATURES if not recording.of(modality)]
        if absent:
            return f"no {' and no '.join(absent)} signal"
        seldom = [s for s in describe_sparse_signals(recording) if "too seldom" in s]
        if len(seldom) >= sum(len(recording.of(modality)) for modality in FEATURES):
            return seldom[0]
        if recording.duration < 60 * MINIMUM_MINUTES:
            return f"{recording.duration / 60:.0f} min; it needs {MINIMUM_MINUTES} min to know what is usual"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        return stage_with_weights(self.name, compute_wearable_table(recording))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="wearable")


def compute_wearable_table(recording: Recording) -> pd.DataFrame:
    """What the booster is given, one row per 30 s epoch."""
    return add_wearable_context(compute_wearable_features(recording))


SCALES = (1, 3, 8, 20, 60)
"""Standard deviations of the Gaussians, in epochs, over which heart rate and movement are averaged to both sides."""
CONTRASTS = ((1, 8), (3, 20), (8, 60))
"""Pairs of these whose difference says whether the epoch stands out from its surroundings."""
SIDES = (10, 30, 90)
"""Epochs over which what came before and what comes after are averaged apart."""
STILL_EPOCHS, STILL_SHARE, STILL_LEVEL = 30, 0.8, 0.6
"""Sleep is taken to begin where, for so many epochs, so large a share moves less than this quantile of the night."""


def add_wearable_context(features: Float[np.ndarray, "epoch feature"]) -> pd.DataFrame:
    """Heart-rate variation and movement relative to the night, their surroundings, and the time since sleep onset.

    Before and after are told apart: a symmetric window of half an hour cannot see on which side of a change an epoch
    lies. The clock runs from where movement first stays low, not from the start of the file. It looks ahead: for
    recorded nights, never for a forecast.

    Args:
        features: Columns `FEATURES`, one row per epoch; NaN where absent.

    Returns:
        The two columns relative to the night first; rows without any feature are NaN throughout.

    >>> table = add_wearable_context(np.random.default_rng(0).random((200, 2)))
    >>> list(table.columns[:2]), table.shape
    (['heart_rate', 'activity'], (200, 39))
    """
    frame = relate_to_night(pd.DataFrame(np.asarray(features, dtype=float), columns=list(FEATURES)))
    columns = describe_surroundings(frame)
    clock = np.arange(len(frame)) - find_sleep_onset(np.asarray(features, dtype=float)[:, FEATURES.index("activity")])
    columns["hours_asleep"] = clock * EPOCH / 3600
    return pd.DataFrame(columns).mask(frame.isna().all(axis=1))


def describe_surroundings(frame: pd.DataFrame) -> dict[str, Float[np.ndarray, " epoch"]]:
    """Each column, its Gaussian means, spreads and contrasts, and its means before and after, told apart.

    Args:
        frame: One column a measure, relative to the night, one row an epoch; NaN where absent.

    >>> len(describe_surroundings(pd.DataFrame({"rate": np.arange(100.0)})))
    19
    """
    columns: dict[str, np.ndarray] = {str(name): frame[name].to_numpy() for name in frame}
    for name, values in list(columns.items()):
        for scale in SCALES:
            mean = average_over(values, scale)
            columns[f"{name}_mean{scale}"] = mean
            if scale < SCALES[-1]:
                square = average_over(values**2, scale)
                columns[f"{name}_spread{scale}"] = np.sqrt(np.maximum(square - mean**2, 0))
        for near, far in CONTRASTS:
            columns[f"{name}_mean{near}-{far}"] = columns[f"{name}_mean{near}"] - columns[f"{name}_mean{far}"]
        series = pd.Series(values)
        for width in SIDES:
            columns[f"{name}_before{width}"] = series.rolling(width, min_periods=1).mean().to_numpy()
            columns[f"{name}_after{width}"] = series[::-1].rolling(width, min_periods=1).mean()[::-1].to_numpy()
    return columns


def average_over(values: Float[np.ndarray, " epoch"], scale: float) -> Float[np.ndarray, " epoch"]:
    """Gaussian mean of the epochs that are there; NaN where none is near."""
    from scipy.ndimage import gaussian_filter1d

    known = np.isfinite(values)
    total = gaussian_filter1d(np.where(known, values, 0.0), scale, mode="constant")
    weight = gaussian_filter1d(known.astype(float), scale, mode="constant")
    return np.divide(total, weight, out=np.full_like(total, np.nan), where=weight > 1e-3)


def find_sleep_onset(activity: Float[np.ndarray, " epoch"]) -> int:
    """Epoch from which the wrist first stays still, for a quarter of an hour; 0 where it never does.

    Args:
        activity: Movement of each epoch; NaN, where absent, counts as stillness.

    >>> restless = np.r_[np.random.default_rng(0).random(60) + 1, np.zeros(100), np.ones(40)]
    >>> abs(find_sleep_onset(restless) - 60) <= 6
    True
    """
    if len(activity) < STILL_EPOCHS or not np.isfinite(activity).any():
        return 0
    still = np.nan_to_num(activity) < max(float(np.nanquantile(activity, STILL_LEVEL)), 1e-12)
    share = np.convolve(still, np.ones(STILL_EPOCHS), mode="valid") / STILL_EPOCHS
    asleep = np.flatnonzero(share >= STILL_SHARE)
    return int(asleep[0]) if len(asleep) else 0


def compute_wearable_features(recording: Recording) -> Float[np.ndarray, "epoch feature"]:
    """Heart-rate variation and movement of each 30 s epoch from the recording's start; NaN where absent.

    A signal that already comes once per 30 s without a plausible heart rate is taken as a published feature. Raw heart
    rate becomes one as Walch et al. (2019, 10.1093/sleep/zsz180) describe: difference of Gaussians (120 s, 600 s),
    divided by the 90th percentile of its absolute size, and the deviation within 5 min round the epoch.

    Args:
        recording: Recording with a `heart_rate` signal, an `activity` signal, or both.

    Returns:
        Columns `FEATURES`.
    """
    n_epochs = int(recording.duration / EPOCH + 1e-6)
    features = np.full((n_epochs, len(FEATURES)), np.nan)
    for column, modality in enumerate(FEATURES):
        signals = list(recording.of(modality).values())
        if not signals:
            continue
        seconds = compute_epoch_values(signals[0], n_epochs, epoch=EPOCH)
        if modality == "heart_rate" and np.nanmedian(seconds) > 20:
            seconds = _compute_heart_variation(seconds)
        elif modality == "activity":
            seconds = np.log1p(np.maximum(seconds, 0))
        features[:, column] = seconds
    return features


def _compute_heart_variation(heart_rate: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter1d

    known = np.isfinite(heart_rate)
    filled = np.interp(np.arange(heart_rate.size), np.flatnonzero(known), heart_rate[known])
    band = gaussian_filter1d(filled, 120 / EPOCH) - gaussian_filter1d(filled, 600 / EPOCH)
    scale = np.percentile(np.abs(band), 90)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(band / scale if scale > 0 else band, 5, mode="edge"), 11)
    return np.where(known, windows.std(axis=1), np.nan)
