"""Fine frames and the head that reads them: nothing from the future, blocks as the whole, events by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from tests.modalities import make_recording, spoil_after

from sharpwave.brainmu.reactivation import reactivation_frames
from sharpwave.brainmu.reactivation.reactivation_frames import (
    CENTRES,
    CROWD,
    FRAME,
    N_INPUTS,
    iter_frames,
    measure_lfp,
    measure_population,
)
from sharpwave.brainmu.reactivation.reactivation_head import (
    DELAY,
    PRECISION,
    ReactivationHead,
    ShippedHead,
    compute_reactivation_probability,
    detect_reactivations,
    find_events,
    judge_bursts,
    judge_frames,
    keep_apart,
    load_reactivation_head,
    name_sources,
    propose_bursts,
    save_reactivation_head,
)
from sharpwave.brainmu.reactivation.reactivation_judge import PathJudge
from sharpwave.brainmu.reactivation.reactivation_paths import PATHS
from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields
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
    assert before.shape == (4000, 2)
    spoilt = spoil_after(recording, 12.0, rng)
    after = compute_reactivation_probability(head, spoilt, fields=fields)
    judged = round(12.0 / FRAME) - DELAY
    np.testing.assert_allclose(after[:judged], before[:judged], atol=1e-6)
    assert np.abs(after[judged:] - before[judged:]).max() > 1e-3


def test_blocks_are_the_whole(
    head: ReactivationHead, fields: PlaceFields, recording: Recording, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = compute_reactivation_probability(head, recording, fields=fields)
    monkeypatch.setattr(reactivation_frames, "BLOCK", 370)
    np.testing.assert_allclose(compute_reactivation_probability(head, recording, fields=fields), whole, atol=1e-5)


@pytest.mark.parametrize("rate", [250.0, 512.0, 1000.0])
def test_a_tone_is_in_its_band(rate: float) -> None:
    for band in (3, 6, 11):
        tone = 1e-4 * np.sin(2 * np.pi * CENTRES[band] * np.arange(5 * rate) / rate)
        signal = Signal("HIP", tone.astype(np.float32), rate, MODALITIES["lfp"])
        power, present = measure_lfp(signal, 0, 1000)
        assert present[20:].all()
        assert not present[:18].any()
        carried = 0.45 * rate > CENTRES
        assert not power[:, ~carried].any()
        if carried[band]:
            assert (power[20:].argmax(axis=1) == band).all()


def test_gaps_are_absent(head: ReactivationHead) -> None:
    samples = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    samples[2000:3000] = np.nan
    _, present = measure_lfp(Signal("HIP", samples, 1000.0, MODALITIES["lfp"], scale=1e-5), 0, 1000)
    assert not present[401:600].any()
    assert present[620:].all()
    assert present[20:400].all()


def test_population_by_hand() -> None:
    counts = np.zeros((CROWD + 30, 4))
    counts[CROWD + 10, 0] = 4
    counts[CROWD + 12, 1] = 5
    measured = measure_population(counts)
    assert measured.shape == (30, 3)
    np.testing.assert_allclose(measured[9:14, 0], [0, 2, 0, np.sqrt(5), 0])
    np.testing.assert_allclose(measured[9:17, 1], np.sqrt([0, 4, 4, 9, 9, 5, 5, 0]))
    np.testing.assert_allclose(measured[[9, 10, 12, 25, 26, 28], 2], [0, 0.25, 0.5, 0.5, 0.25, 0])


def test_sources_that_are_missing_are_flagged(recording: Recording, fields: PlaceFields) -> None:
    def flags(part: Recording, known: PlaceFields | None = None) -> list[float]:
        inputs = next(iter_frames(part, fields=known)).inputs
        assert inputs.shape == (4000, N_INPUTS)
        return inputs[500, -3:].tolist()

    assert flags(recording, fields) == [1, 1, 1]
    assert flags(recording) == [1, 1, 0]
    assert flags(replace(recording, spikes=None), fields) == [1, 0, 0]
    assert flags(replace(recording, signals={})) == [0, 1, 0]
    assert name_sources(recording, fields=fields) == "lfp+spikes+places"
    assert name_sources(replace(recording, spikes=None), fields=fields) == "lfp"
    assert name_sources(replace(recording, signals={})) == "spikes"


def test_withheld_sources_are_absent_ones(head: ReactivationHead, recording: Recording, fields: PlaceFields) -> None:
    inputs = next(iter_frames(recording, fields=fields)).inputs
    blind, deaf = replace(recording, spikes=None), replace(recording, signals={})
    for sources, part, known in (
        ("lfp", blind, None),
        ("lfp+spikes", recording, None),
        ("spikes+places", deaf, fields),
    ):
        assert name_sources(part, fields=known) == sources
        expected = compute_reactivation_probability(head, part, fields=known)
        np.testing.assert_allclose(judge_frames(head, inputs, sources=sources), expected, atol=1e-6)


def test_events_by_hand() -> None:
    probability = np.zeros((200, 2))
    probability[10:20, 1] = 0.9  # a burst, a gap of three frames, and a burst
    probability[23:30, 1] = 0.9
    probability[14, 0], probability[25, 0] = 0.6, 0.8
    probability[40:44, 1] = 0.9  # too short
    probability[40:44, 0] = 0.9
    probability[60:80, 1] = 0.9  # no replay
    probability[60:80, 0] = 0.4
    probability[100:110, 0] = 0.9  # no burst
    probability[190:200, 1] = 0.7
    probability[199, 0] = 0.55
    found = find_events(probability, threshold=0.5)
    np.testing.assert_allclose(found["onset"], [10 * FRAME, 190 * FRAME])
    np.testing.assert_allclose(found["duration"], [20 * FRAME, 10 * FRAME])
    np.testing.assert_allclose(found["probability"], [0.8, 0.55])
    np.testing.assert_allclose(found["known"], [(15 + DELAY) * FRAME, (200 + DELAY) * FRAME])
    assert set(found["label"]) == {"reactivation"}
    empty = find_events(np.zeros((50, 2)), threshold=0.5)
    assert list(empty.columns) == ["onset", "duration", "label", "probability", "known"]
    assert len(empty) == 0


def test_round_trip_and_refusals(head: ReactivationHead, tmp_path: Path, rng: np.random.Generator) -> None:
    folder = save_reactivation_head(ShippedHead(head, {"lfp": 0.4}, {"trained on": "nothing"}), tmp_path / "head")
    loaded = load_reactivation_head(folder)
    assert (loaded.thresholds, loaded.card) == ({"lfp": 0.4}, {"trained on": "nothing"})
    frames = torch.randn(1, 80, N_INPUTS)
    torch.testing.assert_close(loaded.head(frames), head(frames))
    (folder / "config.json").write_text("{}")
    with pytest.raises(SharpwaveError, match=r"a folder with config\.json and model"):
        load_reactivation_head(folder)
    with pytest.raises(SharpwaveError, match="a recording with hippocampal LFP or spikes"):
        detect_reactivations(make_recording("oxygen", rng), shipped=loaded)


def test_spans_of_several_levels_are_proposed() -> None:
    probability = np.zeros((200, 2))
    probability[20:40, 1] = 0.6
    probability[15:45, 1] = np.maximum(probability[15:45, 1], 0.2)
    probability[46:60, 1] = 0.6  # joined to the first only over a gap of 30 ms
    probability[100:103, 1] = 0.9  # too short
    found = propose_bursts(probability)
    spans = np.column_stack([found["onset"], found["onset"] + found["duration"]]) / FRAME
    expected = [(15, 60), (20, 40), (20, 60), (46, 60)]
    np.testing.assert_allclose(spans, expected)
    assert list(propose_bursts(np.zeros((10, 2))).columns) == ["onset", "duration"]


def test_of_spans_that_overlap_the_most_probable_stays() -> None:
    spans = pd.DataFrame(
        {"onset": [0.0, 0.05, 0.2, 0.5, 0.45], "duration": 0.1, "probability": [0.3, 0.8, 0.1, 0.6, 0.7]}
    )
    assert keep_apart(spans)["onset"].tolist() == [0.05, 0.2, 0.45]
    assert len(keep_apart(spans.iloc[:0])) == 0


def test_events_say_whether_they_move(head: ReactivationHead, recording: Recording, fields: PlaceFields) -> None:
    torch.manual_seed(1)
    shipped = ShippedHead(head, dict.fromkeys(("lfp+spikes+places", "spikes"), 0.3), {}, PathJudge().eval())
    bursts = judge_bursts(recording, fields=fields, shipped=shipped)
    assert set(bursts["path"]) <= set(PATHS)
    np.testing.assert_allclose(bursts[list(PATHS)].sum(axis=1), 1, rtol=1e-6)
    end = bursts["onset"] + bursts["duration"]
    assert (bursts["onset"].to_numpy()[1:] >= end.to_numpy()[:-1] - 1e-9).all()
    np.testing.assert_allclose(bursts["known"], end + DELAY * FRAME)
    found = detect_reactivations(recording, fields=fields, shipped=shipped)
    assert (found["probability"] >= 0.3).all()
    assert set(found["path"]) <= {"moves"}
    assert len(found) == (bursts["probability"] >= 0.3).sum()
    strict = replace(shipped, thresholds=shipped.thresholds | {PRECISION: 1.0})
    assert len(detect_reactivations(recording, fields=fields, shipped=strict)) == 0
    blind = replace(recording, signals={})
    assert "path" not in detect_reactivations(blind, shipped=shipped)
    with pytest.raises(SharpwaveError, match="a head that judges paths"):
        judge_bursts(recording, fields=fields, shipped=ShippedHead(head, {}, {}))


def test_a_judge_comes_back_with_its_head(head: ReactivationHead, tmp_path: Path) -> None:
    judge = PathJudge().eval()
    loaded = load_reactivation_head(save_reactivation_head(ShippedHead(head, {}, {}, judge), tmp_path / "head"))
    assert loaded.judge is not None
    for name, value in judge.state_dict().items():
        torch.testing.assert_close(loaded.judge.state_dict()[name], value)
    alone = load_reactivation_head(save_reactivation_head(ShippedHead(head, {}, {}), tmp_path / "alone"))
    assert alone.judge is None


def test_the_shipped_head_reads_any_of_its_sources(recording: Recording, fields: PlaceFields) -> None:
    for part in (recording, replace(recording, spikes=None), replace(recording, signals={})):
        for known in (fields, None):
            found = detect_reactivations(part, fields=known)
            assert isinstance(found, pd.DataFrame)
            assert len(found) <= 5
