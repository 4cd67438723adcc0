"""The declared difficulty is the simulator's, stays as it was frozen, and null nights hold no replay."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.benchmarks.reactivation.detectors import find_rippled_bursts
from sharpwave.recipes.difficulty import DECLARED, NULLS, Difficulty, simulate_null_night
from sharpwave.recipes.replay_nights import ReactivationNight
from sharpwave.simulation.firing import PLAIN
from sharpwave.simulation.species import get_species


def test_what_is_declared_is_what_is_simulated(declared: ReactivationNight) -> None:
    assert Difficulty() == DECLARED
    assert DECLARED.replay_gain == PLAIN.gain
    assert get_species(DECLARED.species).ripple_rate[1] == DECLARED.ripple_rate
    assert len(declared.recording.spikes) == DECLARED.n_units
    n_replays, kinds = len(declared.replays), declared.others["kind"].value_counts()
    nrem = n_replays + (declared.others["stage"] == 1).sum()
    assert n_replays / nrem == pytest.approx(DECLARED.replay_share, abs=0.05)
    assert kinds["shuffled"] / nrem == pytest.approx(DECLARED.decoys, abs=0.07)
    longer = declared.replays["duration"].median() / declared.others.query("kind == 'ripple'")["duration"].median()
    assert longer == pytest.approx(DECLARED.longer, rel=0.2)
    assert declared.others.query("kind == 'ripple'")["amplitude_uv"].median() == pytest.approx(
        DECLARED.ripple_uv, rel=0.1
    )


def test_the_difficulty_is_frozen(declared: ReactivationNight) -> None:
    spikes = declared.recording.spikes
    assert (len(declared.replays), len(declared.others)) == (47, 273)
    assert sum(len(spikes[unit].t) for unit in spikes) == 68188


@pytest.mark.parametrize("kind", NULLS)
def test_null_nights_hold_no_replay(kind: str) -> None:
    empty = simulate_null_night(kind, rng=np.random.default_rng(4), hours=0.5)
    assert len(empty.replays) == 0
    assert len(empty.others) > 50
    assert ("shuffled" in set(empty.others["kind"])) == (kind == "shuffled sequences")
    assert empty.fields.rates.max() > 5
    assert len(find_rippled_bursts(empty.recording, empty.others)) > 20
