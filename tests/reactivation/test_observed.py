"""A unit that was not observed says nothing: neither its silence nor its lost spikes change what is decoded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from tests.nwb_files import add_series, add_units, open_nwb, run_to_and_fro
from tests.reactivation.sessions import make_fields, plant_events

from sharpwave.reactivation.counts import BinnedEvents, bin_events, count_spikes, get_observed, mark_observed
from sharpwave.reactivation.decoding import decode_position
from sharpwave.reactivation.place_fields import PlaceFields, estimate_place_fields
from sharpwave.reactivation.position import Position
from sharpwave.reactivation.sequence_scores import score_sequences
from sharpwave.reactivation.state_space import decode_events, decode_posteriors
from sharpwave.recordings import Recording, read_recording, write_store
from sharpwave.recordings.store import open_store

N_UNITS, N_EVENTS, N_BINS = 24, 12, 10


def observe(trains: dict[int, np.ndarray], spans: dict[int, list[tuple[float, float]]]) -> nap.TsGroup:
    """Trains as a group; units that are not in `spans` were observed throughout."""
    support = nap.IntervalSet(0, 1000)
    group = nap.TsGroup({unit: nap.Ts(train, time_support=support) for unit, train in trains.items()})
    column = np.empty(len(trains), dtype=object)
    for row, unit in enumerate(trains):
        column[row] = [list(span) for span in spans.get(unit, [(0.0, 1000.0)])]
    group.set_info(obs_intervals=column)
    return group


@pytest.fixture
def planted(rng: np.random.Generator) -> tuple[PlaceFields, BinnedEvents, BinnedEvents]:
    """Fields, events that run along the track, and the same with odd units lost in the second half of the events."""
    fields = make_fields(rng, n_units=N_UNITS, contents=("a",))
    paths = np.linspace(0.1, 1.9, N_BINS) * np.ones((N_EVENTS, 1))
    whole = plant_events(fields, paths, np.zeros(N_EVENTS, int), bin_size=0.02, gain=2.0, rng=rng)
    observed = np.ones((N_EVENTS, N_UNITS), dtype=bool)
    observed[N_EVENTS // 2 :, 1::2] = False
    counts = whole.counts * np.repeat(observed, N_BINS, axis=0).astype(np.int16)
    return fields, whole, replace(whole, counts=counts, observed=observed)


def keep_even(fields: PlaceFields) -> PlaceFields:
    return replace(fields, units=fields.units[::2], rates=fields.rates[::2])


def test_events_are_decoded_by_the_units_that_were_observed(planted) -> None:
    fields, whole, lost = planted
    found = decode_events(lost, fields).table
    full = decode_events(whole, fields).table
    half = decode_events(whole.select(np.arange(N_EVENTS), np.arange(0, N_UNITS, 2)), keep_even(fields)).table
    first, second = slice(0, N_EVENTS // 2), slice(N_EVENTS // 2, None)
    for column in ("path_start", "path_end", "p_continuous", "speed"):
        np.testing.assert_allclose(found[column][first], full[column][first], rtol=1e-4)
        np.testing.assert_allclose(found[column][second], half[column][second], rtol=2e-3, atol=2e-3)
    silent = decode_events(replace(lost, observed=None), fields).table
    assert np.abs(silent["path_end"][second] - half["path_end"][second]).max() > 0.01
    posterior = decode_posteriors(lost, fields, events=[N_EVENTS - 1])[0]
    own = whole.select(np.array([N_EVENTS - 1]), np.arange(0, N_UNITS, 2))
    np.testing.assert_allclose(posterior, decode_posteriors(own, keep_even(fields))[0], atol=1e-4)


def test_scores_are_those_of_the_units_that_were_observed(planted) -> None:
    fields, whole, lost = planted
    how = {"n_surrogates": 40, "surrogate": "cell-identity"}
    found = score_sequences(lost, fields, rng=np.random.default_rng(0), **how)
    full = score_sequences(whole, fields, rng=np.random.default_rng(0), **how)
    even = whole.select(np.arange(N_EVENTS), np.arange(0, N_UNITS, 2))
    half = score_sequences(even, keep_even(fields), rng=np.random.default_rng(0), **how)
    middle = N_EVENTS // 2
    np.testing.assert_allclose(found.observed[:middle], full.observed[:middle], rtol=1e-4)
    np.testing.assert_allclose(found.observed[middle:], half.observed[middle:], rtol=1e-4)
    assert found.surrogates.shape == full.surrogates.shape
    assert np.isfinite(found.surrogates).all()


def test_fields_are_measured_in_the_part_of_the_run_in_which_a_unit_was_observed() -> None:
    times, places = run_to_and_fro(0.0, 400.0)
    here = Position(times, places[:, :1])
    train = times[np.abs(places[:, 0] - 1.0) < 0.1]
    first = train[train < 200]
    spikes = observe({0: train, 1: first, 2: first, 3: np.array([])}, {2: [(0.0, 200.0)], 3: [(500.0, 600.0)]})
    rates = estimate_place_fields(spikes, here).rates.max(axis=1)
    assert rates[1] == pytest.approx(rates[0] / 2, rel=0.05)  # silent for half of the run
    assert rates[2] == pytest.approx(rates[0], rel=0.05)  # not observed for half of it
    assert rates[3] == 0.05


def test_a_run_is_decoded_without_the_silence_of_units_that_were_not_observed(rng: np.random.Generator) -> None:
    fields = make_fields(rng, n_units=6, contents=("a",))
    trains = {unit: np.array([0.1, 0.2]) if unit < 3 else np.array([]) for unit in range(6)}
    spikes = observe(trains, {unit: [(10.0, 20.0)] for unit in (3, 4, 5)})
    found = decode_position(spikes, fields, bin_size=0.5, start=0, end=0.5).probability
    own = replace(fields, units=fields.units[:3], rates=fields.rates[:3])
    alone = decode_position({unit: trains[unit] for unit in range(3)}, own, bin_size=0.5, start=0, end=0.5).probability
    np.testing.assert_allclose(found, alone)
    _, counts = count_spikes(spikes, bin_size=0.5, start=0, end=0.5)
    assert counts.sum() == 6


def test_events_over_an_edge_count_as_unobserved_and_whole_sessions_as_known() -> None:
    spikes = observe({0: np.array([1.0, 5.05]), 1: np.array([1.0])}, {0: [(0.0, 2.0), (4.0, 5.1)]})
    events = pd.DataFrame({"onset": [0.95, 1.95, 3.0, 5.0], "duration": 0.1})
    binned = bin_events(spikes, events, bin_size=0.05)
    assert binned.observed.tolist() == [[True, True], [False, True], [False, True], [True, True]]
    assert binned.counts.sum() == 3
    assert bin_events(spikes, events[:1], bin_size=0.05).observed is None
    assert get_observed({0: np.array([1.0])}) is None
    assert mark_observed(observe({0: np.array([1.0])}, {}), np.array([1.0]), np.array([2.0])) is None


def test_what_was_observed_is_read_from_nwb_said_and_kept_in_a_store(tmp_path: Path) -> None:
    times, places = run_to_and_fro(0.0, 100.0)
    spans = [[(0.0, 100.0)], [(0.0, 40.0)], [(0.0, 10.0), (20.0, 100.0)]]
    with open_nwb(tmp_path / "a.nwb") as file:
        add_units(file, [np.arange(1.0, 99.0), np.arange(1.0, 40.0), np.arange(1.0, 99.0)], observed=spans)
        add_series(file, "processing/behavior/Position/p", places, times=times, unit="m")
    recording = read_recording(tmp_path / "a.nwb")
    assert any("2 of 3 units were observed in a part of the session only" in said for said in recording.repairs)
    for kept in (recording, open_store(write_store(recording, tmp_path / "a.zarr"))):
        assert isinstance(kept, Recording)
        assert [unit.tolist() for unit in get_observed(kept.spikes)] == [[list(span) for span in s] for s in spans]
