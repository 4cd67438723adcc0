from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality import NightSeries, compute_night_series
from sharpwave.causality.series import estimate_infraslow_phase
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.simulation import simulate_night


def test_course_of_a_recording() -> None:
    recording, truth = simulate_night("mouse", 0.75, rng=np.random.default_rng(3), modalities=("eeg", "emg"))
    candidates = truth.ripples["onset"].tolist()
    series = compute_night_series(
        recording, truth.hypnogram, truth.reactivations, candidates=candidates[::-1], arousals=truth.arousals
    )
    assert len(series.time) == 2700
    assert series.candidates is not None
    assert (np.diff(series.candidates) >= 0).all()
    hidden = truth.per_second["depth"].to_numpy()
    asleep = series.usable & (series.stage == 1)
    assert np.corrcoef(series.depth[asleep], hidden[asleep])[0, 1] > 0.3
    assert series.emg is not None
    awake = series.usable & (truth.hypnogram.stages == 0)
    assert series.emg[awake].mean() > series.emg[asleep].mean() + 3
    for onset, duration in truth.arousals[["onset", "duration"]].to_numpy():
        inside = series.stage[int(onset) : int(onset + duration)]
        assert (inside == 0).all()
    assert series.contents == tuple(sorted(set(truth.reactivations["content"])))


def test_artefacts_are_left_out() -> None:
    recording, truth = simulate_night("mouse", 0.4, rng=np.random.default_rng(3), modalities=("eeg",))
    spans = pd.DataFrame({"onset": [100.0], "duration": [10.0]})
    series = compute_night_series(recording, truth.hypnogram, truth.reactivations, artefacts=spans)
    assert series.emg is None
    assert not series.usable[100:110].any()
    assert series.usable[111:140].all()


def test_infraslow_phase_is_followed_from_the_past() -> None:
    time = np.arange(3000)
    sigma = np.cos(2 * np.pi * 0.02 * time) + 0.3 * np.random.default_rng(0).standard_normal(3000)
    asleep = np.ones(3000, bool)
    phase = estimate_infraslow_phase(sigma, asleep=asleep)
    error = np.angle(np.exp(1j * (phase - 2 * np.pi * 0.02 * time)))[300:]
    assert np.abs(error).mean() < 0.4
    later = np.where(time < 2000, sigma, 0.0)
    np.testing.assert_allclose(phase[:2000], estimate_infraslow_phase(later, asleep=asleep)[:2000])
    missing = np.where(time == 1500, np.nan, sigma)
    assert np.isfinite(estimate_infraslow_phase(missing, asleep=asleep)).all()


def test_refusals(null_nights: list[NightSeries]) -> None:
    night = null_nights[0]
    with pytest.raises(SharpwaveError, match="values of depth in '0', one a second"):
        replace(night, depth=night.depth[:-1])
    with pytest.raises(SharpwaveError, match="reactivations with columns onset, content"):
        replace(night, reactivations=pd.DataFrame({"onset": [1.0]}))
    cues = pd.DataFrame({"onset": [1.0], "condition": ["tone"], "content": ["x"]})
    with pytest.raises(SharpwaveError, match="condition is cue or sham"):
        replace(night, cues=cues)
    _, truth = simulate_night("mouse", 0.3, rng=np.random.default_rng(3), modalities=())
    with pytest.raises(SharpwaveError, match="an EEG or LFP channel"):
        compute_night_series(Recording(), truth.hypnogram, truth.reactivations)
