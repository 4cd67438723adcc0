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
from sharpwave.reactivation.order import STOP, OrderScores, _Scorer, pool_places, score_order
from sharpwave.reactivation.packets import Packets, select_events
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import CROSSING, JUMP, STATISTICS, Neighbours, score_events, score_sequences
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
    """Scores come from other kernels too; mean and variance are those of the shuffled events, scored by these."""
    fields = make_fields(rng)
    spikes, events = draw_events(rng, fields, 6, replay=True)
    fine = bin_events(spikes, events, bin_size=0.005, units=fields.units)
    packets, lengths, n = Packets.of(fine), fine.lengths // 4, 30
    scorer = _Scorer(fields, Neighbours.of(fields, spread=0.02 / CROSSING), 0.02, statistic, JUMP, n)
    seeds = np.arange(1, 7, dtype=np.uint64) << 40
    scored = scorer.score(packets, lengths.astype(float), seeds, iter([fields.rates[None]]))
    coarse = bin_events(spikes, events, bin_size=0.02, units=fields.units)
    column = STATISTICS.index(statistic)
    known = score_sequences(coarse, fields, n_surrogates=1, rng=rng).observed[:, column]
    np.testing.assert_allclose(scored[0, :, 0], known, rtol=1e-4, atol=1e-4)
    edges = np.r_[0, np.cumsum(lengths)]
    ordered, first = packets.arrange(edges, seeds, n)
    counts = np.zeros((1 + n, edges[-1], len(fields.units)), np.int16)
    for each, units, starts in zip(counts, ordered, first, strict=True):
        np.add.at(each, (np.repeat(np.arange(edges[-1]), np.diff(starts)), units), 1)
    np.testing.assert_array_equal(counts[0], coarse.counts)
    shuffled = np.array(
        [score_events(BinnedEvents(each, edges, 0.02, np.zeros(6)), fields)[:, column] for each in counts[1:]]
    )
    assert (shuffled.std(axis=0) > 0).all()
    np.testing.assert_allclose(scored[0, :, 1], shuffled.mean(axis=0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(scored[0, :, 2], shuffled.var(axis=0, ddof=1), rtol=1e-2, atol=1e-4)


def test_shuffles_are_arrangements_that_the_event_could_have_had() -> None:
    """Bursts of a cell stay apart, none runs over the end, none leaves sparse edges for the dense middle, all move."""
    from sharpwave.reactivation._order_kernels import _exchange_onsets

    onsets = np.array([0, 9, 22, 30, 2, 14, 38, 5, 17, 26, 34, 39])
    cells, spans = np.repeat([0, 1, 2], [4, 3, 5]), np.array([3, 1, 4, 0, 0, 2, 1, 0, 0, 5, 0, 0])
    slots, state, places, n_fine, gap = onsets.copy(), np.array([7 << 40], np.uint64), [], 40, 2
    even = np.ones(n_fine)
    for _ in range(500):
        _exchange_onsets(slots, cells, spans, even, gap, 0.25, state)
        assert sorted(slots) == sorted(onsets)
        assert (slots + spans < n_fine).all()
        for cell in range(3):
            own = np.argsort(slots[cells == cell])
            begin, end = slots[cells == cell][own], (slots + spans)[cells == cell][own]
            assert (begin[1:] - end[:-1] > gap).all()
        places.append(slots.copy())
    assert all(len(set(each)) > 2 for each in np.transpose(places))
    density = np.where((np.arange(n_fine) >= 10) & (np.arange(n_fine) < 30), 1.0, 0.5)
    for _ in range(50):
        _exchange_onsets(slots := onsets.copy(), cells, spans, density, gap, 0.25, state)
        np.testing.assert_array_equal(density[slots], density[onsets])


def test_a_place_that_is_held_between_stray_spikes_is_no_path(rng: np.random.Generator) -> None:
    """Detected events reach beyond the burst: shuffles that mix edges and middle would make it look like a path."""
    middles = (np.arange(60) + 0.5) / 60
    centres = rng.uniform(0, 1, (40, 1))
    fields = PlaceFields(
        tuple(range(40)), 0.2 + 15 * np.exp(-0.5 * ((middles - centres) / 0.05) ** 2), ("track",),
        np.zeros(60, int), np.full(60, -1), middles[:, None], np.ones(60), 1 / 60,
    )  # fmt: skip
    pairs, n = [], 150
    for event, place in enumerate(rng.uniform(0.1, 0.9, n)):
        near = np.argsort(np.abs(centres[:, 0] - place))[:8]
        pairs += [(unit, event + rng.uniform(0.03, 0.13)) for unit in np.repeat(near, 3)]
        pairs += [(rng.integers(40), event + low + rng.uniform(0, 0.025)) for low in (0.0, 0.135)]
    spikes = {unit: np.sort([time for other, time in pairs if other == unit]) for unit in range(40)}
    events = pd.DataFrame({"onset": np.arange(n, dtype=float), "duration": 0.16})
    found = score_order(spikes, events, fields, n_surrogates=99, further=0, rng=rng)
    assert found.observed.mean() < found.surrogates.mean() + 0.25
    assert assess_session(found.observed, found.surrogates).share < 0.11


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
    fine = bin_events(dict(enumerate(session.spikes)), events, bin_size=0.005, units=fields.units)
    cost = np.add.reduceat(fine.counts.sum(axis=1) + 1, fine.offsets[:-1])
    spent = ((found.n_draws - 99) * cost).sum() / (99 * cost.sum())
    assert 0.4 < spent < 0.51, "further draws cost half of the first, though promising events are the long ones"


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
