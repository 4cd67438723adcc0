"""Scores against a decoder written out in full, and surrogates that leave what they should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.reactivation.toy_track import draw_events, make_fields

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents, bin_events
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import (
    CROSSING,
    JUMP,
    STATISTICS,
    Neighbours,
    score_sequences,
)
from sharpwave.reactivation.significance import SURROGATES, Lanes, compute_p_values, get_surrogate

BIN = 0.02


def score_in_full(counts: np.ndarray, fields: PlaceFields, *, spread: float) -> tuple[float, float]:
    """Both scores of one event with whole matrices in float64: the transition by distance, the posterior bin by bin."""
    places = np.arange(len(fields.position))
    variance = (spread * len(places)) ** 2
    decay = 1 + 1 / variance - np.sqrt((1 + 1 / variance) ** 2 - 1)
    walk = decay ** np.abs(places[:, None] - places)
    walk /= walk.sum(axis=1, keepdims=True)
    logs = counts @ np.log(fields.rates) - BIN * fields.rates.sum(axis=0)
    likelihood = np.exp(logs - logs.max(axis=1, keepdims=True))
    state, ratio = np.full(len(places), 1 / len(places)), 0.0
    for index, row in enumerate(likelihood):
        state = state @ walk if index else state
        state = ((1 - JUMP) * state + JUMP / len(places)) * row
        ratio += np.log(state.sum() / row.mean())
        state = state / state.sum()
    weight = likelihood / likelihood.sum(axis=1, keepdims=True)
    time, where = np.meshgrid(np.arange(len(counts)), fields.position[:, 0], indexing="ij")
    covariance = np.cov(time.ravel(), where.ravel(), aweights=weight.ravel())
    return ratio, abs(covariance[0, 1]) / np.sqrt(covariance[0, 0] * covariance[1, 1])


def test_scores_equal_those_of_whole_matrices(rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 5, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN, units=fields.units)
    found = score_sequences(binned, fields, n_surrogates=1, rng=rng).observed
    full = [score_in_full(binned.of(event), fields, spread=BIN / CROSSING) for event in range(5)]
    np.testing.assert_allclose(found, full, rtol=2e-3, atol=2e-3)


def test_surrogates_are_scored_as_data_would_be(rng: np.random.Generator) -> None:
    """Cell identity: exchanging rows of the fields beforehand gives the surrogate's own score."""
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 3, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN, units=fields.units)
    lanes = SURROGATES["cell-identity"](Lanes.of(binned, fields, 4), fields, BIN, np.random.default_rng(7))
    relabel = np.random.default_rng(7).permuted(np.tile(np.arange(len(fields.units)), (4, 1)), axis=1)
    first = Lanes.of(binned, fields, 1).units[0]
    np.testing.assert_array_equal(lanes.units[2], relabel[2][first])


@pytest.mark.parametrize("surrogate", sorted(SURROGATES))
@pytest.mark.parametrize("statistic", STATISTICS)
def test_planted_replays_exceed_every_surrogate(surrogate: str, statistic: str, rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 40, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN / 2, units=fields.units)
    scores = score_sequences(binned, fields, surrogate=surrogate, n_surrogates=99, rng=rng)
    assert (compute_p_values(*scores.of(statistic)) <= 0.05).mean() > 0.8


@pytest.mark.parametrize("surrogate", sorted(SURROGATES))
def test_p_is_uniform_under_each_null(surrogate: str, rng: np.random.Generator) -> None:
    """Events made by the surrogate itself from planted replays: p values have the mean and tails of a uniform."""
    fields = make_fields(rng, n_units=16, n_places=30)
    below, middle, n_events = [], [], 60
    for _ in range(12):
        spikes, events = draw_events(rng, fields, n_events, replay=True, gain=3.0)
        binned = bin_events(spikes, events, bin_size=0.01, units=fields.units)
        lanes = get_surrogate(surrogate)(Lanes.of(binned, fields, 1), fields, 0.01, rng)
        null, own = undo_lanes(lanes, binned, fields)
        scores = score_sequences(null, own, surrogate=surrogate, n_surrogates=79, rng=rng)
        p = compute_p_values(*scores.of("trajectory"))
        below.append((p <= 0.1).mean())
        middle.append(p.mean())
    assert np.mean(middle) == pytest.approx(0.5, abs=0.07)
    assert np.mean(below) == pytest.approx(0.1, abs=0.05)


def undo_lanes(lanes: Lanes, binned: BinnedEvents, fields: PlaceFields) -> tuple[BinnedEvents, PlaceFields]:
    """The counts and fields that a surrogate stands for."""
    counts = np.zeros_like(binned.counts)
    for place, source in enumerate(lanes.bins[0]):
        spikes = slice(lanes.first_spike[source], lanes.first_spike[source + 1])
        np.add.at(counts[place], lanes.units[0, spikes], 1)
    peak = fields.rates.max(axis=1, keepdims=True)
    return replace(binned, counts=counts), replace(fields, rates=lanes.rates[0].astype(float) * peak)


def test_surrogates_keep_what_they_say_they_keep(rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 6, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN, units=fields.units)
    plain = Lanes.of(binned, fields, 3)
    redrawn = SURROGATES["poisson"](plain, fields, BIN, rng)
    counts, _ = undo_lanes(redrawn, binned, fields)
    for event in range(6):
        low, high = binned.offsets[event], binned.offsets[event + 1]
        np.testing.assert_array_equal(counts.counts[low:high].sum(axis=0), binned.of(event).sum(axis=0))
        np.testing.assert_array_equal(counts.counts[low:high].sum(axis=1), binned.of(event).sum(axis=1))
    columns = SURROGATES["time-bin"](plain, fields, BIN, rng).bins
    for event in range(6):
        low, high = binned.offsets[event], binned.offsets[event + 1]
        np.testing.assert_array_equal(np.sort(columns[:, low:high], axis=1), plain.bins[:, low:high])
    assert (columns != plain.bins).any()
    shifted = SURROGATES["place-field"](plain, fields, BIN, rng).rates
    np.testing.assert_allclose(np.sort(shifted, axis=2), np.sort(np.repeat(plain.rates, 3, axis=0), axis=2), rtol=1e-6)


def test_one_core_or_two_the_same_scores(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    import numba

    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 4, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN, units=fields.units)
    runs = []
    for n_threads in (1, 2):
        monkeypatch.setattr(numba, "get_num_threads", lambda n=n_threads: n)
        runs.append(score_sequences(binned, fields, n_surrogates=70, rng=np.random.default_rng(1)).surrogates)
    np.testing.assert_array_equal(*runs)
    assert runs[0].shape == (70, 4, 2)


def test_open_field_walks_along_both_axes(rng: np.random.Generator) -> None:
    """A path through a square, planted in a checkerboard of fields, exceeds exchanged cells."""
    side = 12
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(side), np.arange(side), indexing="ij"))
    centres = rng.uniform(0, side, (36, 2))
    rates = 0.1 + 12 * np.exp(-0.5 * ((x - centres[:, :1]) ** 2 + (y - centres[:, 1:]) ** 2) / 1.5**2)
    n_places = side * side
    fields = PlaceFields(
        tuple(range(36)), rates, ("box",), np.zeros(n_places, int), np.full(n_places, -1),
        np.stack([x, y], axis=1).astype(float), np.ones(n_places), 1.0,
    )  # fmt: skip
    path = np.linspace([1, 2], [10, 9], 16).round().astype(int)
    expected = rates[:, path[:, 0] * side + path[:, 1]].T * 0.1
    counts = np.concatenate([rng.poisson(expected) for _ in range(20)]).astype(np.int16)
    binned = BinnedEvents(counts, 16 * np.arange(21), 0.01, np.arange(20.0))
    neighbours = Neighbours.of(fields, spread=0.04)
    assert neighbours.starts.sum(axis=1).tolist() == [side, side]
    scores = score_sequences(binned, fields, n_surrogates=99, rng=rng)
    assert (compute_p_values(*scores.of("trajectory")) <= 0.05).mean() > 0.8
    with pytest.raises(SharpwaveError, match="one dimension"):
        score_sequences(binned, fields, surrogate="place-field", n_surrogates=1, rng=rng)


def test_messages(rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 2, replay=True)
    binned = bin_events(spikes, events, bin_size=BIN, units=fields.units)
    with pytest.raises(SharpwaveError, match="cell-identity, place-field, time-bin, poisson"):
        score_sequences(binned, fields, surrogate="swap", rng=rng)
    with pytest.raises(SharpwaveError, match="one surrogate or more"):
        score_sequences(binned, fields, n_surrogates=0, rng=rng)
    with pytest.raises(SharpwaveError, match="counts of the 30 units"):
        score_sequences(replace(binned, counts=binned.counts[:, :5]), fields, rng=rng)
    with pytest.raises(SharpwaveError, match="trajectory, correlation"):
        score_sequences(binned, fields, n_surrogates=1, rng=rng).of("slope")
