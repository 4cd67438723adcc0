"""Sleep stages of adult human EEG: YASA's published classifier, called on our own pass over the night.

The classifier (LightGBM, trained on about 3,000 nights of the National Sleep Research Resource) and the definition of
its features are YASA's (Vallat & Walker 2021, doi:10.7554/eLife.70092). The pass over the signal is ours: piece by
piece, so that a week needs no more memory than a night. An EEG whose unit nobody wrote down is rescaled first.
"""

from __future__ import annotations

import warnings
from dataclasses import replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED
from sharpwave.signals.epoch_features import BROAD, RATE, compute_epoch_features
from sharpwave.signals.filters import design_bandpass, iter_resampled
from sharpwave.signals.pieces import MICROVOLTS, split_channels

TYPICAL_UV = 15.0
"""Standard deviation (0.4–30 Hz) that the median epoch of a night is given; that of N2 in adults at C4–A1."""

DEAD_SHARE = 0.05
"""An epoch below this share of the night's upper quartile is no EEG: deep sleep is some 8 times as large as wake."""


def compute_epoch_amplitude(signal: Signal, *, epoch_length: int = 30) -> Float[np.ndarray, " epoch"]:
    """Standard deviation between 0.4 and 30 Hz in each epoch, in µV.

    Args:
        signal: One channel, in V.
        epoch_length: Length of an epoch in whole seconds.

    Returns:
        Shape (epoch,); NaN where any sample is missing.
    """
    n_epochs = int(signal.duration / epoch_length + 1e-9)
    taps = design_bandpass(100, 0.4, 30)
    rows = []
    for piece in iter_resampled(signal, rate=100, taps=taps, seconds=20 * epoch_length, last=n_epochs * epoch_length):
        samples = np.where(piece.missing, np.nan, piece.samples).reshape(-1, epoch_length * 100)
        rows.append(samples.std(axis=1) * MICROVOLTS)
    return np.concatenate(rows) if rows else np.empty(0)


def rescale_signal(signal: Signal, *, typical_uv: float = TYPICAL_UV) -> tuple[Signal, float]:
    """The signal scaled so that its median epoch is as large as a usual night's, without looking at stages.

    Args:
        signal: One EEG channel whose amplitude is in an unknown unit.
        typical_uv: Standard deviation (0.4–30 Hz) that the median 30 s epoch gets, in µV.

    Returns:
        The signal with another `scale`, still unread, and the factor that was applied.

    Raises:
        SharpwaveError: If there is no whole epoch of signal, or it is flat.

    >>> from sharpwave.recordings import MODALITIES
    >>> samples = np.random.default_rng(0).normal(0, 1, 12_000)
    >>> scaled, factor = rescale_signal(Signal("EEG", samples, 100.0, MODALITIES["eeg"]))
    >>> float(np.median(compute_epoch_amplitude(scaled)).round(1))
    15.0
    """
    amplitude = compute_epoch_amplitude(signal)
    present = amplitude[np.isfinite(amplitude) & (amplitude > 0)]
    if present.size:  # what is dead says nothing of how large the sleeper's EEG is
        present = present[present > DEAD_SHARE * np.percentile(present, 75)]
    typical = float(np.median(present)) if present.size else 0.0
    if typical <= 0:
        raise SharpwaveError(
            f"some signal in {signal.name!r}", got="a flat or missing channel", fix="choose another EEG channel"
        )
    factor = typical_uv / typical
    return replace(signal, scale=signal.scale * factor, offset=signal.offset * factor), factor


EPOCH = 30
LEAST_RATE = 80.0
MOST_MISSING = 0.5
"""An epoch with a larger share of missing EEG stays unscored."""

DAY = 24 * 3600.0
"""Longer recordings are staged in equal parts of at most this length: the classifier was trained on single nights."""

BATCH = 16
"""Epochs whose features are computed at once: few enough to stay in the processor's cache."""


def stage_night(
    recording: Recording,
    *,
    eeg: str,
    eog: str | None = None,
    emg: str | None = None,
    age: float | None = None,
    male: bool | None = None,
    hours_before: float | None = 0.0,
) -> Hypnogram:
    """Sleep stages (W, N1, N2, N3, R) of each 30 s with their probabilities, by YASA's classifier.

    Features look 3.5 min ahead, so this stages recorded nights, not live ones. Epochs with more than half of the EEG
    missing are unscored, with NaN probabilities, and stay out of the smoothing and normalisation of their neighbours.
    Where `recording.metadata["amplitude_unit"]` is "unknown" the EEG is rescaled first (`rescale_signal`).

    Args:
        recording: One night, or days of them.
        eeg: Name of an EEG signal, best a central one against the mastoid.
        eog: Name of an EOG signal, or None.
        emg: Name of a chin EMG signal, or None.
        age: Age in years, with `male`; or None.
        male: Sex, with `age`; or None.
        hours_before: Hours of the night that had passed when the recording began; 0, the default, takes the start of
            the file for that of the night, as YASA does. None where nobody knows: every epoch is then taken for one in
            the middle of the night, so that the stages do not depend on where the file begins.

    Returns:
        The hypnogram, from the first sample of the EEG.

    Raises:
        SharpwaveError: If a rate is not above 80 Hz, or there is not one whole epoch.

    >>> from sharpwave.recordings import MODALITIES
    >>> samples = np.random.default_rng(0).normal(0, 20, 300 * 100)
    >>> recording = Recording(signals={"C4-M1": Signal("C4-M1", samples, 100.0, MODALITIES["eeg"], scale=1e-6)})
    >>> stages = stage_night(recording, eeg="C4-M1")
    >>> len(stages), stages.probabilities.shape
    (10, (10, 5))
    """
    channels = {"eeg": eeg, "eog": eog, "emg": emg}
    signals = {kind: _find_signal(recording, name) for kind, name in channels.items() if name is not None}
    for signal in signals.values():
        _check_signal(signal)
    if recording.metadata.get("amplitude_unit") == "unknown":
        signals["eeg"], _ = rescale_signal(signals["eeg"])
    demography = _check_demography(age=age, male=male)
    features, missing = compute_staging_features(signals)
    parts = np.array_split(np.arange(len(features)), max(1, int(np.ceil(len(features) * EPOCH / DAY))))
    begun = [hours_before, *[None if hours_before is None else 0.0] * (len(parts) - 1)]
    probabilities = np.concatenate(
        [
            _classify(features.iloc[part], tuple(signals), missing[part], demography, hours)
            for part, hours in zip(parts, begun, strict=True)
        ]
    )
    stages = np.where(missing, UNSCORED, np.nan_to_num(probabilities).argmax(axis=1)).astype(np.int8)
    return Hypnogram(stages, EPOCH, 5, signals["eeg"].start, probabilities, scorer="YASA 0.5.0 classifier")


def compute_staging_features(signals: dict[str, Signal]) -> tuple[pd.DataFrame, np.ndarray]:
    """The stager's features of each 30 s epoch before smoothing.

    Args:
        signals: One channel each by kind: "eeg", and "eog" and "emg" where present, on one clock.

    Returns:
        Features, one row an epoch, columns `<kind>_<feature>`; and whether too much is missing, shape (epoch,).
    """
    seconds = min(signal.duration for signal in signals.values())
    n_epochs = int(seconds * RATE + 1e-6) // (EPOCH * RATE)
    if n_epochs == 0:
        raise SharpwaveError(
            "at least one whole epoch of 30 s",
            got=f"{seconds:.1f} s",
            fix="give a longer recording; YASA advises 5 min or more",
        )
    taps = design_bandpass(RATE, *BROAD)
    columns: dict[str, np.ndarray] = {}
    missing = np.zeros(n_epochs, dtype=bool)
    for kind, signal in signals.items():
        rows: dict[str, list[np.ndarray]] = {}
        gaps = []
        for piece in iter_resampled(signal, rate=RATE, taps=taps, seconds=20 * EPOCH, last=n_epochs * EPOCH):
            epochs = (piece.samples * MICROVOLTS).reshape(-1, EPOCH * RATE)
            gaps.append(piece.missing.reshape(epochs.shape).mean(axis=1) > MOST_MISSING)
            for first in range(0, len(epochs), BATCH):
                for name, values in compute_epoch_features(epochs[first : first + BATCH], kind=kind).items():
                    rows.setdefault(name, []).append(values)
        columns |= {f"{kind}_{name}": np.concatenate(values) for name, values in rows.items()}
        missing |= np.concatenate(gaps)
    return pd.DataFrame(columns), missing


MIDDLE_HOURS, MIDDLE_SHARE = 4.0, 0.5
"""Hours since the night began, and the share of it that has passed, in the middle of a usual night."""


def tell_night_time(n_epochs: int, hours_before: float | None = 0.0) -> dict[str, Float[np.ndarray, " epoch"]]:
    """The classifier's two columns of time: hours since the night began, and the share of the night that has passed.

    Args:
        n_epochs: Number of epochs.
        hours_before: As in `stage_night`; below 0 where the night began after the recording.

    >>> {name: values.round(2).tolist() for name, values in tell_night_time(3, 2.0).items()}
    {'time_hour': [2.0, 2.01, 2.02], 'time_norm': [0.99, 1.0, 1.0]}
    >>> {name: values.tolist() for name, values in tell_night_time(2, None).items()}
    {'time_hour': [4.0, 4.0], 'time_norm': [0.5, 0.5]}
    """
    if hours_before is None:
        return {"time_hour": np.full(n_epochs, MIDDLE_HOURS), "time_norm": np.full(n_epochs, MIDDLE_SHARE)}
    onset = np.maximum(EPOCH * np.arange(n_epochs, dtype=float) + 3600 * hours_before, 0.0)
    return {"time_hour": onset / 3600, "time_norm": onset / max(onset[-1], EPOCH)}


def smooth_features(
    features: pd.DataFrame, *, missing: np.ndarray, demography: dict[str, float], hours_before: float | None = 0.0
) -> pd.DataFrame:
    """Features with their 7.5 min centred and 2 min past averages (robustly scaled), and the time of night.

    Args:
        features: Table of features, one row an epoch.
        missing: Epochs to leave out, shape (epoch,).
        demography: `age` and `male`, or empty.
        hours_before: As in `stage_night`.

    Returns:
        The classifier's table, float32, columns in alphabetical order.
    """
    known = features.mask(np.repeat(missing[:, None], features.shape[1], axis=1)) if missing.any() else features
    centred = known.rolling(window=15, center=True, min_periods=1, win_type="triang").mean()
    past = known.rolling(window=4, min_periods=1).mean()
    clock: dict[str, Any] = tell_night_time(len(features), hours_before)
    table = pd.concat(
        [
            known,
            _robust_scale(centred.mask(known.isna())).add_suffix("_c7min_norm"),
            _robust_scale(past.mask(known.isna())).add_suffix("_p2min_norm"),
            pd.DataFrame(clock | demography, index=features.index),
        ],
        axis=1,
    )
    return table.astype(np.float32).sort_index(axis=1)


def _robust_scale(table: pd.DataFrame) -> pd.DataFrame:
    """Centred on the median, in units of the 5–95 % range."""
    values = table.to_numpy()
    if np.isnan(values).all():
        return table
    low, median, high = np.nanpercentile(values, (5, 50, 95), axis=0)
    spread = high - low
    spread[spread < 10 * np.finfo(float).eps] = 1.0
    return (table - median) / spread


def _classify(
    features: pd.DataFrame,
    kinds: tuple[str, ...],
    missing: np.ndarray,
    demography: dict[str, float],
    hours_before: float | None,
) -> Float[np.ndarray, "epoch stage"]:
    """Probability of each stage in the order of `STAGE_SETS[5]`; NaN where the epoch is missing."""
    probabilities = np.full((len(features), 5), np.nan)
    if missing.all():
        return probabilities
    classifier = _load_classifier(kinds, bool(demography))
    table = smooth_features(
        features.reset_index(drop=True), missing=missing, demography=demography, hours_before=hours_before
    )
    table = table[classifier.feature_name_]
    predicted = classifier.booster_.predict(table.to_numpy()[~missing], num_threads=1)
    order = [list(classifier.classes_).index(name) for name in STAGE_SETS[5]]
    probabilities[~missing] = predicted[:, order]
    return probabilities


def classify_newest(
    features: pd.DataFrame, kinds: tuple[str, ...], *, missing: np.ndarray, hours: float, night: float = 8.0
) -> Float[np.ndarray, " stage"]:
    """Probability of each stage of the newest epoch, from it and the epochs before it alone: for live use.

    What the classifier was trained to expect of the epochs after it is left out: averages end at the newest epoch, and
    the share of the night that has passed is that of a night of the usual length.

    Args:
        features: Table of `compute_staging_features`, one row an epoch, the newest last.
        kinds: Kinds of channels, such as `("eeg",)`.
        missing: Epochs to leave out, shape (epoch,); not the newest.
        hours: Hours since the recording began.
        night: Hours of a usual night; 8 by default.

    Returns:
        In the order of `STAGE_SETS[5]`.
    """
    classifier = _load_classifier(kinds, False)
    table = smooth_features(features.reset_index(drop=True), missing=missing, demography={})
    newest = table.iloc[[-1]].copy()
    newest["time_hour"], newest["time_norm"] = np.float32(hours), np.float32(min(1.0, hours / night))
    predicted = classifier.booster_.predict(newest[classifier.feature_name_].to_numpy(), num_threads=1)[0]
    return predicted[[list(classifier.classes_).index(name) for name in STAGE_SETS[5]]]


@lru_cache(maxsize=8)
def _load_classifier(kinds: tuple[str, ...], with_demography: bool) -> Any:
    """The classifier for these channels from YASA's own installation (joblib files of that package and no other)."""
    package = find_spec("yasa")
    if package is None or not package.submodule_search_locations:
        raise MissingExtraError("yasa", extra="brain")
    import joblib

    name = "clf_" + "+".join([*kinds, *(["demo"] if with_demography else [])])
    folder = Path(package.submodule_search_locations[0]) / "classifiers"
    with warnings.catch_warnings():
        # Its label encoder is from an older scikit-learn; only the LightGBM booster is used.
        warnings.simplefilter("ignore")
        return joblib.load(folder / f"{name}_lgb_0.5.0.joblib")


def _find_signal(recording: Recording, name: str) -> Signal:
    for signal in recording.signals.values():
        if name in signal.channels:
            return split_channels(signal)[name]
    return recording[name]


def _check_signal(signal: Signal) -> None:
    if signal.rate <= LEAST_RATE:
        raise SharpwaveError(
            f"a sampling rate above {LEAST_RATE:g} Hz for staging",
            got=f"{signal.rate:g} Hz in {signal.name!r}",
            fix="use another stager: YASA's classifier needs frequencies up to 30 Hz and their roll-off",
        )


def _check_demography(*, age: float | None, male: bool | None) -> dict[str, float]:
    if age is None and male is None:
        return {}
    if age is None or male is None:
        raise SharpwaveError("age and sex together", got=f"age={age}, male={male}", fix="give both or neither")
    if not 0 < age < 120:
        raise SharpwaveError("an age between 0 and 120 years", got=f"{age}", fix="give years, or leave age and sex out")
    return {"age": int(age), "male": int(male)}
