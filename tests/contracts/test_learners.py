"""Every continual learner keeps the same promises."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from tests.benchmarks.continual.blobs import Reader, make_blobs, make_texts

from sharpwave.benchmarks.continual.harness import Outcome, make_setting, run_stream
from sharpwave.benchmarks.continual.learners import LEARNERS, OURS
from sharpwave.benchmarks.continual.learners.contract import REPLAY
from sharpwave.benchmarks.continual.tuning import SPACES, list_trials
from sharpwave.demonstrations.networks import make_model
from sharpwave.demonstrations.streams import Stream, split_classes, take
from sharpwave.errors import SharpwaveError

BATCH = 8
LATE = ("a-gem", "icarl", "x-der")
"""Learners that replay nothing in the first task."""
REPLAYERS = ("er", "der++", "er-ace", "cls-er", "er-aml", "gdumb", "der++-annealed", "sleep", *LATE)


def options(name: str) -> dict[str, float]:
    return list_trials("sleep" if name == "wake" else name, n_trials=1)[0] | {"lr": 0.2}


@pytest.fixture(scope="module")
def stream() -> Stream:
    rng = np.random.default_rng(0)
    return split_classes(make_blobs(rng, n_train=130), n_tasks=3, rng=rng)


@pytest.fixture(scope="module")
def outcomes(stream: Stream) -> dict[str, Outcome]:
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    return {
        name: run_stream(stream, partial(make, **options(name)), setting, model="mlp")
        for name, make in LEARNERS.items()
    }


@pytest.mark.parametrize("name", LEARNERS)
def test_what_was_just_learned_is_known(name: str, outcomes: dict[str, Outcome]) -> None:
    known = outcomes[name].at_the_end_task_known if name == "joint" else outcomes[name].just_learned_task_known
    assert known.min() > 0.8


@pytest.mark.parametrize("name", LEARNERS)
def test_stored_bytes_stay_within_the_budget(name: str, stream: Stream, outcomes: dict[str, Outcome]) -> None:
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    if name == "joint":
        assert outcomes[name].n_buffer_bytes > setting.buffer_bytes
    else:
        assert outcomes[name].n_buffer_bytes <= setting.buffer_bytes


@pytest.mark.parametrize("name", REPLAYERS)
def test_gradient_samples_are_equal(name: str, stream: Stream, outcomes: dict[str, Outcome]) -> None:
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    n_new = setting.n_tasks * setting.n_steps * BATCH
    if name in LATE:
        n_new -= setting.n_steps * BATCH * REPLAY / (1 + REPLAY)
    assert outcomes[name].n_gradient_samples == pytest.approx(n_new * (1 + REPLAY), rel=0.06)


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in ("finetune", "a-gem", "joint")])
def test_the_same_seed_learns_the_same(name: str, stream: Stream, outcomes: dict[str, Outcome]) -> None:
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    again = run_stream(stream, partial(LEARNERS[name], **options(name)), setting, model="mlp")
    np.testing.assert_array_equal(again.at_the_end_task_known, outcomes[name].at_the_end_task_known)


def test_fine_tuning_forgets_and_replay_forgets_less(outcomes: dict[str, Outcome]) -> None:
    assert outcomes["finetune"].compute_forgetting() > 0.8
    for name in ("er", "der++", "er-ace", "cls-er", "er-aml", "gdumb", "icarl", "x-der", "sleep"):
        assert outcomes[name].compute_accuracy() > outcomes["finetune"].compute_accuracy() + 0.2, name
    assert outcomes["joint"].compute_accuracy() > 0.9


def test_all_have_options_to_choose() -> None:
    assert set(SPACES) == set(LEARNERS) - {"wake"}
    assert set(OURS) < set(LEARNERS)


@pytest.mark.parametrize("name", LEARNERS)
def test_asking_changes_nothing(name: str, stream: Stream) -> None:
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    model = make_model("mlp", stream.shape, stream.n_classes, seed=0)
    model.hidden.add_module("norm", torch.nn.BatchNorm1d(100))
    if name == "src":
        pytest.skip("sleeps on stacks of linear layers alone")
    learner = LEARNERS[name](model, setting, **options(name))
    task = stream.tasks[0]
    learner.observe(take(task.x_train, slice(BATCH)), task.y_train[:BATCH], 0)
    before = [value.clone() for network in learner.networks for value in network.state_dict().values()]
    modes = [module.training for network in learner.networks for module in network.modules()]
    first = learner.predict(take(task.x_test, slice(4)), 0)
    assert torch.equal(first, learner.predict(take(task.x_test, slice(4)), 0))
    after = [value for network in learner.networks for value in network.state_dict().values()]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert modes == [module.training for network in learner.networks for module in network.modules()]


@pytest.mark.parametrize("name", [name for name in LEARNERS if name not in ("src", "ssr")])
def test_streams_of_tokens_are_learned(name: str) -> None:
    stream = make_texts(np.random.default_rng(0), n_train=100)
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    torch.manual_seed(0)
    outcome = run_stream(stream, partial(LEARNERS[name], **options(name) | {"lr": 0.5}), setting, model=Reader)
    assert outcome.just_learned_task_known[0] > 0.8 or name == "joint"
    assert outcome.n_buffer_bytes <= setting.buffer_bytes or name == "joint"


def test_reconstruction_of_tokens_is_refused() -> None:
    stream = make_texts(np.random.default_rng(0))
    setting = make_setting(stream, batch=BATCH, buffer_items=30, seed=0)
    with pytest.raises(SharpwaveError, match="a floating entry 'x' in the buffer"):
        run_stream(stream, partial(LEARNERS["ssr"], lr=0.1), setting, model=Reader)
