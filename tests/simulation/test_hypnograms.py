"""Sleep stages of simulated nights follow published numbers, and simulated experts differ as experts do."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus
from sharpwave.simulation import fit_architecture, load_architecture, simulate_cohort
from sharpwave.simulation.dynamics import simulate_dynamics
from sharpwave.simulation.effects import Effects, Nuisance
from sharpwave.simulation.hypnograms import SleepClock, _from_dict, to_dict
from sharpwave.simulation.species import get_species


def _scored(n_nights, species, hours, *, seed=0, architecture=None):
    preset = get_species(species)
    nights = [
        simulate_dynamics(
            int(hours * 3600),
            species=preset,
            architecture=architecture or load_architecture(species),
            effects=Effects(),
            nuisance=Nuisance.none(),
            task=(0.0, 60.0),
            rng=np.random.default_rng([seed, index]),
        )
        for index in range(n_nights)
    ]
    return [Hypnogram(night.stage, 1.0, preset.n_stages).resample(preset.scoring_epoch) for night in nights]


def _shares(hypnograms, n_stages):
    return np.mean([[(h.stages == s).mean() for s in range(n_stages)] for h in hypnograms], axis=0)


def test_refitting_simulated_nights_recovers_their_shares(human_cohort):
    nights = [truth.hypnogram.resample(30.0) for _, truth in human_cohort]
    again = _scored(6, "human", 8.0, seed=1, architecture=fit_architecture(nights))
    np.testing.assert_allclose(_shares(again, 5), _shares(nights, 5), atol=0.06)


def test_the_fit_puts_n3_early_and_rem_late(human_cohort):
    stages = np.array([truth.hypnogram.stages for _, truth in human_cohort])
    early, late = stages[:, : 3 * 3600], stages[:, -3 * 3600 :]
    assert (early == 3).mean() > 1.5 * (late == 3).mean()
    assert (late == 4).mean() > 1.5 * (early == 4).mean()


def _rem_starts(stages, *, epoch, gap=15.0):
    """Minutes at which REM episodes begin; shorter gaps do not part them."""
    rem = np.flatnonzero(stages == 4) * epoch / 60
    return rem[np.r_[True, np.diff(rem) > gap]]


def _describe_cycles(hypnograms):
    starts = [_rem_starts(h.stages, epoch=h.epoch_length) for h in hypnograms]
    onset = [np.flatnonzero(h.stages > 0)[0] * h.epoch_length / 60 for h in hypnograms]
    return np.concatenate([np.diff(s) for s in starts]), np.array([s[0] for s in starts]) - onset


def test_rem_returns_in_cycles_of_about_ninety_minutes(human_cohort):
    cycles, latency = _describe_cycles([truth.hypnogram for _, truth in human_cohort])
    assert 80 <= np.median(cycles) <= 110  # about 90, Carskadon & Dement; 93 in DOD-H
    assert np.mean(cycles < 50) < 0.15
    assert 70 <= np.median(latency) <= 130  # 80–100, Carskadon & Dement; 114 in DOD-H


def test_architecture_round_trips_through_json():
    shipped = load_architecture("mouse")
    assert _from_dict(json.loads(json.dumps(to_dict(shipped)))) == shipped


def test_no_bout_is_shorter_than_the_shortest():
    architecture = load_architecture("human")
    assert architecture.compute_hazards(2, SleepClock(4, age=14.0, asleep=True)) == []
    assert sum(h for _, h in architecture.compute_hazards(2, SleepClock(4, age=20.0, asleep=True))) > 0


def test_pressure_for_rem_grows_with_nrem_sleep_and_not_with_wake():
    architecture = load_architecture("human")

    def rem_hazard(*before):
        clock = SleepClock(4)
        for stage, seconds in before:
            for _ in range(seconds):
                clock.advance(stage)
        clock.age = 600.0
        return dict(architecture.compute_hazards(2, clock))[4]

    rested = ((2, 1800), (4, 900), (2, 1200))
    assert rem_hazard(*rested, (2, 2400)) > 4 * rem_hazard(*rested)
    assert rem_hazard(*rested, (0, 600), (2, 600)) == pytest.approx(rem_hazard(*rested, (2, 600)), rel=0.5)


def test_rem_comes_back_soon_or_late_but_seldom_between():
    architecture = load_architecture("human")
    clock = SleepClock(4, asleep=True)
    hazard = []
    for stage, seconds in ((2, 3600), (4, 600), (2, 90), (2, 1110), (2, 3600)):
        for _ in range(seconds):
            clock.advance(stage)
        clock.age = 60.0
        hazard.append(dict(architecture.compute_hazards(2, clock))[4])
    soon, between, late = hazard[2:]
    assert soon > 3 * between
    assert late > 3 * between


@pytest.fixture(scope="module")
def mice():
    return _scored(4, "mouse", 12.0)


def test_mouse_by_day_has_published_shares_and_bouts(mice):
    nights = mice
    wake, nrem, rem = _shares(nights, 3)
    assert 0.25 < wake < 0.45  # 32–33 %
    assert 0.48 < nrem < 0.65  # 54 %
    assert 0.05 < rem < 0.13  # 8–12 %
    bouts = [h.bouts() for h in nights]
    mean = {s: np.mean(np.concatenate([b.loc[b["stage"] == s, "duration"] for b in bouts])) for s in ("NREM", "R")}
    assert 110 < mean["NREM"] < 200  # 162 s
    assert 45 < mean["R"] < 85  # 64 s


def test_rat_by_day_has_published_shares():
    wake, nrem, rem = _shares(_scored(2, "rat", 12.0), 3)
    assert 0.17 < wake < 0.35  # 24–27 %
    assert 0.56 < nrem < 0.72  # 58–67 %
    assert 0.06 < rem < 0.16  # 9–16 %


def test_mouse_wake_bouts_have_a_heavier_tail_than_an_exponential(mice):
    bouts = np.concatenate([h.bouts().query("stage == 'W'")["duration"].to_numpy()[1:] for h in mice])
    tail = bouts[bouts >= 48]
    slope = 1 / np.mean(np.log(tail / 48))
    power_law = np.sum(np.log(slope / 48) - (slope + 1) * np.log(tail / 48))
    exponential = -len(tail) * (np.log(np.mean(tail - 48)) + 1)
    assert power_law > exponential + 10
    assert 1.9 < slope + 1 < 2.5  # 2.2, Lo et al. 2004


def test_unknown_species_is_refused():
    with pytest.raises(SharpwaveError, match="species human, mouse or rat; got 'cat'"):
        load_architecture("cat")


def test_other_features_are_refused():
    content = to_dict(load_architecture("rat"))
    content["features"] = ["constant"]
    with pytest.raises(SharpwaveError, match=r"the features constant.*refit"):
        _from_dict(content)


def test_mixed_epoch_lengths_are_refused():
    nights = [Hypnogram(np.array([0, 1, 2]), 30.0), Hypnogram(np.array([0, 1, 2]), 20.0)]
    with pytest.raises(SharpwaveError, match="one epoch length and stage set"):
        fit_architecture(nights)


@pytest.fixture(scope="session")
def healthy_nights(data_root):
    """Consensus of the 19 healthy nights in the span that all five experts scored."""
    folder = data_root / "dod-hypnograms" / "scorers" / "dodh"
    if not folder.is_dir():
        pytest.skip("no dod-hypnograms among the real recordings")
    nights = []
    for path in sorted((folder / "scorer_1").glob("*.json")):
        codes = np.array([json.loads((folder / f"scorer_{i}" / path.name).read_text()) for i in range(1, 6)])
        scored = np.flatnonzero((codes >= 0).all(axis=0))
        nights.append(compute_consensus([Hypnogram(row) for row in codes[:, scored[0] : scored[-1] + 1]]))
    return nights


def test_shipped_numbers_are_the_fit_to_the_healthy_nights(healthy_nights):
    fitted, shipped = fit_architecture(healthy_nights), load_architecture("human")
    for stage, destinations in fitted.weights.items():
        for destination, weights in destinations.items():
            np.testing.assert_allclose(shipped.weights[stage][destination], weights, atol=0.02)


def test_simulated_nights_resemble_the_healthy_nights(healthy_nights, human_cohort):
    real, simulated = _shares(healthy_nights, 5), _shares([r.hypnogram for r, _ in human_cohort], 5)
    np.testing.assert_allclose(simulated, real, atol=0.04)
    lengths = [_mean_bouts(healthy_nights), _mean_bouts([r.hypnogram for r, _ in human_cohort])]
    np.testing.assert_allclose(np.log(lengths[1]), np.log(lengths[0]), atol=0.45)


def _mean_bouts(hypnograms):
    table = pd.concat([h.bouts() for h in hypnograms])
    return table.groupby("stage")["duration"].mean()[["N1", "N2", "N3", "R"]].to_numpy()


def _kappas(human_cohort, stage=None):
    values = []
    for _, truth in human_cohort:
        for one, other in combinations(truth.scorers.values(), 2):
            a, b = one.stages, other.stages
            values.append(cohen_kappa_score(a, b) if stage is None else cohen_kappa_score(a == stage, b == stage))
    return np.array(values)


def test_experts_agree_as_experts_do(human_cohort):
    assert 0.71 <= _kappas(human_cohort).mean() <= 0.81  # Lee et al. 2022


@pytest.mark.parametrize("species", ["mouse", "rat"])
def test_experts_of_rodents_agree_no_better(species):
    nights = simulate_cohort(2, species=species, hours=4.0, rng=np.random.default_rng(2), modalities=())
    assert 0.74 <= _kappas(nights).mean() <= 0.82


def test_n1_is_where_they_disagree_most(human_cohort):
    by_stage = [_kappas(human_cohort, stage).mean() for stage in range(5)]
    assert np.argmin(by_stage) == 1
    assert by_stage[1] < 0.5


def test_they_disagree_at_transitions(human_cohort):
    near, far = [], []
    for _, truth in human_cohort:
        true = truth.hypnogram.resample(30.0).stages
        moving = np.r_[False, np.diff(true) != 0]
        moving |= np.r_[moving[1:], False]
        split = np.any(np.diff([h.stages for h in truth.scorers.values()], axis=0) != 0, axis=0)
        near.append(split[moving].mean())
        far.append(split[~moving].mean())
    assert np.mean(near) > 1.8 * np.mean(far)


def test_errors_come_in_runs(human_cohort):
    correlations = []
    for _, truth in human_cohort:
        true = truth.hypnogram.resample(30.0).stages
        wrong = (next(iter(truth.scorers.values())).stages != true).astype(float)
        correlations.append(np.corrcoef(wrong[:-1], wrong[1:])[0, 1])
    assert np.mean(correlations) > 0.15


def test_consensus_keeps_the_true_number_of_shifts(human_cohort):
    true = [np.count_nonzero(np.diff(t.hypnogram.resample(30.0).stages)) for _, t in human_cohort]
    scored = [np.count_nonzero(np.diff(r.hypnogram.stages)) for r, _ in human_cohort]
    assert 0.8 < np.mean(scored) / np.mean(true) < 1.3


def test_consensus_has_probabilities_and_the_experts_are_in_the_metadata(human_cohort):
    recording, truth = human_cohort[0]
    assert recording.hypnogram.epoch_length == 30.0
    np.testing.assert_allclose(recording.hypnogram.probabilities.sum(axis=1), 1.0)
    assert recording.metadata["scorers"].keys() == truth.scorers.keys()
    assert len(truth.scorers) == 5
