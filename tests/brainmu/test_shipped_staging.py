"""What the shipped weights make of nights whose stages were planted."""

from __future__ import annotations

import numpy as np
import pytest
from tests.nights import simulate_short_night

from sharpwave.brainmu.shipped import find_refusal, forecast_with_brainmu, stage_with_brainmu
from sharpwave.evaluation.metrics import compute_auprc, compute_confusion, compute_kappa
from sharpwave.simulation import simulate_night

pytestmark = pytest.mark.skipif(find_refusal() is not None, reason="no weights of Brainµ here")


def test_planted_stages_are_recovered_from_one_eeg_channel():
    recording, _ = simulate_night("human", 4.0, rng=np.random.default_rng(77), modalities=("eeg",))
    found = stage_with_brainmu(recording, {"eeg": "C4-M1"})
    confusion = compute_confusion(recording.hypnogram.stages, found.stages, n_stages=5)
    assert compute_kappa(confusion) > 0.5


def test_a_forecast_from_stages_tells_when_they_will_change():
    hypnogram = simulate_short_night()[0].hypnogram
    frame = forecast_with_brainmu(hypnogram)
    changed = hypnogram.stages[1:] != hypnogram.stages[:-1]
    assert compute_auprc(changed, frame["p_change"].to_numpy()[:-1]) > 1.5 * changed.mean()
