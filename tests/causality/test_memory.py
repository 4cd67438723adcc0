from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from sharpwave.causality.coupling import Coupling
from sharpwave.causality.memory import describe_memory, measure_session, relate_to_memory
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
    planted = relate_to_memory(simulate_sessions(8.0), rng=rng).set_index("predictor").loc["n_reactivations"]
    assert planted["q"] < 0.05
    assert planted["slope_low"] < 0.08 < planted["slope_high"]
    absent = relate_to_memory(simulate_sessions(0.0), rng=rng)
    assert (absent["q"] > 0.05).all()
    assert describe_memory(absent).startswith("No relation to memory was shown")


def test_rho_is_spearmans_and_its_p_comes_from_permuted_sessions(rng):
    table = pd.DataFrame({"n_reactivations": rng.normal(size=20), "before": 60.0, "after": rng.normal(60, 5, 20)})
    row = relate_to_memory(table, rng=rng).iloc[0]
    expected = spearmanr(table["n_reactivations"], table["after"])
    assert row["rho"] == pytest.approx(expected.statistic)
    assert row["p"] == pytest.approx(expected.pvalue, abs=0.03)
    assert row["low"] < row["rho"] < row["high"]


def test_null_p_values_are_uniform(rng):
    ps = []
    for _ in range(200):
        table = pd.DataFrame({"n_reactivations": rng.normal(size=9), "before": 0.0, "after": rng.normal(size=9)})
        ps.append(relate_to_memory(table, rng=rng, n_permutations=200).iloc[0]["p"])
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
    assert describe_memory(relate_to_memory(table, rng=rng)).startswith("No measure of reactivation differed")
    with pytest.raises(SharpwaveError, match="at least 5 sessions"):
        relate_to_memory(table.head(3), rng=rng)
    with pytest.raises(SharpwaveError, match="before and after"):
        relate_to_memory(table.drop(columns="before"), rng=rng)
