"""Quality before name, references formed, and nothing staged or counted from dead stretches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.night.decode import count_substitutes, decode_recording
from sharpwave.night.electrodes import stage_good_stretches
from sharpwave.night.prepare import list_electrical, prepare_night
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal
from sharpwave.recordings.derivations import is_derived
from sharpwave.signals.electrodes import SHORTEST_SWITCH, choose_electrodes, list_eyes
from sharpwave.signals.high_rates import lower_rates

RATE = 100.0
N_EPOCHS = 20


def make_signal(name: str, samples_uv: np.ndarray, modality: str = "eeg") -> Signal:
    return Signal(name, samples_uv, RATE, MODALITIES[modality], scale=1e-6)


def make_uv(seed: int = 0) -> np.ndarray:
    """Twenty epochs like an EEG: most of its power is slow."""
    rng = np.random.default_rng(seed)
    samples = np.convolve(rng.normal(0, 20, int(N_EPOCHS * 30 * RATE)), np.ones(10) / 4, mode="same")
    return samples + rng.normal(0, 2, samples.size)


def make_recording(**channels: np.ndarray) -> Recording:
    names = {name.replace("_", "-"): samples for name, samples in channels.items()}
    return Recording({name: make_signal(name, samples) for name, samples in names.items()}, species="human")


def spoil(samples: np.ndarray, kind: str, *, epochs: slice) -> np.ndarray:
    """The samples with some epochs flat, floating, humming, clipped, railed or missing."""
    bad = samples.copy()
    part = slice(int(epochs.start * 30 * RATE), int(epochs.stop * 30 * RATE))
    times = np.arange(part.stop - part.start) / RATE
    noise = np.random.default_rng(9).normal(0, 1, times.size)
    bad[part] = {
        "flat": 0 * times + 7,
        "floating": 0.5 * noise,
        "hum": 80 * np.sin(2 * np.pi * 50.1 * times + 0.3) + noise,
        "hum of 60 Hz": 300 * np.sin(2 * np.pi * 60 * times) + 4 * noise,
        "clipped": np.clip(2000 * np.sin(2 * np.pi * 0.7 * times), -150, 150),
        "railed": 0 * times + 3276.7,
        "missing": np.nan * times,
    }[kind]
    return bad


KINDS = ("flat", "floating", "hum", "hum of 60 Hz", "clipped", "railed", "missing")


@pytest.mark.parametrize("kind", KINDS)
def test_a_channel_that_is_bad_all_night_gives_way_to_a_good_one(kind):
    night = make_recording(C4_M1=spoil(make_uv(), kind, epochs=slice(0, N_EPOCHS)), C3_M2=make_uv(1))
    choice = choose_electrodes(night)
    assert choice.picks == {"eeg": "C3-M2"}
    assert any("C4-M1" in repair and "C3-M2" in repair for repair in choice.recording.repairs)


def test_a_good_channel_is_taken_by_its_name_and_left_as_it_is():
    night = make_recording(C3_M2=make_uv(1), C4_M1=make_uv())
    choice = choose_electrodes(night)
    assert choice.picks == {"eeg": "C4-M1"}
    assert not choice.others
    assert choice.recording.repairs == ()
    asked = []
    stage_good_stretches(
        choice, lambda recording, picks: asked.append((recording, picks)) or make_stages(recording, picks)
    )
    ((recording, picks),) = asked
    assert picks == {"eeg": "C4-M1"}
    assert recording["C4-M1"] is night["C4-M1"]


def make_stages(recording: Recording, picks) -> Hypnogram:
    """A stand-in for a stager: 1 where the EEG given is C4's, 2 where it is another's; unscored where it misses."""
    rows = recording[picks["eeg"]].read().reshape(-1, int(30 * RATE))
    code = 1 if picks["eeg"].startswith("C4") else 2
    missing = np.isnan(rows).mean(axis=1) > 0.5
    return Hypnogram(np.where(missing, -1, code).astype(np.int8), probabilities=None)


@pytest.mark.parametrize("kind", KINDS)
def test_long_bad_stretches_come_from_another_channel_and_say_so(kind):
    bad = slice(14, N_EPOCHS)
    night = make_recording(C4_M1=spoil(make_uv(), kind, epochs=bad), C3_M2=make_uv(1), Fz=make_uv(2))
    choice = choose_electrodes(night, channels=("C4-M1", "C3-M2"))
    first = replace(choice, picks={"eeg": "C4-M1"}, others=["C3-M2"])
    first = replace(first, electrodes={**choice.electrodes, **choose_electrodes(night, channels=("C4-M1",)).electrodes})
    hypnogram, sources, repairs = stage_good_stretches(first, make_stages)
    assert hypnogram.stages.tolist() == [1] * 14 + [2] * 6
    assert sources.tolist() == ["C4-M1"] * 14 + ["C3-M2"] * 6
    assert any("C3-M2" in repair and "3 min" in repair for repair in repairs)


def test_without_another_channel_bad_stretches_are_unscored_and_say_so():
    bad = slice(10, N_EPOCHS)
    choice = choose_electrodes(make_recording(C4_M1=spoil(make_uv(), "floating", epochs=bad)))
    hypnogram, sources, repairs = stage_good_stretches(choice, make_stages)
    assert hypnogram.stages.tolist() == [1] * 10 + [-1] * 10
    assert sources.tolist()[10:] == [""] * 10
    assert any("floating" in repair and "5 min" in repair and "unscored" in repair for repair in repairs)


def test_a_short_bad_stretch_is_left_unscored_rather_than_switched():
    short = slice(5, 5 + SHORTEST_SWITCH - 1)
    night = make_recording(C4_M1=spoil(make_uv(), "flat", epochs=short), C3_M2=make_uv(1))
    night = replace(night, metadata={})
    hypnogram, _, _ = stage_good_stretches(choose_electrodes(night, channels=("C4-M1",)), make_stages)
    assert (hypnogram.stages[short] == -1).all()
    assert (np.delete(hypnogram.stages, np.arange(5, 8)) == 1).all()


def test_a_night_of_nothing_is_unscored():
    choice = choose_electrodes(make_recording(C4_M1=np.zeros(60_000), C3_M2=np.zeros(60_000)))
    hypnogram, _, repairs = stage_good_stretches(choice, make_stages)
    assert not hypnogram.scored.any()
    assert "unscored" in repairs[-1]


def test_dead_eyes_and_chin_are_left_out_where_they_are_dead():
    night = make_recording(C4_M1=make_uv())
    chin = make_signal("EMG chin", spoil(make_uv(3), "flat", epochs=slice(0, 5)), "emg")
    eyes = make_signal("E1-M2", np.zeros(60_000), "eog")
    night = replace(night, signals={**night.signals, "EMG chin": chin, "E1-M2": eyes})
    choice = choose_electrodes(night)
    assert set(choice.picks) == {"eeg", "emg"}
    assert any("without EOG" in repair for repair in choice.recording.repairs)
    given = []
    hypnogram, _, repairs = stage_good_stretches(
        choice, lambda recording, picks: given.append(set(picks)) or make_stages(recording, picks)
    )
    assert given == [{"eeg"}, {"eeg", "emg"}]
    assert hypnogram.scored.all()
    assert any("2.5 min staged without it" in repair for repair in repairs)


def test_a_reference_kept_apart_is_taken_off_and_declared():
    common = 200 * np.random.default_rng(5).normal(size=60_000)
    brain = make_uv()
    night = make_recording(C4=brain + common, M1=common, M2=common)
    choice = choose_electrodes(night)
    assert choice.picks == {"eeg": "C4-M1"}
    np.testing.assert_allclose(choice.recording["C4-M1"].read(3.0, 5.0), 1e-6 * brain[300:500], atol=1e-9)
    assert is_derived(choice.recording["C4-M1"])
    assert any("C4 minus M1" in repair for repair in choice.recording.repairs)
    assert "C4-M2" not in choice.recording.signals


def test_a_dead_reference_or_electrode_is_not_hidden_by_the_difference():
    choice = choose_electrodes(make_recording(C4=make_uv(), M1=np.zeros(60_000), M2=make_uv(1) / 9))
    assert choice.picks == {"eeg": "C4-M2"}
    choice = choose_electrodes(make_recording(C4=np.zeros(60_000), C3=make_uv(), M1=make_uv(2) / 9, M2=make_uv(1) / 9))
    assert choice.picks == {"eeg": "C3-M2"}


def test_a_channel_that_stays_unreferenced_says_so():
    assert (
        "not say what it is measured against" in choose_electrodes(make_recording(C4=make_uv())).recording.repairs[-1]
    )


def test_a_derivation_is_formed_on_request_or_refused_with_the_reason():
    night = make_recording(Fz=make_uv(), O1=make_uv(1), C4_M1=make_uv(2))
    assert choose_electrodes(night, channels=("Fz-O1",)).picks == {"eeg": "Fz-O1"}
    with pytest.raises(SharpwaveError, match="only Fz"):
        choose_electrodes(night, channels=("Fz-M1",))
    with pytest.raises(SharpwaveError, match="one of the signals"):
        choose_electrodes(night, channels=("P3-M1",))


def test_the_first_channel_asked_for_is_the_best():
    night = make_recording(Fz=make_uv(), O1=make_uv(1), C4_M1=make_uv(2))
    assert choose_electrodes(night, channels=("O1", "Fz")).picks == {"eeg": "O1"}


def test_eyes_are_referenced_as_well_and_searched_in_that_form():
    common = 100 * np.random.default_rng(5).normal(size=60_000)
    signals = {name: make_signal(name, make_uv(k) + common, "eog") for k, name in enumerate(("E1", "E2"))}
    night = Recording({**signals, "M1": make_signal("M1", common), "M2": make_signal("M2", common + make_uv(4) / 9)})
    choice = choose_electrodes(night)
    assert choice.picks == {"eog": "E1-M2"}
    assert [eye.name for eye in list_eyes(choice.recording)] == ["E1-M2", "E2-M2"]
    assert list_electrical(choice.recording, choice.picks) == ["E1-M2", "E2-M2"]


def test_fast_signals_are_lowered_and_declared():
    fast = Signal("C4-M1", np.zeros(30_000), 30_000.0, MODALITIES["eeg"])
    lowered = lower_rates(Recording({"C4-M1": fast}))
    assert lowered["C4-M1"].rate == 1000
    assert "used at 1000 Hz" in lowered.repairs[-1]
    slow = make_recording(C4_M1=make_uv())
    assert lower_rates(slow) is slow


def test_any_electrode_is_taken_with_its_mastoid_rather_than_without():
    common = 100 * np.random.default_rng(5).normal(size=60_000)
    assert choose_electrodes(make_recording(Fz=make_uv() + common, M1=common)).picks == {"eeg": "Fz-M1"}
    assert choose_electrodes(make_recording(C4_REF=make_uv() + common, A1_REF=common)).picks == {"eeg": "C4-A1"}


def test_channels_that_stage_a_night_together_are_as_usable_as_their_parts():
    first = spoil(make_uv(), "flat", epochs=slice(10, N_EPOCHS))
    second = spoil(make_uv(1), "floating", epochs=slice(0, 10))
    prepared = prepare_night(make_recording(C4_M1=first, C3_M2=second), events=())
    assert prepared.staging.channels == ["C4-M1", "C3-M2"]
    assert prepared.hypnogram.scored.all()
    quality = pd.DataFrame({"channel": ["C4-M1", "C3-M2", "E1"], "usable_fraction": [0.5, 0.5, 0.3]})
    assert count_substitutes(quality, prepared)["usable_fraction"].tolist() == [1.0, 1.0, 0.3]


def test_a_night_of_nothing_is_decoded_into_a_page_without_numbers():
    night = decode_recording(make_recording(C4_M1=np.zeros(60_000)))
    assert night.verdict == "not usable"
    assert night.statistics["value"].isna().all()
    assert any("unscored" in repair for repair in night.repairs)


@pytest.mark.parametrize("kind", ["flat", "hum", "clipped", "missing"])
def test_lfp_gives_way_to_better_lfp_and_stands_in_for_a_night_without_usable_eeg(kind):
    bad, good = spoil(make_uv(), kind, epochs=slice(0, N_EPOCHS)), 5 * make_uv(1)
    implanted = {"HIP1": make_signal("HIP1", bad, "lfp"), "HIP2": make_signal("HIP2", good, "lfp")}
    choice = choose_electrodes(Recording(implanted))
    assert choice.picks == {"lfp": "HIP2"}
    assert any("HIP1" in repair and "HIP2 was taken as the LFP" in repair for repair in choice.recording.repairs)
    assert choose_electrodes(Recording(implanted), channels=("HIP1",)).picks == {"eeg": "HIP1"}  # the user's word
    eeg = {"C4-M1": make_signal("C4-M1", bad), **implanted}
    assert choose_electrodes(Recording(eeg)).picks == {"lfp": "HIP2"}
    eeg["C4-M1"] = make_signal("C4-M1", make_uv())
    assert choose_electrodes(Recording(eeg)).picks == {"eeg": "C4-M1"}


def test_a_quiet_depth_electrode_is_not_called_floating_or_hum():
    quiet = make_uv() / 20 + 20 * np.sin(2 * np.pi * 50 * np.arange(int(N_EPOCHS * 30 * RATE)) / 160)
    choice = choose_electrodes(Recording({"STN": make_signal("STN", quiet, "lfp")}))
    assert choice.electrodes["STN"].usable_share == 1
