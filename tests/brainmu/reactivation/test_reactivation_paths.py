"""Measures of bursts: a path that moves, one place, places at random and no place are told apart; and the judge."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pynapple as nap
import pytest
import torch

from sharpwave.brainmu.reactivation.reactivation_judge import KINDS, PathJudge, adapt_shares, judge_paths
from sharpwave.brainmu.reactivation.reactivation_paths import (
    FOLLOWER,
    MEASURES,
    PATHS,
    measure_paths,
    prepare_maps,
)
from sharpwave.brainmu.reactivation.reactivation_places import PlaceFields

N_UNITS, LENGTH = 30, 2.0


def make_fields(order: np.ndarray | None = None) -> PlaceFields:
    """One track in two directions; the second has the units' fields in another order."""
    position, track = np.tile((np.arange(20) + 0.5) * 0.1, 2), np.repeat([0, 1], 20)
    centres = np.linspace(0.0, LENGTH, N_UNITS)
    other = centres[(np.arange(N_UNITS) * 7) % N_UNITS]
    middle = np.where(track == 0, centres[:, None], other[:, None])
    rates = 0.1 + 12 * np.exp(-0.5 * ((position - middle) / 0.12) ** 2)
    rows = np.arange(40) if order is None else order
    return PlaceFields(tuple(range(N_UNITS)), rates[:, rows], track[rows], position[rows])


def fire(path: Any, onset: float, rng: np.random.Generator, *, gain: float = 8.0) -> list[np.ndarray]:
    """Spikes of 0.12 s along a path: its place in metres by the share of the event that is over."""
    share = (np.arange(60) + 0.5) / 60
    place = np.array([path(value) for value in share])
    centres = np.linspace(0.0, LENGTH, N_UNITS)[:, None]
    rate = gain * 12 * np.exp(-0.5 * ((place - centres) / 0.12) ** 2)
    counts = rng.poisson(rate * 0.002)
    return [onset + 0.002 * np.repeat(np.arange(60), row) + 1e-4 for row in counts]


@pytest.fixture(scope="module")
def bursts() -> tuple[Any, pd.DataFrame]:
    rng = np.random.default_rng(4)
    places = rng.uniform(0, LENGTH, 200)
    group = rng.permutation(N_UNITS)[:8]
    kinds, parts = [], []
    for index in range(60):
        kind = ("moves", "stays", "jumps", "group", "leaps")[index % 5]
        onset = 1.0 + index
        if kind == "group":
            parts.append([np.sort(onset + 0.12 * rng.random(3 if u in group else 0)) for u in range(N_UNITS)])
        else:
            path = {
                "moves": lambda s: 0.4 + 1.2 * s,
                "stays": lambda s, at=places[index]: at,
                "jumps": lambda s, first=index: places[60 + first + int(s * 4)],
                "leaps": lambda s: 0.2 + 0.8 * s if s < 0.5 else 1.1 + 0.8 * s - 0.4,
            }[kind]
            parts.append(fire(path, onset, rng))
        kinds.append(kind)
    trains = {u: nap.Ts(np.sort(np.concatenate([part[u] for part in parts]))) for u in range(N_UNITS)}
    events = pd.DataFrame({"onset": 1.0 + np.arange(60.0), "duration": 0.12, "kind": kinds})
    return nap.TsGroup(trains), events


def test_kinds_are_told_apart(bursts: tuple[Any, pd.DataFrame]) -> None:
    spikes, events = bursts
    measures = measure_paths(spikes, events, make_fields(), rng=np.random.default_rng(0))
    table = pd.DataFrame(measures, columns=list(MEASURES)).groupby(events["kind"]).median()
    moves, stays, jumps, group, leaps = (table.loc[kind] for kind in ("moves", "stays", "jumps", "group", "leaps"))
    assert moves["moving against staying"] > 10
    assert stays["moving against staying"] < -3
    assert moves["moving against hopping"] > 5
    assert jumps["moving against hopping"] < -3
    assert leaps["leaping"] > leaps["moving"]
    assert moves["order"] > 3
    assert abs(group["order"]) < 1.5
    assert group["moving against group"] < -5
    assert moves["stretch"] == pytest.approx(1.2, abs=0.25)
    assert moves["speed"] == pytest.approx(10, abs=2.5)
    assert stays["stretch"] < 0.15


def test_the_order_of_places_in_the_table_does_not_matter(bursts: tuple[Any, pd.DataFrame]) -> None:
    spikes, events = bursts
    mixed = make_fields(np.random.default_rng(1).permutation(40))
    expected = measure_paths(spikes, events.iloc[:5], make_fields(), rng=np.random.default_rng(0))
    found = measure_paths(spikes, events.iloc[:5], mixed, rng=np.random.default_rng(0))
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_places_may_be_finer_than_paths() -> None:
    fields = make_fields()
    maps = prepare_maps(fields)
    np.testing.assert_array_equal(maps.first, [0, 20])
    np.testing.assert_allclose(maps.step, 1.0)
    fine = PlaceFields(fields.units, np.repeat(fields.rates, 2, axis=1), np.repeat(fields.track, 2),
                       np.tile((np.arange(40) + 0.5) * 0.05, 2))  # fmt: skip
    np.testing.assert_allclose(prepare_maps(fine).step, 2.0)
    share = np.exp(maps.ratio) * maps.mean[:, None]
    np.testing.assert_allclose(share.sum(axis=0), 1.0)


def test_followers_of_complex_spikes_weigh_less() -> None:
    events = pd.DataFrame({"onset": [0.0], "duration": [0.1]})
    silent = {u: nap.Ts(np.array([5.0 + u])) for u in range(2, N_UNITS)}
    support = nap.IntervalSet(0, 100)
    one = nap.Ts(np.array([0.03]))
    apart = nap.TsGroup({0: nap.Ts(np.array([0.01, 0.05])), 1: one} | silent, time_support=support)
    close = nap.TsGroup({0: nap.Ts(np.array([0.01, 0.015])), 1: one} | silent, time_support=support)
    column = MEASURES.index("spikes")
    weight = [measure_paths(s, events, make_fields(), rng=np.random.default_rng(0))[0, column] for s in (apart, close)]
    np.testing.assert_allclose(np.square(weight), [3, 2 + FOLLOWER])


def test_a_silent_burst_has_no_measure() -> None:
    spikes = nap.TsGroup({u: nap.Ts(np.array([9.0])) for u in range(N_UNITS)}, time_support=nap.IntervalSet(0, 10))
    events = pd.DataFrame({"onset": [1.0], "duration": [0.1]})
    assert not measure_paths(spikes, events, make_fields(), rng=np.random.default_rng(0)).any()


def test_the_judge_says_how_probable_each_path_is() -> None:
    torch.manual_seed(0)
    judge = PathJudge().eval()
    measures = np.random.default_rng(0).standard_normal((7, len(MEASURES)))
    chances = judge_paths(judge, measures).paths
    assert chances.shape == (7, len(PATHS))
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-6)
    far = judge_paths(judge, np.where(measures > 0, 1e6, -1e6)).paths
    assert np.isfinite(far).all()
    judge.spread[:] = 2.0
    np.testing.assert_allclose(judge_paths(judge, 2 * measures).paths, chances, rtol=1e-4)
    assert judge_paths(judge, np.zeros((0, len(MEASURES))), np.zeros(0)).paths.shape == (0, len(PATHS))


def test_shares_of_kinds_are_found(rng: np.random.Generator) -> None:
    shares = np.array([0.1, 0.02, 0.1, 0.1, 0.18, 0.3, 0.2])
    true = rng.choice(len(KINDS), 4000, p=[0.02, 0.004, 0.3, 0.05, 0.026, 0.4, 0.2])
    seen = np.eye(len(KINDS))[true] * 2 + rng.normal(
        size=(4000, len(KINDS))
    )  # log likelihoods 2 * seen, as of unit normals
    learnt = shares * np.exp(2 * seen)
    learnt /= learnt.sum(axis=1, keepdims=True)
    adapted = adapt_shares(learnt, shares, np.ones(4000))
    np.testing.assert_allclose(adapted.mean(axis=0), np.bincount(true, minlength=7) / 4000, atol=0.02)
    sure = adapted[:, 0] > 0.5
    assert (true[sure] <= 1).mean() > 0.5 > (true[learnt[:, 0] > 0.5] <= 1).mean()


def test_a_span_is_judged_by_the_others_of_its_recording() -> None:
    torch.manual_seed(0)
    judge = PathJudge().eval()
    for parameter in judge.parameters():
        parameter.data *= 4
    measures = np.random.default_rng(0).standard_normal((300, len(MEASURES)))
    alone = judge_paths(judge, measures)
    calm = measures[alone.replay < 0.1]
    among = np.concatenate([measures[:20], np.resize(calm, (300, len(MEASURES)))])
    adapted = judge_paths(judge, among, np.ones(len(among)))
    assert adapted.replay[:20].sum() < alone.replay[:20].sum()
    np.testing.assert_allclose(judge_paths(judge, among).replay[:20], alone.replay[:20], rtol=1e-5)
