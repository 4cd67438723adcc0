"""Gains of order: the scores behind them, what shuffles keep, and the nulls that a score alone takes for replay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
from tests.reactivation.toy_track import draw_events, make_fields

from sharpwave.benchmarks.second_world.sessions import Session, SessionOptions, draw_session
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import BinnedEvents, bin_events
from sharpwave.reactivation.order import STOP, OrderScores, Packets, _Scorer, pool_places, score_order, select_events
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import CROSSING, JUMP, STATISTICS, Neighbours, score_sequences
from sharpwave.reactivation.significance import assess_session, compute_p_values


def draw_small(mix: dict[str, float], rng: np.random.Generator) -> tuple[Session, pd.DataFrame, PlaceFields]:
    """A session of the second world, its bursts after the run, and its true fields."""
    options = SessionOptions(n_cells=40, before=5, run=30, after=320, mix=mix, event_rate=0.5)
    session = draw_session(options, rng=rng)
    events = session.events[session.events["onset"] > session.task[1]].reset_index(drop=True)
    pooled = session.fields.reshape(40, 2, 40, -1).mean(axis=-1)
    middles = (np.arange(40) + 0.5) * session.track_length / 40
    fields = PlaceFields(
        tuple(range(40)), pooled.reshape(40, -1), ("track",), np.zeros(80, int), np.repeat([0, 1], 40),
        np.tile(middles, 2)[:, None], np.ones(80), session.track_length / 40,
    )  # fmt: skip
    return session, events, fields


@pytest.mark.parametrize("statistic", STATISTICS)
def test_scores_and_shuffles_equal_those_that_are_written_out(statistic: str, rng: np.random.Generator) -> None:
    """Scores come from other kernels too; mean and variance are those of bursts put at exchanged onsets by hand."""
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 6, replay=True)
    fine = bin_events(spikes, events, bin_size=0.005, units=fields.units)
    packets, lengths, n = Packets.of(fine), fine.lengths // 4, 1500
    scorer = _Scorer(fields, Neighbours.of(fields, spread=0.02 / CROSSING), 0.02, statistic, JUMP, n)
    scored = scorer.score(
        packets, lengths.astype(float), np.arange(1, 7, dtype=np.uint64) << 40, iter([fields.rates[None]])
    )
    coarse = bin_events(spikes, events, bin_size=0.02, units=fields.units)
    known = score_sequences(coarse, fields, n_surrogates=1, rng=rng).observed[:, STATISTICS.index(statistic)]
    np.testing.assert_allclose(scored[0, :, 0], known, rtol=1e-4, atol=1e-4)
    own = slice(packets.first_spike[2], packets.first_spike[3])
    first, last = packets.first_packet[2:4]
    counts = np.zeros((n, lengths[2], len(fields.units)), np.int16)
    for each in counts:
        onsets = rng.permutation(packets.onsets[first:last])[packets.packets[own] - first]
        np.add.at(each, (np.minimum((onsets + packets.offsets[own]) // 4, lengths[2] - 1), packets.units[own]), 1)
    by_hand = BinnedEvents(counts.reshape(-1, len(fields.units)), lengths[2] * np.arange(n + 1), 0.02, np.zeros(n))
    shuffled = score_sequences(by_hand, fields, n_surrogates=1, rng=rng).observed[:, STATISTICS.index(statistic)]
    assert scored[0, 2, 1] == pytest.approx(shuffled.mean(), abs=5 * shuffled.std() / np.sqrt(n))
    assert scored[0, 2, 2] == pytest.approx(shuffled.var(), rel=0.25)


def test_bursts_of_a_cell_move_as_a_whole() -> None:
    counts = np.zeros((30, 3), int)
    counts[[0, 2, 4, 20], 0] = 1
    counts[[5, 5, 6], 1] = (2, 2, 1)
    counts[[12, 15], 2] = 1
    fine = BinnedEvents(counts, np.array([0, 12, 30]), 0.005, np.zeros(2))
    found = Packets.of(fine, gap=0.01)
    assert found.first_packet.tolist() == [0, 2, 5]
    assert found.onsets.tolist() == [0, 5, 8, 0, 3]
    assert found.first_spike.tolist() == [0, 6, 9]
    assert found.offsets.tolist() == [0, 2, 4, 0, 0, 1, 0, 0, 0]
    only = select_events(fine, np.array([1]))
    np.testing.assert_array_equal(only.counts, counts[12:])
    assert only.offsets.tolist() == [0, 18]


def test_events_that_stay_gain_nothing_where_the_score_alone_calls_them_replay(rng: np.random.Generator) -> None:
    session, events, fields = draw_small({"stationary": 1.0}, rng)
    spikes = dict(enumerate(session.spikes))
    binned = bin_events(spikes, events, bin_size=0.02, units=fields.units)
    raw = score_sequences(binned, fields, n_surrogates=99, rng=rng).of("trajectory")
    assert assess_session(*raw).share > 0.3
    for statistic in STATISTICS:
        found = score_order(spikes, events, fields, statistic=statistic, n_surrogates=99, further=0, rng=rng)
        assert assess_session(found.observed, found.surrogates).share < 0.11


@pytest.mark.parametrize("kind", ["random", "remapped", "assembly", "poisson", "stationary"])
def test_null_sessions_are_at_chance(kind: str) -> None:
    """Six sessions of each kind: p is spread over (0, 1), and seldom small."""
    p = []
    for seed in range(6):
        rng = np.random.default_rng([seed, len(kind)])
        session, events, fields = draw_small({kind: 1.0}, rng)
        spikes = dict(enumerate(session.spikes))
        found = score_order(spikes, events, fields, n_surrogates=59, further=0, rng=rng)
        p.append(assess_session(found.observed, found.surrogates).p)
    assert sum(each <= 0.05 for each in p) <= 2
    assert np.mean(p) > 0.25


def test_replays_are_found_and_promising_events_drawn_further(rng: np.random.Generator) -> None:
    session, events, fields = draw_small({"replay": 0.4, "stationary": 0.6}, rng)
    found = score_order(dict(enumerate(session.spikes)), events, fields, n_surrogates=99, rng=rng)
    assert assess_session(found.observed, found.surrogates).p == pytest.approx(0.01)
    replay = (events["kind"] == "replay").to_numpy()
    assert (found.p[replay] <= 0.05).mean() > 3 * (found.p[~replay] <= 0.05).mean()
    further = found.n_draws > 99
    assert further.sum() >= 5
    assert (found.surrogates >= found.observed).sum(axis=0)[further].max() < STOP
    assert found.p.min() < 1 / 100
    assert (found.further[~further] == 0).all()


def test_drawing_further_keeps_p_valid(rng: np.random.Generator) -> None:
    """Events at chance, stopped as in `score_order`: p lies at or below any level no more often than that level."""
    n, base, more = 20000, 99, 900
    observed = rng.random(n)
    first = rng.binomial(base, 1 - observed)
    chosen = first < STOP
    later = np.where(chosen, rng.binomial(more, 1 - observed), 0)
    surrogates = (np.arange(base)[:, None] < first).astype(float) * 2 - 1
    scores = OrderScores(
        np.zeros(n), surrogates, later, np.where(chosen, base + more, base), np.zeros((n, 2)), "correlation", "none"
    )
    for level in (0.001, 0.005, 0.02, 0.05, 0.1, 0.2):
        assert (scores.p <= level).mean() < level + 3 * np.sqrt(level / n)
    assert scores.p.min() < 1 / 100


def test_one_core_or_two_the_same_gains(monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> None:
    import numba

    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 5, replay=True)
    runs = []
    for n_threads in (1, 2):
        monkeypatch.setattr(numba, "get_num_threads", lambda n=n_threads: n)
        runs.append(score_order(spikes, events, fields, n_surrogates=70, rng=np.random.default_rng(1)))
    np.testing.assert_array_equal(runs[0].surrogates, runs[1].surrogates)
    np.testing.assert_array_equal(runs[0].p, runs[1].p)
    assert runs[0].surrogates.shape == (70, 5)


def test_maps_that_are_scattered_are_gathered_and_straight_ones_pooled(rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    n = len(fields.position)
    mixed = PlaceFields(
        fields.units, np.repeat(fields.rates, 2, axis=1), ("a", "b"), np.tile([0, 1], n), np.full(2 * n, -1),
        np.repeat(fields.position, 2, axis=0), np.ones(2 * n), fields.bin_size,
    )  # fmt: skip
    gathered = pool_places(mixed, 1)
    assert gathered.content.tolist() == [0] * n + [1] * n
    np.testing.assert_array_equal(gathered.rates[:, :n], fields.rates)
    pooled = pool_places(fields)
    np.testing.assert_allclose(pooled.rates[:, 0], fields.rates[:, :2].mean(axis=1))
    assert pooled.position[1, 0] == pytest.approx(fields.position[2:4, 0].mean())
    assert len(pooled.position) == n // 2
    holed = replace(fields, position=np.where(np.arange(n)[:, None] < 9, fields.position, fields.position + 1))
    assert len(pool_places(holed).position) == n


def test_units_that_were_not_observed_say_nothing(rng: np.random.Generator) -> None:
    """The gains are those of the other units alone, whatever the unobserved ones would have said by their silence."""
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 8, replay=True)
    end = float(events["onset"].max()) + 10
    group = nap.TsGroup({unit: nap.Ts(times) for unit, times in spikes.items()}, time_support=nap.IntervalSet(0, end))
    group.set_info(obs_intervals=np.array([[[0.0, 1e-3 if unit < 4 else end]] for unit in spikes]))
    others = fields.units[4:]
    kept = replace(fields, units=others, rates=fields.rates[4:])
    found, known, all_units = (
        score_order(trains, events, own, n_surrogates=40, rng=np.random.default_rng(3))
        for trains, own in ((group, fields), ({unit: spikes[unit] for unit in others}, kept), (spikes, fields))
    )
    np.testing.assert_array_equal(found.observed, known.observed)
    np.testing.assert_array_equal(found.p, known.p)
    np.testing.assert_array_equal(found.raw, known.raw)
    assert not np.allclose(found.observed, all_units.observed)


def test_messages(rng: np.random.Generator) -> None:
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 2, replay=True)
    with pytest.raises(SharpwaveError, match="cell-identity, place-field"):
        score_order(spikes, events, fields, surrogate="time-bin", rng=rng)
    with pytest.raises(SharpwaveError, match="trajectory, correlation"):
        score_order(spikes, events, fields, statistic="slope", rng=rng)
    with pytest.raises(SharpwaveError, match="one surrogate or more"):
        score_order(spikes, events, fields, n_surrogates=0, rng=rng)
    assert compute_p_values(np.ones(1), np.zeros((1, 1))).tolist() == [0.5]
