"""Supervised baselines of the staging benchmark on the same features: majority, Gaussian HMM, LightGBM, CNN, LSTM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.signals.stage_smoothing import smooth_probabilities
from sharpwave.staging.boosted import Recipe, compute_prior, fit_booster

N_STAGES = 5
_RECIPE = Recipe("", (), balance=0.5, rounds=60, smoothing=None)
_CHUNK, _WIDTH, _PASSES = 128, 24, 16


@dataclass(frozen=True, eq=False)
class StagedFeatures:
    """One night as numbers.

    Attributes:
        subject: Name of the subject.
        table: Features with context, one row per epoch; NaN rows where the signal is missing.
        n_own: Number of first columns that are the epoch's own features, relative to the night.
        stages: Codes, -1 where unscored.
    """

    subject: str
    table: pd.DataFrame
    n_own: int
    stages: Int[np.ndarray, " epoch"]

    @property
    def own(self) -> Float[np.ndarray, "epoch feature"]:
        return np.clip(np.nan_to_num(self.table.iloc[:, : self.n_own].to_numpy(dtype=float)), -5, 5)

    @property
    def known(self) -> np.ndarray:
        return self.table.notna().any(axis=1).to_numpy()


Trained = Callable[[StagedFeatures], Float[np.ndarray, "epoch stage"]]


def train_majority(train: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """The stage shares of the training nights, in every epoch."""
    prior = compute_prior([night.stages for night in train], balance=0.0)
    return lambda night: np.tile(prior, (len(night.stages), 1))


def train_gaussian_hmm(train: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """A Gaussian per stage with equal covariances, and the training nights' transitions, smoothed over the night."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows, codes = _stack([night.own for night in train], train)
    classes = np.unique(codes)
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1).fit(rows, codes)
    counts = np.full((N_STAGES, N_STAGES), 0.5)
    for night in train:
        now, following = night.stages[:-1], night.stages[1:]
        both = (now >= 0) & (following >= 0)
        np.add.at(counts, (now[both], following[both]), 1)
    transitions = counts / counts.sum(axis=1, keepdims=True)
    prior = compute_prior([night.stages for night in train], balance=0.0)

    def predict(night: StagedFeatures) -> np.ndarray:
        probabilities = np.full((len(night.stages), N_STAGES), 1e-6)
        probabilities[:, classes] = model.predict_proba(night.own)
        probabilities[~night.known] = np.nan
        return smooth_probabilities(probabilities, transitions=transitions, prior=np.maximum(prior, 1e-4), weight=0.3)

    return predict


def train_lightgbm(train: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """LightGBM on features with context."""
    booster = fit_booster([night.table for night in train], [night.stages for night in train], recipe=_RECIPE, rng=rng)
    return lambda night: booster.predict(night.table.to_numpy(), num_threads=1)


def train_cnn(train: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """Three convolutions over ±6 epochs of the epochs' own features."""
    return _train_network(train, rng, recurrent=False)


def train_lstm(train: Sequence[StagedFeatures], rng: np.random.Generator) -> Trained:
    """A bidirectional LSTM over the epochs' own features."""
    return _train_network(train, rng, recurrent=True)


BASELINES: dict[str, Callable[[Sequence[StagedFeatures], np.random.Generator], Trained]] = {
    "majority": train_majority,
    "gaussian-hmm": train_gaussian_hmm,
    "lightgbm": train_lightgbm,
    "cnn": train_cnn,
    "lstm": train_lstm,
}


FIXED = ("majority", "gaussian-hmm")
"""Baselines that draw nothing at random."""


def _build_network(n_features: int, *, recurrent: bool) -> Any:
    from torch import Tensor, nn

    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory = nn.LSTM(n_features, _WIDTH, batch_first=True, bidirectional=True)
            self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * _WIDTH, N_STAGES))

        def forward(self, features: Tensor) -> Tensor:
            scores: Tensor = self.head(self.memory(features)[0])
            return scores

    class Convolutional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            layers: list[nn.Module] = []
            for width in (n_features, _WIDTH, _WIDTH):
                layers += [nn.Conv1d(width, _WIDTH, 5, padding="same"), nn.ReLU(), nn.Dropout1d(0.2)]
            self.layers = nn.Sequential(*layers, nn.Conv1d(_WIDTH, N_STAGES, 1))

        def forward(self, features: Tensor) -> Tensor:
            scores: Tensor = self.layers(features.transpose(1, 2)).transpose(1, 2)
            return scores

    return Recurrent() if recurrent else Convolutional()


def _train_network(train: Sequence[StagedFeatures], rng: np.random.Generator, *, recurrent: bool) -> Trained:
    import torch
    from torch import nn

    with torch.random.fork_rng():
        torch.manual_seed(int(rng.integers(2**31)))
        network = _build_network(train[0].n_own, recurrent=recurrent)
        inputs, targets = _cut(train)
        counts = torch.bincount(targets[targets >= 0], minlength=N_STAGES).clamp(min=1).float()
        loss_of = nn.CrossEntropyLoss(weight=counts.rsqrt() / counts.rsqrt().mean(), ignore_index=-1)
        optimiser = torch.optim.AdamW(network.parameters(), lr=3e-3, weight_decay=1e-2)
        for _ in range(_PASSES):
            for batch in torch.from_numpy(rng.permutation(len(inputs))).split(16):
                optimiser.zero_grad()
                loss = loss_of(network(inputs[batch]).flatten(0, 1), targets[batch].flatten())
                loss.backward()
                optimiser.step()
        network.eval()

    def predict(night: StagedFeatures) -> np.ndarray:
        with torch.no_grad():
            scores = network(torch.from_numpy(night.own.astype(np.float32))[None])[0]
        return np.asarray(scores.softmax(dim=-1).double().numpy())

    return predict


def _cut(train: Sequence[StagedFeatures]) -> tuple:  # type: ignore[type-arg]
    """Training nights in chunks of equal length, shape (chunk, epoch, feature), with their stages."""
    import torch

    inputs, targets = [], []
    for night in train:
        codes = np.where(night.known, night.stages, -1)
        own = night.own
        for first in range(0, len(codes), _CHUNK):
            piece, labels = own[first : first + _CHUNK], codes[first : first + _CHUNK]
            if (labels >= 0).any():
                pad = _CHUNK - len(labels)
                inputs.append(np.pad(piece, ((0, pad), (0, 0))))
                targets.append(np.pad(labels, (0, pad), constant_values=-1))
    return torch.from_numpy(np.stack(inputs).astype(np.float32)), torch.from_numpy(np.stack(targets).astype(np.int64))


def _stack(rows: Sequence[np.ndarray], train: Sequence[StagedFeatures]) -> tuple[np.ndarray, np.ndarray]:
    codes = np.concatenate([np.where(night.known, night.stages, -1) for night in train])
    return np.concatenate(rows)[codes >= 0], codes[codes >= 0]
