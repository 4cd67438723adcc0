"""Attention in the open gives the model's own numbers, and gates are what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.brainmu.planted import NAMES, make_model, simulate_pieces

from sharpwave.brainmu import collate
from sharpwave.brainmu.explanation.deletion import forecast_without, pass_over_night, restrict_batch
from sharpwave.brainmu.explanation.tracing import trace_attention


def test_outputs_are_the_models_own_with_and_without_caches():
    model, batch = make_model(), collate(simulate_pieces(1))
    with torch.no_grad():
        whole = model(batch).readout
        assert torch.allclose(trace_attention(model, batch).readout.change, whole.change, atol=1e-5)
        caches = model(restrict_batch(batch, 0, 40)).caches
        rest = trace_attention(model, restrict_batch(batch, 40, 60), caches).readout
    assert torch.allclose(rest.change, whole.change[:, 40:], atol=1e-5)
    assert torch.allclose(rest.stage, whole.stage[:, 40:], atol=1e-5)


def test_attention_is_shared_out_among_earlier_tokens():
    model, batch = make_model(), collate(simulate_pieces(1))
    with torch.no_grad():
        weights = trace_attention(model, batch).attention
    times = batch.times[0].repeat(len(NAMES) + 1)
    for weight in weights:
        assert torch.allclose(weight.sum(dim=2), torch.ones(1, len(times)), atol=1e-5)
        assert bool((weight[0][times[:, None] < times[None]] == 0).all())


@pytest.mark.parametrize("direct", [False, True])
def test_gate_of_zero_is_a_deletion(direct: bool, rng: np.random.Generator):
    model, piece = make_model(direct=direct), simulate_pieces(1)[0]
    context = pass_over_night(model, piece).open(50)
    deletions = rng.random((3, *context.present.shape)) < 0.4
    gates = torch.cat([torch.tensor(~deletions).flatten(1).float(), torch.ones(3, context.n_steps)], dim=1)
    with torch.no_grad():
        gated = trace_attention(model, context.batch, context.caches, gates=gates).readout.change[:, -1, 0]
    np.testing.assert_allclose(gated.numpy(), forecast_without(model, context, deletions), atol=1e-5)
