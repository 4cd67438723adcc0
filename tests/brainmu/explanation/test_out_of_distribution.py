"""Abstain where a signal is unlike anything seen, and hardly ever elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.brainmu import epoch_recording
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.explanation.out_of_distribution import (
    FILE,
    fit_out_of_distribution,
    load_out_of_distribution,
    save_out_of_distribution,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal

RATE, N_STEPS = 128.0, 40
WANTED = ("eeg", "heart_rate")


def _simulate_eeg(rng: np.random.Generator, *, peak: float = 0.0, size: float = 1.0) -> np.ndarray:
    """1/f noise in volts whose slow part comes and goes; with a rhythm at `peak` Hz where given."""
    n = int(N_STEPS * 30 * RATE)
    frequencies = np.fft.rfftfreq(n, 1 / RATE)
    phases = rng.normal(size=len(frequencies)) + 1j * rng.normal(size=len(frequencies))
    shape = 1 / np.maximum(frequencies, 0.4) ** 0.9
    slow = np.fft.irfft(phases * shape * (frequencies < 4), n)
    fast = np.fft.irfft(phases * shape * (frequencies >= 4), n)
    course = np.repeat(1 + 2 * rng.random(N_STEPS // 10), n // (N_STEPS // 10))
    signal = fast / fast.std() + course * slow / slow.std()
    rhythm = 3 * np.sin(2 * np.pi * peak * np.arange(n) / RATE) if peak else 0.0
    return size * rng.uniform(0.9, 1.1) * 12e-6 * (signal + rhythm)


def _record(seed: int, change: Callable[[np.ndarray], np.ndarray] | None = None, **kind: float) -> EpochedRecording:
    rng = np.random.default_rng(seed)
    samples = _simulate_eeg(rng, **kind)
    heart = Signal("heart_rate", rng.normal(60, 3, N_STEPS * 30), 1.0, MODALITIES["heart_rate"])
    eeg = Signal("C4-M1", samples if change is None else change(samples), RATE, MODALITIES["eeg"])
    recording = Recording(signals={"C4-M1": eeg, "heart_rate": heart}, subject=f"s{seed}")
    return epoch_recording(recording, modalities=WANTED)


@pytest.fixture(scope="module")
def novelty():
    return fit_out_of_distribution([_record(seed) for seed in range(12)], rng=np.random.default_rng(0), quantile=0.97)


def test_false_abstention_is_near_nominal_on_people_not_seen(novelty):
    flagged = np.mean([novelty.score(_record(seed))["abstain"].mean() for seed in range(100, 112)])
    assert flagged < 0.06


STRANGE = {
    "white noise": lambda x: np.random.default_rng(1).normal(0, x.std(), len(x)),
    "50 Hz hum": lambda x: x + 30e-6 * np.sin(2 * np.pi * 50 * np.arange(len(x)) / RATE),
}
UNUSABLE = {
    "dead": np.zeros_like,
    "mV taken for V": lambda x: 1e3 * x,
    "V taken for mV": lambda x: 1e-3 * x,
    "almost flat": lambda x: np.random.default_rng(1).normal(0, 1e-9, len(x)),
}
"""What the one preparation of signals leaves out before anything is judged."""


@pytest.mark.parametrize("fault", STRANGE)
def test_faults_are_flagged_and_named(fault: str, novelty):
    table = novelty.score(_record(200, STRANGE[fault]))
    assert table["abstain"].mean() > 0.9
    assert set(table.loc[table["abstain"], "channel"]) == {"C4-M1"}


def test_other_species_is_flagged(novelty):
    assert novelty.score(_record(300, peak=7.5, size=4.0))["abstain"].mean() > 0.9


@pytest.mark.parametrize("fault", UNUSABLE)
def test_an_unusable_channel_is_absent_not_novel(fault: str, novelty):
    piece = _record(200, UNUSABLE[fault])
    assert not piece.epochs["eeg"].present.any()
    assert novelty.score(piece)["abstain"].mean() < 0.1


def test_nothing_to_go_by_means_abstain(novelty):
    piece = _record(200)
    silent = {name: replace(part, present=np.zeros_like(part.present)) for name, part in piece.epochs.items()}
    table = novelty.score(replace(piece, epochs=silent))
    assert table["abstain"].all()
    assert table["novelty"].isna().all()


def test_modality_never_seen_is_told_and_not_judged(novelty):
    piece = _record(200)
    strange = replace(piece, epochs={"temperature": piece.epochs["heart_rate"]})
    assert novelty.unknown(strange) == ("temperature",)
    assert novelty.score(strange)["abstain"].all()
    assert novelty.unknown(piece) == ()


def test_written_and_read_gives_the_same(novelty, tmp_path):
    save_out_of_distribution(novelty, tmp_path)
    again, piece = load_out_of_distribution(tmp_path), _record(200)
    np.testing.assert_allclose(again.score(piece)["novelty"], novelty.score(piece)["novelty"], atol=1e-3)
    assert (again.threshold, again.quantile, again.n_subjects) == (novelty.threshold, 0.97, 12)


def test_refusals_say_what_to_do(tmp_path, rng: np.random.Generator):
    with pytest.raises(SharpwaveError, match="nights of at least 3 subjects"):
        fit_out_of_distribution([_record(0), _record(0), _record(1)], rng=rng)
    with pytest.raises(SharpwaveError, match="a quantile between 0 and 1"):
        fit_out_of_distribution([_record(0)], rng=rng, quantile=98)
    with pytest.raises(SharpwaveError, match="what was seen in training"):
        load_out_of_distribution(tmp_path)
    (tmp_path / FILE).write_bytes(b"not safetensors")
    with pytest.raises(SharpwaveError, match="fit it with `fit_out_of_distribution`"):
        load_out_of_distribution(tmp_path)
