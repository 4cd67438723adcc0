"""Artefacts and quality: what was planted is named, and clean signals pass."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.signals import compute_quality, detect_artefacts, rescale_signal
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
