"""Every attribution finds the one token that tells, and none is fooled by order."""

from __future__ import annotations

import numpy as np
import pytest
from tests.brainmu.planted import NAMES, TELLING, simulate_pieces, train_model

from sharpwave.brainmu.explanation.attribution import ATTRIBUTIONS, get_attribution, measure_spans
from sharpwave.brainmu.explanation.occlusion import forecast_without, pass_over_night
from sharpwave.errors import SharpwaveError


@pytest.fixture(scope="module")
def night():
    return pass_over_night(train_model(), simulate_pieces(1, seed=9)[0])


@pytest.mark.parametrize("name", [name for name in ATTRIBUTIONS if name != "recency"])
def test_names_the_telling_token(name: str, night):
    logits = night.readout.change[0, :, 0].numpy()
    steps = np.argsort(-logits)[:3]
    for step in steps.tolist():
        values = get_attribution(name)(train_model(), night, step)
        assert np.unravel_index(np.abs(values).argmax(), values.shape) == (NAMES.index(TELLING), values.shape[1] - 1)


def test_occlusion_is_the_effect_of_deleting_one_token(night):
    model, step = train_model(), 40
    context = night.open(step)
    values = ATTRIBUTIONS["occlusion"](model, night, step)
    deletion = np.zeros((1, *context.present.shape), dtype=bool)
    deletion[0, 0, -2] = True
    logit = float(night.readout.change[0, step, 0])
    assert values[0, -2] == pytest.approx(logit - forecast_without(model, context, deletion)[0], abs=1e-4)


def test_spans_add_up_to_the_whole_context(night):
    model, step = train_model(), 40
    reaches, falls = measure_spans(model, night, step)
    values = ATTRIBUTIONS["spans"](model, night, step)
    np.testing.assert_allclose(values.sum(axis=1), falls[:, -1], atol=1e-9)
    assert reaches[0] == 1
    assert reaches[-1] == values.shape[1]


def test_gradient_is_the_slope_of_a_mask_weight(night):
    """Against a finite difference of the mask weight itself."""
    import torch

    model, step = train_model(), 40
    context = night.open(step)
    values = ATTRIBUTIONS["gradient x attention"](model, night, step)
    weights = torch.ones(2, (len(NAMES) + 1) * context.n_steps)
    token = len(values[0]) - 1
    weights[0, token], weights[1, token] = 0.99, 1.01
    with torch.no_grad():
        output = model(context.batch, context.caches, mask_weights=weights, trace=True)
    low, high = output.readout.change[:, -1, 0].tolist()
    assert values[0, token] == pytest.approx((high - low) / 0.02, abs=0.02)


def test_unknown_attribution_is_refused():
    with pytest.raises(SharpwaveError, match="an attribution among attention"):
        get_attribution("guess")
