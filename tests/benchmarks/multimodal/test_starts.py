"""A study of starts on two planted people a side: every start is tested, and a seed that was run is read again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sharpwave.benchmarks.multimodal import starts
from sharpwave.benchmarks.multimodal.pretraining import to_night, to_spectrum
from sharpwave.benchmarks.multimodal.starts import Found, Night, Study, judge, run_seeds


def make_night(seed: int, places: tuple[str, ...] = ("front", "back", "eye")) -> Night:
    rng = np.random.default_rng(seed)
    stages = np.repeat(rng.permutation(5), 12)
    power = rng.standard_normal((60, len(places), 5)) * 0.2 + np.eye(5)[stages][:, None]
    return to_night(f"p{seed}", power, stages, places)


def test_bands_become_spectra_and_a_table_against_the_median() -> None:
    night = make_night(0)
    assert {name: part.values.shape[:3] for name, part in night.seen.epochs.items()} == {
        "eeg": (60, 2, 1),
        "eog": (60, 1, 1),
    }
    assert night.table.n_own == 15
    spectrum = to_spectrum(np.arange(3.0).reshape(1, 1, 3), np.array([1.0, 5.0, 9.0, 20.0]))
    assert spectrum[0, 0, 0].tolist() == [0.0, 1.0, 2.0, 0.0]


def test_kappa_is_taken_over_the_stages_that_those_tested_can_have() -> None:
    night = make_night(1)
    truth = np.eye(5)[np.asarray(night.seen.stages)]
    right = judge([night], lambda _: (truth, None), None)
    assert right == {"p1": {"kappa": 1.0}}
    awake = truth + 2 * np.eye(5)[np.zeros(60, dtype=int)]
    assert judge([night], lambda _: (awake, None), None)["p1"]["kappa"] == pytest.approx(0.0)
    assert judge([night], lambda _: (awake, None), (1, 2, 3, 4))["p1"]["kappa"] > 0.7


def test_every_start_is_tested_and_a_seed_that_was_run_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(starts, "PRETRAINING", replace(starts.PRETRAINING, steps=2, batch=2))
    monkeypatch.setattr(starts, "FINETUNING", replace(starts.FINETUNING, steps=2, batch=2))
    monkeypatch.setattr(starts, "find_commit", lambda: "0123456789ab")
    learned = [make_night(seed) for seed in range(2)]
    tested, objectives = {"home": [make_night(8), make_night(9)]}, ("next step", "masked latents", "both")
    unlabelled = {"2 people": [night.seen for night in learned]}
    study = Study("d", unlabelled, learned, tested, objectives=objectives, ablated=True)
    found = run_seeds(lambda _: study, seeds=1, parts=tmp_path)
    methods = {record[2] for record in found.records}
    assert {"random-init", "next step, 2 people", "both, 2 people", "no attention", "lightgbm-past"} < methods
    share = next(row for row in found.rows if row.metric == "share_of_latents" and row.method.startswith("masked"))
    assert 0.2 < share.value < 1

    def never(*_: object, **__: object) -> Found:
        raise AssertionError("run again")

    monkeypatch.setattr(starts, "compare_starts", never)
    again = run_seeds(lambda _: study, seeds=1, parts=tmp_path)
    assert [row.to_dict() for row in again.tabulate()] == [row.to_dict() for row in found.tabulate()]


def test_gains_are_paired_by_person_and_by_seed() -> None:
    records = [
        ("home", 0.05, method, "kappa", seed, who, value)
        for method, gain in (("random-init", 0.0), ("other", 0.1))
        for seed in (0, 1)
        for who, value in (("a", 0.2 + gain), ("b", 0.6 + gain + 0.1 * seed * (method == "other")))
    ]
    rows = {(row.method, row.metric): row for row in Found(records).tabulate()}
    assert rows["other", "kappa_gain_over_random-init"].values == pytest.approx((0.1, 0.15))
    assert rows["other", "kappa_gain_by_seed"].values == pytest.approx((0.1, 0.15))
