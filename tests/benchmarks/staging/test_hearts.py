"""Staging from heart beats: planted stages are found, gains are paired by person, nobody is learned from and tested."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.benchmarks.staging import hearts
from sharpwave.benchmarks.staging.baselines import StagedFeatures
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.heart_beats import find_rate_beats


def draw(subject: str, seed: int) -> StagedFeatures:
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.choice([0, 2, 4], 30), 10)
    values = np.stack([stages, -stages], axis=1) + rng.normal(0, 0.5, (300, 2))
    return StagedFeatures(subject, pd.DataFrame(values, columns=["a", "b"]), 2, stages)


def test_planted_stages_are_found_and_gains_are_paired(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hearts, "UPDATES", 1)
    folds = [([draw("x", seed) for seed in range(4)], [draw(str(seed), seed) for seed in range(9, 12)])]
    rows = {(row.method, row.metric): row for row in hearts.cross_validate_hearts(folds, seeds=1, rng=rng)}
    assert rows["majority", "kappa"].value == 0
    assert min(rows[name, "kappa"].value for name in ("lightgbm", "gaussian-hmm", hearts.NAME)) > 0.4
    gain = rows[hearts.NAME, "kappa_gain_over_lightgbm"]
    ours, theirs = rows[hearts.NAME, "kappa"], rows["lightgbm", "kappa"]
    np.testing.assert_allclose(np.array(ours.values) - np.array(theirs.values), gain.values)
    said = hearts.collect_validation(list(rows.values()))
    assert {row["metric"]: row["value"] for row in said} == pytest.approx(
        {metric: rows[hearts.NAME, f"{metric}_wake_or_sleep"].value for metric in ("kappa", "accuracy")}, abs=1e-4
    )
    assert all("apnoea" in row["data"] for row in said)


def test_scores_leave_out_what_is_not_known_and_count_wake_against_sleep() -> None:
    truth, found = np.array([0, 0, 1, 2, -1, 1]), np.eye(3)[[0, 0, 2, 1, 0, 0]]
    known = np.array([True] * 5 + [False])
    scores = hearts.score_probabilities(truth, found, known)
    assert scores["accuracy"] == 0.5
    assert scores["kappa_wake_or_sleep"] == 1
    assert scores["f1_W"] == 1
    assert scores["f1_R"] == 0


def test_a_rate_a_second_is_summed_to_as_many_beats() -> None:
    values = 60 + 5 * np.sin(np.arange(3600) / 200)
    night = Recording({"heart_rate": Signal("heart_rate", values, 1.0, MODALITIES["heart_rate"])}, species="human")
    beats = find_rate_beats(hearts.sum_to_beats(night)["heart_rate"])
    assert beats is not None
    assert len(beats) == pytest.approx(values.sum() / 60, abs=2)


def test_without_slpdb_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="slpdb-beats"):
        hearts.run(tmp_path, seeds=1)
