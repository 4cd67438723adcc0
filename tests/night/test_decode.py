from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from tests.brainmu_weights import write_small_weights
from tests.electrophysiology_files import write_timed_edf
from tests.nights import simulate_short_night

from sharpwave.brainmu import shipped as decoding
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.night.decode import decode_recording
from sharpwave.night.options import DecodeOptions, find_lights, open_source, read_cues
from sharpwave.night.scores import add_expert
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal
from sharpwave.recordings.datasets import list_subjects


@pytest.fixture(scope="module")
def decoded():
    recording, truth = simulate_short_night()
    steps = []
    night = decode_recording(recording, truth=truth, progress=lambda *step: steps.append(step))
    return night, steps


def test_a_night_is_decoded_with_everything_the_page_needs(decoded):
    night, steps = decoded
    recording, _ = simulate_short_night()
    assert len(night.hypnogram) == 180
    assert night.hypnogram.probabilities is not None
    assert night.simulated
    assert night.expert == recording.hypnogram
    assert len(night.statistics) > 10
    assert {"spindle", "slow_wave"} <= set(night.events["label"])
    assert (night.events["onset"] + night.events["duration"] <= night.duration).all()
    assert np.nanmin(night.forecast["p_change"]) >= 0
    assert np.nanmax(night.forecast["p_change"]) <= 1
    assert night.spectrogram.power_db.shape[1] == 180
    assert [step for step, _, _ in steps][-1] == "done"


def test_the_stages_agree_with_what_was_simulated_far_above_chance(decoded):
    night, _ = decoded
    kappa = night.agreement.set_index("metric").loc["kappa"]
    assert kappa["low"] > 0.2


def test_planted_slow_waves_and_spindles_are_found(decoded):
    night, _ = decoded
    assert night.truth["spindle"]["precision"] > 0.3
    assert night.truth["slow_wave"]["recall"] > 0.2


def test_the_same_seed_gives_the_same_night(decoded):
    night, _ = decoded
    again = decode_recording(simulate_short_night()[0])
    pd.testing.assert_frame_equal(night.statistics, again.statistics)
    assert night.hypnogram == again.hypnogram


def test_noise_is_not_called_usable_sleep():
    noise = np.random.default_rng(0).normal(0, 1e-5, 128 * 300).astype(np.float32)
    night = decode_recording(Recording({"C4-M1": Signal("C4-M1", noise, 128.0, MODALITIES["eeg"])}))
    assert night.verdict == "not usable"
    assert "minutes" in night.reasons[0]


def test_nothing_to_decode_says_what_is_needed():
    with pytest.raises(SharpwaveError, match="signals that some stager can use"):
        decode_recording(Recording())
    short = Recording({"activity": Signal("activity", np.ones(4), 1 / 30, MODALITIES["activity"])})
    with pytest.raises(SharpwaveError, match="got 2 min of activity"):
        decode_recording(short)
    with pytest.raises(SharpwaveError, match="neither a file here nor one of"):
        open_source("no/such/night.edf")


def at(hour: int, minute: int = 0) -> Recording:
    return Recording(start=datetime(2026, 1, 31, hour, minute))


@pytest.mark.parametrize(
    ("start", "clock", "seconds"),
    [((22, 0), "23:10", 4200), ((23, 50), "00:10", 1200), ((0, 30), "23:50", -2400), ((22, 0), "300", 300)],
)
def test_clock_times_are_placed_around_midnight(start, clock, seconds):
    assert find_lights(at(*start), DecodeOptions(lights_off=clock))[0] == seconds


def test_times_that_cannot_be_are_refused():
    with pytest.raises(SharpwaveError, match="does not say when it began"):
        find_lights(Recording(), DecodeOptions(lights_off="23:10"))
    with pytest.raises(SharpwaveError, match="a clock time like 23:10"):
        find_lights(at(22), DecodeOptions(lights_off="bedtime"))
    with pytest.raises(SharpwaveError, match="lights on after lights off"):
        find_lights(at(22), DecodeOptions(lights_off="600", lights_on="60"))


def test_cues_become_events(tmp_path):
    path = tmp_path / "cues.tsv"
    path.write_text("onset\tduration\tlabel\n10\t1\tviolin\n")
    assert read_cues(path)["label"].tolist() == ["cue: violin"]
    path.write_text("time\tlabel\n10\tviolin\n")
    with pytest.raises(SharpwaveError, match="columns onset and duration"):
        read_cues(path)


def test_a_real_night_beside_its_expert(data_root):
    night = decode_recording(open_source("ucddb/022"))
    assert night.stager == "yasa+brainmu"
    assert "mean of the stage probabilities of YASA" in night.provenance.methods
    kappa = night.agreement.set_index("metric").loc["kappa", "value"]
    assert kappa > 0.7
    assert "unit is unknown" in night.repairs[-1]


def test_a_50_hz_night_is_staged_from_a_resampled_channel_and_says_so(data_root):
    folder = data_root / "dreams-spindles"
    night = decode_recording(
        open_source(folder / "excerpt3.edf"), options=DecodeOptions(stages=folder / "Hypnogram_excerpt3.txt")
    )
    assert night.stager == "yasa+brainmu"
    assert "resampled to 100 Hz" in night.hypnogram.scorer
    assert any("asks for more than 80 Hz: it staged the channel resampled" in repair for repair in night.repairs)
    assert night.verdict == "usable with care"
    assert not any("In this very recording" in reason for reason in night.reasons)  # the expert changes no verdict
    assert any("In this very recording" in line for line in night.trust)
    assert len(night.agreement)


def test_a_recording_that_nobody_can_stage_keeps_the_stages_it_came_with():
    hypnogram = simulate_short_night()[0].hypnogram
    night = decode_recording(Recording(hypnogram=hypnogram))
    assert night.stager == "given with the recording"
    assert night.hypnogram == hypnogram
    assert night.expert is None
    assert "came with the recording" in night.reasons[0]


def test_a_night_that_the_weights_have_seen_proves_nothing(data_root):
    night = decode_recording(open_source("pd-lfp/" + list_subjects("pd-lfp")[0]))
    assert "trained on this very person" in night.trust[2]
    assert "proves nothing" in night.forecast_evaluation.note


def test_own_weights_stage_and_forecast_and_the_page_says_so(tmp_path):
    weights = write_small_weights(tmp_path / "mine")
    recording, _ = simulate_short_night()
    night = decode_recording(recording, options=DecodeOptions(stager="brainmu", weights=weights))
    assert night.stager == "brainmu"
    assert night.hypnogram.scorer == "Brainµ of mine"
    assert night.forecast_evaluation.note.startswith("By Brainµ of mine on stage history and signals.")
    assert "is not known" in night.trust[2]


def test_without_shipped_weights_the_page_says_who_forecast(monkeypatch, tmp_path):
    monkeypatch.setattr(decoding, "SHIPPED", tmp_path)
    hypnogram = simulate_short_night()[0].hypnogram
    night = decode_recording(Recording(hypnogram=hypnogram))
    assert night.forecast_evaluation.note.startswith("By LightGBM")
    assert any("The forecast is not Brainµ's" in refusal for refusal in night.refusals)


def test_a_stager_that_cannot_is_an_error_where_the_user_chose_it():
    with pytest.raises(SharpwaveError, match="a recording that rodent can stage"):
        decode_recording(simulate_short_night()[0], options=DecodeOptions(stager="rodent"))
    with pytest.raises(SharpwaveError, match="a stager among yasa"):
        decode_recording(simulate_short_night()[0], options=DecodeOptions(stager="oracle"))


def test_given_reactivations_fill_their_section_and_leave_files_for_many_nights(tmp_path):
    recording, truth = simulate_short_night()
    table = tmp_path / "reactivations.tsv"
    truth.reactivations[["onset", "content"]].to_csv(table, sep="\t", index=False)
    night = decode_recording(recording, options=DecodeOptions(reactivations=table))
    assert (night.events["label"] == "reactivation").sum() == len(truth.reactivations)
    assert "as given; not tested against shuffles here" in night.effects.note
    assert "One night holds few events" in night.effects.note
    assert set(night.effects.reactivations["content"]) == {"aversive", "neutral", "rewarding", "any"}
    assert set(night.effects.rules["claim"]) == {"observational: causal in the statistical sense"}
    assert {"course.parquet", "reactivations.tsv"} <= set(night.effects.files)


def test_without_spikes_the_section_says_what_it_needs(decoded):
    night, _ = decoded
    assert night.effects.note.startswith("Not computed: this needs spikes and a track")
    assert not len(night.effects.rules)


@pytest.mark.parametrize(
    ("options", "age", "banded"), [({}, 43, True), ({"age": 12}, 12, False), ({"age": 60}, 60, True)]
)
def test_the_age_of_the_header_gives_the_bands_and_the_flag_beats_it(options, age, banded):
    stages = Hypnogram.from_labels(["W"] * 5 + ["N2"] * 20)
    recording = Recording(hypnogram=stages, species="human", metadata={"age": 43})
    night = decode_recording(recording, options=DecodeOptions(night=1, **options))
    assert night.statistics["age_band"].ne("").any() == banded
    assert f"The age, {age}" in str(night.trust)


@pytest.mark.parametrize("age", [-62, 131, "999"])
def test_an_impossible_age_is_on_no_page(age):
    stages = Hypnogram.from_labels(["W"] * 5 + ["N2"] * 20)
    night = decode_recording(Recording(hypnogram=stages, metadata={"age": age}), options=DecodeOptions(night=1))
    assert str(age) not in str(night.trust) + str(night.reasons)
    assert any(f"an age of {age} years" in repair for repair in night.repairs)
    assert not night.statistics["age_band"].ne("").any()


def test_a_gap_is_unscored_and_no_statistics_count_it(tmp_path):
    eeg = simulate_short_night()[0]["C4-M1"]
    samples = np.clip(1e6 * eeg.read()[: int(1200 * eeg.rate)], -450, 450).reshape(1200, -1)
    onsets = np.arange(1200.0)
    onsets[600:] += 607.25
    settings = {"records": samples, "rate": samples.shape[1]}
    gapped = decode_recording(open_source(write_timed_edf(tmp_path / "a.edf", onsets, **settings)))
    codes = gapped.hypnogram.stages
    assert len(codes) == 60
    assert (codes[20:40] < 0).all()
    assert (codes >= 0).sum() >= 38
    minutes = gapped.statistics.set_index("name")["value"]
    assert minutes["total_sleep_time"] + minutes["W"] == 0.5 * (codes >= 0).sum()
    outside = (gapped.events["onset"] + gapped.events["duration"] <= 600) | (gapped.events["onset"] >= 1207)
    assert outside.all()
    assert any("1 gap of 607.25 s" in repair for repair in gapped.repairs)


def test_the_experts_statistics_stand_beside_ours():
    ours = compute_sleep_statistics(Hypnogram.from_labels(["W", "R", "N2", "N2", "R"]), rng=np.random.default_rng(0))
    expert = Hypnogram.from_labels(["W", "N2", "N2", "N2", "R"])
    table = add_expert(ours, expert, lights_off=0.0, lights_on=None).set_index("name")
    assert list(table.loc["rem_latency_first_epoch", ["value", "expert"]]) == [0.0, 1.5]
    assert add_expert(ours, None, lights_off=0.0, lights_on=None) is ours
