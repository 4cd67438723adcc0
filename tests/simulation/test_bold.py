from __future__ import annotations

import numpy as np
import pytest

from sharpwave.simulation.bold import PARCELS, VOLUME_SHAPE, compute_haemodynamic_response, simulate_volumes


def test_response_is_spms():
    response = compute_haemodynamic_response(0.1)
    t = np.arange(len(response)) * 0.1
    assert t[-1] == pytest.approx(31.9)
    assert t[response.argmax()] == pytest.approx(5.0, abs=0.15)
    assert response.sum() == pytest.approx(1)
    assert 14 < t[response.argmin()] < 18


def test_rodents_respond_faster():
    assert compute_haemodynamic_response(0.1, time_scale=0.5).argmax() < compute_haemodynamic_response(0.1).argmax()


def test_the_drive_shows_where_it_should(human_night):
    recording, truth = human_night
    bold = recording["bold"]
    assert bold.channels == PARCELS
    values = bold.read()
    times = np.arange(len(values)) / bold.rate
    stage = truth.hypnogram.at(times - 8)
    thalamus = values[:, PARCELS.index("thalamus")]
    assert thalamus[stage == 0].mean() > thalamus[stage == 3].mean()


def test_volumes_carry_the_parcels():
    rng = np.random.default_rng(0)
    parcels = 1000 + rng.normal(0, 20, (200, len(PARCELS)))
    volumes = simulate_volumes(parcels.astype(np.float32), rng=rng)
    assert volumes.shape == (200, *VOLUME_SHAPE)
    voxels = volumes.reshape(200, -1)
    best = [np.max(np.corrcoef(parcels[:, p], voxels.T)[0, 1:]) for p in range(len(PARCELS))]
    assert min(best) > 0.5
