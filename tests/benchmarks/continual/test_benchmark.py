from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.benchmarks.continual.blobs import make_blobs

from sharpwave.benchmarks import sleep_cost
from sharpwave.benchmarks.continual import benchmark as continual
from sharpwave.benchmarks.continual import harness
from sharpwave.benchmarks.continual.images import load_images
from sharpwave.benchmarks.continual.learners import LEARNERS
from sharpwave.benchmarks.continual.protocols import Protocol, make_protocols
from sharpwave.errors import SharpwaveError


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    blobs = make_blobs(rng, n_train=24)
    np.savez(
        tmp_path / "blobs.npz", x_train=blobs.x_train, y_train=blobs.y_train, x_test=blobs.x_test, y_test=blobs.y_test
    )
    return tmp_path


METHODS = ("finetune", "der++", "progressive", "wake", "sleep")


def test_any_images_can_be_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(continual, "LEARNERS", {name: LEARNERS[name] for name in METHODS})
    threads = torch.get_num_threads()
    config, rows = continual.run(folder, seeds=2)
    assert torch.get_num_threads() == threads
    assert set(config["protocols"]) == {"split blobs", "permuted blobs"}
    settings = {(row.data, row.setting) for row in rows}
    assert settings == {
        *(("split blobs", f"{known}buffer {n}") for known in ("", "task told, ") for n in (200, 500)),
        *(("permuted blobs", f"buffer {n}") for n in (200, 500)),
    }
    told = {row.method for row in rows if row.setting == "task told, buffer 200"}
    assert told == set(METHODS)
    untold = {row.method for row in rows if (row.data, row.setting) == ("split blobs", "buffer 200")}
    assert untold == set(METHODS) - {"progressive"}
    ahead = [row for row in rows if row.metric == "accuracy_minus_best_peer" and row.method == "sleep"]
    assert {row.n for row in ahead} == {2}
    assert len(ahead) == 6
    assert set(config["best_peer_of_equal_parameters"].values()) <= set(LEARNERS)


def test_a_run_that_was_broken_off_goes_on_where_it_was(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continual, "LEARNERS", {name: LEARNERS[name] for name in METHODS})
    whole = continual.run(folder, seeds=2)[1]
    runs = []
    learn = Protocol.run

    def run(self, *args, **options):
        if len(runs) == 7:
            raise KeyboardInterrupt
        runs.append(options["seed"])
        return learn(self, *args, **options)

    monkeypatch.setattr(Protocol, "run", run)
    with pytest.raises(KeyboardInterrupt):
        continual.run(folder, seeds=2, parts=tmp_path / "parts")
    assert len(list((tmp_path / "parts").iterdir())) == 7
    monkeypatch.setattr(Protocol, "run", learn)
    assert compare(continual.run(folder, seeds=2, parts=tmp_path / "parts")[1]) == compare(whole)
    monkeypatch.setattr(Protocol, "run", run)
    assert compare(continual.run(folder, seeds=2, parts=tmp_path / "parts")[1]) == compare(whole)


def compare(rows: list) -> list:
    return [row.to_dict() for row in rows if row.metric != "time_ratio"]


def test_some_methods_can_be_run_beside_the_kept_runs_of_others(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continual, "LEARNERS", {name: LEARNERS[name] for name in METHODS})
    first = continual.run(folder, seeds=1, methods=["finetune", "der++"], parts=tmp_path)[1]
    assert {row.method for row in first} == {"finetune", "der++"}
    whole = continual.run(folder, seeds=1, methods=["sleep"], parts=tmp_path)[1]
    assert {row.method for row in whole} == {"finetune", "der++", "sleep"}
    assert any(row.metric == "accuracy_minus_der++" for row in whole)
    monkeypatch.setattr(harness, "compute_code", lambda make: "other")
    alone = continual.run(folder, seeds=1, methods=["sleep"], parts=tmp_path)[1]
    assert {row.method for row in alone} == {"sleep"}, "runs of other code do not count"
    with pytest.raises(SharpwaveError, match="methods among finetune"):
        continual.run(folder, seeds=1, methods=["slep"])


def test_a_part_depends_on_options_images_and_the_learner_s_own_code(folder: Path, tmp_path: Path) -> None:
    images = load_images(folder)
    protocol = make_protocols(images)[0]
    one = harness.Parts(tmp_path, protocol, images)
    one.run("er", LEARNERS["er"], options={"lr": 0.1}, seed=0, buffer_items=20)

    def find(kept: harness.Parts = one, make=LEARNERS["er"], lr: float = 0.1) -> object:
        return kept.find("er", make, options={"lr": lr}, seed=0, buffer_items=20)

    assert find() is not None
    assert find(lr=0.2) is None
    assert find(make=LEARNERS["er-ace"]) is None
    assert find(harness.Parts(tmp_path, replace(protocol, batch=8), images)) is None
    assert find(harness.Parts(tmp_path, protocol, replace(images, y_train=1 - images.y_train))) is None
    assert harness.compute_code(LEARNERS["er"]) != harness.compute_code(LEARNERS["sleep"])
    next(tmp_path.glob("*-er-*.json")).write_text("{")
    assert find() is None


def test_without_images_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SharpwaveError, match="no IDX, NPZ or image file"):
        continual.run(tmp_path, seeds=1)
    with pytest.raises(SharpwaveError, match="benchmark continual --data"):
        continual.run_cifar10(tmp_path, seeds=1)


def test_twice_the_time_is_all_of_it_added() -> None:
    times = np.random.default_rng(0).uniform(1, 1.2, size=50)
    value, low, high = sleep_cost.bootstrap_median_ratio(2 * times, times)
    assert value == pytest.approx(1)
    assert low <= value <= high


def test_significance_costs_more_for_more_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sleep_cost, "SIZES", (1e4, 1e6))
    rows = {(row.method, row.metric): row.value for row in sleep_cost.measure_significance(repeats=1)}
    assert rows["1e+06 parameters", "seconds"] > rows["1e+04 parameters", "seconds"]
    assert 0 < rows["all sizes", "slope"] < 2


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_wide_networks_are_as_large_as_asked(size: int) -> None:
    assert sum(p.numel() for p in sleep_cost.make_wide(size).parameters()) == pytest.approx(size, rel=0.03)
