"""The scalp shows what was planted: slopes, slow oscillations, spindles, eye movements, tone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, hilbert, sosfiltfilt, welch


def _spectrum(recording, truth, channel, code, *, seconds=4):
    """Median spectrum of the whole seconds of one stage, away from arousals and artefacts."""
    signal, course = recording[channel], truth.per_second
    good = (course["stage"] == code) & ~course["arousing"]
    for onset, duration in truth.artefacts[["onset", "duration"]].to_numpy():
        good[int(onset) - 1 : int(onset + duration) + 2] = False
    starts = np.flatnonzero(np.convolve(good, np.ones(seconds), "valid") == seconds)[::seconds]
    pieces = [signal.read(t, t + seconds) for t in starts]
    f, power = welch(np.array(pieces) * 1e6, signal.rate, nperseg=int(seconds * signal.rate))
    return f, np.median(power, axis=0)


def _slope(f, power):
    band = (f >= 30) & (f <= 45)
    return np.polyfit(np.log(f[band]), np.log(power[band]), 1)[0]


def test_slope_steepens_from_wake_over_nrem_to_rem(human_night, mouse_night):
    for (recording, truth), channel, codes in ((human_night, "C4-M1", (0, 3, 4)), (mouse_night, "EEG", (0, 1, 2))):
        wake, nrem, rem = (_slope(*_spectrum(recording, truth, channel, code)) for code in codes)
        assert wake > nrem > rem  # Lendner et al. 2020
    assert -4 < _slope(*_spectrum(*human_night, "C4-M1", 2)) < -1


def _band(spectrum, low, high):
    f, power = spectrum
    return power[(f >= low) & (f < high)].mean()


def test_stages_have_their_rhythms(human_night):
    spectra = [_spectrum(*human_night, "C4-M1", code) for code in range(5)]
    alpha, delta, sigma = ([_band(s, *band) for s in spectra] for band in ((9, 11.5), (0.75, 4), (12.5, 14.5)))
    assert np.argmax(alpha) == 0
    assert np.argsort(delta)[-2:].tolist() == [2, 3]
    assert sigma[2] > 3 * sigma[4]


def test_mouse_rem_has_theta(mouse_night):
    f, power = _spectrum(*mouse_night, "HIP", 2)
    assert 6 <= f[(f > 4) & (f < 12)][power[(f > 4) & (f < 12)].argmax()] <= 9


def test_slow_wave_power_follows_depth(human_night):
    recording, truth = human_night
    course = truth.per_second
    rows = [
        (course["depth"][t : t + 4].mean(), np.log(np.var(recording["C4-M1"].read(t, t + 4))))
        for t in range(400, len(course) - 4, 4)
        if course["stage"][t : t + 4].isin([2, 3]).all()
    ]
    assert np.corrcoef(np.array(rows).T)[0, 1] > 0.7


def _analytic(signal, rate, low, high):
    return hilbert(sosfiltfilt(butter(3, (low, high), "bandpass", fs=rate, output="sos"), signal))


def test_coupled_spindles_sit_on_the_up_state(human_night):
    recording, truth = human_night
    signal = recording["C4-M1"]
    phase = np.angle(_analytic(signal.read(), signal.rate, 0.5, 1.5))
    coupled = truth.spindles[truth.spindles["coupled"] & truth.spindles["stage"].isin([2, 3])]
    middle = ((coupled["onset"] + coupled["duration"] / 2) * signal.rate).astype(int)
    vector = np.exp(1j * phase[middle]).mean()
    assert abs(vector) > 0.5
    assert -np.pi / 2 < np.angle(vector) < np.pi / 4  # at or just before the positive peak (phase 0)


def test_ripples_stand_out_of_the_lfp(human_night, mouse_night):
    for (recording, truth), band in ((human_night, (75, 95)), (mouse_night, (130, 175))):
        signal = recording["HIP"]
        envelope = np.abs(_analytic(signal.read(), signal.rate, *band))
        nrem = truth.ripples[truth.ripples["stage"].isin([1, 2, 3])]
        middle = ((nrem["onset"] + nrem["duration"] / 2) * signal.rate).astype(int)
        assert np.median(envelope[middle]) > 5 * np.median(envelope)


def test_emg_tone_falls_from_wake_over_nrem_to_rem(human_night, mouse_night):
    for (recording, truth), channel, codes in ((human_night, "EMG chin", (0, 2, 4)), (mouse_night, "EMG", (0, 1, 2))):
        signal, stage = recording[channel].read(), truth.hypnogram.stages
        seconds = signal[: len(stage) * 256].reshape(-1, 256).std(axis=1)
        wake, nrem, rem = (np.median(seconds[stage == code]) for code in codes)
        assert wake > 1.5 * nrem > 1.5 * rem


def test_rapid_eye_movements_come_in_rem(human_night):
    _, truth = human_night
    rapid = truth.eye_movements.query("label == 'rem'")
    assert (truth.hypnogram.at(rapid["onset"].to_numpy()) == 4).all()


def test_rapid_eye_movements_are_found_in_the_two_channels(human_night):
    from sharpwave.signals import detect_eye_movements

    recording, truth = human_night
    found = detect_eye_movements(recording["LOC-M2"], recording["ROC-M2"], hypnogram=truth.hypnogram)["peak"].to_numpy()
    planted = np.sort(truth.eye_movements.query("label == 'rem' and abs(amplitude_uv) > 60")["onset"].to_numpy())
    every = np.sort(truth.eye_movements.query("label == 'rem'")["onset"].to_numpy())
    assert np.mean([np.abs(every - peak).min() < 0.6 for peak in found]) > 0.85
    assert np.mean([np.abs(found - onset).min() < 0.6 for onset in planted]) > 0.5


@pytest.mark.parametrize(("label", "sign"), [("rem", -1), ("slow", -1), ("blink", 1)])
def test_eyes_move_against_each_other_but_blink_together(human_night, label, sign):
    recording, truth = human_night
    moves = truth.eye_movements.query("label == @label and abs(amplitude_uv) > 60")
    pairs = []
    for onset, duration in moves[["onset", "duration"]].to_numpy()[:150]:
        eyes = [recording[name].read(onset - 0.2, onset + max(duration, 0.4)) for name in ("LOC-M2", "ROC-M2")]
        pairs.append(np.corrcoef(*eyes)[0, 1])
    assert sign * np.median(pairs) > 0.3


def test_slow_oscillations_fall_faster_than_they_rise():
    from sharpwave.simulation.waveforms import make_slow_oscillation

    wave = make_slow_oscillation(1.2, rate=256.0)
    trough = wave.argmin()
    zero = trough + np.flatnonzero(wave[trough:] >= 0)[0]
    assert trough < zero - trough  # entry steeper than exit, Menicucci et al. 2009
    assert wave.min() == pytest.approx(-1, abs=0.01)
