"""Hidden states come out token by token, and a recurrent layer that rings is seen to ring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sharpwave.benchmarks.resilience.hidden_states import record_hidden_states
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.entropy import compute_spectral_entropy


class Tagger(nn.Module):
    """A recurrent layer and an answer per token."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.RNN(1, 2, batch_first=True, bias=False)
        self.head = nn.Linear(2, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x)[0])


def test_a_ringing_layer_rings() -> None:
    model = Tagger().train()
    turn = 2 * np.pi / 8
    with torch.no_grad():
        model.body.weight_hh_l0.copy_(
            1.05 * torch.tensor([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        )
    pulse = torch.zeros(1, 400, 1)
    pulse[0, 0] = 1.0
    ringing = record_hidden_states(model, pulse, layer="body")
    assert ringing.shape == (400, 2)
    assert model.training
    driven = record_hidden_states(
        Tagger(), torch.randn(1, 400, 1, generator=torch.Generator().manual_seed(0)), layer="body"
    )
    assert compute_spectral_entropy(ringing[50:, 0], 1.0, window=64) < 0.5
    assert compute_spectral_entropy(driven[:, 0], 1.0, window=64) > 0.6


def test_what_has_no_tokens_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="a layer among body, head"):
        record_hidden_states(Tagger(), torch.zeros(1, 4, 1), layer="tail")
    with pytest.raises(SharpwaveError, match=r"hidden states \(token, unit\)"):
        record_hidden_states(Tagger(), torch.zeros(2, 4, 1), layer="body")
