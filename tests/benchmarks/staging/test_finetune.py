"""The benchmark of fine-tuning: laboratories differ as said, nobody is learned from who is tested, gains are paired."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.signal import welch

from sharpwave.benchmarks.staging import finetune as benchmark
from sharpwave.benchmarks.staging.baselines import StagedFeatures
from sharpwave.benchmarks.staging.labs import LABS, RATE, Lab, LabNight, make_table, record_in_lab, render, without_wake
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.training.spectral_transfer import BandNight, Templates
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Recording, Signal

PLAIN = Lab("plain", 5, "C4-M1", 0.0, (0.3, 45.0), 0.0, 0.0, 1.0, 0.0)


def make_sleeper(stage: int) -> tuple[Recording, Hypnogram]:
    """Twenty minutes of noise in one stage."""
    rng = np.random.default_rng(0)
    names = ("C4-M1", "F4-M1")
    noise = [rng.standard_normal(int(1200 * RATE)) * 20e-6 for _ in names]
    signals = {n: Signal(n, x, RATE, MODALITIES["eeg"]) for n, x in zip(names, noise, strict=True)}
    truth = Hypnogram(np.full(40, stage, dtype=np.int8), 30.0)
    return Recording(signals=signals, hypnogram=truth, metadata={"lights_off": 0.0}), truth


def measure(lab: Lab, stage: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Power in dB of the same sleeper in this laboratory."""
    night = record_in_lab(*make_sleeper(stage), lab, rng=np.random.default_rng(1))
    frequencies, power = welch(night[lab.channel].read(), RATE, nperseg=400)
    return frequencies, 10 * np.log10(power)


@pytest.mark.parametrize(
    ("setting", "stage", "inside", "change"),
    [
        ({"age": 6.0}, 3, (1.0, 3.0), -6.0),
        ({"age": 6.0}, 2, (1.0, 3.0), 0.0),
        ({"gain": 2.0}, 2, (1.0, 30.0), 20 * np.log10(2)),
        ({"tilt": -2.0}, 2, (18.0, 22.0), -2.0),
        ({"band": (0.3, 15.0)}, 2, (14.7, 15.3), -6.0),
    ],
)
def test_a_laboratory_records_as_its_settings_say(
    setting: dict[str, object], stage: int, inside: tuple[float, float], change: float
) -> None:
    frequencies, plain = measure(PLAIN, stage)
    _, other = measure(replace(PLAIN, **setting), stage)
    here = (frequencies >= inside[0]) & (frequencies <= inside[1])
    assert (other - plain)[here].mean() == pytest.approx(change, abs=1.5)


def test_a_sleeper_keeps_no_clock_and_has_one_channel_of_the_name_of_the_laboratory() -> None:
    night = record_in_lab(*make_sleeper(2), LABS[1], rng=np.random.default_rng(0))
    assert list(night.signals) == [LABS[1].channel]
    assert not any(name.startswith("lights_") for name in night.metadata)
    assert night.start is None


BANDED = BandNight(
    np.random.default_rng(0).normal(1.0, 0.3, (60, 2, 3)),
    ((0.5, 4.0), (4.0, 8.0), (8.0, 12.0)),
    np.repeat([0, 1, 2, 3, 4], 12).astype(np.int8),
    ("EEG F4", "EEG C4"),
    "P1",
)


def make_templates(level: float) -> Templates:
    return Templates.collect([(np.full((5, 29, 24), level), np.arange(5), 1.0)])


def test_a_night_to_be_tested_takes_nothing_from_the_epochs_that_are_learned_from() -> None:
    flat, other = make_templates(0.0), make_templates(0.0)
    other = replace(other, power={stage: part + np.linspace(0, 1, 29)[:, None] for stage, part in other.power.items()})
    night = render(BANDED, flat, other, ("a", "b", "c"), seed=0)
    learned, tested = (np.asarray(form.epochs["eeg"].values)[..., :24] for form in (night.epochs, night.tested))
    assert np.abs(np.diff(learned, axis=2)).max() < 1e-4
    assert np.abs(np.diff(tested, axis=2)).min() > 1e-2
    assert set(night.epochs.epochs) == {"stages", "eeg"}
    assert night.table.n_own == 6


def test_wake_is_left_out_and_epochs_without_bands_stay_unknown() -> None:
    assert without_wake(BANDED).stages.min() == 1
    holes = replace(BANDED, log_power=np.where(np.arange(60)[:, None, None] == 7, np.nan, BANDED.log_power))
    table = make_table(holes, holes.log_power.reshape(60, -1), [str(i) for i in range(6)])
    assert len(table.table) == 60
    assert np.flatnonzero(~table.known).tolist() == [7]


def test_everyone_is_left_out_once() -> None:
    few, many = [f"p{i}" for i in range(5)], [f"p{i}" for i in range(20)]
    assert [len(out) for out in benchmark.split_people(few)] == [1] * 5
    assert sorted(one for out in benchmark.split_people(many) for one in out) == sorted(many)
    assert len(benchmark.split_people(many)) == benchmark.GROUPS


def make_night(subject: str, epochs: EpochedRecording) -> LabNight:
    stages = np.asarray(epochs.stages, dtype=int)
    rng = np.random.default_rng(0)
    table = StagedFeatures(subject, pd.DataFrame(rng.normal(size=(len(epochs), 3))), 3, stages)
    return LabNight(subject, epochs, epochs, table, np.eye(5)[np.maximum(stages, 0)])


def test_nobody_is_learned_from_who_is_tested_and_gains_are_paired(monkeypatch: pytest.MonkeyPatch) -> None:
    nights = [
        make_night(f"p{i}", render(BANDED, *[make_templates(0.0)] * 2, ("a", "b", "c"), seed=i).epochs)
        for i in range(3)
    ]
    learned: list[set[str]] = []

    def adapt(nights: list[LabNight], **_: object) -> set[str]:
        learned.append({night.subject for night in nights})
        return learned[-1]

    def stage_by_all(night: LabNight, model: set[str], refitted: np.ndarray) -> dict[str, np.ndarray]:
        assert night.subject not in model
        wrong = np.eye(5)[np.zeros(60, dtype=int)]
        right = np.eye(5)[np.asarray(night.tested.stages)]
        return {"brainmu-lite": wrong, "fine-tuned": wrong if night.subject == "p1" else right}

    monkeypatch.setattr(benchmark, "adapt", adapt)
    monkeypatch.setattr(benchmark, "stage_by_all", stage_by_all)
    rows = {(row.method, row.metric): row for row in benchmark.judge_lab("lab", nights)}
    assert len(learned) == 3
    gain = rows["fine-tuned", "kappa_gain_over_brainmu-lite"]
    assert (gain.value, gain.n) == (pytest.approx(2 / 3), 3)
    assert rows["fine-tuned", "kappa_gain_of_the_worst_over_brainmu-lite"].value == 0
    assert rows["fine-tuned", "cpu_minutes"].n == 3
    assert benchmark.judge_lab("lab", nights[:2]) == []
