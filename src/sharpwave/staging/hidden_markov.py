"""The last resort: wake and sleep from an unsupervised Gaussian hidden Markov model, and labelled as such."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging.boosted import to_hypnogram
from sharpwave.staging.contract import Picks
from sharpwave.staging.eeg_features import EPOCH, FEATURES, MINIMUM_RATE, compute_eeg_features
from sharpwave.staging.lightgbm_stagers import compute_wearable_features
from sharpwave.staging.weights import load_validation

MINIMUM_EPOCHS = 20
_DEPTH = tuple(FEATURES.index(name) for name in ("slope", "entropy", "delta_theta", "delta_beta", "share_beta"))


class HiddenMarkovStager:
    """Three states by how fast the EEG is, or how much the wrist moves: the most awake one is wake, the rest sleep."""

    name = "hmm"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        if recording.duration < MINIMUM_EPOCHS * EPOCH:
            return f"less than {MINIMUM_EPOCHS * EPOCH / 60:.0f} min"
        if find_field_potential(recording, picks) is None and not (
            recording.of("activity") or recording.of("heart_rate")
        ):
            return f"no EEG or LFP at {MINIMUM_RATE:g} Hz or more, no activity and no heart rate"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        signal = find_field_potential(recording, picks)
        if signal is not None:
            features = compute_eeg_features(signal, n_epochs=int(signal.end / EPOCH), start=0.0)[:, _DEPTH]
        else:
            features = compute_wearable_features(recording)
            features = features[:, np.isfinite(features).any(axis=0)]
        smooth = pd.DataFrame(features).rolling(5, center=True, min_periods=1).mean().to_numpy()
        smooth[~np.isfinite(features).all(axis=1)] = np.nan
        rank = pd.Series(smooth[:, -1]).rank(pct=True).to_numpy()
        posterior = fit_states(smooth, np.where(rank > 2 / 3, 0, np.where(rank > 1 / 3, 1, 2)), n_states=3)
        wake = posterior[:, 0]
        return to_hypnogram(np.stack([wake, 1 - wake], axis=1), scorer="unsupervised hidden Markov model")

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals=name_signals(recording, picks))


def find_field_potential(recording: Recording, picks: Picks) -> Signal | None:
    """The EEG or LFP channel to stage from: the picked one, else the first that is fast enough and has one channel."""
    named = [recording[picks["eeg"]]] if "eeg" in picks else []
    candidates = [*named, *recording.of("eeg").values(), *recording.of("lfp").values()]
    return next((s for s in candidates if s.rate >= MINIMUM_RATE and len(s.samples.shape) == 1), None)


def name_signals(recording: Recording, picks: Picks) -> str:
    """What the stager reads, as validation rows name it: "eeg", "lfp", or "wearable" where it finds neither."""
    signal = find_field_potential(recording, picks)
    return "wearable" if signal is None else signal.modality.name


def fit_states(
    features: Float[np.ndarray, "epoch feature"],
    guess: np.ndarray,
    *,
    n_states: int,
    persistence: float = 0.95,
    transitions: Float[np.ndarray, "state state"] | None = None,
    correlated: bool = False,
) -> Float[np.ndarray, "epoch state"]:
    """Posterior of each state of a Gaussian hidden Markov model started from a guess, so that states keep its meaning.

    Args:
        features: One row per epoch; NaN where absent.
        guess: State of each epoch to start from, shape (epoch,).
        n_states: Number of states.
        persistence: First guess of the probability of staying.
        transitions: First guess of the probability of each state (column) after each (row), in place of `persistence`.
        correlated: Whether features may vary together within a state; by default each varies alone.

    Returns:
        Posterior given the whole recording; NaN where features are absent.
    """
    from hmmlearn.hmm import GaussianHMM

    known = np.isfinite(features).all(axis=1)
    posterior = np.full((len(features), n_states), np.nan)
    rows = features[known]
    if len(rows) <= n_states:
        return posterior
    rows = (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9)
    groups = [rows[guess[known] == state] for state in range(n_states)]
    kind, steps = ("full", 50) if correlated else ("diag", 20)
    model = GaussianHMM(
        n_states, covariance_type=kind, n_iter=steps, tol=1e-3, init_params="", params="mct", min_covar=1e-2
    )
    model.startprob_ = np.full(n_states, 1 / n_states)
    stay = np.eye(n_states)
    even = persistence * stay + (1 - persistence) / max(n_states - 1, 1) * (1 - stay)
    model.transmat_ = even if transitions is None else transitions
    model.means_ = np.stack([group.mean(axis=0) if len(group) else rows.mean(axis=0) for group in groups])
    model.covars_ = np.stack([_spread(group, correlated) for group in groups])
    with _without_convergence_notes():
        posterior[known] = model.fit(rows).predict_proba(rows)
    return posterior


def _spread(group: Float[np.ndarray, "epoch feature"], correlated: bool) -> np.ndarray:
    """Variances of the epochs of a state, or how its features vary together; never none at all."""
    n_features = group.shape[1]
    if correlated:
        found = np.cov(group.T).reshape(n_features, n_features) if len(group) > n_features else np.eye(n_features)
        return found + 0.05 * np.eye(n_features)
    return np.maximum(group.var(axis=0), 0.05) if len(group) else np.ones(n_features)


@contextmanager
def _without_convergence_notes() -> Iterator[None]:
    """hmmlearn logs each step that the floor on the variances makes slightly worse; it is expected here."""
    logger = logging.getLogger("hmmlearn.base")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
