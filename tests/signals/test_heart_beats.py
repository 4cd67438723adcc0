"""Heart beats: planted breathing and waves are measured, extra beats leave no mark, and beats of an ECG are found."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal
from sharpwave.signals import heart_beats
from sharpwave.signals.heart_beats import MEASURES, compute_beat_measures, detect_beats, find_rate_beats


def beat(seconds: float, *, period: float = 0.9, depth: float = 0.05, frequency: float = 0.25) -> np.ndarray:
    """Beats whose intervals swing by `depth` (s) at `frequency` (Hz)."""
    beats = [0.0]
    while beats[-1] < seconds:
        beats.append(beats[-1] + period + depth * np.sin(2 * np.pi * frequency * beats[-1]))
    return np.array(beats)


def measure(beats: np.ndarray, seconds: float = 1200.0) -> dict[str, np.ndarray]:
    table = compute_beat_measures(beats, int(seconds / 30))
    return dict(zip(MEASURES, table[6:-6].T, strict=True))


def test_planted_breathing_and_slow_waves_are_measured() -> None:
    breathing, waves = measure(beat(1200)), measure(beat(1200, frequency=0.1))
    np.testing.assert_allclose(np.exp(breathing["rate"]), 60 / 0.9, rtol=0.01)
    np.testing.assert_allclose(breathing["breathing"], 0.25, atol=0.01)
    assert breathing["regularity"].min() > 0.9
    kept = np.sinc(0.25 * 0.9) ** 4  # of the power, by lines between beats 0.9 s apart
    np.testing.assert_allclose(np.exp(breathing["high"]), kept * 0.05**2 / 2, rtol=0.05)  # of a sine, s²
    assert breathing["low_to_high"].max() < -2
    assert waves["low_to_high"].min() > 2
    assert (np.exp(breathing["successive_long"]) > 2 * np.exp(waves["successive_long"])).all()


def test_an_extra_beat_and_a_missed_one_leave_no_mark() -> None:
    whole = beat(1200, depth=0.02)
    extra = np.sort(np.r_[np.delete(whole, 700), whole[400] + 0.35])
    clean, marked = measure(whole), measure(extra)
    for name in ("deviation_long", "successive_long", "high"):
        assert np.abs(clean[name] - marked[name]).max() < 0.25, name


def test_without_beats_nothing_is_measured() -> None:
    beats = beat(1200)
    table = compute_beat_measures(beats[(beats < 300) | (beats > 900)], 40)
    assert np.isnan(table[14:26]).all()
    assert np.isfinite(table[[3, 36]]).all()
    assert np.isnan(compute_beat_measures(beats[:5], 40)).all()


def to_rate(times: np.ndarray, values: np.ndarray) -> Signal:
    return Signal("pulse", values, 1.0, MODALITIES["heart_rate"], start=float(times[0]), times=times)


def test_a_value_a_second_is_no_value_for_each_beat_though_hearts_beat_once_a_second(rng: np.random.Generator) -> None:
    beats = beat(3600, period=1.0, depth=0.08)
    gaps = np.diff(beats)
    found = find_rate_beats(to_rate(beats[1:], 60 / gaps))
    assert found is not None
    np.testing.assert_allclose(found, beats)
    jittered = np.arange(1.0, 3600.0) + rng.uniform(-0.02, 0.02, 3599)
    assert find_rate_beats(to_rate(jittered, np.interp(jittered, beats[1:], 60 / gaps))) is None
    paused = beats[1:] + np.where(beats[1:] > 1800, 500.0, 0.0)  # a strap that came off
    assert find_rate_beats(to_rate(paused, 60 / gaps)) is not None


def test_times_rounded_to_seconds_are_mended_by_their_intervals() -> None:
    slow, fast = (np.diff(beat(1800, period=period, depth=0.08)) for period in (0.9, 0.7))
    beats = np.cumsum(np.r_[slow, fast])
    found = find_rate_beats(to_rate(np.floor(beats[1:]), 60 / np.diff(beats)))
    assert found is not None
    error = np.diff(found)[5:] - np.diff(beats)[5:]
    assert np.median(np.abs(error)) < 1e-6
    assert np.abs(found - beats).max() < 1.6


def draw_ecg(beats: np.ndarray, rng: np.random.Generator, *, rate: float = 128.0, gain: float = 1e-3) -> Signal:
    times = np.arange(int((beats[-1] + 1) * rate)) / rate
    trace = 0.3 * np.sin(2 * np.pi * 0.25 * times) + rng.normal(0, 0.05, times.size)
    for after, width, height in ((0.0, 0.012, 1.0), (0.03, 0.012, -0.25), (0.28, 0.05, 0.3)):
        for one in beats + after:
            low, high = (int(max(one + side * 5 * width, 0) * rate) for side in (-1, 1))
            trace[low:high] += height * np.exp(-0.5 * ((times[low:high] - one) / width) ** 2)
    return Signal("ECG", gain * trace, rate, MODALITIES["ecg"])


@pytest.mark.parametrize("gain", [1e-3, -4e-4])
def test_beats_of_an_ecg_are_found_whatever_its_polarity_and_however_it_is_cut(
    gain: float, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats = beat(400, depth=0.1)[1:-1]
    ecg = draw_ecg(beats, rng, gain=gain)
    found = detect_beats(ecg)
    nearest = np.abs(found[:, None] - beats).min(axis=0)
    assert (nearest < 0.02).mean() > 0.99
    assert abs(len(found) - len(beats)) <= 2
    monkeypatch.setattr(heart_beats, "PIECE", 60.0)
    pieces = detect_beats(ecg)
    assert abs(len(pieces) - len(found)) <= 1


def test_an_ecg_that_is_too_slow_is_refused(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="an ECG of at least 60 Hz"):
        detect_beats(Signal("ECG", rng.normal(size=600), 10.0, MODALITIES["ecg"]))
