"""Fabric's precisions: nights in the same one, and the wrapper that would refuse them is refused before."""

from __future__ import annotations

import pytest
import torch
from tests.consolidation.planted import make_network, make_points, measure_accuracy

from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.errors import SharpwaveError

fabrics = pytest.importorskip("lightning_fabric")

from sharpwave.integrations.fabric import make_sleep  # noqa: E402


@pytest.mark.parametrize("precision", ["bf16-mixed", "32-true", "bf16-true"])
def test_tasks_are_kept_in_every_precision(precision: str) -> None:
    fabric = fabrics.Fabric(accelerator="cpu", devices=1, precision=precision)
    network = make_network(norm=True)
    seen = set()
    network[0].register_forward_hook(lambda module, inputs, output: seen.add(output.dtype))
    model, optimiser = fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.1))
    sleep = make_sleep(fabric, model, ReplayBuffer(48, generator=torch.Generator().manual_seed(0)), optimiser)
    points, labels = make_points(100, seed=1)
    for task in range(3):
        mine = torch.nonzero(labels // 2 == task)[:, 0]
        rng = torch.Generator().manual_seed(task)
        for _ in range(30):
            chosen = mine[torch.randint(len(mine), (16,), generator=rng)]
            optimiser.zero_grad()
            fabric.backward(sleep.wake({"x": points[chosen], "y": labels[chosen]}))
            optimiser.step()
        assert sleep.night().committed
    assert seen == {torch.float32 if precision == "32-true" else torch.bfloat16}
    assert sleep.learner.buffer.read(torch.arange(4))["logits"].dtype == torch.float32
    assert measure_accuracy(network.float()) > 0.8


def test_what_does_not_fit_is_said() -> None:
    network = make_network()
    with pytest.raises(SharpwaveError, match=r"call fabric\.setup first"):
        make_sleep(fabrics.Fabric(accelerator="cpu"), network, None, None)
    fabric = fabrics.Fabric(accelerator="cpu", precision="bf16-mixed")
    model, optimiser = fabric.setup(network, torch.optim.SGD(network.parameters(), lr=0.1))
    with pytest.raises(SharpwaveError, match=r"sharpwave\.integrations\.fabric"):
        Sleep(model, ReplayBuffer(9), optimiser)
