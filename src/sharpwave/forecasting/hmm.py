"""A Gaussian hidden Markov model (hmmlearn), filtered forward: its own `predict_proba` smooths with the future."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
from jaxtyping import Float

from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import (
    N_STAGES,
    Forecast,
    carry_stages,
    join_targets,
)
from sharpwave.forecasting.inputs import encode_sequence


class HiddenMarkov:
    """Latent states with Gaussian emissions; what each state (and stage) leads to is counted on the training nights.

    Args:
        stages: Whether the stages up to now are observed; else only signals are.
        n_states: Latent states.
        n_iterations: Most iterations of Baum-Welch.
    """

    def __init__(self, *, stages: bool = True, n_states: int = 8, n_iterations: int = 15) -> None:
        self.stages, self.n_states, self.n_iterations = stages, n_states, n_iterations

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        from hmmlearn.hmm import GaussianHMM

        join_targets(nights, horizon)
        inputs = [self.encode(night) for night in nights]
        model = GaussianHMM(
            n_components=self.n_states,
            covariance_type="diag",
            min_covar=1e-2,
            n_iter=self.n_iterations,
            tol=1.0,
            random_state=int(rng.integers(2**31 - 1)),
        )
        model.fit(np.concatenate(inputs), [len(rows) for rows in inputs])
        self.start = model.startprob_
        self.transitions = model.transmat_
        self.means, self.variances = model.means_, np.maximum(model.covars_.diagonal(axis1=1, axis2=2), 1e-3)
        self._count(nights, np.concatenate([self.filter(rows) for rows in inputs]), horizon)
        return self

    def _count(self, nights: Sequence[EpochTable], states: np.ndarray, horizon: float) -> None:
        now, later = join_targets(nights, horizon)
        known = later >= 0
        later_hot, now_hot = np.eye(N_STAGES)[later[known]], np.eye(N_STAGES)[now[known]]
        shares = later_hot.mean(axis=0)
        joint = np.einsum("es,en,el->snl", states[known], now_hot, later_hot)
        by_now = joint.sum(axis=0) + 2 * shares
        by_now /= by_now.sum(axis=1, keepdims=True)
        self.leads_to = (joint + 5 * by_now) / (joint.sum(axis=2, keepdims=True) + 5)
        marginal = joint.sum(axis=1)
        self.leads_to_blind = (marginal + 5 * shares) / (marginal.sum(axis=1, keepdims=True) + 5)
        changed = (now[known] != later[known]).astype(float)
        weight = states[known].sum(axis=0)
        self.changes = (states[known].T @ changed + 5 * changed.mean()) / (weight + 5)

    def predict(self, night: EpochTable) -> Forecast:
        states = self.filter(self.encode(night))
        if not self.stages:
            return Forecast(states @ self.changes, states @ self.leads_to_blind)
        now = carry_stages(night.stages)
        destination = np.einsum("es,esl->el", states, self.leads_to[:, now].transpose(1, 0, 2))
        return Forecast(1 - destination[np.arange(len(now)), now], destination)

    def encode(self, night: EpochTable) -> Float[np.ndarray, "epoch input"]:
        """Emissions of each epoch, without the time of night."""
        return encode_sequence(night, stages=self.stages, signals=True)[:, 1:]

    def filter(self, inputs: Float[np.ndarray, "epoch input"]) -> Float[np.ndarray, "epoch state"]:
        """Probability of each state given the inputs up to and including each epoch."""
        squared = (inputs[:, None] - self.means) ** 2 / self.variances + np.log(2 * np.pi * self.variances)
        log_emission = -0.5 * squared.sum(axis=2)
        emission = np.exp(log_emission - log_emission.max(axis=1, keepdims=True))
        filtered = np.empty_like(emission)
        expected = self.start
        for epoch, likelihood in enumerate(emission):
            joint = expected * likelihood + 1e-300
            filtered[epoch] = joint / joint.sum()
            expected = filtered[epoch] @ self.transitions
        return filtered
