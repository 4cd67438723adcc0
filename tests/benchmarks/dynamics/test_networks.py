"""Criticality of networks: what is planted is found, and nothing where nothing changed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.dynamics import networks
from sharpwave.benchmarks.dynamics.networks import (
    METHODS,
    Life,
    compare_networks,
    count_active,
    count_spikes,
    measure_activity,
)
from sharpwave.consolidation.spiking import step_spikes
from sharpwave.demonstrations.streams import stream_digits


def branch(ratio: float, *, n: int = 6000, seed: int = 0) -> np.ndarray:
    """A branching process that is driven from outside."""
    rng = np.random.default_rng(seed)
    active, counts = 5, np.zeros(n)
    for moment in range(n):
        active = rng.poisson(ratio * active + 5)
        counts[moment] = active
    return counts


@pytest.mark.parametrize("ratio", [0.6, 0.9])
def test_the_ratio_of_a_branching_process_is_found(ratio: float) -> None:
    assert measure_activity(branch(ratio))["branching_ratio"] == pytest.approx(ratio, abs=0.05)


def test_silence_has_no_ratio() -> None:
    found = measure_activity(np.zeros(4000))
    assert np.isnan(found["branching_ratio"])
    assert found["active_per_step"] == 0


def test_active_is_above_a_unit_s_own_deviations() -> None:
    states = np.zeros((6, 2))
    states[2:4, 0] = 1
    states[4, 1] = 1
    assert count_active(states).tolist() == [0, 0, 1, 1, 1, 0]


def test_stronger_recurrence_lasts_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "N_MEASURED", 3000)
    life = Life.begin("recurrent", stream_digits(seed=0), seed=0)
    ratios = []
    for strength in (0.5, 0.95):
        with torch.no_grad():
            life.network.cell.weight_hh_l0.copy_(strength * torch.eye(64))
            life.network.cell.weight_ih_l0.mul_(0.3)
        ratios.append(life.measure(seed=0)["branching_ratio"])
    assert ratios[1] > ratios[0] + 0.2


def test_spikes_are_counted_as_a_night_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "N_MEASURED", 30)
    stream = stream_digits(seed=0)
    life = Life.begin("spiking", stream, seed=0)
    life.learn(stream.tasks[0], 10, generator=torch.Generator().manual_seed(0))
    phase = life.sleep.phases[next(iter(life.sleep.phases))]
    counts = count_spikes(life.network, phase, generator=torch.Generator().manual_seed(1))
    still = networks.copy.copy(phase.replay)
    object.__setattr__(still, "potentiation", 0.0)
    object.__setattr__(still, "depression", 0.0)
    generator, potentials, spiked = torch.Generator().manual_seed(1), [], []
    for _ in range(30):
        potentials = step_spikes(life.network, phase.activity, potentials, still, generator=generator)
        spiked.append(sum(int((each == 0).sum()) for each in potentials[:-1]))
    assert counts.sum() > 0
    np.testing.assert_array_equal(counts, spiked)


def test_twins_begin_alike_and_an_empty_night_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(networks, "N_MEASURED", 400)
    monkeypatch.setattr(networks, "PASSES", 1)
    monkeypatch.setattr(networks, "N_SLEEP", {"recurrent": 4, "spiking": 4})
    monkeypatch.setattr(networks.Sleep, "night", lambda self, steps=None: None)
    rows = {(row.data, row.setting, row.method, row.metric): row for row in compare_networks(seeds=2)}
    for kind, methods in METHODS.items():
        found = rows[f"digits, {kind} network", "after minus before", "asleep", "active_per_step"]
        assert found.values == (0, 0)
        apart = rows[f"digits, {kind} network", "change, minus that awake", "asleep", "active_per_step"]
        awake = rows[f"digits, {kind} network", "after minus before", "awake", "active_per_step"]
        assert apart.values == pytest.approx([-value for value in awake.values])
        assert any(awake.values)
        assert "awake" in methods
