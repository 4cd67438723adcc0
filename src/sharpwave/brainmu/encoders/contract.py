"""What every modality gives the model: how to cut a recording, an encoder, and what of its next step is predicted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sharpwave import moved
from sharpwave.brainmu.epochs import EpochGrid, ModalityEpochs
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.sliced import Column


class ModalitySpecification(Protocol):
    """What Brainµ knows of a modality. `ENCODERS` has one object of this form under each name.

    Example:
        >>> from sharpwave.brainmu.encoders import ENCODERS
        >>> encoder = ENCODERS["heart_rate"].build(width=16)
        >>> ENCODERS["heart_rate"].n_targets
        2
    """

    @property
    def n_targets(self) -> int:
        """Numbers per channel and step that the model learns to predict."""

    def measure(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """Each step by itself, from its own samples alone; None where the recording does not have the modality."""

    def build(self, width: int) -> nn.Module:
        """An encoder of this width: (values, present, identity of the channels) → (batch, token, width)."""

    def summarise(self, values: Tensor) -> Tensor:
        """What is predicted: (batch, step, channel, ...) → (batch, step, channel, n_targets), about unit scale."""

    def normalise(self, epochs: ModalityEpochs, past: Any = None) -> tuple[ModalityEpochs, Any]:
        """Steps against those before them, and what to carry over to those after; as they are unless overridden.

        Args:
            epochs: Epochs from `measure`.
            past: What was carried over from the steps before; None at the start of a recording.
        """
        old = getattr(self, "relate", None)
        if old is not None:
            moved.warn("relate of a modality specification", "normalise")
            return old(epochs, past)
        return epochs, None

    def cut(self, recording: Recording, grid: EpochGrid) -> ModalityEpochs | None:
        """The modality's epochs, as its encoder takes them. Step k uses no sample after its end."""
        epochs = self.measure(recording, grid)
        return None if epochs is None else self.normalise(epochs)[0]


class ChannelPool(nn.Module):
    """One latent from those of any number of channels: attention of a learned query over those that are present."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Linear(width, 1)

    def forward(
        self,
        latents: Float[Tensor, "batch token channel width"],
        present: Bool[Tensor, "batch token channel"],
        identity: Float[Tensor, "batch channel width"],
    ) -> Float[Tensor, "batch token width"]:
        latents = latents + identity[:, None]
        score = self.score(torch.tanh(latents))[..., 0].masked_fill(~present, -1e4)
        weight = torch.softmax(score, dim=2) * present
        return torch.einsum("btc,btcw->btw", weight, latents)


def name_channels(signals: Mapping[str, Signal]) -> dict[str, tuple[str, ...]]:
    """Names of the channels of each signal; those that two signals share are made unique by the signal's name."""
    names = {key: _list_names(key, signal) for key, signal in signals.items()}
    often = Counter(name for group in names.values() for name in group)
    return {key: tuple(name if often[name] == 1 else f"{key} {name}" for name in group) for key, group in names.items()}


def split_channels(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """Signals of one channel each, unread where they lie on disk."""
    out = {}
    for key, names in name_channels(signals).items():
        signal = signals[key]
        if len(signal.samples.shape) == 1:
            out[names[0]] = signal
            continue
        for index, name in enumerate(names):
            out[name] = replace(signal, name=name, samples=Column(signal.samples, index), channels=())
    return out


def _list_names(key: str, signal: Signal) -> tuple[str, ...]:
    if len(signal.samples.shape) == 1:
        return (key,)
    return signal.channels or tuple(f"{key} {index + 1}" for index in range(signal.samples.shape[1]))


__getattr__ = moved.rename(
    __name__,
    {
        "Kind": "ModalitySpecification",
        "ModalityBatch": "brainmu.epochs:ModalityBatch",
        "N_IDENTITIES": "brainmu.epochs:N_IDENTITIES",
        "identify_channels": "brainmu.epochs:identify_channels",
    },
)
