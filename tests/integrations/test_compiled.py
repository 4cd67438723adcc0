"""A network that torch.compile wraps sleeps as the plain one does, bit for bit."""

from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import make_network, make_points

from sharpwave.consolidation import NREM, REM, Homeostasis, Protection, ReplayBuffer, Sleep


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nrem": NREM(noise=0.05, reconstruction=0.5), "rem": REM(share=0.3), "steer": "brittle"},
        {"protection": Protection(step_size=0.3, anchor=0.1), "homeostasis": Homeostasis(prune=0.02, regrow=0.5)},
    ],
    ids=["plain", "noise", "protected"],
)
@pytest.mark.parametrize("norm", [False, True])
def test_compiled_networks_sleep_as_plain_ones(norm: bool, options: dict) -> None:
    torch._dynamo.reset()
    plain, inner = make_network(norm=norm), make_network(norm=norm)
    found = [live(model, options) for model in (plain, torch.compile(inner, backend="eager"))]
    assert found[0] == found[1]
    for name, value in plain.state_dict().items():
        assert torch.equal(value, inner.state_dict()[name]), name


def live(model: torch.nn.Module, options: dict) -> list:
    torch.manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator().manual_seed(0)
    sleep = Sleep(model, ReplayBuffer(32, generator=generator), optimiser, generator=generator, **options)
    points, labels = make_points(20, seed=1)
    scores = []
    for task in range(2):
        for rows in torch.nonzero(labels // 2 == task)[:, 0].split(10):
            optimiser.zero_grad()
            sleep.wake({"x": points[rows], "y": labels[rows]}).backward()
            optimiser.step()
        report = sleep.night(4)
        scores.append((report.committed, report.score_before, report.score_after))
    return scores


def test_what_a_compiled_network_does_is_seen() -> None:
    """Hooks that come after a pass was compiled would be left out of it."""
    torch._dynamo.reset()
    networks = [make_network(), make_network()]
    for network in networks:
        for layer in network[::2]:
            torch.nn.init.zeros_(layer.bias).requires_grad_(False)
    points, labels = make_points(10, seed=1)
    compiled = torch.compile(networks[1], backend="eager")
    compiled(points)
    for model in (networks[0], compiled):
        sleep = Sleep.src(model, torch.optim.SGD(model.parameters(), lr=0.1))
        sleep.wake({"x": points, "y": labels}).backward()
        sleep.night()
    assert torch.equal(networks[0][0].weight, networks[1][0].weight)
