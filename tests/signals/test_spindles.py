"""Spindles: YASA's events, planted ones found, none in noise, gaps left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.signals import detect_spindles, pieces
from sharpwave.signals.moving import TrimmedStatistics
from sharpwave.signals.spindles import SpindleSettings, detect_spindles_each

from .conftest import RATE, make_eeg, make_noise

LABELS = ["W"] * 10 + ["N2"] * 30 + ["R"] * 5 + ["N3"] * 5


@pytest.mark.parametrize("labels", [None, LABELS])
def test_events_are_yasas(sleep_uv, labels):
    import yasa

    signal = make_eeg(sleep_uv)
    hypnogram = None if labels is None else Hypnogram.from_labels(labels)
    codes = None if labels is None else np.repeat(hypnogram.stages, int(30 * RATE)).astype(int)
    theirs = yasa.spindles_detect(signal.read(dtype=np.float64) * 1e6, RATE, hypno=codes, include=(1, 2, 3)).summary()
    ours = detect_spindles(signal, hypnogram=hypnogram)
    assert len(ours) == len(theirs) > 30
    for name, column in (
        ("onset", "Start"),
        ("duration", "Duration"),
        ("peak", "Peak"),
        ("amplitude_uv", "Amplitude"),
        ("sigma_amplitude_uv", "AmpFiltered"),
        ("rms_uv", "RMS"),
        ("relative_power", "RelPower"),
        ("oscillations", "Oscillations"),
        ("symmetry", "Symmetry"),
    ):
        np.testing.assert_allclose(ours[name], theirs[column], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(ours["frequency"], theirs["Frequency"], atol=5e-3)
    np.testing.assert_allclose(ours["log_power_uv2"], theirs["AbsPower"], atol=1e-4)


def test_pieces_find_what_the_whole_finds(sleep_uv, monkeypatch):
    signal = make_eeg(sleep_uv)
    whole = detect_spindles(signal)
    monkeypatch.setattr(pieces, "PIECE_SECONDS", 37.0)
    short = detect_spindles(signal)
    np.testing.assert_array_equal(whole["onset"], short["onset"])
    np.testing.assert_array_equal(whole["duration"], short["duration"])


def test_several_settings_at_once_find_what_each_finds_alone(sleep_uv):
    each = [SpindleSettings(), SpindleSettings(broad=(4.5, 30.0))]
    broken = sleep_uv.copy()
    broken[: int(30 * RATE)] = broken[int(700 * RATE) : int(720 * RATE)] = np.nan
    signal, hypnogram = make_eeg(broken), Hypnogram.from_labels(LABELS)
    together = detect_spindles_each(signal, each, hypnogram=hypnogram)
    assert len(together[0]) != len(together[1])
    for found, settings in zip(together, each, strict=True):
        assert len(found) > 10
        pd.testing.assert_frame_equal(found, detect_spindles(signal, hypnogram=hypnogram, settings=settings))
    with pytest.raises(SharpwaveError, match="one sigma band"):
        detect_spindles_each(signal, [SpindleSettings(), SpindleSettings(rms=2.0)])


@pytest.mark.parametrize("preset", ["default", "tuned"])
def test_planted_spindles_are_found_and_described(sleep_uv, preset):
    events = detect_spindles(make_eeg(sleep_uv), preset=preset)
    planted = np.arange(7.5, 1000, 15)  # later, slow waves take the share of sigma below its threshold
    found = [((events["onset"] <= time) & (events["onset"] + events["duration"] >= time)).any() for time in planted]
    assert np.mean(found) > 0.9
    assert events["frequency"].median() == pytest.approx(13.3, abs=0.2)


@pytest.mark.parametrize(("preset", "most"), [("default", 0.2), ("tuned", 1.0)])
def test_noise_holds_hardly_any(rng, preset, most):
    """Spindles a minute in 1/f noise."""
    events = detect_spindles(make_eeg(15 * make_noise(int(1200 * RATE), rng=rng)), preset=preset)
    assert len(events) / 20 < most


def test_no_spindle_touches_a_gap(sleep_uv):
    sleep_uv[int(300 * RATE) : int(307.4 * RATE)] = np.nan  # ends in the middle of a spindle
    events = detect_spindles(make_eeg(sleep_uv))
    assert not ((events["onset"] < 308.3) & (events["onset"] + events["duration"] > 299)).any()
    assert len(events) > 60


def test_only_nrem_is_searched(sleep_uv):
    hypnogram = Hypnogram.from_labels(LABELS)
    events = detect_spindles(make_eeg(sleep_uv), hypnogram=hypnogram)
    assert set(events["stage"]) <= {"N1", "N2", "N3"}
    wake = Hypnogram.from_labels(["W"] * 50)
    nothing = detect_spindles(make_eeg(sleep_uv), hypnogram=wake)
    assert nothing.empty
    assert nothing.columns.tolist() == events.columns.tolist()


def test_the_clock_is_the_recordings(sleep_uv):
    early, late = make_eeg(sleep_uv), make_eeg(sleep_uv, start=100.0)
    np.testing.assert_allclose(detect_spindles(late)["peak"] - 100, detect_spindles(early)["peak"])


def test_errors(sleep_uv):
    signal = make_eeg(sleep_uv)
    with pytest.raises(SharpwaveError, match="a preset among default, tuned"):
        detect_spindles(signal, preset="best")
    with pytest.raises(SharpwaveError, match="at least 40 Hz to see spindles"):
        detect_spindles(replace(signal, rate=30.0))
    with pytest.raises(SharpwaveError, match="in volts"):
        detect_spindles(replace(signal, scale=1.0), settings=SpindleSettings())


@pytest.mark.parametrize("absurd", [1e300, np.inf, np.nan])
def test_values_that_no_integer_holds_are_counted_as_the_largest(absurd: float) -> None:
    statistics = TrimmedStatistics(cut=0.1, width=0.002, n_bins=10)
    with np.errstate(over="ignore"):
        statistics.add(np.array([0.001, absurd]))
    assert statistics.count == 2
