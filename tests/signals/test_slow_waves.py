"""Slow waves: YASA's events, whole = pieces, none in noise, gaps left out."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.recordings import Hypnogram
from sharpwave.signals import detect_slow_waves, pieces

from .conftest import RATE, make_eeg, make_noise


@pytest.mark.parametrize("labels", [None, ["W"] * 35 + ["N3"] * 10 + ["R"] * 2 + ["N2"] * 3])
def test_events_are_yasas(sleep_uv, labels):
    import yasa

    signal = make_eeg(sleep_uv)
    hypnogram = None if labels is None else Hypnogram.from_labels(labels)
    codes = None if labels is None else np.repeat(hypnogram.stages, int(30 * RATE)).astype(int)
    theirs = yasa.sw_detect(signal.read(dtype=np.float64) * 1e6, RATE, hypno=codes).summary()
    ours = detect_slow_waves(signal, hypnogram=hypnogram)
    assert len(ours) == len(theirs) > 100
    for name, column in (
        ("onset", "Start"),
        ("duration", "Duration"),
        ("negative_peak", "NegPeak"),
        ("mid_crossing", "MidCrossing"),
        ("positive_peak", "PosPeak"),
        ("amplitude_uv", "PTP"),
        ("slope_uv_s", "Slope"),
    ):
        np.testing.assert_allclose(ours[name], theirs[column], rtol=1e-9, atol=1e-9)


def test_pieces_find_what_the_whole_finds(sleep_uv, monkeypatch):
    signal = make_eeg(sleep_uv)
    whole = detect_slow_waves(signal)
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 61.0)
    np.testing.assert_allclose(detect_slow_waves(signal)["onset"], whole["onset"])


def test_a_wave_that_the_end_cuts_does_not_depend_on_the_length_of_pieces(monkeypatch):
    clock = np.arange(int(600.5 * RATE)) / RATE
    signal = make_eeg(60 * np.sin(2 * np.pi * 0.8 * clock))
    counts = []
    for seconds in range(60, 660, 20):
        monkeypatch.setattr(pieces, "PIECE_SECONDS", float(seconds))
        counts.append(len(detect_slow_waves(signal)))
    assert set(counts) == {480}


def test_planted_waves_are_found_and_noise_holds_none(sleep_uv, rng):
    events = detect_slow_waves(make_eeg(sleep_uv))
    assert (events["onset"] > 995).all()
    assert len(events) > 0.9 * 500 * 0.8
    assert detect_slow_waves(make_eeg(12 * make_noise(int(600 * RATE), rng=rng))).empty


def test_no_wave_touches_a_gap(sleep_uv):
    sleep_uv[int(1200 * RATE) : int(1230 * RATE)] = np.nan
    events = detect_slow_waves(make_eeg(sleep_uv))
    inside = (events["onset"] < 1230) & (events["onset"] + events["duration"] > 1200)
    assert not inside.any()
