"""Nights of every cohort as Brainµ sees them: nothing after t moves anything at or before t."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sharpwave.brainmu.epochs import collate
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import COHORTS, DELAYS, EpochTable, compute_night
from sharpwave.forecasting.protocols import hide_stages
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.recordings.recording import Recording

CUT = 150
LENGTH = 220


def shorten(recording: Recording, n_epochs: int) -> Recording:
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    probabilities = None if hypnogram.probabilities is None else hypnogram.probabilities[:n_epochs]
    signals = {
        name: replace(signal, samples=np.array(signal.samples[: round(n_epochs * 30 * signal.rate)], dtype=float))
        for name, signal in recording.signals.items()
    }
    stages = np.array(hypnogram.stages[:n_epochs])
    return replace(recording, hypnogram=replace(hypnogram, stages=stages, probabilities=probabilities), signals=signals)


def spoil_future(recording: Recording, t: int, rng: np.random.Generator) -> Recording:
    """Noise in everything that may know of what happens after epoch t: Walch's features look ahead of their row."""
    signals = {}
    for name, signal in recording.signals.items():
        samples = np.array(signal.samples, dtype=float)
        first = round((t + 1 - DELAYS.get(name, 0) * (recording.metadata.get("cohort") == "walch")) * 30 * signal.rate)
        samples[first:] = rng.lognormal(size=samples[first:].shape)
        signals[name] = replace(signal, samples=samples)
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    stages = np.array(hypnogram.stages)
    stages[t + 1 :] = rng.integers(-1, 5, len(stages) - t - 1)
    votes = hypnogram.probabilities
    if votes is not None:
        votes = np.array(votes)
        votes[t + 1 :] = rng.dirichlet(np.ones(5), len(stages) - t - 1)
    return replace(recording, signals=signals, hypnogram=replace(hypnogram, stages=stages, probabilities=votes))


@pytest.fixture(scope="module")
def model() -> BrainMu:
    torch.manual_seed(0)
    return BrainMu(configure("lite", modalities=("stages", "features"), width=16, n_layers=2, n_heads=2)).eval()


@torch.inference_mode()
def read(model: BrainMu, night: EpochTable) -> np.ndarray:
    readout = model(collate([window_night(night)])).readout
    return torch.cat([readout.stage, readout.change, readout.destination.flatten(2)], dim=2)[0].numpy()


@pytest.mark.data
@pytest.mark.parametrize("cohort", COHORTS)
@pytest.mark.parametrize("hidden", [False, True], ids=["observed", "signal-only"])
def test_noise_after_t_moves_nothing_up_to_t(
    cohort: str, hidden: bool, model: BrainMu, data_root: Path, rng: np.random.Generator
) -> None:
    subject = list_subjects(cohort, data_root)[-1]
    recording = shorten(load_dataset(f"{cohort}/{subject}", data_root), LENGTH)
    nights = [compute_night(part, cohort) for part in (recording, spoil_future(recording, CUT, rng))]
    if hidden:
        nights = [hide_stages(night) for night in nights]
        if not nights[0].names:
            pytest.skip("stages alone: nothing is left when they are hidden")
    honest, spoiled = (read(model, night) for night in nights)
    np.testing.assert_array_equal(honest[: CUT + 1], spoiled[: CUT + 1])
    assert np.abs(honest[CUT + 1 :] - spoiled[CUT + 1 :]).max() > 1e-3


@pytest.mark.data
def test_presence_tells_nothing(data_root: Path) -> None:
    """UCDDB has EEG for some stages only, and 002 entropies for some only: neither shows."""
    for subject in ("002", "005"):
        night = window_night(compute_night(load_dataset(f"ucddb/{subject}", data_root), "ucddb"))
        assert set(night.epochs) == {"stages", "features"}
        assert night.epochs["features"].present.all()
    assert (
        not window_night(compute_night(load_dataset("ucddb/002", data_root), "ucddb"))
        .epochs["features"]
        .values[..., :3]
        .any()
    )


def test_votes_are_history_and_hard_stages_where_one_scored(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=50)
    soft, hard = window_night(night), window_night(replace(night, votes=None))
    np.testing.assert_allclose(soft.epochs["stages"].values[:, 0, :5], night.votes, rtol=1e-6)
    np.testing.assert_array_equal(hard.epochs["stages"].values[:, 0, :5], np.eye(5)[night.stages])
    assert soft.subject == night.subject
    assert len(soft) == len(night)


def test_hidden_stages_leave_signals_alone(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=50)
    assert set(window_night(hide_stages(night)).epochs) == {"features"}


def test_a_tie_is_told_from_the_stage_that_won_it(make_nights: Callable[..., list[EpochTable]]) -> None:
    (night,) = make_nights(1, n_epochs=20)
    votes = np.tile([0.5, 0.5, 0.0, 0.0, 0.0], (20, 1))
    first, second = (
        window_night(replace(night, stages=np.full(20, stage, dtype=np.int8), votes=votes)) for stage in (0, 1)
    )
    assert np.abs(first.epochs["stages"].values - second.epochs["stages"].values).max() > 0.5
