"""Planted effects act and are recovered when on; nothing is found when off; the infraslow rhythm fools a naive look."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sharpwave.simulation.dynamics import simulate_dynamics
from sharpwave.simulation.effects import CONTENTS, Effects, Nuisance
from sharpwave.simulation.hypnograms import load_architecture
from sharpwave.simulation.species import get_species

MOUSE = get_species("mouse")


def _mice(n, *, effects=None, nuisance=None, hours=6.0, seed=0, task=(0.0, 60.0)):
    return [
        simulate_dynamics(
            int(hours * 3600),
            species=MOUSE,
            architecture=load_architecture("mouse"),
            effects=effects or Effects(),
            nuisance=nuisance or Nuisance.none(),
            task=task,
            rng=np.random.default_rng([seed, index]),
        )
        for index in range(n)
    ]


def _exposed(night, content, window=30):
    exposed = np.zeros(len(night.stage), bool)
    replays = night.ripples.query("kind == 'replay' and content == @content")["onset"].astype(int)
    for second in replays:
        exposed[second + 1 : second + window + 1] = True
    return exposed


def _oracle_ratio(nights, content):
    """Observed over expected lightening while exposed to this content and to no other."""
    observed = expected = 0.0
    for night in nights:
        alone = _exposed(night, content)
        for other in CONTENTS:
            if other != content:
                alone &= ~_exposed(night, other)
        observed += night.lightened[alone].sum()
        expected += night.lightening_hazard[alone].sum()
    return observed / expected


@pytest.fixture(scope="module")
def planted():
    return _mice(5, effects=Effects.planted(hazard_ratio=2.0, depth=2.0))


@pytest.fixture(scope="module")
def null():
    return _mice(6)


@pytest.fixture(scope="module")
def confounded():
    """Nothing but the infraslow rhythm."""
    return _mice(6, nuisance=replace(Nuisance.none(), infraslow=1.0))


def test_planted_hazard_ratios_are_recovered(planted):
    assert _oracle_ratio(planted, "aversive") == pytest.approx(2.0, rel=0.2)
    assert _oracle_ratio(planted, "neutral") == pytest.approx(1.0, rel=0.2)
    assert _oracle_ratio(planted, "rewarding") == pytest.approx(0.5, rel=0.25)


def test_nothing_is_found_where_nothing_was_planted(null):
    for content in CONTENTS:
        assert _oracle_ratio(null, content) == pytest.approx(1.0, rel=0.2)


def test_unexposed_seconds_lighten_at_the_baseline_hazard(planted):
    observed = expected = 0.0
    for night in planted:
        free = ~np.any([_exposed(night, content) for content in CONTENTS], axis=0)
        observed += night.lightened[free].sum()
        expected += night.lightening_hazard[free].sum()
    assert observed / expected == pytest.approx(1.0, rel=0.1)


def _depth_after(nights, content, lag=5):
    steps = []
    for night in nights:
        onset = night.ripples.query("kind == 'replay' and content == @content")["onset"].astype(int).to_numpy()
        onset = onset[(onset > lag) & (onset < len(night.stage) - lag - 2)]
        steps.append(night.departure[onset + lag] - night.departure[onset])
    return np.concatenate(steps).mean()


def test_depth_moves_with_the_sign_of_the_content(planted, null):
    assert _depth_after(planted, "aversive") < -1.0
    assert _depth_after(planted, "rewarding") > 1.0
    assert abs(_depth_after(planted, "neutral")) < 0.4
    for content in CONTENTS:
        assert abs(_depth_after(null, content)) < 0.4


def test_reverse_direction_changes_the_ripple_rate_with_depth(null):
    def slope(nights):
        ratio = []
        for night in nights:
            nrem = (night.stage == 1) & ~night.arousing
            ripple = (
                np.bincount(night.ripples["onset"].astype(int), minlength=len(night.stage) + 1)[: len(night.stage)] > 0
            )
            deep = night.departure > 0
            ratio.append(ripple[nrem & deep].mean() / ripple[nrem & ~deep].mean())
        return np.mean(ratio)

    assert slope(_mice(3, effects=Effects(rate_per_db=0.3))) > 1.35
    assert slope(null) == pytest.approx(1.0, abs=0.12)


def test_reverse_direction_changes_the_share_of_reactivations(null):
    def shares(nights):
        departure = np.concatenate([n.departure[n.ripples["onset"].astype(int)] for n in nights])
        nrem = np.concatenate([n.ripples["stage"] == 1 for n in nights])
        replay = np.concatenate([n.ripples["kind"] == "replay" for n in nights])
        return replay[nrem & (departure > 0)].mean() / replay[nrem & (departure <= 0)].mean()

    assert shares(_mice(2, effects=Effects(share_per_db=0.5))) > 1.5
    assert shares(null) == pytest.approx(1.0, abs=0.2)


def _naive_ratio(nights):
    """Lightening 8 to 17 s after a ripple, relative to the mean of NREM: what a peri-event average would show."""
    after, overall = [], []
    for night in nights:
        ripple = np.zeros(len(night.stage) + 20)
        np.add.at(ripple, night.ripples["onset"].astype(int), 1.0)
        recent = sum(np.r_[np.zeros(lag), ripple][: len(night.stage)] for lag in range(8, 18))
        nrem = (night.stage == 1) & ~night.arousing
        after.append(np.sum(recent[nrem] * night.lightened[nrem]) / recent[nrem].sum())
        overall.append(night.lightened[nrem].mean())
    return np.mean(after) / np.mean(overall)


def test_infraslow_rhythm_makes_ripples_precede_waking_without_causing_it(confounded, null):
    assert _naive_ratio(confounded) > 1.1
    assert _naive_ratio(null) == pytest.approx(1.0, abs=0.06)
    assert _oracle_ratio(confounded, "aversive") == pytest.approx(1.0, rel=0.2)


def test_infraslow_rhythm_adds_no_events(confounded, null):
    def rates(nights):
        nrem = sum((n.stage == 1).sum() for n in nights) / 60
        return np.array([sum(len(getattr(n, k)) for n in nights) / nrem for k in ("ripples", "spindles", "arousals")])

    np.testing.assert_allclose(rates(confounded), rates(null), rtol=0.12)


def test_no_replay_before_the_task_unless_preplay_is_on():
    before = _mice(1, hours=4.0, task=(7200.0, 8100.0))[0]
    assert not ((before.ripples["onset"] < 8100) & (before.ripples["kind"] != "ripple")).any()
    assert (before.ripples.query("onset > 8100")["kind"] == "replay").any()
    assert np.all(before.stage[7200:8100] == 0)
    preplay = _mice(1, hours=3.0, task=(7200.0, 8100.0), effects=Effects(preplay=0.2))[0]
    assert (preplay.ripples.query("onset < 7200")["kind"] == "replay").mean() > 0.1


def test_replay_is_more_often_forward_and_fades(null):
    replays = np.concatenate([n.ripples.query("kind == 'replay'")["direction"] == "forward" for n in null])
    assert 0.58 < replays.mean() < 0.72
    nrem = [n.ripples[n.ripples["stage"] == 1] for n in null]
    early = np.mean([(r.loc[r["onset"] < 2 * 3600, "kind"] == "replay").mean() for r in nrem])
    late = np.mean([(r.loc[r["onset"] > 4 * 3600, "kind"] == "replay").mean() for r in nrem])
    assert late < early
