from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality.series_files import tabulate_files, write_tables
from sharpwave.errors import SharpwaveError
from sharpwave.night.courses import holds_course, open_folder
from sharpwave.night.planted import simulate_course
from sharpwave.recordings import Hypnogram
from sharpwave.simulation import simulate_night


def test_a_simulated_truth_gives_its_replays_stages_and_scores(tmp_path):
    _, truth = simulate_night("mouse", 1.0, rng=np.random.default_rng(0), modalities=())
    truth.write(tmp_path / "a.truth")
    assert holds_course(tmp_path / "a.truth")
    night = open_folder(tmp_path / "a.truth", night="a")
    assert night.simulated
    assert len(night.course.reactivations) == len(truth.reactivations) > 0
    assert night.memory == pytest.approx(dict(truth.memory))
    asleep = night.course.stage > 0
    assert (truth.hypnogram.stages[asleep] == night.course.stage[asleep]).all()
    assert asleep.sum() < (truth.hypnogram.stages > 0).sum(), "brief arousals are wake"


def test_a_decoded_folder_gives_coupling_where_waves_were_detected(tmp_path):
    course, _ = simulate_course("mouse", 1.0, rng=np.random.default_rng(0))
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
    assert holds_course(tmp_path)
    course = open_folder(tmp_path, night="a").course
    assert len(course.time) == 900
    assert course.depth[403] == 100.0
    assert not course.usable[800:].any(), "no depth there"
    assert course.names[course.stage[400]] == "N2"


def test_depth_of_one_row_is_refused(tmp_path):
    Hypnogram.from_labels(["N2"] * 3, epoch_length=30.0).write(tmp_path / "hypnogram.tsv")
    (tmp_path / "depth.tsv").write_text("onset\tdepth\n0\t1\n")
    (tmp_path / "reactivations.tsv").write_text("onset\n1\n")
    with pytest.raises(SharpwaveError, match="a course of depth"):
        open_folder(tmp_path, night="a")
