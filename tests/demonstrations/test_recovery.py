"""The damaged network comes back asleep; what it is made of is left as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.resilience.robustness import map_layers, map_units
from sharpwave.demonstrations.damage import DOSES
from sharpwave.demonstrations.recovery import damage, make_remedies, recover_network
from sharpwave.demonstrations.shocks import SHOCKS, forget_statistics, invert, invert_inputs, swap_labels
from sharpwave.demonstrations.streams import Stream, StreamTestSet
from sharpwave.demonstrations.subject import NetworkSubject
from sharpwave.demonstrations.training_runs import TrainingRun, train_network
from sharpwave.errors import SharpwaveError
from sharpwave.resilience import card


@pytest.fixture(scope="module")
def run(stream: Stream) -> TrainingRun:
    return train_network(stream, "replay", seed=0, batch=8, n_remembered=60)


@pytest.mark.parametrize("remedy", list(make_remedies(8)))
def test_every_remedy_runs_beside_its_twin(run: TrainingRun, stream: Stream, remedy: str) -> None:
    before = copy.deepcopy(run.network.state_dict())
    options = {"shock": "weight_noise", "seed": 1, "n_steps": 20, "batch": 8, "every": 10}
    found = recover_network(run, stream, make_remedies(8)[remedy], **options)  # type: ignore[arg-type]
    again = recover_network(run, stream, make_remedies(8)[remedy], **options)  # type: ignore[arg-type]
    assert np.array_equal(found.perturbed, again.perturbed)
    assert found.twin[0] == pytest.approx(np.mean(StreamTestSet.of(stream).score(run.network)))
    assert all(torch.equal(value, before[name]) for name, value in run.network.state_dict().items())
    if remedy.startswith("sleep, NREM"):
        assert found.fraction > 0.5


def test_the_same_seed_is_the_same_damage(run: TrainingRun) -> None:
    copies = [copy.deepcopy(run.network) for _ in range(3)]
    for network, seed in zip(copies, (1, 1, 2), strict=True):
        damage(network, "lesion", seed=seed)
    first, second, third = (torch.nn.utils.parameters_to_vector(network.parameters()) for network in copies)
    assert torch.equal(first, second)
    assert not torch.equal(first, third)


def test_a_buffer_is_needed(stream: Stream) -> None:
    plain = train_network(stream, "fine-tuning", seed=0, batch=32)
    with pytest.raises(SharpwaveError, match="a run with a buffer"):
        recover_network(plain, stream, make_remedies(8)["wake"], shock="lesion", seed=0)


def test_card_of_a_network(run: TrainingRun, stream: Stream) -> None:
    test_set = StreamTestSet.of(stream)
    inputs, labels = test_set.inputs, test_set.labels
    subject = NetworkSubject(run.network, inputs, labels, doses={"weight_noise": (0.0, 1.0, 3.0)})
    found = card(subject, n_steps=2, n_repeats=2)
    assert found.curves["weight_noise"].scores[0] == pytest.approx(subject.score())
    assert found.curves["weight_noise"].scores[-1] < subject.score()
    assert found.recovery is None, "nothing was done to recover it, so nothing was measured"
    assert set(found.brittleness.parts) == {"hidden.1", "hidden.3", "head"}  # type: ignore[union-attr]


def test_label_noise_needs_to_learn_again(run: TrainingRun, stream: Stream) -> None:
    test_set = StreamTestSet.of(stream)
    inputs, labels = test_set.inputs, test_set.labels
    with pytest.raises(SharpwaveError, match="relearn"):
        NetworkSubject(run.network, inputs, labels).copy().damage("label_noise", 0.5, rng=np.random.default_rng(0))
    seen: list[float] = []

    def learn(model: torch.nn.Module, wrong: torch.Tensor) -> None:
        seen.append(float((wrong != labels).float().mean()))
        with torch.no_grad():
            next(model.parameters()).mul_(0.9)

    subject = NetworkSubject(
        run.network,
        inputs,
        labels,
        relearn=learn,
        train_labels=labels,
    )
    assert set(subject.doses) == set(DOSES)
    subject.copy().damage("label_noise", 0.5, rng=np.random.default_rng(0))
    assert seen == pytest.approx([0.5], abs=0.1)


def test_layers_are_ranked(run: TrainingRun, stream: Stream) -> None:
    found = map_layers(run, stream, n_repeats=2)
    assert found.per_damage.tolist() == sorted(found.per_damage.tolist(), reverse=True)


def test_the_only_unit_that_matters_is_found(run: TrainingRun, stream: Stream) -> None:
    planted = replace(run, network=copy.deepcopy(run.network))
    with torch.no_grad():
        weight: torch.Tensor = planted.network.get_submodule("head").weight  # type: ignore[assignment]
        weight[:, 1:] = 0
    found = map_units(planted, stream, "hidden.3")
    assert found.loss[1:] == pytest.approx(0.0)
    assert len(found.parts) == 100


@pytest.mark.parametrize("shock", list(SHOCKS))
def test_every_shock_costs_something_that_the_twin_does_not_pay(stream: Stream, run: TrainingRun, shock: str) -> None:
    model = SHOCKS[shock].model
    mine = run if model == "mlp" else train_network(stream, "replay", seed=0, batch=8, n_remembered=60, model=model)
    remedy = make_remedies(8)["no training"]
    found = recover_network(mine, stream, remedy, shock=shock, seed=1, n_steps=2, batch=8)
    assert found.twin[0] > found.perturbed[0]
    assert found.returned == found.twin_change == 0


def test_a_changed_world_changes_what_is_learned_and_what_is_asked(stream: Stream) -> None:
    for change in (invert_inputs, swap_labels):
        changed = change(stream)
        for old, new in zip(stream.tasks, changed.tasks, strict=True):
            for part in ("x_train", "x_test", "y_train", "y_test"):
                is_same = torch.equal(getattr(old, part), getattr(new, part))
                touched = part.startswith("x") == (change is invert_inputs)
                assert is_same != touched or (part.startswith("y") and old is not stream.tasks[-1])
    with pytest.raises(SharpwaveError, match="images in bytes"):
        invert(torch.rand(2, 3))
    with pytest.raises(SharpwaveError, match="BatchNorm"):
        forget_statistics(torch.nn.Linear(2, 2))


def test_memory_that_is_checked_brings_more_back_after_a_shift(stream: Stream, run: TrainingRun) -> None:
    options: dict[str, Any] = {"shock": "inverted_inputs", "seed": 1, "n_steps": 30, "batch": 8, "every": 30}
    remedies = make_remedies(8)
    plain, checked = (
        recover_network(run, stream, remedies[name], **options)
        for name in ("sleep, NREM only", "sleep, memory checked")
    )
    assert plain.shock == checked.shock
    assert checked.fraction > plain.fraction + 0.05
