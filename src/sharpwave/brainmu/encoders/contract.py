"""What every modality gives the model: how to cut a recording, an encoder, and what of its next step is predicted."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from sharpwave.brainmu.windows import Grid, Windows
from sharpwave.recordings.recording import Recording

N_IDENTITIES = 512


class Kind(Protocol):
    """A modality. `ENCODERS` has one object of this form under each name."""

    @property
    def n_targets(self) -> int:
        """Numbers per channel and step that the model learns to predict."""

    def measure(self, recording: Recording, grid: Grid) -> Windows | None:
        """Each step by itself, from its own samples alone; None where the recording does not have the modality."""

    def build(self, width: int) -> nn.Module:
        """An encoder of this width: (values, present, identity of the channels) → (batch, token, width)."""

    def summarise(self, values: Tensor) -> Tensor:
        """What is predicted: (batch, step, channel, ...) → (batch, step, channel, n_targets), about unit scale."""

    def relate(self, windows: Windows, past: Any = None) -> tuple[Windows, Any]:
        """Steps against those before them, and what to remember for those after; as they are unless overridden.

        Args:
            windows: From `measure`.
            past: Returned for the steps before; None at the start of a recording.
        """
        return windows, None

    def cut(self, recording: Recording, grid: Grid) -> Windows | None:
        """The modality's windows, as its encoder takes them. Step k uses no sample after its end."""
        windows = self.measure(recording, grid)
        return None if windows is None else self.relate(windows)[0]


@dataclass(frozen=True, eq=False)
class ModalityBatch:
    """One modality of a batch.

    Attributes:
        values: Shape (batch, token, channel, ...).
        times: Time from which each token is known, in seconds, float64, shape (batch, token).
        present: Which channels have data, shape (batch, token, channel).
        identity: Identity of each channel, shape (batch, channel); 0 is unknown.
    """

    values: Float[Tensor, "batch token channel *rest"]
    times: Float[Tensor, "batch token"]
    present: Bool[Tensor, "batch token channel"]
    identity: Int[Tensor, "batch channel"]

    def to(self, device: torch.device | str) -> ModalityBatch:
        return ModalityBatch(*(getattr(self, name).to(device) for name in ("values", "times", "present", "identity")))

    @property
    def any_present(self) -> Bool[Tensor, "batch token"]:
        """Tokens with at least one channel."""
        return self.present.any(dim=2)


def identify_channels(names: Sequence[str]) -> Int[np.ndarray, " channel"]:
    """A number from 1 to `N_IDENTITIES` - 1 per channel name, the same on every machine (CRC-32)."""
    return np.array([1 + zlib.crc32(name.lower().encode()) % (N_IDENTITIES - 1) for name in names], dtype=np.int64)


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
