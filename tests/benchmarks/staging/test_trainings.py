"""Several trainings of one recipe: kept, gone on with, never judged on whom they learned from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks import runner
from sharpwave.benchmarks.staging import trainings
from sharpwave.brainmu.checkpoints import make_lite, save_brainmu
from sharpwave.brainmu.shipped import Weights
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

SMALL = {"modalities": ("eeg",), "width": 16, "n_heads": 2}
STAGES = np.array([0, 0, 1, 1, 2, 2, 3, 3, 4, 4] * 4)


def make_people(*names: str) -> list[Recording]:
    return [Recording({}, hypnogram=Hypnogram(STAGES), subject=name) for name in names]


def err(stages: np.ndarray, share: float) -> Hypnogram:
    """A hypnogram of which so many epochs at the start are one stage too high."""
    wrong = stages.copy()
    n = round(share * len(stages))
    wrong[:n] = (wrong[:n] + 1) % 5
    return Hypnogram(wrong)


@pytest.fixture
def staged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nights that YASA stages with a fifth wrong, a training of seed s with s tenths wrong, both together without."""
    ways = {
        "yasa": lambda night, theirs, weights: theirs,
        "brainmu-lite": lambda night, theirs, weights: err(STAGES, int(weights.name) / 10),
        "yasa+brainmu": lambda night, theirs, weights: Hypnogram(STAGES),
    }
    monkeypatch.setattr(trainings, "WAYS", ways)
    monkeypatch.setattr(trainings, "stage_by_yasa", lambda night: err(STAGES, 0.2))


def train(*seeds: int, seen: tuple[str, ...] = ()) -> list[Weights]:
    return [Weights(None, {"trained_on": list(seen)}, str(seed)) for seed in seeds]  # type: ignore[arg-type]


def test_kappa_is_the_mean_over_seeds_with_the_worst_and_best_of_them(staged: None) -> None:
    rng, setting = np.random.default_rng(0), ("UCDDB", "whole nights")
    found = list(trainings.score_trainings(make_people("a", "b"), train(0, 2, 4), setting, rng=rng))
    rows = {(row.method, row.metric): row for row in found}
    yasa = rows["yasa", "kappa"].value
    assert yasa == pytest.approx(0.75)  # a fifth wrong, of five stages alike: (.8 - .2) / .8
    by_seed = rows["brainmu-lite", "kappa_by_seed"]
    assert (by_seed.value, by_seed.low, by_seed.high, by_seed.n) == pytest.approx((0.75, 0.5, 1.0, 3))
    assert by_seed.values == pytest.approx((1.0, 0.75, 0.5))
    assert rows["brainmu-lite", "kappa"].n == 2
    assert rows["brainmu-lite", "kappa_gain_over_yasa"].value == pytest.approx(0.0)
    assert rows["yasa+brainmu", "kappa_gain_over_yasa"].value == pytest.approx(0.25)
    together = rows["brainmu-lite, mean of seeds", "kappa"]  # two of three are wrong for a fifth
    assert (together.value, together.n) == (pytest.approx(0.75), 2)
    assert ("brainmu-lite, mean of seeds", "kappa_by_seed") not in rows


def test_a_training_is_not_judged_on_whom_it_learned_from(staged: None) -> None:
    people, setting = make_people("ucddb022"), ("UCDDB", "whole nights")
    with pytest.raises(SharpwaveError, match="learned from ucddb/ucddb022"):
        list(
            trainings.score_trainings(people, train(0, seen=("ucddb/ucddb022",)), setting, rng=np.random.default_rng())
        )


def test_trainings_are_kept_and_never_made_unasked(
    staged: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked = []

    def train_twice(folder, *, data, leave_out, seed, scale, runs):
        asked.append((seed, leave_out, scale))
        save_brainmu(make_lite(seed=seed, **SMALL), folder, card={"trained_on": []})

    monkeypatch.setattr(trainings, "train_twice", train_twice)
    monkeypatch.setattr(trainings, "load_nights", lambda data: {("DREAMS", "30 min excerpts"): make_people("a")})
    monkeypatch.setattr(trainings, "WAYS", {name: trainings.WAYS["yasa"] for name in trainings.METHODS})
    with pytest.raises(SharpwaveError, match=r"none of seed 0, 1. Fix: add --train"):
        trainings.run(None, seeds=2, parts=tmp_path)
    assert asked == []
    trainings.run(None, seeds=1, train=True, parts=tmp_path)
    config, rows = trainings.run(None, seeds=2, train=True, parts=tmp_path)
    assert asked == [(0, ("ucddb/ucddb022",), 1.0), (1, ("ucddb/ucddb022",), 1.0)]
    again = trainings.run(None, seeds=2, parts=tmp_path)[1]
    assert [row.to_dict() for row in again] == [row.to_dict() for row in rows]
    assert config["seeds"] == 2


def test_trainings_lie_beside_the_output_and_have_no_methods_of_their_own(tmp_path: Path) -> None:
    chosen = runner._choose_parts("staging-seeds", trainings.run, tmp_path / "out.json", None)
    assert chosen == {"parts": tmp_path / "out.parts"}
    assert runner._choose_parts("staging-seeds", trainings.run, None, None) == {"parts": None}
    with pytest.raises(SharpwaveError, match="leave --methods out"):
        runner._choose_parts("staging-seeds", trainings.run, tmp_path / "out.json", ["yasa"])


def test_nights_are_one_channel_each_and_people_of_a_laboratory_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trainings, "SIMULATED", (1, 0.5))
    monkeypatch.setattr(trainings, "LAB", replace(trainings.LAB, n_nights=2))
    monkeypatch.setattr(trainings, "LAB_HOURS", 0.5)
    dreams = trainings.simulate_recordings("human", n=1, hours=0.5)
    monkeypatch.setattr(trainings, "load_recordings", lambda name, data: dreams if name == "dreams" else [])
    nights = trainings.load_nights(None)
    assert [(data, len(people)) for (data, _), people in nights.items()] == [
        ("DREAMS", 1),
        ("simulated human", 1),
        ("simulated laboratory", 2),
    ]
    everyone = [night for people in nights.values() for night in people]
    assert all(len(night.signals) == 1 and night.hypnogram is not None for night in everyone)
    one, other = (
        next(iter(night.signals.values())).read() for night in nights["simulated laboratory", "one EEG channel"]
    )
    assert abs(np.corrcoef(one[:1000], other[:1000])[0, 1]) < 0.5
