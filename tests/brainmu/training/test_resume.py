from __future__ import annotations

import pytest
import torch
from torch import nn

from sharpwave.brainmu.training.objective import compute_average_decay
from sharpwave.brainmu.training.resume import TrainingLog, WeightAverage


def test_the_average_is_that_of_the_weights_so_far_and_is_used_when_asked() -> None:
    model = nn.Linear(2, 1)
    average = WeightAverage(model, width=0.1)
    history = [torch.randn(1, 2, generator=torch.Generator().manual_seed(step)) for step in range(30)]
    shares = torch.zeros(30)
    for step, weight in enumerate(history):
        with torch.no_grad():
            model.weight.copy_(weight)
        average.update(step)
        decay = compute_average_decay(step, 0.1)
        shares *= decay
        shares[step] = 1 - decay
    assert torch.equal(model.weight, history[-1])
    average.use()
    expected = (torch.cat(history) * shares[:, None]).sum(dim=0, keepdim=True)
    torch.testing.assert_close(model.weight.detach(), expected)


def test_frozen_weights_are_left_alone() -> None:
    model = nn.Linear(2, 1)
    model.bias.requires_grad_(False)
    assert set(WeightAverage(model, width=0.1).values) == {"weight"}


def test_a_log_says_how_far_training_is_where_there_is_no_terminal(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharpwave.brainmu.training.resume.LINE_EVERY", 1e9)
    for bar in (True, False):
        log = TrainingLog(None, steps=20, done=0, hours=1.0, shown=True, bar=bar)
        log.add(0, {"loss": 2.5}, rate=0.1)
        log.add(1, {"loss": 2.4}, rate=0.1)
    assert capsys.readouterr().err == "Training: update 1 of 20, loss 2.500\n"
