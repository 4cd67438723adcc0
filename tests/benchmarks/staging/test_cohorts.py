"""What the staging benchmark is fed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.staging.cohorts import (
    is_whole,
    leave_out,
    load_recordings,
    simulate_recordings,
    split_folds,
    take_down,
    to_features,
)
from sharpwave.recordings.datasets import load_dataset


def test_every_night_is_tested_once_and_never_trained_on_itself() -> None:
    folds = split_folds(11, n_folds=4, rng=np.random.default_rng(0))
    assert sorted(np.concatenate(folds).tolist()) == list(range(11))
    assert len(split_folds(3, n_folds=5, rng=np.random.default_rng(0))) == 3


def test_cohorts_that_are_not_there_are_empty(tmp_path: Path) -> None:
    assert load_recordings("walch", tmp_path) == []


def test_only_nearly_whole_nights_count_as_whole(data_root: Path) -> None:
    assert is_whole(load_dataset("ucddb/022", data_root))
    assert not is_whole(load_dataset("ucddb/005", data_root))


def test_excerpts_whose_hypnogram_contradicts_the_eeg_are_left_out(tmp_path: Path) -> None:
    folder = tmp_path / "dreams-spindles"
    folder.mkdir()
    for subject in ("excerpt1", "excerpt7"):
        for name in (f"{subject}.txt", f"Hypnogram_{subject}.txt"):
            lines = 3000 if name.startswith("e") else 6
            (folder / name).write_text("[x]\n" + "\n".join(["5"] * lines) + "\n")
    assert [recording.subject for recording in load_recordings("dreams", tmp_path)] == ["excerpt1"]


def test_simulated_nights_become_features_with_their_stages() -> None:
    recording = simulate_recordings("human", n=1, hours=0.5)[0]
    night = to_features(recording)
    assert len(night.table) == len(night.stages) == 60
    assert recording.hypnogram is not None
    assert np.array_equal(night.stages, recording.hypnogram.stages)
    low = take_down(recording)
    assert [signal.rate for signal in low.signals.values()] == [50.0]


def test_a_subject_is_never_in_its_own_training_even_with_two_nights() -> None:
    night = to_features(simulate_recordings("human", n=1, hours=0.2)[0])
    tested = [(replace(night, subject=name), None) for name in ("a", "a", "b", "c")]
    other = replace(night, subject="o")
    folds = leave_out(tested, [other], n_folds=5, seed=0)  # type: ignore[arg-type]
    assert len(folds) == 3
    assert sorted(pair[0].subject for _, pairs in folds for pair in pairs) == ["a", "a", "b", "c"]
    for training, pairs in folds:
        assert other in training
        assert not {n.subject for n in training} & {n.subject for n, _ in pairs}
    assert leave_out(tested[:1], [], n_folds=5, seed=0) == []  # type: ignore[arg-type]
