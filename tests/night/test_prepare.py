"""One way from a recording to a prepared night, for decoding and for the effects of reactivations."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from tests.nights import simulate_short_night

from sharpwave.errors import SharpwaveError
from sharpwave.night.decode import decode_recording
from sharpwave.night.options import DecodeOptions
from sharpwave.night.prepare import EVENTS, GIVEN, describe_low_rate, prepare_night
from sharpwave.recordings import MODALITIES, Recording, Signal
from sharpwave.signals.electrodes import choose_electrodes
from sharpwave.simulation import simulate_night


@pytest.fixture(scope="module")
def prepared():
    announced = []
    return prepare_night(simulate_short_night()[0], announce=announced.append), announced


def test_an_unknown_unit_is_scaled_and_declared():
    recording, _ = simulate_short_night()
    signal = recording["C4-M1"]
    raw = replace(signal, scale=signal.scale * 12_345)
    unknown = replace(recording, signals={"C4-M1": raw}, metadata={**recording.metadata, "amplitude_unit": "unknown"})
    scaled = choose_electrodes(unknown).recording
    assert 0.3 < np.std(scaled["C4-M1"].read()) / np.std(signal.read()) < 3
    assert "unit is unknown" in scaled.repairs[-1]
    assert choose_electrodes(recording).recording["C4-M1"] is signal


def test_what_is_prepared_is_what_is_decoded(prepared):
    night, announced = prepared
    decoded = decode_recording(simulate_short_night()[0])
    assert announced == ["quality", "stages", "events"]
    assert decoded.hypnogram == night.hypnogram
    assert decoded.expert == night.expert == simulate_short_night()[0].hypnogram
    assert decoded.stager == night.staging.stager
    pd.testing.assert_frame_equal(decoded.events, night.events)
    pd.testing.assert_frame_equal(decoded.quality_spans, night.artefacts)
    assert night.simulated
    assert night.depth_channel == night.picks["eeg"]
    assert set(night.events["label"]) <= set(EVENTS)


def test_given_stages_are_preferred_where_asked(prepared):
    recording, _ = simulate_short_night()
    night = prepare_night(recording, prefer_given=True, events=())
    assert night.staging.stager == GIVEN
    assert night.hypnogram == recording.hypnogram
    assert night.expert is None
    assert not len(night.events)
    without = prepare_night(replace(recording, hypnogram=None), prefer_given=True, events=())
    assert without.staging.stager == prepared[0].staging.stager


def test_only_the_events_asked_for_are_looked_for(prepared):
    night = prepare_night(simulate_short_night()[0], prefer_given=True, events=("spindle",))
    assert set(night.events["label"]) == {"spindle"}


def test_without_an_eeg_the_first_lfp_gives_the_depth(rng):
    recording, _ = simulate_night("rat", 0.4, rng=rng, modalities=("lfp",))
    night = prepare_night(recording, prefer_given=True, events=("ripple",))
    assert night.depth_channel == next(iter(recording.of("lfp")))
    assert night.depth_artefacts is None or set(night.depth_artefacts["channel"]) == {night.depth_channel}


def test_nothing_to_stage_is_refused_and_a_chosen_stager_is_not_replaced():
    with pytest.raises(SharpwaveError, match="signals that some stager can use"):
        prepare_night(Recording())
    with pytest.raises(SharpwaveError, match="a recording that rodent can stage"):
        prepare_night(simulate_short_night()[0], DecodeOptions(stager="rodent"))


def test_events_of_an_unknown_unit_say_what_depends_on_microvolts(prepared):
    recording, _ = simulate_short_night()
    signals = {name: replace(signal, scale=signal.scale * 40) for name, signal in recording.of("eeg").items()}
    unknown = replace(recording, signals=signals, metadata={**recording.metadata, "amplitude_unit": "unknown"})
    night = prepare_night(unknown)
    marks = night.events.groupby("label")["microvolts"].first()
    assert len(marks)
    assert marks.get("slow_wave", "assumed: detection, amplitude") == "assumed: detection, amplitude"
    assert night.events["microvolts"].str.startswith("assumed").all()
    assert any("hold for that scale only" in repair for repair in night.recording.repairs)
    assert "microvolts" not in prepared[0].events


@pytest.mark.parametrize(
    ("stager", "rate", "said"),
    [
        ("yasa+brainmu", 50.0, "resampled to 100 Hz, and Brainµ the channel as it is."),
        ("yasa-resampled", 80.0, "C4-M1 is sampled at 80 Hz, and YASA's classifier asks for more than 80 Hz"),
        ("yasa+brainmu", 100.0, ""),
        ("brainmu", 50.0, ""),
    ],
)
def test_a_slow_eeg_is_staged_resampled_and_that_is_said(stager, rate, said):
    signal = Signal("C4-M1", np.zeros(10, dtype=np.float32), rate, MODALITIES["eeg"])
    sentences = describe_low_rate(stager, Recording(signals={"C4-M1": signal}), {"eeg": "C4-M1"})
    assert said in "".join(sentences)
    assert bool(sentences) == bool(said)
