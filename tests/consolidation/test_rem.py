from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import learn, make_points, make_sleeper, measure_accuracy
from torch import nn

from sharpwave.consolidation import REM, FixedRatio, Objective, Probe, ReplayBuffer, Wake
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.rem import compute_rem_loss, recombine
from sharpwave.errors import SharpwaveError


def make_learner(model: nn.Module, items: dict[str, torch.Tensor], objective: Objective | None = None) -> Learner:
    buffer = ReplayBuffer(100)
    buffer.add(items)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    return Learner(model, buffer, optimiser, objective or Objective(), torch.Generator().manual_seed(0))


def test_dreams_mix_two_items_and_their_targets_alike() -> None:
    model = nn.Linear(4, 4)
    learner = make_learner(model, {"x": 10 * torch.eye(4), "y": torch.arange(4)})
    dreams, target = recombine(learner, REM(labels=1.0, boundary=0.0), 32)
    torch.testing.assert_close(dreams["x"] / 10, target)
    torch.testing.assert_close(target.sum(dim=1), torch.ones(32))
    assert int(((target > 0.01) & (target < 0.99)).sum()) > 8


def test_the_teacher_is_the_network_itself() -> None:
    model = nn.Linear(4, 4)
    learner = make_learner(model, {"x": torch.eye(4), "y": torch.arange(4)})
    dreams, target = recombine(learner, REM(labels=0.0, mixing=1e-3), 16)
    expected = torch.softmax(model(dreams["x"].round()), dim=1)
    torch.testing.assert_close(target, expected.detach(), atol=1e-3, rtol=1e-3)


def test_dreams_on_the_boundary_are_between_classes_that_are_confused() -> None:
    model = nn.Linear(4, 4, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.eye(4) + 0.5 * torch.eye(4)[[1, 0, 3, 2]])
    learner = make_learner(model, {"x": torch.eye(4), "y": torch.arange(4)})
    dreams, _ = recombine(learner, REM(boundary=1.0), 64)
    for dream in dreams["x"]:
        parts = set(torch.nonzero(dream > 1e-4)[:, 0].tolist())
        assert parts <= {0, 1} or parts <= {2, 3}


def test_tokens_are_spliced() -> None:
    model = nn.Sequential(nn.Embedding(4, 5), nn.Flatten(), nn.Linear(30, 4))
    tokens = torch.arange(4)[:, None].expand(4, 6).contiguous()
    learner = make_learner(model, {"x": tokens, "y": torch.arange(4)})
    dreams, target = recombine(learner, REM(labels=1.0, boundary=0.0), 32)
    shares = nn.functional.one_hot(dreams["x"], 4).float().mean(dim=1)
    torch.testing.assert_close(shares, target)
    per_token = nn.Sequential(nn.Embedding(4, 5), nn.Linear(5, 4))
    learner = make_learner(per_token, {"x": tokens, "y": tokens})
    dreams, target = recombine(learner, REM(labels=1.0), 32)
    assert torch.equal(target.argmax(dim=2), dreams["x"])


def test_made_up_items_keep_what_the_network_knew_before_the_night() -> None:
    points, _ = make_points(100, seed=1)

    def imagine(n_items: int, generator: torch.Generator) -> dict[str, torch.Tensor]:
        return {"x": points[torch.randint(len(points), (n_items,), generator=generator)]}

    sleep = make_sleeper(
        wake=Wake("er"), rem=REM(share=1.0, generator=imagine), schedule=FixedRatio(0.5), probe=Probe(tolerance=1.0)
    )
    learn(sleep, sleeps=False)
    before = measure_accuracy(sleep.learner.model)
    with torch.no_grad():
        said = sleep.learner.model(points).softmax(dim=1)
    sleep.night()
    with torch.no_grad():
        says = sleep.learner.model(points).softmax(dim=1)
    assert measure_accuracy(sleep.learner.model) == pytest.approx(before, abs=0.05)
    assert float((said - says).abs().mean()) < 0.05


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="rem=None for a night without dreams"):
        REM(share=1.5)


def test_pixels_are_dreamt_along_their_classes() -> None:
    model = nn.Conv2d(1, 3, 1)
    learner = make_learner(model, {"x": torch.rand(8, 1, 5, 4), "y": torch.randint(0, 3, (8, 5, 4))})
    dreams, target = recombine(learner, REM(labels=1.0, mixing=1e-3), 8)
    assert target.shape == (8, 5, 4, 3)
    torch.testing.assert_close(target.sum(dim=-1), torch.ones(8, 5, 4))
    expected = -(target * model(dreams["x"]).movedim(1, -1).log_softmax(-1)).sum(-1).mean()
    learner.generator.manual_seed(0)
    again = compute_rem_loss(learner, REM(labels=1.0, mixing=1e-3), 8)
    assert again.shape == expected.shape
    assert float(again.detach()) == pytest.approx(float(expected.detach()), rel=0.5)


def test_numbers_and_many_labels_are_taught_by_their_own_loss_in_their_shares() -> None:
    items = {"image": 4 * torch.rand(32, 1), "target": torch.zeros(32, 1)}
    items["target"] = 2 * items["image"]
    objective = Objective.regression(input="image", label="target")
    learner = make_learner(nn.Linear(1, 1), items, objective)
    dreams, (shares, others) = recombine(learner, REM(), 16)
    mixed = shares[:, None] * dreams["target"] + (1 - shares[:, None]) * others["target"]
    torch.testing.assert_close(mixed, 2 * dreams["image"])
    for _ in range(120):
        learner.descend(lambda: compute_rem_loss(learner, REM(), 16))
    assert float(learner.model.weight.detach()) == pytest.approx(2, abs=0.3)
    teacher = compute_rem_loss(learner, REM(generator=lambda n, _: {"image": torch.ones(n, 1)}), 4)
    assert float(teacher) == 0  # it is its own


def test_classes_by_another_name_are_in_the_targets() -> None:
    items = {"image": torch.eye(4), "label": torch.arange(4)}
    learner = make_learner(nn.Linear(4, 4), items, Objective.classification(input="image", label="label"))
    dreams, target = recombine(learner, REM(labels=1.0, mixing=1e-3), 8)
    assert torch.equal(target.argmax(dim=1), dreams["image"].argmax(dim=1))
    learner = make_learner(nn.Linear(4, 4), {"a": torch.eye(4), "b": torch.eye(4), "y": torch.arange(4)})
    learner.objective = Objective(forward=lambda model, batch: model(batch["a"]))
    with pytest.raises(SharpwaveError, match="an entry 'x'"):
        recombine(learner, REM(), 8)
    for options in ({"mixing": 0}, {"temperature": 0}, {"batch_size": 2.5}):
        with pytest.raises(SharpwaveError, match="mixing and temperature above 0"):
            REM(**options)
