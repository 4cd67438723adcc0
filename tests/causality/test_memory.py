from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sharpwave.causality.memory import (
    Coupling,
    compute_coupling,
    compute_slow_phase,
    correlate_with_memory,
    describe_memory,
    measure_session,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram
from sharpwave.simulation import Effects, simulate_night


def simulate_sessions(gain: float, *, n: int = 14) -> pd.DataFrame:
    """Short rat sessions of different lengths, so that they differ in how much is reactivated."""
    rows = []
    for seed in range(n):
        hours = 0.5 + 0.1 * seed
        _, truth = simulate_night(
            "rat", hours, rng=np.random.default_rng(seed), modalities=(), effects=Effects(memory_gain=gain)
        )
        rows.append({**truth.memory, **measure_session(truth.reactivations, truth.hypnogram)})
    return pd.DataFrame(rows)


def test_a_planted_gain_is_recovered_and_none_is_found_where_none_is(rng):
    planted = correlate_with_memory(simulate_sessions(8.0), rng=rng).set_index("predictor").loc["n_reactivations"]
    assert planted["q"] < 0.05
    assert planted["slope_low"] < 0.08 < planted["slope_high"]
    absent = correlate_with_memory(simulate_sessions(0.0), rng=rng)
    assert (absent["q"] > 0.05).all()
    assert describe_memory(absent).startswith("No relation to memory was shown")


def test_rho_is_spearmans_and_its_p_comes_from_permuted_sessions(rng):
    table = pd.DataFrame({"n_reactivations": rng.normal(size=20), "before": 60.0, "after": rng.normal(60, 5, 20)})
    row = correlate_with_memory(table, rng=rng).iloc[0]
    expected = spearmanr(table["n_reactivations"], table["after"])
    assert row["rho"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue, abs=0.03)
    assert row["low"] < row["rho"] < row["high"]


def test_null_p_values_are_uniform(rng):
    ps = []
    for _ in range(200):
        table = pd.DataFrame({"n_reactivations": rng.normal(size=9), "before": 0.0, "after": rng.normal(size=9)})
        ps.append(correlate_with_memory(table, rng=rng, n_permutations=200).iloc[0]["p"])
    assert 0.01 < np.mean(np.array(ps) < 0.05) < 0.10
    assert np.mean(ps) == pytest.approx(0.5, abs=0.08)


def test_a_session_is_measured_in_nrem_alone():
    hypnogram = Hypnogram.from_labels(["W", "N2", "N2", "R"], epoch_length=60.0)
    coupling = Coupling(4, 0.5, 0.25, 0.0, 0.3)
    measures = measure_session(pd.DataFrame({"onset": [10.0, 70.0, 130.0, 200.0]}), hypnogram, coupling=coupling)
    assert measures["n_reactivations"] == 2
    assert measures["reactivation_rate"] == 1.0
    assert measures["phase_near_up_state"] == 1.0


def test_constant_measures_are_left_out_and_too_few_sessions_refused(rng):
    table = pd.DataFrame({"n_reactivations": 3.0, "before": 1.0, "after": np.arange(6.0)})
    assert describe_memory(correlate_with_memory(table, rng=rng)).startswith("No measure of reactivation differed")
    with pytest.raises(SharpwaveError, match="at least 5 sessions"):
        correlate_with_memory(table.head(3), rng=rng)
    with pytest.raises(SharpwaveError, match="before and after"):
        correlate_with_memory(table.drop(columns="before"), rng=rng)


def make_waves(n: int = 200) -> pd.DataFrame:
    onset = 2.0 * np.arange(n)
    return pd.DataFrame(
        {
            "onset": onset,
            "duration": 1.2,
            "negative_peak": onset + 0.3,
            "mid_crossing": onset + 0.5,
            "positive_peak": onset + 0.8,
        }
    )


def test_phase_is_that_of_the_four_times_a_wave_is_known_by():
    phases = compute_slow_phase(np.array([4.3, 4.5, 4.8, 5.0, 5.5, -1.0]), make_waves())
    assert abs(phases[0]) == pytest.approx(np.pi)
    assert phases[1:4] == pytest.approx([-np.pi / 2, 0.0, np.pi / 4])
    assert np.isnan(phases[4:]).all()


def test_events_at_the_crest_are_locked_to_it_and_random_ones_are_not(rng):
    waves = make_waves()
    locked = waves["positive_peak"].to_numpy() + rng.normal(0, 0.05, len(waves))
    spindles = pd.DataFrame({"onset": waves["onset"].iloc[::2] + 0.6, "duration": 0.5})
    found = compute_coupling(locked, slow_waves=waves, spindles=spindles)
    assert abs(found.phase) < 0.1
    assert found.locking > 0.8
    assert found.in_slow_wave > 0.95
    assert found.in_spindle == pytest.approx(0.5, abs=0.03)
    free = compute_coupling(rng.uniform(0, 400, 500), slow_waves=waves, spindles=spindles)
    assert abs(free.locking) < 0.15


def test_without_events_or_waves_nothing_is_invented():
    nothing = compute_coupling(np.zeros(0), slow_waves=make_waves(), spindles=pd.DataFrame())
    assert nothing.n_events == 0
    assert np.isnan([nothing.in_spindle, nothing.phase, nothing.locking]).all()
    alone = compute_coupling(np.arange(3.0), slow_waves=pd.DataFrame(), spindles=pd.DataFrame())
    assert (alone.in_slow_wave, alone.in_spindle) == (0.0, 0.0)
