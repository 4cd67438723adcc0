"""A session whose times begin below 0 is a night that begins at 0: nothing is lost, and all parts move together."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pynapple as nap

from sharpwave.night.origin import begin_at_zero
from sharpwave.night.prepare import prepare_night
from sharpwave.recordings import MODALITIES, Hypnogram, Recording, Signal

RATE = 1250.0


def make_recording(start: float) -> Recording:
    """Two minutes of an LFP with a ripple each second, scored as NREM, with two units; the first seen in part."""
    times = np.arange(int(120 * RATE)) / RATE
    burst = np.exp(-(((times % 1 - 0.5) / 0.03) ** 2)) * np.sin(2 * np.pi * 180 * times)
    values = 1e-6 * (10 * np.random.default_rng(0).normal(size=len(times)) + 100 * burst)
    spikes = nap.TsGroup({3: nap.Ts(np.arange(1.0, 119) + start), 5: nap.Ts(np.arange(1.0, 119) + start)})
    observed = np.empty(2, dtype=object)
    observed[:] = [[[start, start + 60]], [[start, start + 120]]]
    spikes.set_info(obs_intervals=observed)
    return Recording(
        signals={"HIP": Signal("HIP", values, RATE, MODALITIES["lfp"], start=start)},
        spikes=spikes,
        hypnogram=Hypnogram(np.ones(30, int), epoch_length=4.0, n_stages=3, start=start),
        events=pd.DataFrame({"onset": [start + 5.0], "duration": [1.0], "label": ["tone"]}),
        species="rat",
        start=datetime(2024, 3, 1, 22, tzinfo=UTC),
    )


def test_nothing_before_0_is_lost() -> None:
    plain, moved = (prepare_night(make_recording(start), prefer_given=True) for start in (0.0, -100.0))
    ripples = [night.events.loc[night.events["label"] == "ripple", "onset"].to_numpy() for night in (plain, moved)]
    assert len(ripples[0]) > 100
    np.testing.assert_allclose(ripples[1], ripples[0], atol=1e-6)
    assert moved.recording.duration == plain.recording.duration
    assert moved.hypnogram.start == 0


def test_all_parts_move_together_and_it_is_said() -> None:
    plain, moved = make_recording(0.0), begin_at_zero(make_recording(-100.0))
    assert moved.spikes is not None
    assert plain.spikes is not None
    np.testing.assert_allclose(moved.spikes[5].t, plain.spikes[5].t)
    assert list(moved.spikes.get_info("obs_intervals")) == [[[0, 60]], [[0, 120]]]
    assert moved.events["onset"].tolist() == [5.0]
    assert moved.start == datetime(2024, 3, 1, 21, 58, 20, tzinfo=UTC)
    assert moved.metadata["clock_offset_s"] == -100
    assert "times begin at -100 s; 100 s were added to all" in moved.repairs[0]
    assert begin_at_zero(plain) is plain
