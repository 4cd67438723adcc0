from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.replay import speed as replay_speed
from sharpwave.reactivation.state_space import decode_events


def test_libraries_that_are_not_there_are_noted(monkeypatch):
    monkeypatch.setenv(replay_speed.PEER_VARIABLE, "/no/such/python")
    notes: list[str] = []
    assert replay_speed.find_libraries(notes) == []
    assert "replay_trajectory_classification left out: not installed" in notes[0]
    assert len(notes) == 2


def test_simulated_events_sweep_along_the_track(monkeypatch, rng):
    monkeypatch.setattr(replay_speed, "N_EVENTS", 20)
    fields = replay_speed.simulate_fields(rng)
    table = decode_events(replay_speed.simulate_events(fields, rng=rng), fields).table
    assert table["p_continuous"].mean() > 0.6
    assert table["p_fragmented"].mean() < 0.2


def test_decoding_agrees_with_pynapple(monkeypatch, rng):
    monkeypatch.setattr(replay_speed, "MINUTES", 0.5)
    monkeypatch.setattr(replay_speed, "N_UNITS", 10)
    found = replay_speed.compare_pynapple(replay_speed.simulate_fields(rng), rng=rng)
    (difference,) = [value for key, value in found.items() if key[2] == "largest_difference"]
    assert difference == pytest.approx(0, abs=1e-6)
    assert all(np.isfinite(value) and value >= 0 for value in found.values())
