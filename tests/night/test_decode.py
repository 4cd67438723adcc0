from __future__ import annotations

from datetime import datetime

import numpy as np
import pandas as pd
import pytest
from tests.brainmu_weights import write_small_weights
from tests.nights import simulate_short_night

from sharpwave.brainmu import shipped as decoding
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.sleep_statistics import compute_sleep_statistics
from sharpwave.night.decode import add_expert, decode_recording
from sharpwave.night.options import DecodeOptions, find_lights, open_source, read_cues
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
    assert night.stager == "yasa"
    kappa = night.agreement.set_index("metric").loc["kappa", "value"]
    assert kappa > 0.7
    assert "unit is unknown" in night.repairs[-1]


def test_a_50_hz_night_goes_to_another_stager_and_says_so(data_root):
    folder = data_root / "dreams-spindles"
    night = decode_recording(
        open_source(folder / "excerpt3.edf"), options=DecodeOptions(stages=folder / "Hypnogram_excerpt3.txt")
    )
    assert night.stager != "yasa"
    assert any("50 Hz" in refusal for refusal in night.refusals)
    assert night.verdict == "usable with care"
    assert "In this very recording" in night.reasons[0]
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


def test_the_experts_statistics_stand_beside_ours():
    ours = compute_sleep_statistics(Hypnogram.from_labels(["W", "R", "N2", "N2", "R"]), rng=np.random.default_rng(0))
    expert = Hypnogram.from_labels(["W", "N2", "N2", "N2", "R"])
    table = add_expert(ours, expert, lights_off=0.0, lights_on=None).set_index("name")
    assert list(table.loc["rem_latency", ["value", "expert"]]) == [0.0, 1.5]
    assert add_expert(ours, None, lights_off=0.0, lights_on=None) is ours
