"""Fine frames and the head that reads them: nothing from the future, blocks as the whole, events by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.modalities import make_recording, spoil_after

from sharpwave.brainmu import reactivation_frames
from sharpwave.brainmu.reactivation_frames import (
    CENTRES,
    FRAME,
    N_INPUTS,
    SPAN,
    PlaceFields,
    iter_frames,
    measure_lfp,
    measure_places,
)
from sharpwave.brainmu.reactivation_head import (
    DELAY,
    ReactivationHead,
    ShippedHead,
    compute_reactivation_probability,
    detect_reactivations,
    find_events,
    load_reactivation_head,
    save_reactivation_head,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal


@pytest.fixture
def head() -> ReactivationHead:
    torch.manual_seed(0)
    return ReactivationHead().eval()


@pytest.fixture
def fields() -> PlaceFields:
    position = np.tile(np.linspace(0, 2, 20), 2)
    centres = np.linspace(0, 2, 8)
    track = np.repeat([0, 1], 20)
    rates = 12 * np.exp(-0.5 * ((position - np.where(track == 0, centres[:, None], centres[::-1, None])) / 0.15) ** 2)
    return PlaceFields(tuple(range(8)), rates, track, position)


@pytest.fixture
def recording(rng: np.random.Generator) -> Recording:
    lfp = make_recording("lfp", rng, seconds=20.0, n_channels=1, rate=512.0)
    return replace(lfp, spikes=make_recording("spikes", rng, seconds=20.0, n_channels=8).spikes)


def test_nothing_after_t_moves_what_is_said_by_t(
    head: ReactivationHead, fields: PlaceFields, recording: Recording, rng: np.random.Generator
) -> None:
    before = compute_reactivation_probability(head, recording, fields=fields)
    assert before.shape == (2000,)
    spoilt = spoil_after(recording, 12.0, rng)
    after = compute_reactivation_probability(head, spoilt, fields=fields)
    judged = round(12.0 / FRAME) - DELAY
    np.testing.assert_allclose(after[:judged], before[:judged], atol=1e-6)
    assert np.abs(after[judged:] - before[judged:]).max() > 1e-3


def test_blocks_are_the_whole(
    head: ReactivationHead, fields: PlaceFields, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute_reactivation_probability(head, recording, fields=fields)
    monkeypatch.setattr(reactivation_frames, "BLOCK", 170)
    np.testing.assert_allclose(compute_reactivation_probability(head, recording, fields=fields), whole, atol=1e-5)


@pytest.mark.parametrize("rate", [250.0, 512.0, 1000.0])
def test_a_tone_is_in_its_band(rate: float) -> None:
    for band in (3, 6, 11):
        tone = 1e-4 * np.sin(2 * np.pi * CENTRES[band] * np.arange(5 * rate) / rate)
        signal = Signal("HIP", tone.astype(np.float32), rate, MODALITIES["lfp"])
        power, present = measure_lfp(signal, 0, 500)
        assert present[20:].all()
        assert not present[:8].any()
        carried = 0.45 * rate > CENTRES
        assert not power[:, ~carried].any()
        if carried[band]:
            assert (power[20:].argmax(axis=1) == band).all()


def test_gaps_are_absent(head: ReactivationHead) -> None:
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    samples[2000:3000] = np.nan
    _, present = measure_lfp(Signal("HIP", samples, 1000.0, MODALITIES["lfp"], scale=1e-5), 0, 500)
    assert not present[201:300].any()
    assert present[310:].all()
    assert present[10:200].all()


def test_a_trajectory_explains_more_than_exchanged_cells(fields: PlaceFields) -> None:
    rng = np.random.default_rng(0)
    path = np.linspace(0, 19, 16).astype(int)
    quiet = np.zeros((2 * SPAN, 8))
    planted, exchanged = [], []
    for _ in range(30):
        counts = rng.poisson(0.15 * fields.rates[:, path].T).astype(float)
        planted.append(measure_places(np.concatenate([quiet, counts]), fields).sum(axis=0))
        order = rng.permutation(8)
        exchanged.append(measure_places(np.concatenate([quiet, counts[:, order]]), fields).sum(axis=0))
    assert (np.array(planted) > np.array(exchanged)).mean(axis=0).min() > 0.8
    assert not measure_places(np.zeros((30, 8)), fields).any()


def test_sources_that_are_missing_are_flagged(recording: Recording, fields: PlaceFields) -> None:
    def flags(part: Recording, known: PlaceFields | None = None) -> list[float]:
        inputs = next(iter_frames(part, fields=known)).inputs
        assert inputs.shape == (2000, N_INPUTS)
        return inputs[500, -3:].tolist()

    assert flags(recording, fields) == [1, 1, 1]
    assert flags(recording) == [1, 1, 0]
    assert flags(replace(recording, spikes=None), fields) == [1, 0, 0]
    assert flags(replace(recording, signals={})) == [0, 1, 0]


def test_events_by_hand() -> None:
    probability = np.zeros(100)
    probability[10:14] = 0.6
    probability[15:20] = 0.9
    probability[40:42] = 0.9
    probability[60:70] = 0.4
    probability[97:100] = 0.8
    found = find_events(probability, threshold=0.5)
    np.testing.assert_allclose(found["onset"], [0.10, 0.97])
    np.testing.assert_allclose(found["duration"], [0.10, 0.03])
    np.testing.assert_allclose(found["probability"], [0.9, 0.8])
    assert set(found["label"]) == {"reactivation"}
    empty = find_events(np.zeros(50), threshold=0.5)
    assert list(empty.columns) == ["onset", "duration", "label", "probability"]
    assert len(empty) == 0


def test_round_trip_and_refusals(head: ReactivationHead, tmp_path: Path, rng: np.random.Generator) -> None:
    folder = save_reactivation_head(ShippedHead(head, 0.4, {"trained on": "nothing"}), tmp_path / "head")
    loaded = load_reactivation_head(folder)
    assert (loaded.threshold, loaded.card) == (0.4, {"trained on": "nothing"})
    frames = torch.randn(1, 60, N_INPUTS)
    torch.testing.assert_close(loaded.head(frames), head(frames))
    (folder / "config.json").write_text("{}")
    with pytest.raises(SharpwaveError, match=r"a folder with config\.json and model"):
        load_reactivation_head(folder)
    with pytest.raises(SharpwaveError, match="a recording with hippocampal LFP or spikes"):
        detect_reactivations(make_recording("oxygen", rng), shipped=loaded)


def test_the_shipped_head_reads_any_of_its_sources(recording: Recording, fields: PlaceFields) -> None:
    found = detect_reactivations(recording, fields=fields)
    assert isinstance(found, pd.DataFrame)
    assert len(found) <= 3
