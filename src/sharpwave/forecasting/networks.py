"""Two small torch baselines: causal convolutions alone, and an LSTM. No attention, no pretraining."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.contract import N_STAGES, Forecast, carry_stages, compose_forecast, join_targets
from sharpwave.forecasting.inputs import encode_sequence
from sharpwave.forecasting.protocols import compute_steps, compute_targets

PIECE = 240
BATCH = 16


class CausalConvolutions(nn.Module):
    """Four dilated convolutions of three taps over the last 81 epochs, each as one product with the shifted inputs."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        widths = (n_inputs, width, width, width)
        self.layers = nn.ModuleList(nn.Linear(3 * n, width) for n in widths)
        self.head = nn.Linear(width, 1 + N_STAGES)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = inputs
        for layer, dilation in zip(self.layers, (1, 3, 9, 27), strict=True):
            taps = [
                nn.functional.pad(hidden, (0, 0, lag, 0))[:, : hidden.shape[1]] for lag in (0, dilation, 2 * dilation)
            ]
            hidden = torch.relu(layer(torch.cat(taps, dim=2)))
        return self.head(hidden)


class Recurrent(nn.Module):
    """One LSTM layer."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.layer = nn.LSTM(n_inputs, width, batch_first=True)
        self.head = nn.Linear(width, 1 + N_STAGES)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.layer(inputs)[0])


class Network:
    """A sequence model with two heads: whether the stage changes, and the stage at the horizon.

    Args:
        kind: "cnn" or "lstm".
        stages: Whether the stages up to now are among the inputs.
        width: Hidden units.
        n_steps: Updates, each on `BATCH` pieces drawn from the training nights.
    """

    def __init__(self, *, kind: str, stages: bool = True, width: int = 32, n_steps: int = 200) -> None:
        self.kind, self.stages, self.width, self.n_steps = kind, stages, width, n_steps

    def fit(self, nights: Sequence[EpochTable], *, horizon: float, rng: np.random.Generator) -> Self:
        join_targets(nights, horizon)
        pieces = [piece for night in nights for piece in self._cut(night, horizon)]
        build = {"cnn": CausalConvolutions, "lstm": Recurrent}[self.kind]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31 - 1)))
            self.model = build(pieces[0][0].shape[1], self.width)
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-2, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=1e-2, total_steps=self.n_steps)
        for _ in range(self.n_steps):
            batch = [pieces[index] for index in rng.integers(len(pieces), size=BATCH)]
            inputs, changed, later = (
                nn.utils.rnn.pad_sequence(list(part), True, -1.0) for part in zip(*batch, strict=True)
            )
            loss = _loss(self.model(inputs), changed, later)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
        return self

    def predict(self, night: EpochTable) -> Forecast:
        with torch.no_grad():
            output = self.model(self._encode(night)[None])[0].double()
        change = torch.sigmoid(output[:, 0]).numpy()
        destination = torch.softmax(output[:, 1:], dim=1).numpy()
        if self.stages:
            return compose_forecast(carry_stages(night.stages), change, destination)
        return Forecast(change, destination)

    def _encode(self, night: EpochTable) -> Tensor:
        return torch.as_tensor(encode_sequence(night, stages=self.stages, signals=True), dtype=torch.float32)

    def _cut(self, night: EpochTable, horizon: float) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Pieces of a night: inputs, whether the stage changes, the stage at the horizon; -1 where unknown."""
        later = compute_targets(night.stages, compute_steps(night, horizon))
        changed = np.where(later >= 0, later != night.stages, -1)
        columns = (self._encode(night), torch.as_tensor(changed).float(), torch.as_tensor(later).float())
        return list(zip(*(column.split(PIECE) for column in columns), strict=True))


def _loss(output: Tensor, changed: Tensor, later: Tensor) -> Tensor:
    known = changed >= 0
    binary = nn.functional.binary_cross_entropy_with_logits(output[..., 0][known], changed[known])
    return binary + nn.functional.cross_entropy(output[..., 1:][known], later[known].long())
