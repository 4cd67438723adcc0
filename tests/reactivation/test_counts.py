from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import bin_events, count_spikes, flatten_spikes


@pytest.fixture
def trains(rng):
    return {3: np.sort(rng.uniform(0, 20, 400)), 7: np.sort(rng.uniform(0, 20, 100)), 9: np.empty(0)}


def test_events_hold_the_spikes_that_a_histogram_counts(trains):
    events = pd.DataFrame({"onset": [1.0, 1.05, 5.0, 30.0], "duration": [0.1, 0.3, 0.004, 0.05]})
    binned = bin_events(trains, events, bin_size=0.01)
    assert binned.lengths.tolist() == [10, 30, 1, 5]
    for event, row in events.iterrows():
        edges = row.onset + 0.01 * np.arange(binned.lengths[event] + 1)
        expected = np.stack([np.histogram(train, edges)[0] for train in trains.values()], axis=1)
        assert np.array_equal(binned.of(event), expected)


def test_units_come_in_the_order_asked_for(trains):
    events = pd.DataFrame({"onset": [0.0], "duration": [20.0]})
    binned = bin_events(trains, events, bin_size=20.0, units=(7, 3))
    assert binned.of(0).tolist() == [[100, 400]]


def test_no_events_are_no_bins(trains):
    binned = bin_events(trains, pd.DataFrame({"onset": [], "duration": []}), bin_size=0.01)
    assert len(binned) == 0
    assert binned.counts.shape == (0, 3)


def test_windows_may_overlap(trains):
    times, counts = count_spikes(trains, bin_size=1.0, start=2.0, end=5.0, step=0.5)
    assert times.tolist() == [2.5, 3.0, 3.5, 4.0, 4.5]
    assert counts[1, 0] == ((trains[3] >= 2.5) & (trains[3] < 3.5)).sum()


def test_pynapple_trains_are_trains(trains):
    import pynapple as nap

    group = nap.TsGroup({unit: nap.Ts(times) for unit, times in trains.items()}, time_support=nap.IntervalSet(0, 20))
    for ours, theirs in zip(flatten_spikes(trains), flatten_spikes(group), strict=True):
        assert np.array_equal(ours, theirs)


def test_unknown_units_are_named(trains):
    with pytest.raises(SharpwaveError, match=r"units among 3, 7, 9; got 4\. Fix: decode with place fields"):
        count_spikes(trains, bin_size=1.0, start=0.0, end=5.0, units=(3, 4))


def test_bins_have_a_length(trains):
    with pytest.raises(SharpwaveError, match="a bin size above 0 s"):
        bin_events(trains, pd.DataFrame({"onset": [0.0], "duration": [1.0]}), bin_size=0.0)
