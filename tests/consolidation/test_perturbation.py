from __future__ import annotations

import torch
from tests.consolidation.planted import copy_weights, learn, make_points, make_sleeper, same_weights
from torch import nn

from sharpwave.consolidation.perturbation import compute_brittleness, perturb_weights
from sharpwave.consolidation.significance import compute_fisher


def test_noise_is_in_the_weights_for_the_length_of_a_pass() -> None:
    layer = nn.Linear(100, 100)
    before = copy_weights(layer)
    with perturb_weights(dict(layer.named_parameters()), {"weight": 0.5}, generator=torch.Generator().manual_seed(0)):
        moved = (layer.weight.detach() - before["weight"]).std() / before["weight"].std()
        assert abs(float(moved) - 0.5) < 0.02
        assert torch.equal(layer.bias, before["bias"])
    assert same_weights(before, layer.state_dict())


def test_the_layer_that_is_said_to_be_brittle_is_the_one_that_breaks() -> None:
    sleep = make_sleeper()
    learn(sleep, n_tasks=3)
    network = sleep.body.model
    points, labels = make_points(60, seed=2)
    fisher = compute_fisher(network, {"x": points, "y": labels})
    weights = {name: value for name, value in network.named_parameters() if value.ndim > 1}
    said = compute_brittleness(fisher, weights)
    assert max(said.values()) == 1.0
    generator = torch.Generator().manual_seed(0)
    lost = {}
    for name in weights:
        losses = []
        for _ in range(40):
            with torch.no_grad(), perturb_weights(weights, {name: 0.2}, generator=generator):
                losses.append(float(nn.functional.cross_entropy(network(points), labels)))
        lost[name] = sum(losses)
    assert max(said, key=said.__getitem__) == max(lost, key=lost.__getitem__)


def test_steered_replay_makes_the_network_bear_more_noise() -> None:
    def lose(**options: object) -> float:
        sleep = make_sleeper(**options)
        learn(sleep, n_tasks=3, sleeps=False)
        sleep.night(150)
        network, (points, labels) = sleep.body.model, make_points(60, seed=2)
        weights = {name: value for name, value in network.named_parameters() if name in ("0.weight", "2.weight")}
        generator, total = torch.Generator().manual_seed(1), 0.0
        for _ in range(40):
            with torch.no_grad(), perturb_weights(weights, dict.fromkeys(weights, 0.8), generator=generator):
                total += float((network(points).argmax(dim=1) != labels).float().mean())
        return total / 40

    assert lose(steer={"0.weight": 1.0, "2.weight": 1.0}, steer_noise=0.8) < lose()
