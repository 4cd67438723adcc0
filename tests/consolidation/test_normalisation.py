from __future__ import annotations

import torch
from tests.consolidation.planted import learn, make_sleeper
from torch import nn

from sharpwave.consolidation import NREM, Probe, Wake
from sharpwave.consolidation.normalisation import rebalance_batch_norms


def test_statistics_are_plain_averages_of_the_passes() -> None:
    norm = nn.BatchNorm1d(3)
    batches = torch.randn(4, 50, 3) * 2 + 1
    norm(torch.full((10, 3), 100.0))
    passes = iter(batches)
    rebalance_batch_norms(norm, lambda: norm(next(passes)), n_batches=4)
    torch.testing.assert_close(norm.running_mean, batches.mean(dim=(0, 1)))
    torch.testing.assert_close(norm.running_var, batches.var(dim=1).mean(dim=0))
    assert norm.momentum == 0.1


def test_after_sleep_they_are_those_of_balanced_memories() -> None:
    sleep = make_sleeper(norm=True, wake=Wake("none"), nrem=NREM(rate=0.0), probe=Probe(tolerance=1.0), capacity=60)
    learn(sleep, sleeps=False)
    network = sleep.body.model
    latest = network[1].running_mean.clone()
    items = sleep.body.draw(600, balanced=True)
    expected = network[0](items["x"]).mean(dim=0)
    sleep.night(2)
    after = (network[1].running_mean - expected).norm()
    assert after < 0.35 * (latest - expected).norm()


def test_a_network_without_batch_norm_is_not_run() -> None:
    rebalance_batch_norms(nn.Linear(2, 2), lambda: 1 / 0)
