"""Staging from heart beats alone: who is staged by it and who is not, and that beats and an ECG say the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.night.prepare import prepare_night
from sharpwave.night.signal_check import check_signals
from sharpwave.night.trust import was_stager_trained_on
from sharpwave.recordings.datasets import load_dataset
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.staging import choose_stager, load_stager
from sharpwave.staging.heart_stager import find_beats, measure_steps
from sharpwave.staging.weights import load_card

HOURS = 2.0


def make_night(rng: np.random.Generator, *, step: float = 0.03) -> Recording:
    """A heart rate for each beat, whose intervals differ by about `step` (s) from one to the next."""
    gaps = 0.9 + 0.05 * np.sin(np.arange(8000) / 300) + rng.normal(0, step / np.sqrt(2), 8000)
    beats = np.cumsum(gaps)
    beats = beats[beats < HOURS * 3600]
    rate = Signal("rr", 60 / np.diff(beats), 1.1, MODALITIES["heart_rate"], start=beats[1], times=beats[1:])
    return Recording({"rr": rate}, species="human")


def draw_ecg(beats: np.ndarray, seconds: float, rng: np.random.Generator) -> Signal:
    rate = 128.0
    trace = rng.normal(0, 2e-5, int(seconds * rate))
    for offset, height in ((-1, 4e-4), (0, 1e-3), (1, -3e-4)):
        trace[np.clip(np.rint(beats * rate).astype(int) + offset, 0, trace.size - 1)] += height
    return Signal("ECG", trace, rate, MODALITIES["ecg"])


def test_heart_beats_alone_are_staged_by_it_and_nothing_else_is(rng: np.random.Generator) -> None:
    night = make_night(rng)
    assert choose_stager(night, {})[0].name == "lightgbm-heart"
    even = np.interp(np.arange(0, HOURS * 3600 - 60), night["rr"].times, night["rr"].read(dtype=np.float64))
    watch = replace(night, signals={"hr": Signal("hr", even, 1.0, MODALITIES["heart_rate"])})
    stager, refusals = choose_stager(watch, {})
    assert stager.name == "hmm"
    assert "lightgbm-heart: the heart rate does not come beat by beat" in refusals
    stager = load_stager("lightgbm-heart")
    assert "a mouse" in str(stager.accepts(replace(night, species="mouse"), {}))
    assert "it needs 12" in str(stager.accepts(make_night(rng, step=0.004), {}))
    assert "no ECG" in str(stager.accepts(Recording(species="human"), {}))


def test_nobody_it_learned_from_varies_less_than_twice_the_least_that_is_staged(data_root: Path) -> None:
    steps = [measure_steps(find_beats(load_dataset(f"slpdb-beats/{name}", data_root))) for name in ("slp32", "slp45")]
    assert min(steps) == pytest.approx(0.0225, abs=1e-3)


def test_an_ecg_is_staged_like_its_beats_also_beside_eyes_and_chin(data_root: Path, rng: np.random.Generator) -> None:
    night = load_dataset("slpdb-beats/slp59", data_root)
    stager = load_stager("lightgbm-heart")
    by_beats = stager.stage(night, {})
    ecg = draw_ecg(np.asarray(night.metadata["beats"]), night.duration, rng)
    others = {
        name: Signal(name, rng.normal(0, 2e-5, int(night.duration * 64)), 64.0, MODALITIES[kind])
        for name, kind in (("LOC", "eog"), ("chin", "emg"))
    }
    prepared = prepare_night(Recording({**others, "ECG": ecg}, species="human"), events=())
    assert prepared.staging.stager == "lightgbm-heart"
    n = min(len(by_beats), len(prepared.hypnogram))
    same = compute_confusion(by_beats.stages[:n].astype(int), prepared.hypnogram.stages[:n].astype(int), n_stages=2)
    assert compute_kappa(same) > 0.85
    said = check_signals(prepared).doubts
    assert len(said) == 1
    assert "men with sleep apnoea" in said[0]


def test_where_the_file_begins_does_not_matter_much(data_root: Path) -> None:
    night = load_dataset("slpdb-beats/slp61", data_root)
    pulse = night["heart_rate"]
    later = np.asarray(pulse.times) > 3600
    cut = replace(pulse, samples=pulse.read()[later], times=pulse.times[later] - 3600, start=0.0)
    stager = load_stager("lightgbm-heart")
    rest = replace(night, signals={"heart_rate": cut}, hypnogram=None, events=night.events[:0])
    whole, part = stager.stage(night, {}), stager.stage(rest, {})
    n = len(part)
    same = compute_confusion(whole.stages[120 : 120 + n].astype(int), part.stages.astype(int), n_stages=2)
    assert compute_kappa(same) > 0.7


def test_a_person_it_learned_from_is_known(data_root: Path) -> None:
    night = load_dataset("slpdb-beats/slp67x", data_root)
    assert was_stager_trained_on(night, "lightgbm-heart")
    assert len(load_card("lightgbm-heart")["training_subjects"]) == 11
