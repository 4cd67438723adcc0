from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import learn, make_points, make_sleeper, measure_accuracy
from torch import nn

from sharpwave.consolidation import REM, FixedRatio, Objective, Probe, ReplayBuffer, Wake
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.rem import recombine
from sharpwave.errors import SharpwaveError


def make_learner(model: nn.Module, items: dict[str, torch.Tensor]) -> Learner:
    buffer = ReplayBuffer(100)
    buffer.add(items)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    return Learner(model, buffer, optimiser, Objective(), torch.Generator().manual_seed(0))


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
