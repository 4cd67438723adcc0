"""What changed in the world is told from wake, what did not change is left alone, and nights go by it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sharpwave.consolidation import NREM, ReplayBuffer, Sleep, Wake
from sharpwave.consolidation.batches import Objective
from sharpwave.consolidation.present import Present, World, compare_worlds

N_CLASSES, SIDE = 4, 5


def draw(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of four classes, with noise."""
    patterns = torch.rand(N_CLASSES, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(n) % N_CLASSES
    noise = 0.2 * torch.randn(n, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
    return patterns[labels] + noise, labels


def compare(change: object = lambda x: x, rename: object = lambda y: y, n: int = 128) -> World:
    x, y = draw(n, 2)
    found = compare_worlds(draw(200, 1), (change(x), rename(y)))  # type: ignore[operator]
    assert found is not None
    return found


@pytest.mark.parametrize(("gain", "offset"), [(-1.0, 1.0), (0.5, 0.5), (1.0, 0.4), (3.0, -1.0)])
def test_gain_and_offset_are_found_and_stored_items_look_like_the_present(gain: float, offset: float) -> None:
    world = compare(lambda x: gain * x + offset)
    assert float(world.gain) == pytest.approx(gain, abs=0.1 * max(1, abs(gain)))
    assert float(world.offset) == pytest.approx(offset, abs=0.1 * max(1, abs(gain)))
    old, _ = draw(200, 3)
    assert (world.shift(old) - (gain * old + offset)).abs().mean() < 0.1 * max(1, abs(gain))
    new = gain * old + offset
    assert (world.shift(new) != new).flatten(1).any(dim=1).float().mean() < 0.1, "those of the new world stay"
    assert not world.renamed


def test_channels_change_apart() -> None:
    old, labels = draw(200, 1)
    x, y = draw(128, 2)
    factor = torch.tensor([1.0, -1.0]).view(1, 2, 1, 1)
    found = compare_worlds((old.repeat(1, 2, 1, 1), labels), (x.repeat(1, 2, 1, 1) * factor, y))
    assert found is not None
    assert found.gain.flatten().tolist() == pytest.approx([1.0, -1.0], abs=0.1)


@pytest.mark.parametrize("seed", range(5))
def test_a_world_that_is_the_same_changes_nothing(seed: int) -> None:
    found = compare_worlds(draw(200, 10 + seed), draw(128, 20 + seed))
    assert found is not None
    assert found.is_same


def test_another_task_is_not_taken_for_a_shift() -> None:
    order = torch.randperm(SIDE * SIDE, generator=torch.Generator().manual_seed(3))
    assert compare(lambda x: x.flatten(2)[:, :, order].view_as(x)).is_same


@pytest.mark.parametrize("change", [lambda x: x, lambda x: 1 - x])
def test_names_that_were_exchanged_are_found_and_old_items_are_called_so(change: object) -> None:
    renamed = torch.tensor([1, 0, 2, 3])
    world = compare(change, lambda y: renamed[y])
    assert world.renamed == {0: 1, 1: 0}
    x, y = draw(40, 4)
    logits = nn.functional.one_hot(y, N_CLASSES).float()
    items = {"x": x, "y": y, "logits": logits, "index": torch.arange(40)}
    found = world.recall(items)
    assert (found["y"] == renamed[y]).float().mean() > 0.9
    assert torch.equal(found["logits"].argmax(dim=1), found["y"])
    fresh = world.recall({"x": change(x), "y": renamed[y], "index": items["index"]})  # type: ignore[operator]
    assert torch.equal(fresh["y"], renamed[y]), "what was called so in the new world keeps its name"
    assert torch.equal(items["y"], y), "stored items stay as they are"


def test_a_class_that_only_looks_like_another_keeps_its_name() -> None:
    x, y = draw(128, 2)
    x[y == 0] = x[y == 1]
    found = compare_worlds(draw(200, 1), (x, y))
    assert found is not None
    assert not found.renamed


def learn(sleep: Sleep, change: object, n_steps: int, seed: int) -> None:
    for number in range(n_steps):
        x, y = draw(16, 1000 * seed + number)
        sleep.learner.optimiser.zero_grad()
        sleep.wake({"x": change(x), "y": y}).backward()  # type: ignore[operator]
        sleep.learner.optimiser.step()


def make_sleep(*, check: bool) -> Sleep:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 32), nn.ReLU(), nn.Linear(32, N_CLASSES))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    buffer = ReplayBuffer(100, generator=torch.Generator().manual_seed(0))
    nrem = NREM(batch_size=32, check=check)
    return Sleep(model, buffer, optimiser, nrem=nrem, wake=Wake("der++", n_replay=16))


def invert(x: torch.Tensor) -> torch.Tensor:
    return 1 - x


def test_after_a_shift_a_night_that_checks_brings_more_back_and_goes_on_from_its_state() -> None:
    right = {}
    x, y = draw(200, 999)
    for check in (False, True):
        sleep = make_sleep(check=check)
        learn(sleep, lambda x: x, 60, 1)
        learn(sleep, invert, 16, 2)
        report = sleep.night(30)
        assert report.committed
        right[check] = float((sleep.learner.model(invert(x)).argmax(dim=1) == y).float().mean())
    assert right[True] > right[False] + 0.1

    sleep, other = make_sleep(check=True), make_sleep(check=True)
    learn(sleep, lambda x: x, 60, 1)
    learn(sleep, invert, 16, 2)
    sleep.fall_asleep(6)
    sleep.step()
    other.learner.model.load_state_dict(sleep.learner.model.state_dict())
    other.load_state_dict(sleep.state_dict())
    for one in (sleep, other):
        one.night()
    pairs = zip(sleep.learner.model.parameters(), other.learner.model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_where_nothing_has_changed_a_night_that_checks_is_the_same_night() -> None:
    sleepers = [make_sleep(check=check) for check in (False, True)]
    for sleep in sleepers:
        learn(sleep, lambda x: x, 40, 1)
        sleep.night(10)
    pairs = zip(*(sleep.learner.model.parameters() for sleep in sleepers), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


def test_batches_of_another_kind_are_passed_by() -> None:
    present, objective = Present(4), Objective()
    for batch in ({"x": torch.arange(6), "y": torch.arange(6)}, {"x": torch.rand(6, 2), "y": torch.rand(6)}):
        present.see(batch, objective)
    assert present.x is None
    present.see({"x": torch.rand(6, 2), "y": torch.arange(6)}, objective)
    present.see({"x": torch.rand(2, 2), "y": torch.arange(2)}, objective)
    assert present.y is not None
    assert present.y.tolist() == [4, 5, 0, 1]
    present.compare(None, objective)
    assert present.world is None


def test_stale_statistics_are_mended_before_the_first_step() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(SIDE * SIDE, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 4))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    sleep = Sleep(model, ReplayBuffer(100), optimiser, nrem=NREM(batch_size=32))
    learn(sleep, lambda x: 5 + 3 * x, 60, 1)
    kept = model[2].running_mean.clone()
    model[2].reset_running_stats()
    sleep.fall_asleep(4)
    assert (model[2].running_mean - kept).abs().mean() < 0.2 * kept.abs().mean()
    sleep.abandon()
    assert (model[2].running_mean == 0).all(), "a night that is given up leaves them as they were"
