from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import copy_weights, learn, make_network, same_weights
from torch import nn

from sharpwave.consolidation import Probe, Sleep
from sharpwave.consolidation.spiking import Activity, SpikingReplay, step_spikes
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError


def make_chain(*weights: list[list[float]]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for rows in weights:
        layer = nn.Linear(len(rows[0]), len(rows), bias=False)
        layer.weight = nn.Parameter(torch.tensor(rows))
        layers += [layer, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_what_fires_together_is_wired_together() -> None:
    network = make_chain([[1.0, 0.0, 0.1], [0.0, 0.0, -1.0]])
    activity = Activity()
    with activity.watch(network):
        network(torch.tensor([[1.0, 0.0, 0.0]]))
    before = network[0].weight.detach().clone()
    replay = SpikingReplay(rate=1.0, potentiation=0.1, depression=0.05)
    step_spikes(network, activity, [], replay, generator=torch.Generator().manual_seed(0))
    change = (network[0].weight.detach() - before) / before.std()
    torch.testing.assert_close(change, torch.tensor([[0.1, -0.05, -0.05], [0.0, 0.0, 0.0]]))


def test_activity_is_the_mean_input_and_the_largest_output() -> None:
    network, inputs = make_network(), torch.rand(40, 8)
    activity = Activity()
    with activity.watch(network):
        network(inputs[:30])
        network(inputs[30:])
    torch.testing.assert_close(activity.mean, inputs.mean(dim=0))
    assert list(activity.highest) == ["0", "2", "4"]
    assert activity.highest["4"] == pytest.approx(network(inputs).max().item())


def test_a_silent_network_does_not_change() -> None:
    network = make_network()
    sleep = Sleep.src(network, torch.optim.SGD(network.parameters(), lr=0.1), nrem=SpikingReplay(threshold=1e9))
    learn(sleep, n_tasks=1, sleeps=False)
    before = copy_weights(network)
    sleep.night()
    assert same_weights(before, network.state_dict())


def test_sleep_without_stored_data_and_its_resumption(tmp_path) -> None:
    def make() -> Sleep:
        network = make_network()
        generator = torch.Generator().manual_seed(2)
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        return Sleep.src(network, optimiser, nrem=SpikingReplay(n_steps=30), generator=generator)

    whole, resumed = make(), make()
    reports = learn(whole, n_tasks=2)
    assert whole.learner.buffer is None
    assert [len(report.hypnogram) for report in reports] == [30, 30]
    whole.fall_asleep()
    for _ in range(10):
        whole.step()
    state = save_state({"sleep": whole.state_dict(), "model": whole.learner.model.state_dict()}, tmp_path)
    resumed.learner.model.load_state_dict(load_state(state)["model"])
    resumed.load_state_dict(load_state(state)["sleep"])
    for sleep in (whole, resumed):
        sleep.night()
    assert same_weights(whole.learner.model.state_dict(), resumed.learner.model.state_dict())


def test_a_probe_undoes_what_harms() -> None:
    network = make_network()
    scores = iter([0.8, 0.3])
    sleep = Sleep.src(network, torch.optim.SGD(network.parameters(), lr=0.1), probe=Probe(lambda _: next(scores)))
    learn(sleep, n_tasks=1, sleeps=False)
    before = copy_weights(network)
    assert not sleep.night().committed
    assert same_weights(before, network.state_dict())


def test_errors() -> None:
    with pytest.raises(SharpwaveError, match="the defaults are 200"):
        SpikingReplay(rate=0.0)
    sleep = Sleep.src(make_network())
    with pytest.raises(SharpwaveError, match="on a multilayer perceptron"):
        sleep.night()
