"""Eye movements and ripples: planted ones found, none in noise, libraries' own answers, errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.signals import detect_eye_movements, detect_ripples, pieces

from .conftest import RATE, make_eeg, make_noise


@pytest.fixture
def eyes_uv(rng: np.random.Generator) -> np.ndarray:
    clock = np.arange(int(600 * RATE)) / RATE
    jumps = 200 * np.clip(np.sin(2 * np.pi * clock / 7), 0, None) ** 30
    return jumps + 4 * make_noise(clock.size, rng=rng)


def test_eye_movements_are_yasas(eyes_uv, monkeypatch):
    import yasa

    loc, roc = make_eeg(eyes_uv, modality="eog"), make_eeg(-eyes_uv, modality="eog")
    theirs = yasa.rem_detect(loc.read(dtype=float) * 1e6, roc.read(dtype=float) * 1e6, RATE).summary()
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 50.0)
    ours = detect_eye_movements(loc, roc)
    np.testing.assert_allclose(ours["onset"], theirs["Start"])
    np.testing.assert_allclose(ours["duration"], theirs["Duration"])
    np.testing.assert_allclose(ours["left_uv"], theirs["LOCAbsValPeak"])
    assert len(ours) > 70


def test_eyes_that_move_alike_are_not_eye_movements(eyes_uv):
    signal = make_eeg(eyes_uv, modality="eog")
    assert detect_eye_movements(signal, signal).empty


def test_eyes_need_one_clock(eyes_uv):
    signal = make_eeg(eyes_uv, modality="eog")
    with pytest.raises(SharpwaveError, match="both eyes at one rate"):
        detect_eye_movements(signal, replace(signal, rate=64.0))


LFP_RATE = 1250.0


@pytest.fixture
def lfp_uv(rng: np.random.Generator) -> np.ndarray:
    """A minute of noise with ten ripples of 80 ms at 180 Hz."""
    samples = 20 * rng.standard_normal(int(60 * LFP_RATE))
    burst = 150 * np.hanning(100) * np.sin(2 * np.pi * 180 * np.arange(100) / LFP_RATE)
    for index in range(10):
        samples[int((3 + 5 * index) * LFP_RATE) :][:100] += burst
    return samples


def test_planted_ripples_are_found(lfp_uv, monkeypatch):
    signal = make_eeg(lfp_uv, rate=LFP_RATE, modality="lfp")
    events = detect_ripples(signal)
    near = np.abs(events["peak"].to_numpy()[:, None] - (3.04 + 5 * np.arange(10))).min(axis=0)
    assert (near < 0.02).all()
    assert len(events) <= 11
    assert events["frequency"].median() == pytest.approx(180, abs=5)
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 7.3)
    np.testing.assert_allclose(detect_ripples(signal)["onset"], events["onset"])


def test_bouts_are_those_of_ripple_detection(lfp_uv):
    from ripple_detection import Kay_ripple_detector

    from sharpwave.signals.filters import design_bandpass, filter_piece

    signal = make_eeg(lfp_uv, rate=LFP_RATE, modality="lfp")
    taps = design_bandpass(LFP_RATE, 150, 250, low_transition=37.5, high_transition=62.5)
    clock = np.arange(lfp_uv.size) / LFP_RATE
    filtered = filter_piece(signal.read(dtype=float) * 1e6, taps)[:, None]
    theirs = Kay_ripple_detector(
        clock, filtered, np.zeros(clock.size), LFP_RATE, minimum_duration=0.02, zscore_threshold=3.0
    )
    ours = detect_ripples(signal)
    assert len(ours) == len(theirs)
    np.testing.assert_allclose(ours["onset"], theirs["start_time"], atol=2 / LFP_RATE)


def test_noise_holds_hardly_any_ripples(rng):
    noise = 20 * rng.standard_normal(int(120 * LFP_RATE))
    assert len(detect_ripples(make_eeg(noise, rate=LFP_RATE, modality="lfp"), threshold=5.0)) < 4


def test_ripples_leave_gaps_out(lfp_uv):
    lfp_uv[int(7.9 * LFP_RATE) : int(8.2 * LFP_RATE)] = np.nan
    events = detect_ripples(make_eeg(lfp_uv, rate=LFP_RATE, modality="lfp"))
    assert not events["peak"].between(7.4, 8.7).any()
    assert len(events) >= 9


def test_ripple_errors(lfp_uv):
    signal = make_eeg(lfp_uv, rate=LFP_RATE, modality="lfp")
    with pytest.raises(SharpwaveError, match="a species among human, mouse, rat"):
        detect_ripples(signal, species="ferret")
    with pytest.raises(SharpwaveError, match="at least 525 Hz for ripples"):
        detect_ripples(replace(signal, rate=256.0))
