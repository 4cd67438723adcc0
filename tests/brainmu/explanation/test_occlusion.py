"""A forecast with a part taken away is what the model gives for a recording that never had that part."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.brainmu.planted import NAMES, make_model, simulate_pieces

from sharpwave.brainmu import collate
from sharpwave.brainmu.explanation.occlusion import (
    forecast_without,
    forecast_without_channels,
    forecast_without_modalities,
    pass_over_night,
)
from sharpwave.errors import SharpwaveError


def _forecast_recorded_without(model, piece, step, gone):
    windows = {
        name: replace(part, present=part.present & ~gone[index])
        for index, (name, part) in enumerate(piece.epochs.items())
    }
    with torch.no_grad():
        return float(model(collate([replace(piece, epochs=windows)])).readout.change[0, step, 0])


def test_one_pass_gives_what_the_whole_night_gives():
    model, piece = make_model(), simulate_pieces(1, n_steps=150)[0]
    night = pass_over_night(model, piece)
    with torch.no_grad():
        whole = model(collate([piece]))
    np.testing.assert_allclose(night.readout.change[0].numpy(), whole.readout.change[0].numpy(), atol=1e-5)
    np.testing.assert_allclose(night.latents, whole.latents[0].numpy(), atol=1e-5)


@pytest.mark.parametrize("pooled_query", [False, True])
@pytest.mark.parametrize("step", [3, 70, 149])
def test_deleting_equals_never_recorded(step: int, pooled_query: bool, rng: np.random.Generator):
    model, piece = make_model(pooled_query=pooled_query), simulate_pieces(1, n_steps=150)[0]
    context = pass_over_night(model, piece).open(step)
    deletions = rng.random((2, *context.present.shape)) < 0.5
    gone = np.zeros((2, len(NAMES), 150, 1), dtype=bool)
    gone[:, :, step + 1 - context.n_steps : step + 1, 0] = deletions
    expected = [_forecast_recorded_without(model, piece, step, row) for row in gone]
    np.testing.assert_allclose(forecast_without(model, context, deletions), expected, atol=1e-5)


def test_without_a_modality_and_without_a_channel():
    model, piece = make_model(), simulate_pieces(1)[0]
    context = pass_over_night(model, piece).open(59, length=5)
    gone = np.zeros((len(NAMES), len(NAMES), 60, 1), dtype=bool)
    gone[np.arange(len(NAMES)), np.arange(len(NAMES)), 55:] = True
    expected = [_forecast_recorded_without(model, piece, 59, row) for row in gone]
    np.testing.assert_allclose(forecast_without_modalities(model, context), expected, atol=1e-5)
    channels = []
    for channel in range(2):
        present = piece.epochs["heart_rate"].present.copy()
        present[55:, channel] = False
        windows = {**piece.epochs, "heart_rate": replace(piece.epochs["heart_rate"], present=present)}
        with torch.no_grad():
            channels.append(float(model(collate([replace(piece, epochs=windows)])).readout.change[0, 59, 0]))
    np.testing.assert_allclose(forecast_without_channels(model, context, "heart_rate"), channels, atol=1e-5)


def test_refuses_what_is_not_there():
    model, piece = make_model(), simulate_pieces(1)[0]
    with pytest.raises(SharpwaveError, match="steps from 0 to 59"):
        pass_over_night(model, piece).open(60)
    with pytest.raises(SharpwaveError, match="use a model that was trained with these modalities"):
        pass_over_night(model, replace(piece, epochs={"ecg": piece.epochs["heart_rate"]}))
