"""The staging benchmark's own decisions: what speaks for a stager, and who is held out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.staging import benchmark as staging
from sharpwave.benchmarks.staging import hearts
from sharpwave.benchmarks.staging.benchmark import collect_validation, run_learned
from sharpwave.benchmarks.staging.cohorts import load_recordings
from sharpwave.errors import SharpwaveError
from sharpwave.staging.weights import FOLDER

KAPPA = ("kappa", 0.5, 0.4, 0.6, 5)


def test_validation_keeps_shipped_stagers_and_names_the_setting() -> None:
    rows = [
        Row("DREAMS", "30 min excerpts", "yasa", *KAPPA),
        Row("DREAMS", "30 min excerpts; trained on UCDDB", "cnn", *KAPPA),
        Row("UCDDB", "wake and slow-wave sleep only", "yasa", *KAPPA),
        Row("Walch", "cross-validated by subject, 3 stages", "lightgbm-wearable", *KAPPA),
        Row("simulated human", "heart rate and activity, wake or sleep", "lightgbm-wearable", *KAPPA),
        Row("simulated human", "heart rate and activity, first two hours cut off", "lightgbm-wearable", *KAPPA),
    ]
    found = collect_validation(rows)
    assert list(found) == ["yasa"]
    assert [row["data"] for row in found["yasa"]] == ["DREAMS (30 min excerpts)"]


def test_a_cohort_that_is_not_there_gives_no_rows() -> None:
    assert run_learned("lightgbm-wearable", [], seeds=1, rng=np.random.default_rng(0)) == []


def test_a_folder_without_any_known_cohort_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="at least one of the cohorts ucddb, dreams, walch, pd-lfp"):
        staging.run(tmp_path, seeds=1)


def test_validation_says_which_signals_it_speaks_for() -> None:
    settings = {"Walch": "wake or sleep", "PD-LFP": "x", "DREAMS": "x", "simulated rat": "LFP and EMG"}
    settings["simulated human"] = "heart rate and activity, wake or sleep"
    rows = [Row(data, setting, "hmm", *KAPPA) for data, setting in settings.items()]
    spoken = collect_validation([*rows, replace(rows[0], high=float("nan"))])["hmm"]
    assert [row["signals"] for row in spoken] == ["wearable", "lfp", "eeg", "lfp", "wearable", "wearable"]
    assert spoken[-1]["high"] is None


def test_new_subjects_meet_the_weights_as_shipped(tmp_path: Path, data_root: Path) -> None:
    card = json.loads((FOLDER / "lightgbm-lfp.json").read_text(encoding="utf-8"))
    known = data_root / "pd-lfp-sleep" / f"summaryLFP_{card['training_subjects'][0]}.mat"
    if not known.is_file():
        pytest.skip("no PD-LFP here")
    folder = tmp_path / "pd-lfp-sleep"
    folder.mkdir()
    (folder / "summaryLFP_New_99.mat").write_bytes(known.read_bytes())
    rows = run_learned("lightgbm-lfp", load_recordings("pd-lfp", tmp_path), seeds=1, rng=np.random.default_rng(0))
    assert {row.setting for row in rows} == {"held-out subjects", "held-out subjects, 3 stages"}
    assert {"lightgbm-lfp", "majority", "gaussian-hmm", "cnn", "lstm"} == {row.method for row in rows}
    (folder / known.name).write_bytes(known.read_bytes())
    (folder / "summaryLFP_New_99.mat").unlink()
    seen = load_recordings("pd-lfp", tmp_path)
    assert run_learned("lightgbm-lfp", seen, seeds=1, rng=np.random.default_rng(0)) == []


def test_every_learned_stager_is_in_the_benchmark() -> None:
    assert {*staging.LEARNED, hearts.NAME} == set(staging.RECIPES)  # beats are in the benchmark "hearts"


def test_simulated_watches_are_staged_better_than_chance_and_whatever_the_start_of_the_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(staging, "WATCHES", (2, 5.0))
    rows = {(row.setting, row.method, row.metric): row for row in staging.run_watches(rng=np.random.default_rng(0))}
    setting = "heart rate and activity"
    assert rows[f"{setting}, wake or sleep", "lightgbm-wearable", "kappa"].value > 0.3
    assert rows[setting, "lightgbm-wearable", "kappa"].value > 0.1
    moved = rows[f"{setting}, first two hours cut off", "lightgbm-wearable", "kappa_cut"]
    assert moved.n == 2
    assert abs(moved.value) < 0.15
