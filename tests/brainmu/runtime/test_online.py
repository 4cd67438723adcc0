"""Online and offline give the same numbers, whatever the chunks; the state stays small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from tests.modalities import make_recording

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import collate, epoch_recording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.runtime.online import OnlineState, StepForecast, init_online, step_online
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.simulation import simulate_night

TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def model() -> BrainMu:
    torch.manual_seed(0)
    return BrainMu(configure("lite", width=16, n_layers=2, n_heads=2, window=300.0)).eval()


@pytest.fixture(scope="module")
def night() -> Recording:
    wanted = ("eeg", "eog", "emg", "spikes", "position", "bold", "heart_rate", "temperature")
    return simulate_night("human", 0.18, rng=np.random.default_rng(0), modalities=wanted, n_units=5)[0]


def take(recording: Recording, start: float, end: float) -> Recording:
    """What has become known in [start, end): samples at their time, epochs when they have ended."""
    hypnogram, chunk = recording.hypnogram, recording.restrict(start, end)
    if hypnogram is None:
        return chunk
    ends = hypnogram.onsets + hypnogram.epoch_length
    known = (ends > start + 1e-6) & (ends <= end + 1e-6)
    if not known.any():
        return replace(chunk, hypnogram=None)
    votes = hypnogram.probabilities
    part = Hypnogram(
        np.asarray(hypnogram.stages)[known],
        hypnogram.epoch_length,
        hypnogram.n_stages,
        start=float(hypnogram.onsets[known][0]),
        probabilities=None if votes is None else votes[known],
    )
    return replace(chunk, hypnogram=part)


def stream(
    model: BrainMu, recording: Recording, edges: Sequence[float], *, feed_back: bool = False
) -> tuple[list[StepForecast], OnlineState]:
    state, forecasts = init_online(model, feed_back=feed_back), []
    for start, end in pairwise(edges):
        found, state = step_online(model, state, take(recording, start, end), now=end)
        forecasts += found
    return forecasts, state


def assert_alike(forecasts: Sequence[StepForecast], model: BrainMu, recording: Recording) -> None:
    windowed = epoch_recording(recording)
    with torch.no_grad():
        readout = model(collate([windowed])).readout
    assert [forecast.end for forecast in forecasts] == windowed.grid.ends.tolist()
    for step, forecast in enumerate(forecasts):
        for found, expected in (
            (forecast.stage, torch.softmax(readout.stage[0, step], dim=0)),
            (forecast.change, torch.sigmoid(readout.change[0, step])),
            (forecast.destination, torch.softmax(readout.destination[0, step], dim=1)),
            (forecast.depth, readout.depth[0, step]),
        ):
            np.testing.assert_allclose(found, expected.numpy(), atol=TOLERANCE)
        there = {name for name, part in windowed.epochs.items() if part.present[step].any()}
        assert set(forecast.modalities) == there


@pytest.mark.parametrize("length", [30.0, 7.3, 95.0])
def test_online_is_offline_on_a_multimodal_night(length: float, model: BrainMu, night: Recording) -> None:
    edges = [*np.arange(0, night.duration, length), night.duration]
    forecasts, _ = stream(model, night, edges)
    assert_alike(forecasts, model, night)


def test_online_is_offline_at_random_chunks_of_every_modality(model: BrainMu) -> None:
    rng = np.random.default_rng(3)
    for name in ENCODERS:
        recording = make_recording(name, rng, seconds=240.0)
        edges = [0.0, *np.sort(rng.uniform(0, 240, 9)), 240.0]
        forecasts, _ = stream(model, recording, edges)
        assert_alike(forecasts, model, recording)


def test_lost_samples_are_absent(model: BrainMu, rng: np.random.Generator) -> None:
    recording = make_recording("eeg", rng, seconds=180.0)
    gap = {
        name: replace(signal, samples=np.where(np.abs(np.arange(len(signal)) / 50 - 100) < 5, np.nan, signal.samples))
        for name, signal in recording.signals.items()
    }
    edges = [0.0, 40.0, 95.0, 105.0, 180.0]
    state, forecasts = init_online(model), []
    for index, (start, end) in enumerate(pairwise(edges)):
        if index != 2:
            found, state = step_online(model, state, take(recording, start, end))
            forecasts += found
    assert_alike(forecasts, model, replace(recording, signals=gap))


def test_a_stalled_signal_holds_the_steps_up_until_now_is_given(model: BrainMu, rng: np.random.Generator) -> None:
    eeg = make_recording("eeg", rng, seconds=120.0)
    heart = make_recording("heart_rate", rng, seconds=30.0)
    first = Recording(signals={**eeg.restrict(0, 30).signals, **heart.signals})
    one, state = step_online(model, init_online(model), first)
    assert len(one) == 1
    none, state = step_online(model, state, eeg.restrict(30, 90))
    assert none == ()
    two, state = step_online(model, state, eeg.restrict(90, 120), now=90.0)
    assert [forecast.modalities for forecast in two] == [("eeg",), ("eeg",)]


def test_the_state_before_a_chunk_can_be_gone_back_to(model: BrainMu, night: Recording) -> None:
    _, state = stream(model, night, [0.0, 100.0])
    first, _ = step_online(model, state, take(night, 100.0, 150.0), now=150.0)
    again, _ = step_online(model, state, take(night, 100.0, 150.0), now=150.0)
    np.testing.assert_array_equal(first[0].stage, again[0].stage)


def test_memory_does_not_grow(model: BrainMu, rng: np.random.Generator) -> None:
    recording = make_recording("oxygen", rng, seconds=3600.0, n_channels=1)
    sizes = []
    for hours in (0.5, 1.0):
        _, state = stream(model, recording, list(np.arange(0, 3600 * hours + 1, 50.0)))
        assert state.caches is not None
        held = sum(len(signal) for piece in state.chunks for signal in piece.signals.values())
        sizes.append((state.caches[0].times.shape[1], held))
    assert max(sizes[1]) <= max(sizes[0]) + 32
    assert sizes[1][0] <= 2 * (300 / 30 + 1)


def test_own_stages_can_become_the_history(model: BrainMu, night: Recording) -> None:
    bare = replace(night, hypnogram=None)
    edges = list(np.arange(0, 481, 30.0))
    without, _ = stream(model, bare, edges)
    fed, state = stream(model, bare, edges, feed_back=True)
    told = state.past["stages"]
    assert len(told) == len(fed) == 16
    np.testing.assert_allclose(told[:, :5].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(told[0, :5], without[0].stage, atol=1e-6)
    assert np.abs(fed[-1].change - without[-1].change).max() > 1e-5
    scored, _ = stream(model, night, edges, feed_back=True)
    plain, _ = stream(model, night, edges)
    np.testing.assert_array_equal(scored[-1].change, plain[-1].change)


def test_what_does_not_fit_is_refused(model: BrainMu, rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="a model ready for use"):
        init_online(BrainMu(configure("lite", modalities=["eeg"], width=16, n_layers=1, n_heads=2)))
    bare = BrainMu(configure("lite", modalities=["eeg"], width=16, n_layers=1, n_heads=2)).eval()
    with pytest.raises(SharpwaveError, match="a model with the modality stages"):
        init_online(bare, feed_back=True)
    eeg = make_recording("eeg", rng, seconds=20.0)
    other = make_recording("eeg", rng, seconds=20.0, rate=100.0)
    later = {name: replace(signal, start=20.0) for name, signal in other.signals.items()}
    _, state = step_online(bare, init_online(bare), eeg)
    with pytest.raises(SharpwaveError, match="at 50 Hz with channels as before"):
        step_online(bare, state, Recording(signals=later))
    stages = make_recording("stages", rng, seconds=60.0)
    _, state = step_online(bare, init_online(bare), stages)
    shifted = Recording(hypnogram=Hypnogram(np.array([1]), start=70.0))
    with pytest.raises(SharpwaveError, match="chunks of a hypnogram of 30 s epochs"):
        step_online(bare, state, shifted, now=120.0)
