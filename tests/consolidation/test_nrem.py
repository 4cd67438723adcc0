from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import learn, make_network, make_points, make_sleeper

from sharpwave.consolidation import NREM, Probe, Sleep
from sharpwave.consolidation.modules import perturb_weights
from sharpwave.consolidation.nrem import compute_nrem_loss
from sharpwave.errors import SharpwaveError


def test_the_hidden_state_learns_to_hold_the_input() -> None:
    options = {"probe": Probe(tolerance=10.0)}
    sleep = make_sleeper(nrem=NREM(labels=0.0, distillation=0.0, noise=0.1, reconstruction=1.0), **options)
    learn(sleep, n_tasks=2, sleeps=False)
    losses = [sleep.night(40).losses.mean() for _ in range(4)]
    assert losses[-1] < 0.75 * losses[0]


def test_the_loss_is_labels_and_logits() -> None:
    sleep = make_sleeper(nrem=NREM(labels=2.0, distillation=0.25))
    learn(sleep, n_tasks=1, sleeps=False)
    batch = sleep.learner.sample(12, balanced=True)
    logits = sleep.learner.model(batch["x"])
    expected = 2 * torch.nn.functional.cross_entropy(logits, batch["y"])
    expected = expected + 0.25 * (logits - batch["logits"]).square().mean()
    torch.testing.assert_close(compute_nrem_loss(sleep.learner, batch, sleep.recipe.nrem, head="", step=0), expected)


def test_the_slow_oscillation() -> None:
    nrem = NREM(oscillation=8, noise=0.4)
    assert [nrem.find_up(step) for step in (0, 4, 8)] == pytest.approx([0, 1, 0])
    assert [nrem.find_noise(step) for step in (0, 4, 8)] == pytest.approx([0.4, 0, 0.4])
    assert NREM(noise=0.4).find_noise(3) == 0.4


def test_a_down_state_teaches_nothing() -> None:
    sleep = Sleep.oscillatory(make_network(), make_sleeper().learner.buffer)
    learn(sleep, n_tasks=1, sleeps=False)
    before = sleep.learner.model[0].weight.clone()
    sleep.night(1)
    assert torch.equal(before, sleep.learner.model[0].weight)
    sleep.night(4)
    assert not torch.equal(before, sleep.learner.model[0].weight)


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="not negative"):
        NREM(noise=-0.1)
    sleep = make_sleeper(nrem=NREM(reconstruction=1.0))
    sleep.learner.buffer.add({"x": torch.zeros(4, 8, dtype=torch.int64), "y": torch.arange(4)})
    sleep.learner.model.insert(0, torch.nn.Identity())
    sleep.learner.model[0].forward = lambda x: x.float()
    with pytest.raises(SharpwaveError, match="a floating entry 'x'"):
        sleep.night(1)


def test_steered_replay_makes_the_network_bear_more_noise() -> None:
    def lose(**options: object) -> float:
        sleep = make_sleeper(**options)
        learn(sleep, n_tasks=3, sleeps=False)
        sleep.night(150)
        network, (points, labels) = sleep.learner.model, make_points(60, seed=2)
        weights = {name: value for name, value in network.named_parameters() if name in ("0.weight", "2.weight")}
        generator, total = torch.Generator().manual_seed(1), 0.0
        for _ in range(40):
            with torch.no_grad(), perturb_weights(weights, dict.fromkeys(weights, 0.8), generator=generator):
                total += float((network(points).argmax(dim=1) != labels).float().mean())
        return total / 40

    assert lose(steer={"0.weight": 1.0, "2.weight": 1.0}, steer_noise=0.8) < lose()
