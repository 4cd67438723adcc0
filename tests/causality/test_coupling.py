from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality.coupling import compute_coupling, compute_slow_phase


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
