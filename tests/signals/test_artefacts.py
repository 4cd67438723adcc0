"""Artefacts and quality: what was planted is named, and clean signals pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import MODALITIES, Recording
from sharpwave.signals import compute_quality, compute_spectrogram, detect_artefacts, rescale_signal
from sharpwave.signals.artefacts import find_artefacts
from sharpwave.signals.electrodes import find_faults, judge_electrode
from sharpwave.signals.pieces import iter_pieces
from sharpwave.signals.quality import find_unusable_epochs, mask_epochs
from sharpwave.signals.spectra import Spectra
from sharpwave.signals.staging import compute_epoch_amplitude

from .conftest import RATE, make_eeg, make_noise


@pytest.fixture
def clean_uv(rng: np.random.Generator) -> np.ndarray:
    return 15 * make_noise(int(1300 * RATE), rng=rng)


def find(events, label):
    rows = events[events["label"] == label]
    return [(row.onset, row.onset + row.duration) for row in rows.itertuples()]


def test_clean_eeg_has_none(clean_uv):
    assert detect_artefacts(make_eeg(clean_uv)).empty


def test_each_kind_is_named_where_it_is(clean_uv, rng):
    def part(low, high):
        return slice(int(low * RATE), int(high * RATE))

    clean_uv[part(100, 110)] = np.nan
    clean_uv[part(595, 610)] = 3.0  # across the border of two pieces
    clean_uv[part(700, 701)] += 900
    clean_uv[part(800, 808)] += 40 * rng.standard_normal(int(8 * RATE))
    clean_uv[part(900, 900.2)] = 1500
    events = detect_artefacts(make_eeg(clean_uv))
    assert find(events, "missing") == [(100.0, 110.0)]
    assert find(events, "flat") == [(595.0, 610.0)]
    assert find(events, "extreme") == [(700.0, 701.0), (900.0, 901.0)]
    assert (800.0, 808.0) in find(events, "muscle")
    (clipped,) = find(events, "clipped")
    assert clipped == pytest.approx((900, 900.2), abs=0.01)


def test_quality_gives_a_verdict_for_each_channel(clean_uv):
    broken = clean_uv.copy()
    broken[int(400 * RATE) :] = 0.0
    tiny = make_eeg(clean_uv * 1e-6)
    recording = Recording({"good": make_eeg(clean_uv), "broken": make_eeg(broken), "tiny": replace(tiny, name="tiny")})
    table = compute_quality(recording).set_index(np.array(["good", "broken", "tiny"]))
    assert table.loc["good", "verdict"] == "good"
    assert table.loc["good", "usable_fraction"] > 0.99
    assert table.loc["broken", "verdict"] == "poor"
    assert table.loc["broken", "flat"] == pytest.approx(900 / 1300, abs=0.01)
    assert table.loc["tiny", "verdict"] != "good"
    assert compute_quality(recording, ["good"])["channel"].tolist() == ["C4-M1"]


def test_quality_takes_artefacts_that_are_known_already(clean_uv):
    broken = clean_uv.copy()
    broken[int(400 * RATE) :] = 0.0
    recording = Recording({"C4-M1": make_eeg(clean_uv), "C3-M2": replace(make_eeg(broken), name="C3-M2")})
    known = pd.concat([detect_artefacts(signal) for signal in recording.signals.values()])
    pd.testing.assert_frame_equal(compute_quality(recording, artefacts=known), compute_quality(recording))


def test_an_unknown_unit_is_not_held_against_a_channel(clean_uv):
    recording = Recording({"EEG": make_eeg(clean_uv * 1e4)}, metadata={"amplitude_unit": "unknown"})
    assert compute_quality(recording)["verdict"].tolist() == ["good"]


def test_rescaling_gives_the_typical_amplitude(clean_uv):
    signal, factor = rescale_signal(make_eeg(clean_uv * 37), typical_uv=15.0)
    assert np.median(compute_epoch_amplitude(signal)) == pytest.approx(15.0, rel=1e-6)
    again, same = rescale_signal(signal)
    assert same == pytest.approx(1.0)
    assert factor == pytest.approx(again.scale / 1e-6)
    with pytest.raises(SharpwaveError, match="some signal in"):
        rescale_signal(make_eeg(np.zeros(int(60 * RATE))))


def spoil(clean_uv, low, high, samples):
    part = slice(int(low * RATE), int(high * RATE))
    spoilt = clean_uv.copy()
    spoilt[part] = samples(np.arange(part.stop - part.start) / RATE)
    return spoilt


@pytest.mark.parametrize(
    ("label", "samples"),
    [
        ("floating", lambda t: np.random.default_rng(1).normal(0, 0.5, t.size)),
        ("floating", lambda t: 40 * t / 300 + np.random.default_rng(1).normal(0, 0.8, t.size)),
        ("hum", lambda t: 40 * np.sin(2 * np.pi * 49.97 * t) + np.random.default_rng(1).normal(0, 2, t.size)),
        ("hum", lambda t: 400 * np.sin(2 * np.pi * 60 * t) + np.random.default_rng(1).normal(0, 9, t.size)),
    ],
)
def test_an_electrode_without_a_sleeper_is_named_where_it_is(clean_uv, label, samples):
    found = find(detect_artefacts(make_eeg(spoil(clean_uv, 400, 700, samples))), label)
    assert min(begin for begin, _ in found) == pytest.approx(400, abs=8)
    assert max(end for _, end in found) == pytest.approx(700, abs=8)
    assert sum(end - begin for begin, end in found) > 280


def test_hum_over_an_eeg_is_no_reason_to_leave_it_out(clean_uv):
    times = np.arange(clean_uv.size) / RATE
    assert not find(detect_artefacts(make_eeg(clean_uv + 60 * np.sin(2 * np.pi * 50 * times))), "hum")


def test_hum_is_seen_where_the_sampling_rate_folds_it_to():
    times = np.arange(64 * 300) / 64
    hum = 50 * np.sin(2 * np.pi * 50 * times) + np.random.default_rng(0).normal(0, 1, times.size)
    assert find(detect_artefacts(make_eeg(hum, rate=64.0)), "hum")
    alpha = 50 * np.sin(2 * np.pi * 9.7 * times) + 5 * np.convolve(
        np.random.default_rng(0).normal(size=times.size), np.ones(20) / 4, "same"
    )
    assert not find(detect_artefacts(make_eeg(alpha, rate=64.0)), "hum")


def test_clipping_below_the_largest_value_of_the_night_is_seen(clean_uv):
    spoilt = spoil(clean_uv, 700, 900, lambda t: np.clip(300 * np.sin(2 * np.pi * 0.8 * t), -100, 100))
    spoilt[int(100 * RATE)] = 3000.0  # another piece holds the largest value
    spoilt = np.where(np.arange(spoilt.size) < 600 * RATE, spoilt, np.clip(spoilt, -100, 100))
    found = find(detect_artefacts(make_eeg(spoilt)), "clipped")
    assert sum(end - begin for begin, end in found) > 100


def test_each_epoch_says_why_it_cannot_be_used(clean_uv):
    spoilt = spoil(clean_uv, 600, 690, lambda t: 0 * t)
    spoilt = spoil(spoilt, 900, 914, lambda t: 0 * t)  # less than half of its epoch
    spoilt = spoil(spoilt, 1200, 1260, lambda t: np.nan * t)
    eeg = make_eeg(spoilt, start=12.0)
    reasons = find_unusable_epochs(eeg, detect_artefacts(eeg))
    assert len(reasons) == 44
    assert {int(place): reasons[place] for place in np.flatnonzero(reasons != "")} == {
        20: "flat", 21: "flat", 22: "flat", 40: "missing", 41: "missing"
    }  # fmt: skip


def test_masked_epochs_are_missing_and_others_untouched(clean_uv):
    eeg = make_eeg(clean_uv)
    masked = mask_epochs(eeg, np.arange(44) == 3)
    expected = eeg.read()
    expected[int(90 * RATE) : int(120 * RATE)] = np.nan
    np.testing.assert_array_equal(masked.read(), expected)
    np.testing.assert_array_equal(masked.read(100.0, 130.0), expected[int(100 * RATE) : int(130 * RATE)])


def test_a_dead_half_does_not_set_the_scale(clean_uv):
    floating = np.random.default_rng(0).normal(0, 0.4, clean_uv.size)
    whole, _ = rescale_signal(make_eeg(clean_uv * 37))
    half, _ = rescale_signal(make_eeg(np.concatenate([clean_uv, floating, floating]) * 37))
    assert half.scale == pytest.approx(whole.scale, rel=0.05)


@pytest.mark.parametrize(("rate", "offset_uv"), [(RATE, 0.0), (100.5, 0.0), (RATE, 5e4)])
def test_power_by_which_electrodes_are_judged_is_that_of_double_precision(sleep_uv, rate, offset_uv):
    eeg = make_eeg(sleep_uv + offset_uv, rate=rate)
    edges = (0.0, 40.0)
    single = Spectra(eeg, window=4.0, segment=2.0, edges=edges, dtype=np.float32)
    for piece in iter_pieces(eeg, pad=0, seconds=77.0, dtype=np.float32):
        single.add(piece)
    double = compute_spectrogram(eeg, window=4.0, segment=2.0, max_frequency=40.0)
    np.testing.assert_array_equal(single.times, double.times)
    np.testing.assert_allclose(single.power, double.power, rtol=0.3 if offset_uv else 0.01, atol=1e-17)


def test_spans_of_some_labels_are_those_of_all(clean_uv):
    spoilt = spoil(clean_uv, 600, 690, lambda t: 0 * t)
    spoilt = spoil(spoilt, 900, 930, lambda t: 900 * np.sin(t))
    spoilt = spoil(spoilt, 1000, 1008, lambda t: np.random.default_rng(1).normal(0, 40, t.size))
    eeg = make_eeg(spoilt, start=12.0)
    every = dict(find_artefacts(eeg))
    assert {"flat", "extreme", "muscle"} <= {label for label, spans in every.items() if len(spans)}
    some = dict(find_artefacts(eeg, ("missing", "flat", "extreme", "muscle")))
    assert [*some] == ["missing", "flat", "extreme", "muscle"]
    for label, spans in some.items():
        np.testing.assert_array_equal(spans, every[label])


def test_faults_step_by_step_are_those_of_the_judge(clean_uv):
    spoilt = spoil(clean_uv, 600, 690, lambda t: 0 * t)
    spoilt = spoil(spoilt, 900, 960, lambda t: 50 * np.sin(2 * np.pi * 50 * t))
    spoilt = spoil(spoilt, 1020, 1050, lambda t: np.nan * t)
    for kind in ("eeg", "eog", "emg", "lfp"):
        signal = replace(make_eeg(spoilt), modality=MODALITIES[kind])
        for unit_known in (True, False):
            faults = find_faults(signal, unit_known=unit_known)
            np.testing.assert_array_equal(faults, judge_electrode(signal, unit_known=unit_known).unusable)
    assert {"flat", "hum", "missing", ""} == {*find_faults(make_eeg(spoilt))}
