"""Departures from Poisson firing and straight paths: what each plants is there, and off means off."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.simulation import Nuisance, simulate_night
from sharpwave.simulation.firing import (
    DECOYS,
    LEAST_PATH,
    PLAIN,
    STAY,
    TRACK,
    Firing,
    add_complex_spikes,
    add_second_fields,
    assign_decoys,
    draw_levels,
    draw_positions,
)
from sharpwave.simulation.scene import TRACK_LENGTH


@pytest.fixture
def ripples() -> pd.DataFrame:
    n = 900
    kind = np.resize(np.array(["ripple", "replay", "shuffled"], dtype=object), n)
    sequence = kind != "ripple"
    return pd.DataFrame(
        {
            "onset": np.arange(n, dtype=float),
            "duration": 0.1,
            "kind": kind,
            "position_start": np.where(sequence, 0.2, np.nan),
            "position_end": np.where(sequence, 1.0, np.nan),
            "speed": np.where(sequence, 8.0, np.nan),
        }
    )


def test_nothing_changes_where_nothing_departs(ripples: pd.DataFrame, rng: np.random.Generator) -> None:
    assert assign_decoys(ripples, PLAIN, rng=rng) is ripples
    path = draw_positions(ripples, 10, PLAIN, rng=rng)
    np.testing.assert_allclose(path[1], 0.2 + 0.8 * (np.arange(10) + 0.5) / 10)
    np.testing.assert_allclose(path[2], path[1])
    maps = rng.random((4, 1, 2, 100))
    assert add_second_fields(maps, 0.0, rng=rng) is maps
    np.testing.assert_array_equal(draw_levels(7, 0.0, rng=rng), np.ones(7))
    assert TRACK == TRACK_LENGTH


def test_decoys_are_what_they_are_called(ripples: pd.DataFrame, rng: np.random.Generator) -> None:
    firing = Firing(decoys=DECOYS)
    table = assign_decoys(ripples, firing, rng=rng)
    counts = table["kind"].value_counts()
    assert (counts["replay"], counts["ripple"]) == (300, 300)
    assert counts[list(DECOYS)].between(40, 85).all()
    path = draw_positions(table, 10, firing, rng=rng)
    kind = table["kind"].to_numpy()
    np.testing.assert_allclose(path[kind == "replay"], np.tile(0.2 + 0.08 * (np.arange(10) + 0.5), (300, 1)))
    assert np.ptp(path[kind == "stationary"], axis=1).max() == 0
    assert path[kind == "stationary", 0].std() > 0.4
    stays = 1 / (np.diff(path[kind == "jumping"], axis=1) != 0).mean() * 0.01
    assert STAY[0] < stays < STAY[1]
    assert set(table.loc[table["kind"] == "stationary", "speed"]) == {0.0}
    assert table.loc[table["kind"].isin(("jumping", "assembly")), "position_start"].isna().all()


def test_speeds_are_kept_and_paths_stay_on_the_track(ripples: pd.DataFrame, rng: np.random.Generator) -> None:
    table = assign_decoys(ripples, Firing(speed=(3.0, 20.0)), rng=rng)
    moving = table[table["kind"] != "ripple"]
    distance = (moving["position_end"] - moving["position_start"]).abs()
    np.testing.assert_allclose(distance / moving["duration"], moving["speed"])
    assert moving["speed"].between(3.0 - 1e-9, 20.0).all()
    assert moving["speed"].std() > 3
    assert distance.min() >= LEAST_PATH - 1e-9
    assert moving[["position_start", "position_end"]].stack().between(0.0, TRACK).all()


def test_leaps_and_bends(ripples: pd.DataFrame, rng: np.random.Generator) -> None:
    path = draw_positions(ripples, 10, Firing(leap=0.5), rng=rng)
    replayed = (ripples["kind"] == "replay").to_numpy()
    leaps = np.abs(np.diff(path, axis=1)).max(axis=1) > 0.3
    assert 0.35 < leaps[replayed].mean() < 0.65
    assert not leaps[~replayed].any()
    bent = draw_positions(ripples, 10, Firing(bend=0.6), rng=rng)[replayed]
    assert (np.diff(bent, axis=1) > 0).all()
    assert np.diff(bent, axis=1).std(axis=1).max() > 0.02


def test_complex_spikes_follow_closely(rng: np.random.Generator) -> None:
    times = np.arange(4000) * 0.1
    train = add_complex_spikes(times, 0.4, rng=rng)
    assert len(train) / len(times) == pytest.approx(1 + 0.4 * 1.75, rel=0.05)
    close = np.diff(train)[np.diff(train) < 0.05]
    assert 0.003 <= close.min() <= close.max() <= 0.008
    assert len(close) == len(train) - len(times)


def test_second_fields_and_levels(rng: np.random.Generator) -> None:
    maps = 0.1 + 10 * np.exp(-0.5 * ((np.arange(100) - 50) / 5) ** 2) * np.ones((200, 1, 2, 1))
    twice = add_second_fields(maps, 0.25, rng=rng)
    more = twice.max(axis=-1) - maps.max(axis=-1)
    has_two = (twice - maps).max(axis=-1) > 5
    assert has_two.mean() == pytest.approx(0.25, abs=0.06)
    assert more.max() < 1
    levels = np.log(draw_levels(20_000, 0.4, rng=rng))
    assert levels.std() == pytest.approx(0.4, rel=0.05)
    assert (levels[0::2] == levels[1::2]).all()


def test_a_night_holds_what_is_asked_for() -> None:
    firing = Firing(decoys=("stationary", "assembly"), bursting=0.3)
    recording, truth = simulate_night(
        "rat", 0.5, rng=np.random.default_rng(2), modalities=("spikes",), n_units=30, firing=firing,
        nuisance=Nuisance(decoys=0.5),
    )  # fmt: skip
    plain, same = simulate_night(
        "rat", 0.5, rng=np.random.default_rng(2), modalities=("spikes",), n_units=30, nuisance=Nuisance(decoys=0.5)
    )
    assert {"stationary", "assembly", "replay"} <= set(truth.ripples["kind"])
    pd.testing.assert_frame_equal(truth.reactivations, same.reactivations)
    close = [np.mean([(np.diff(r.spikes[unit].t) < 0.01).mean() for unit in r.spikes]) for r in (recording, plain)]
    assert close[0] > 4 * close[1]


def test_refusals() -> None:
    with pytest.raises(SharpwaveError, match="decoys among shuffled"):
        Firing(decoys=("elsewhere",))
    with pytest.raises(SharpwaveError, match="shares from 0 to 1"):
        Firing(bursting=2.0)
