from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality.design import compute_covariates
from sharpwave.causality.outcomes import compute_depth_after, compute_depth_before
from sharpwave.causality.series_files import tabulate_files, write_tables
from sharpwave.errors import SharpwaveError
from sharpwave.night.effects import FEWEST, estimate_night_effects, holds_series, join_candidates, open_folder
from sharpwave.night.planted import simulate_night_series
from sharpwave.night.prepare import prepare_night
from sharpwave.night.reactivations import take_given
from sharpwave.recordings import Hypnogram
from sharpwave.simulation import Effects, simulate_night


def test_a_simulated_truth_gives_its_replays_stages_and_scores(tmp_path):
    _, truth = simulate_night("mouse", 1.0, rng=np.random.default_rng(0), modalities=())
    truth.write(tmp_path / "a.truth")
    assert holds_series(tmp_path / "a.truth")
    night = open_folder(tmp_path / "a.truth", night="a")
    assert night.simulated
    assert len(night.series.reactivations) == len(truth.reactivations) > 0
    assert night.memory == pytest.approx(dict(truth.memory))
    asleep = night.series.stage > 0
    assert (truth.hypnogram.stages[asleep] == night.series.stage[asleep]).all()
    assert asleep.sum() < (truth.hypnogram.stages > 0).sum(), "brief arousals are wake"


def test_a_decoded_folder_gives_coupling_where_waves_were_detected(tmp_path):
    course, _ = simulate_night_series("mouse", 1.0, rng=np.random.default_rng(0))
    folder = write_tables(tabulate_files(course), tmp_path / "night")
    onset = course.reactivations["onset"].to_numpy() - 0.8
    waves = pd.DataFrame(
        {
            "onset": onset,
            "duration": 1.2,
            "label": "slow_wave",
            "negative_peak": onset + 0.3,
            "mid_crossing": onset + 0.5,
            "positive_peak": onset + 0.8,
        }
    )
    waves.to_csv(folder / "events.tsv", sep="\t", index=False)
    (folder / "summary.json").write_text(json.dumps({"simulated": True}))
    night = open_folder(folder, night="night")
    assert night.simulated
    assert night.coupling.in_slow_wave > 0.9
    assert abs(night.coupling.phase) < 0.1


def test_a_laboratorys_tables_are_enough(tmp_path):
    Hypnogram.from_labels(["W"] * 10 + ["N2"] * 20, epoch_length=30.0).write(tmp_path / "hypnogram.tsv")
    pd.DataFrame({"onset": 4.0 * np.arange(200), "depth": np.arange(200.0)}).to_csv(
        tmp_path / "depth.tsv", sep="\t", index=False
    )
    (tmp_path / "reactivations.tsv").write_text("onset\tcontent\n400.5\taversive\n")
    assert holds_series(tmp_path)
    series = open_folder(tmp_path, night="a").series
    assert len(series.time) == 900
    assert series.depth[403] == 100.0
    assert not series.usable[800:].any(), "no depth there"
    assert series.names[series.stage[400]] == "N2"


def write_own_tables(folder, *, epoch=4.0):
    Hypnogram.from_labels(["W"] * 10 + ["N2"] * 7 + ["N3"] * 8 + ["W"] + ["N2"] * 4, epoch_length=30.0).write(
        folder / "hypnogram.tsv"
    )
    rng = np.random.default_rng(0)
    depth = pd.DataFrame({"onset": np.arange(0, 900, epoch)})
    depth.assign(depth=rng.normal(size=len(depth))).to_csv(folder / "depth.tsv", sep="\t", index=False)
    (folder / "reactivations.tsv").write_text("onset\tcontent\n400.5\taversive\n")


def test_candidates_and_cues_of_a_laboratory_are_read(tmp_path):
    write_own_tables(tmp_path)
    (tmp_path / "candidates.tsv").write_text("onset\n350\n400.6\n410\n")
    (tmp_path / "cues.tsv").write_text("onset\tcondition\n500\tCue\n560\tsham\n")
    series = open_folder(tmp_path, night="a").series
    assert series.candidates.tolist() == [350.0, 400.5, 410.0], "the reactivation is one of them"
    assert list(series.cues["condition"]) == ["cue", "sham"]
    assert list(series.cues["content"]) == ["unknown", "unknown"]
    (tmp_path / "cues.tsv").write_text("onset\tcondition\n500\tloud\n")
    with pytest.raises(SharpwaveError, match="condition is cue or sham"):
        open_folder(tmp_path, night="a")


def test_epochs_of_30_s_keep_what_follows_an_event_out_of_what_was_known_before_it(tmp_path):
    write_own_tables(tmp_path, epoch=30.0)
    series = open_folder(tmp_path, night="a").series
    assert (series.depth_window, series.stage_epoch) == (30, 30)
    second = np.array([615])
    later = replace(series, depth=np.where(series.time >= 600, 99.0, series.depth))
    for outcome in (compute_depth_before, lambda s, t, horizon: compute_covariates(s, horizon=horizon).depth[t]):
        assert outcome(later, second, horizon=30) == outcome(series, second, horizon=30)
    assert compute_depth_after(series, second, horizon=30) == pytest.approx(series.depth[645:675].mean())


def test_depth_of_one_row_is_refused(tmp_path):
    Hypnogram.from_labels(["N2"] * 3, epoch_length=30.0).write(tmp_path / "hypnogram.tsv")
    (tmp_path / "depth.tsv").write_text("onset\tdepth\n0\t1\n")
    (tmp_path / "reactivations.tsv").write_text("onset\n1\n")
    with pytest.raises(SharpwaveError, match="a time series of depth"):
        open_folder(tmp_path, night="a")


@pytest.fixture(scope="module")
def night():
    return simulate_night(
        "rat",
        0.8,
        rng=np.random.default_rng(1),
        modalities=("eeg", "spikes", "position"),
        effects=Effects.planted(depth=6.0),
    )


def test_a_planted_step_in_depth_shows_in_one_night_which_says_it_is_one(night, rng):
    recording, truth = night
    given = take_given(truth.reactivations[["onset", "content"]], recording.hypnogram)
    effects = estimate_night_effects(prepare_night(recording, prefer_given=True, events=()), given, rng=rng)
    table = effects.reactivations.set_index("content")
    assert table.loc["aversive", "effect"] < table.loc["rewarding", "effect"]
    assert "One night holds few events" in effects.note
    assert "Hidden causes" not in effects.note, "no candidates are known"
    assert set(effects.rules["verdict"]) == {"too few nights"}, "one night makes no rule"
    assert set(effects.files) == {"course.parquet", "reactivations.tsv"}
    assert set(effects.peri_event["content"]) >= {"aversive", "any"}


def test_a_night_with_its_candidates_says_what_its_control_would_see(night, rng):
    recording, truth = night
    given = take_given(truth.reactivations[["onset", "content"]], recording.hypnogram)
    prepared = prepare_night(recording, prefer_given=True, events=())
    ripples = truth.ripples[["onset"]].assign(duration=0.05, label="ripple", channel="")
    known = replace(prepared, events=ripples.sort_values("onset", ignore_index=True))
    effects = estimate_night_effects(known, given, rng=rng)
    assert "Hidden causes" in effects.note
    assert "where slow" in effects.note
    assert "would have been seen in 8 of 10" in " ".join(effects.rules["rule"])


def test_too_few_events_are_counted_and_not_estimated(night, rng):
    recording, truth = night
    given = take_given(truth.reactivations[["onset", "content"]].head(FEWEST - 1), recording.hypnogram)
    effects = estimate_night_effects(prepare_night(recording, prefer_given=True, events=()), given, rng=rng)
    assert "too few to estimate" in effects.note
    assert not len(effects.rules)
    assert effects.files, "they still count beside those of other nights"


def test_a_ripple_and_the_reactivation_it_carries_are_one_candidate():
    reactivations = pd.DataFrame({"onset": [10.0, 20.0]})
    ripples = pd.DataFrame({"onset": [9.98, 15.0, 20.2, 30.0]})
    assert join_candidates(reactivations, ripples).tolist() == [10.0, 15.0, 20.0, 30.0]
    assert join_candidates(reactivations, ripples.head(0)) is None
