"""Every modality of Brainµ through one contract: shapes, times, absence, order, gradients, determinism, errors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.modalities import RATES, make_recording, spoil_after

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import (
    EpochedRecording,
    EpochGrid,
    ModalityBatch,
    ModalityEpochs,
    collate,
    epoch_recording,
)
from sharpwave.recordings.recording import Recording

WIDTH = 16
NAMES = list(ENCODERS)
SIGNALS = [name for name in NAMES if name in RATES]
PLURAL = [name for name in NAMES if name != "stages"]
GRID = EpochGrid(0.0, 30.0, 10)


def cut(name: str, recording: Recording, grid: EpochGrid = GRID) -> ModalityEpochs:
    windows = ENCODERS[name].cut(recording, grid)
    assert windows is not None
    return windows


def batch(name: str, windows: ModalityEpochs) -> ModalityBatch:
    n = len(windows.present)
    piece = EpochedRecording(
        EpochGrid(0.0, 30.0, n), {name: windows}, np.full(n, -1, np.int8), np.zeros((n, 5), np.float32)
    )
    return collate([piece]).modalities[name]


def build(name: str) -> tuple[torch.nn.Module, torch.nn.Embedding]:
    torch.manual_seed(1)
    return ENCODERS[name].build(WIDTH).eval(), torch.nn.Embedding(512, WIDTH)


def encode(name: str, windows: ModalityEpochs) -> torch.Tensor:
    encoder, identities = build(name)
    part = batch(name, windows)
    with torch.no_grad():
        return encoder(part.values, part.present, identities(part.identity))[0]


class Disk:
    """An array that can only be sliced, as one on disk."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, key: Any) -> np.ndarray:
        return self.array[key]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_channels", [1, 5])
def test_shapes(name: str, n_channels: int, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng, n_channels=n_channels))
    count = 1 if name == "stages" else n_channels
    assert windows.present.shape == (10, count) == windows.values.shape[:2]
    assert len(set(windows.channels)) == count
    assert encode(name, windows).shape == (10, WIDTH)
    kind, part = ENCODERS[name], batch(name, windows)
    assert kind.summarise(part.values).shape == (1, 10, count, kind.n_targets)
    assert float(kind.summarise(part.values).abs().max()) < 12


@pytest.mark.parametrize("name", NAMES)
def test_no_sample_after_the_end_of_a_step_moves_it(name: str, rng: np.random.Generator) -> None:
    for rate in RATES.get(name, (None,)):
        whole = make_recording(name, rng, rate=rate)
        before = cut(name, whole)
        for steps in (9, 4):
            after = cut(name, spoil_after(whole, 30.0 * steps, rng))
            np.testing.assert_array_equal(after.present[:steps], before.present[:steps])
            np.testing.assert_array_equal(after.values[:steps], before.values[:steps])
        assert np.abs(after.values[4:] - before.values[4:]).max() > 0.05


@pytest.mark.parametrize("name", SIGNALS)
def test_irregular_times_show_nothing_early(name: str, rng: np.random.Generator) -> None:
    whole = make_recording(name, rng, irregular=True)
    before = cut(name, whole)
    assert before.present[1:].mean() > 0.4
    after = cut(name, spoil_after(whole, 120.0, rng))
    np.testing.assert_array_equal(after.values[:4], before.values[:4])


@pytest.mark.parametrize("name", SIGNALS)
def test_any_rate_fills_every_step(name: str, rng: np.random.Generator) -> None:
    for rate in RATES[name]:
        windows = cut(name, make_recording(name, rng, rate=rate))
        expected = min(1.0, 30 * rate)
        assert windows.present.mean() == pytest.approx(expected, abs=0.01)
        shape = cut(name, make_recording(name, rng)).values.shape
        assert windows.values.shape == shape


@pytest.mark.parametrize("name", NAMES)
def test_values_of_absent_channels_are_irrelevant(name: str, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng))
    present = windows.present.copy()
    present[2] = False
    present[4:6, 0] = False
    there = present.reshape(*present.shape, *(1,) * (windows.values.ndim - 2))
    clean = encode(name, replace(windows, values=np.where(there, windows.values, 0), present=present))
    garbage = np.where(there, windows.values, 1e3).astype(np.float32)
    spoilt = encode(name, replace(windows, values=garbage, present=present))
    assert torch.isfinite(clean).all()
    torch.testing.assert_close(spoilt, clean, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PLURAL)
def test_an_absent_channel_is_as_good_as_none(name: str, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng, n_channels=3))
    present = windows.present.copy()
    present[:, 1] = False
    kept = [0, 2]
    without = ModalityEpochs(windows.values[:, kept], present[:, kept], tuple(windows.channels[i] for i in kept))
    torch.testing.assert_close(
        encode(name, replace(windows, present=present)), encode(name, without), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize("name", PLURAL)
def test_the_order_of_channels_is_irrelevant(name: str, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng, n_channels=4))
    order = [2, 0, 3, 1]
    moved = ModalityEpochs(
        windows.values[:, order], windows.present[:, order], tuple(windows.channels[i] for i in order)
    )
    torch.testing.assert_close(encode(name, moved), encode(name, windows), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", PLURAL)
def test_which_channel_it_is_matters(name: str, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng, n_channels=2))
    renamed = replace(windows, channels=("other", *windows.channels[1:]))
    assert not torch.allclose(encode(name, renamed), encode(name, windows), atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_reach_the_encoder(name: str, rng: np.random.Generator) -> None:
    encoder, identities = build(name)
    part = batch(name, cut(name, make_recording(name, rng)))
    values = part.values.clone().requires_grad_()
    encoder(values, part.present, identities(part.identity)).square().sum().backward()
    for key, parameter in [*encoder.named_parameters(), ("identities", identities.weight)]:
        assert parameter.grad is not None, key
        assert torch.isfinite(parameter.grad).all(), key
    assert sum(float(p.grad.abs().sum()) > 0 for p in encoder.parameters() if p.grad is not None) >= 4
    assert values.grad is not None
    assert float(values.grad.abs().sum()) > 0


@pytest.mark.parametrize("name", NAMES)
def test_the_same_recording_gives_the_same_tokens(name: str, rng: np.random.Generator) -> None:
    recording = make_recording(name, rng)
    torch.testing.assert_close(encode(name, cut(name, recording)), encode(name, cut(name, recording)), atol=0, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_step_by_step_is_the_whole(name: str, rng: np.random.Generator) -> None:
    recording, kind, past = make_recording(name, rng), ENCODERS[name], None
    whole = cut(name, recording)
    for step in range(len(GRID)):
        windows = kind.measure(recording, GRID.restrict(step, step + 1))
        assert windows is not None
        windows, past = kind.normalise(windows, past)
        np.testing.assert_allclose(windows.values[0], whole.values[step], atol=1e-5)
        np.testing.assert_array_equal(windows.present[0], whole.present[step])


@pytest.mark.parametrize("name", SIGNALS)
def test_gaps_are_absent_and_the_rest_finite(name: str, rng: np.random.Generator) -> None:
    recording = make_recording(name, rng, n_channels=2)
    key = next(iter(recording.signals))
    signal = recording.signals[key]
    samples = np.array(signal.samples)
    times = np.arange(len(samples)) / signal.rate
    samples[(times >= 60) & (times < 120)] = np.nan
    windows = cut(name, replace(recording, signals={**recording.signals, key: replace(signal, samples=samples)}))
    whole = cut(name, recording)
    assert not windows.present[2:4, 0].any()
    np.testing.assert_array_equal(windows.present[:, 1], whole.present[:, 1])
    np.testing.assert_array_equal(windows.values[:2], whole.values[:2])
    assert np.isfinite(windows.values).all()


@pytest.mark.parametrize("name", SIGNALS)
def test_a_constant_channel_says_nothing_wild(name: str, rng: np.random.Generator) -> None:
    recording = make_recording(name, rng, n_channels=1)
    signals = {
        key: replace(signal, samples=np.full(signal.samples.shape, 36.9, np.float32))
        for key, signal in recording.signals.items()
    }
    windows = cut(name, replace(recording, signals=signals))
    assert np.abs(windows.values).max() <= 2


@pytest.mark.parametrize("name", SIGNALS)
def test_frames_and_arrays_on_disk_read_alike(name: str, rng: np.random.Generator) -> None:
    if name == "acceleration":
        pytest.skip("its axes are one channel")
    recording = make_recording(name, rng, n_channels=3)
    signals = list(recording.signals.values())
    table = np.stack([np.asarray(signal.samples) for signal in signals], axis=1)
    frame = replace(signals[0], name="frame", samples=Disk(table), channels=tuple(recording.signals))
    joined = cut(name, Recording(signals={"frame": frame}))
    apart = cut(name, recording)
    assert joined.channels == apart.channels
    np.testing.assert_allclose(joined.values, apart.values, atol=1e-5)
    restricted = cut(name, Recording(signals={"frame": frame}).restrict(0.0, 290.0))
    np.testing.assert_allclose(restricted.values[:9], apart.values[:9], atol=1e-5)
    unnamed = cut(name, Recording(signals={"frame": replace(frame, channels=())}))
    assert unnamed.channels == ("frame 1", "frame 2", "frame 3")


@pytest.mark.parametrize("name", SIGNALS)
def test_channels_of_one_name_in_two_signals_are_kept_apart(name: str, rng: np.random.Generator) -> None:
    if name == "acceleration":
        pytest.skip("its axes are one channel")
    signal = next(iter(make_recording(name, rng).signals.values()))
    table = np.stack([np.asarray(signal.samples)] * 2, axis=1)
    two = {
        key: replace(signal, name=key, samples=table * size, channels=("a", "b")) for key, size in (("x", 1), ("y", 3))
    }
    assert cut(name, Recording(signals=two)).channels == ("x a", "x b", "y a", "y b")


@pytest.mark.parametrize("name", NAMES)
def test_a_recording_without_it_has_no_windows(name: str, rng: np.random.Generator) -> None:
    other = make_recording("oxygen" if name != "oxygen" else "position", rng)
    assert ENCODERS[name].cut(other, GRID) is None
    assert name not in epoch_recording(other).epochs


@pytest.mark.parametrize("name", NAMES)
def test_steps_beyond_the_data_are_absent(name: str, rng: np.random.Generator) -> None:
    windows = cut(name, make_recording(name, rng), EpochGrid(-60.0, 30.0, 15))
    assert not windows.present[:2].any()
    assert not windows.present[12:].any()
    assert not windows.values[:2].any() or name == "stages"
