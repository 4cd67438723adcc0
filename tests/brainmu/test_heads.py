"""Heads and decoders read each step by itself."""

from __future__ import annotations

import torch

from sharpwave.brainmu.heads import Decoder, Heads


def test_each_step_is_read_by_itself() -> None:
    torch.manual_seed(0)
    heads = Heads(16, n_horizons=3, dropout=0.5).eval()
    latents = torch.randn(2, 7, 16)
    whole, one = heads(latents), heads(latents[:, 3:4])
    assert whole.destination.shape == (2, 7, 3, 5)
    for name in ("stage", "change", "destination", "depth"):
        torch.testing.assert_close(getattr(one, name)[:, 0], getattr(whole, name)[:, 3])


def test_horizons_and_stages_are_not_exchanged() -> None:
    torch.manual_seed(0)
    heads = Heads(16, n_horizons=3, dropout=0.0).eval()
    with torch.no_grad():
        heads.readings["destination"][3].bias.copy_(torch.arange(15.0))
        heads.readings["destination"][3].weight.zero_()
    assert heads(torch.randn(1, 1, 16)).destination[0, 0].tolist() == [
        [0, 1, 2, 3, 4],
        [5, 6, 7, 8, 9],
        [10, 11, 12, 13, 14],
    ]


def test_a_decoder_tells_channels_apart() -> None:
    torch.manual_seed(0)
    decoder = Decoder(16, 4)
    identity = torch.randn(2, 3, 16)
    identity[:, 2] = identity[:, 0]
    predicted = decoder(torch.randn(2, 5, 16), identity)
    assert predicted.shape == (2, 5, 3, 4)
    torch.testing.assert_close(predicted[:, :, 0], predicted[:, :, 2])
    assert not torch.allclose(predicted[:, :, 0], predicted[:, :, 1])
