"""Mouse or rat EEG or LFP with EMG: wake, NREM and REM from an unsupervised hidden Markov model.

Started from the textbook rule (wake: muscle tone; NREM: delta; REM: theta without tone) and fitted to each recording.
No staged rodent EEG is at hand: it has been validated on simulated nights only.
"""

from __future__ import annotations

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

EPOCH = 10.0
DELTA, THETA, HIGH = (1.0, 4.0), (6.0, 9.0), (30.0, 50.0)
SPECIES = ("mouse", "rat")
MINIMUM_MINUTES = 20


class RodentStager:
    """Three stages in epochs of 10 s."""

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
        tone, delta, theta = features.T
        high_tone = tone > np.nanquantile(tone, 0.6)
        guess = np.where(
            high_tone, 0, np.where(theta - delta > np.nanquantile((theta - delta)[~high_tone], 0.85), 2, 1)
        )
        posterior = fit_states(features, guess, n_states=3)
        return to_hypnogram(posterior, scorer="unsupervised hidden Markov model (rodent)", epoch_length=EPOCH)

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals=name_signals(recording, picks))


def compute_rodent_features(signal: Signal, *, emg: Signal | None) -> Float[np.ndarray, "epoch 3"]:
    """Muscle tone, delta share and theta share of each 10 s, in logs, smoothed over three epochs; NaN where absent.

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
        broad = _band(power, frequencies, (1.0, HIGH[1]))
        tone = _band(power, frequencies, HIGH)
        if emg is not None:
            at, muscle = _spectrum(emg, low)
            tone = np.nan if muscle is None else _band(muscle, at, (10.0, emg.rate / 2))
        features[index] = np.log(
            [tone, _band(power, frequencies, DELTA) / broad, _band(power, frequencies, THETA) / broad]
        )
    smooth = pd.DataFrame(features).rolling(3, center=True, min_periods=1).mean().to_numpy()
    return np.where(np.isfinite(features), smooth, np.nan)


def _spectrum(signal: Signal, start: float) -> tuple[np.ndarray, np.ndarray | None]:
    from scipy.signal import welch

    samples = signal.read(start, start + EPOCH)
    if samples.size < EPOCH * signal.rate - 1 or not np.isfinite(samples).all() or np.ptp(samples) == 0:
        return np.empty(0), None
    frequencies, power = welch(samples.astype(np.float64), signal.rate, nperseg=round(2 * signal.rate))
    return frequencies, power


def _band(power: np.ndarray, frequencies: np.ndarray, band: tuple[float, float]) -> float:
    inside = (frequencies >= band[0]) & (frequencies < band[1])
    return float(power[inside].sum()) + 1e-30
