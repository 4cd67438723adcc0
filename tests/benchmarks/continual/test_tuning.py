from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.benchmarks.continual.blobs import make_blobs

from sharpwave.benchmarks.continual import tuning
from sharpwave.benchmarks.continual.benchmark import find_best_baseline, tabulate
from sharpwave.benchmarks.continual.harness import Outcome
from sharpwave.benchmarks.continual.learners import LEARNERS, NEW_CLASSES
from sharpwave.benchmarks.continual.protocols import ANY, PROTOCOLS, make_protocols
from sharpwave.benchmarks.continual.tuning import (
    SPACES,
    TRIALS,
    list_methods,
    list_trials,
    load_tuned,
    make_validation_streams,
    tune,
)
from sharpwave.errors import SharpwaveError


def make_outcome(then: float, now: float, *, seconds: float = 1.0, samples: int = 100) -> Outcome:
    learned, last = np.array([then, then]), np.array([now, then])
    return Outcome(learned, last, learned, last, seconds, samples, 0, 1000)


def test_all_learners_try_as_many_options_and_the_same_step_sizes() -> None:
    trials = {name: list_trials(name) for name in SPACES}
    assert {len(each) for each in trials.values()} == {TRIALS}
    assert len({tuple(options["lr"] for options in each) for each in trials.values()}) == 1
    for name, ranges in SPACES.items():
        for option, limits in ranges.items():
            values = [options[option] for options in trials[name]]
            assert limits.low <= min(values) < max(values) <= limits.high


def test_validation_streams_hold_no_test_image_and_are_no_stream_of_results(rng: np.random.Generator) -> None:
    images = make_blobs(rng)
    protocol = replace(PROTOCOLS["split-mnist"], n_tasks=3)
    validation = protocol.make_stream(images, seed=0, validation=True)
    tested = {image.tobytes() for image in images.x_test}
    for task in validation.tasks:
        for x in (task.x_train, task.x_test):
            assert not tested & {image.numpy().tobytes() for image in x}
    result = protocol.make_stream(images, seed=0)
    assert not np.array_equal(result.tasks[0].x_train[:20], validation.tasks[0].x_train[:20])


def test_the_best_trial_is_chosen(rng: np.random.Generator) -> None:
    protocol = replace(PROTOCOLS["split-mnist"], n_tasks=3, n_train=60, batch=8)
    streams = make_validation_streams(protocol, make_blobs(rng), n_streams=2)
    chosen, accuracies = tune("er", protocol, streams, n_trials=3)
    assert chosen == list_trials("er", n_trials=3)[int(np.argmax(accuracies))]
    assert len(set(accuracies)) > 1


NEWEST = {"er-aml", *NEW_CLASSES, *(name for name in LEARNERS if name.endswith("-annealed"))}
"""Learners whose options need not be there yet; the benchmark says which it leaves out."""


def test_what_was_chosen_is_there_for_every_learner() -> None:
    for name, protocol in PROTOCOLS.items():
        can = {*list_methods(protocol), *tuning.UNTUNED, "wake"}
        assert can - NEWEST <= set(load_tuned(name)) <= can
    assert set(NEW_CLASSES) & set(list_methods(PROTOCOLS["permuted-mnist"])) == set()
    with pytest.raises(SharpwaveError, match="tune the learners on it first"):
        load_tuned("nothing")


def test_what_is_tuned_is_kept_beside_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = make_blobs(np.random.default_rng(0))
    parts = {name: getattr(blobs, name) for name in ("x_train", "y_train", "x_test", "y_test")}
    np.savez(tmp_path / "blobs.npz", **parts)
    protocol = replace(PROTOCOLS["split-mnist"], name="blobs", source="blobs.npz", n_tasks=3, batch=8)
    monkeypatch.setattr(tuning, "PROTOCOLS", {"blobs": protocol})
    monkeypatch.setattr(tuning, "TUNED", tmp_path / "tuned.json")
    monkeypatch.setattr(tuning, "SPACES", {"finetune": {}, "sleep": SPACES["sleep"]})
    (tmp_path / "tuned.json").write_text('{"other": {"chosen": {"er": {"lr": 0.1}}}}')
    tuning.freeze(["blobs"], tmp_path)
    assert tuning.load_tuned("other") == {"er": {"lr": 0.1}}
    assert tuning.load_tuned("blobs")["wake"] == tuning.load_tuned("blobs")["sleep"]
    assert len(json.loads((tmp_path / "tuned.json").read_text())["blobs"]["accuracies"]["sleep"]) == TRIALS
    before = tuning.load_tuned("blobs")
    monkeypatch.setattr(tuning, "SPACES", {"finetune": {}, "er": SPACES["er"], "sleep": SPACES["sleep"]})
    monkeypatch.setattr(tuning, "tune", lambda method, *_, **__: ({"lr": 0.7}, [0.5]))
    tuning.freeze(["blobs"], tmp_path, missing=True)
    assert tuning.load_tuned("blobs") == before | {"er": {"lr": 0.7}}


def test_the_worst_case_chooses_what_bears_twice_the_step(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [{"lr": 0.1}, {"lr": 0.3}, {"lr": 0.05}]
    accuracies = {  # by image set and step size: the bold one is best where it was tuned and diverges elsewhere
        "home": {0.1: 0.8, 0.2: 0.85, 0.3: 0.9, 0.6: 0.9, 0.05: 0.6},
        "elsewhere": {0.1: 0.7, 0.2: 0.6, 0.3: 0.7, 0.6: 0.1, 0.05: 0.5},
    }
    rng = np.random.default_rng(0)
    sets = [replace(make_blobs(rng), name=name) for name in accuracies]

    def score(method: str, protocol: object, streams: list, options: dict[str, float]) -> float:
        where = "home" if "home" in streams[0].name else "elsewhere"
        return accuracies[where][round(options["lr"], 3)]

    monkeypatch.setattr(tuning, "score", score)
    monkeypatch.setattr(tuning, "list_trials", lambda method, n_trials: trials)
    protocol = replace(PROTOCOLS["split-mnist"], n_tasks=3)
    found = tuning.tune_worst_case(["er"], protocol, sets, n_trials=3)
    assert found["chosen"]["er"] == {"lr": 0.1}
    assert found["accuracies"]["er"] == {"home": [0.8, 0.9, 0.6], "elsewhere": [0.6, 0.1, 0.5]}


def test_images_that_nobody_tuned_on_have_options_of_the_worst_case() -> None:
    chosen = load_tuned(ANY)
    assert set(chosen) == set(LEARNERS)
    assert chosen["ewc"] == load_tuned("split-mnist")["ewc"]
    assert chosen["wake"] == chosen["sleep"]
    assert load_tuned("split-mnist")["sleep-default"] == {"lr": 0.1}


def test_other_images_get_protocols_of_their_kind(rng: np.random.Generator) -> None:
    blobs = make_blobs(rng)
    split, permuted = make_protocols(blobs)
    assert (split.n_tasks, split.model, split.tuned_as) == (3, "mlp", ANY)
    assert (permuted.permutes, permuted.tuned_as) == (True, "permuted-mnist")
    colour = replace(blobs, x_train=np.repeat(blobs.x_train, 3, 1), x_test=np.repeat(blobs.x_test, 3, 1))
    assert [protocol.model for protocol in make_protocols(colour)] == ["resnet"]


def test_rows_say_what_was_forgotten_what_it_cost_and_by_how_much_sleep_is_ahead() -> None:
    runs = {
        "finetune": [make_outcome(1.0, 0.0), make_outcome(1.0, 0.2)],
        "der++": [make_outcome(1.0, 0.5), make_outcome(1.0, 0.6)],
        "cls-er": [make_outcome(1.0, 1.0)] * 2,
        "wake": [make_outcome(1.0, 0.4, seconds=2.0, samples=300)] * 2,
        "sleep": [make_outcome(1.0, 0.8, seconds=2.2, samples=330)] * 2,
    }
    assert find_best_baseline(runs) == "der++"
    rows = {(row.method, row.metric): row for row in tabulate("d", "s", runs)}
    assert rows["sleep", "accuracy"].value == pytest.approx(0.9)
    assert rows["sleep", "forgetting"].value == pytest.approx(0.2)
    assert rows["sleep", "forgetting_cut"].value == pytest.approx((0.8 + 0.75) / 2)
    assert rows["sleep", "time_ratio"].value == pytest.approx(1.1)
    assert rows["sleep", "gradient_samples"].value == pytest.approx(3.3)
    assert rows["sleep", "accuracy_minus_der++"].value == pytest.approx(0.125)
    assert rows["sleep", "accuracy_minus_best_peer"].n == 2
    assert ("der++", "accuracy_minus_der++") not in rows


def test_where_fine_tuning_forgets_nothing_there_is_nothing_to_cut() -> None:
    runs = {"finetune": [make_outcome(0.5, 0.5)], "er": [make_outcome(0.5, 0.4)]}
    rows = {(row.method, row.metric): row for row in tabulate("d", "s", runs)}
    assert np.isnan(rows["er", "forgetting_cut"].value)
