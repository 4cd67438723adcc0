"""Mouse or rat EEG or LFP with EMG: wake, NREM and REM in epochs of 4 s, from an unsupervised hidden Markov model.

Started from the textbook rule (wake: muscle tone; REM: theta over delta without tone; NREM: the rest) and fitted to
each recording: muscle tone, delta power and theta over delta vary together within a state, and REM does not follow
wake. Measured against an expert on one mouse (`sharpwave benchmark rodent`), which is all there is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging.boosted import to_hypnogram
from sharpwave.staging.contract import Picks
from sharpwave.staging.hidden_markov import find_field_potential, fit_states, name_signals
from sharpwave.staging.weights import load_validation

EPOCH = 4.0
WINDOW = 2.0
"""Seconds of the segments whose spectra are averaged within an epoch."""
TRANSITIONS = np.array([[0.97, 0.03, 0.0], [0.03, 0.95, 0.02], [0.05, 0.02, 0.93]])
"""First guess: W, NREM, REM in rows, what follows in columns. What is 0 stays 0: REM does not follow wake."""
REM_AT_MOST = 0.1
"""Share of the epochs without tone that the first guess takes for REM."""
DELTA, THETA, HIGH = (1.0, 4.0), (6.0, 9.0), (30.0, 50.0)
CLEAR = 1.2
"""Standard deviations by which stages are apart in tone, delta and theta over delta; below, other guesses are tried."""
SPECIES = ("mouse", "rat")
MINIMUM_MINUTES = 20


class RodentStager:
    """Three stages in epochs of 4 s."""

    name = "rodent"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        if recording.species not in SPECIES:
            return f"the subject is {recording.species}, not a mouse or a rat"
        signal = find_field_potential(recording, picks)
        if signal is None or signal.rate < 2.2 * HIGH[1]:
            return f"no EEG or LFP channel at {2.2 * HIGH[1]:.0f} Hz or more"
        if signal.duration < 60 * MINIMUM_MINUTES:
            return f"less than {MINIMUM_MINUTES} min"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        signal = find_field_potential(recording, picks)
        assert signal is not None  # `accepts` saw to it
        name = picks.get("emg", next(iter(recording.of("emg")), None))
        features = compute_rodent_features(signal, emg=None if name is None else recording[name])
        posterior = fit_rodent_states(features)
        return to_hypnogram(posterior, scorer="unsupervised hidden Markov model (rodent)", epoch_length=EPOCH)

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals=name_signals(recording, picks))


def fit_rodent_states(features: Float[np.ndarray, "epoch 3"]) -> Float[np.ndarray, "epoch 3"]:
    """Posterior of wake, NREM and REM in each epoch of 4 s.

    Args:
        features: Muscle tone, delta power and theta over delta, in logs of any base and unit; NaN where absent.

    Returns:
        Posterior given the whole recording; NaN where features are absent.
    """
    known = np.isfinite(features).all(axis=1)
    if not known.any():
        return np.full((len(features), 3), np.nan)
    found: list[tuple[float, np.ndarray]] = []
    for threshold in _find_thresholds(_running_median(features[:, 0], 3)[known]):
        posterior = fit_states(
            features, _guess(features, known, threshold), n_states=3, transitions=TRANSITIONS, correlated=True
        )
        found.append((_measure_clarity(features[known], posterior[known]), posterior))
        if found[-1][0] >= CLEAR:
            break
    return max(found, key=lambda one: one[0])[1]


def _find_thresholds(tone: Float[np.ndarray, " epoch"]) -> Iterator[float]:
    """Tone that parts wake from sleep: of two groups; where these are something else (an electrode that was off for a
    while and the rest, movement and the rest), of the larger and of the smaller values again."""
    first = find_threshold(tone)
    yield first
    for part in (tone[tone > first], tone[tone <= first]):
        if len(part) > 3 and np.ptp(part) > 0:
            yield find_threshold(part)


def _guess(features: Float[np.ndarray, "epoch 3"], known: np.ndarray, threshold: float) -> np.ndarray:
    """Stage of each epoch by the textbook rule."""
    tone, ratio = _running_median(features[:, 0], 3), _running_median(features[:, 2], 5)
    wake = tone > threshold
    quiet = known & ~wake
    rem = ratio > np.nanquantile(ratio[quiet], 1 - REM_AT_MOST) if quiet.any() else np.zeros(len(wake), dtype=bool)
    return np.where(wake, 0, np.where(rem, 2, 1))


def _measure_clarity(features: Float[np.ndarray, "epoch 3"], posterior: Float[np.ndarray, "epoch 3"]) -> float:
    """The least of what must part the stages, in standard deviations: tone W over NREM, delta NREM over W, theta over
    delta REM over NREM."""
    weights = posterior / np.maximum(posterior.sum(axis=0), 1e-9)
    means = weights.T @ features
    spreads = np.sqrt(np.maximum(weights.T @ features**2 - means**2, 1e-12))
    (wake, nrem, rem), apart = means, []
    for index, difference, pair in ((0, wake - nrem, (0, 1)), (1, nrem - wake, (0, 1)), (2, rem - nrem, (1, 2))):
        apart.append(difference[index] / max(spreads[state, index] for state in pair))
    return float(min(apart))


def find_threshold(values: Float[np.ndarray, " value"], *, steps: int = 128) -> float:
    """The value that parts numbers into two groups that differ most (Otsu 1979).

    Args:
        values: Finite numbers.
        steps: Number of values that are tried, between the 0.5th and the 99.5th percentile.

    >>> find_threshold(np.r_[np.zeros(50), np.ones(50)]) > 0
    True
    """
    low, high = np.quantile(values, [0.005, 0.995])
    tried = np.linspace(low, high, steps)[1:-1]
    ordered = np.sort(values)
    sums = np.r_[0.0, np.cumsum(ordered)]
    below = np.searchsorted(ordered, tried)
    above = len(values) - below
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = sums[below] / below - (sums[-1] - sums[below]) / above
        gain = np.where((below > 0) & (above > 0), below * above * apart**2, -1.0)
    return float(tried[int(np.argmax(gain))])


def _running_median(values: Float[np.ndarray, " epoch"], length: int) -> Float[np.ndarray, " epoch"]:
    return pd.Series(values).rolling(length, center=True, min_periods=1).median().to_numpy()


def compute_rodent_features(signal: Signal, *, emg: Signal | None) -> Float[np.ndarray, "epoch 3"]:
    """Muscle tone, delta power and theta over delta of each 4 s, in logs; NaN where absent.

    Args:
        signal: EEG or LFP.
        emg: Muscle signal; where there is none, the EEG's own power at 30–50 Hz stands in for it.
    """
    n_epochs = int(signal.end / EPOCH + 1e-6)
    features = np.full((n_epochs, 3), np.nan)
    for index in range(n_epochs):
        low = index * EPOCH
        frequencies, power = _spectrum(signal, low)
        if power is None:
            continue
        tone = _band(power, frequencies, HIGH)
        if emg is not None:
            at, muscle = _spectrum(emg, low)
            tone = np.nan if muscle is None else _band(muscle, at, (10.0, emg.rate / 2))
        delta, theta = _band(power, frequencies, DELTA), _band(power, frequencies, THETA)
        features[index] = np.log([tone, delta, theta / delta])
    return features


def _spectrum(signal: Signal, start: float) -> tuple[np.ndarray, np.ndarray | None]:
    from scipy.signal import welch

    samples = signal.read(start, start + EPOCH)
    if samples.size < EPOCH * signal.rate - 1 or not np.isfinite(samples).all() or np.ptp(samples) == 0:
        return np.empty(0), None
    frequencies, power = welch(samples.astype(np.float64), signal.rate, nperseg=round(WINDOW * signal.rate))
    return frequencies, power


def _band(power: np.ndarray, frequencies: np.ndarray, band: tuple[float, float]) -> float:
    inside = (frequencies >= band[0]) & (frequencies < band[1])
    return float(power[inside].sum()) + 1e-30
