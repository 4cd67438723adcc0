"""Whether a run is decoded: planted place fields are, cells without any are not, and clocks that disagree are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.reactivation.mazes import W_WAYS, W, fire_along, make_w, roam, walk
from tests.reactivation.sessions import fire

from sharpwave.reactivation.branching import linearise_on_graph
from sharpwave.reactivation.environments import Environment
from sharpwave.reactivation.position import Position, find_runs
from sharpwave.reactivation.run_check import RunCheck, check_run
from sharpwave.reports.replay_run import describe_check, draw_errors, draw_fields, draw_lags, warn_of_run


def make_track(seed: int = 0, *, seconds: float = 240.0) -> Position:
    """To and fro on 2 m with rests of 1 to 3 s, so that no lag but none fits."""
    rng, places = np.random.default_rng(seed), []
    while len(places) < seconds * 30:
        for end in (0.0, 2.0):
            places += [end] * int(rng.uniform(1, 3) * 30)
            way = np.linspace(0, 2, int(2 / rng.uniform(0.3, 0.5) * 30))
            places += (way if end == 0 else 2 - way).tolist()
    values = np.array(places[: int(seconds * 30)])[:, None]
    return Position(np.arange(len(values)) / 30, values)


def make_environment(path: Position) -> Environment:
    laps = find_runs(path)
    return Environment("track", path, laps.assign(run_direction=np.where(laps["direction"] > 0, "outbound", "inbound")))


def fire_on_track(path: Position, *, seed: int = 0, n_units: int = 25) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(seed)
    rates = 0.1 + 12 * np.exp(-0.5 * ((path.values[:, 0] - rng.uniform(0, 2, n_units)[:, None]) / 0.15) ** 2)
    return fire(rates, path.times, rng=rng)


@pytest.fixture(scope="module")
def good() -> RunCheck:
    path = make_track()
    return check_run(fire_on_track(path), [make_environment(path)], rng=np.random.default_rng(0))


def test_a_run_with_place_cells_is_decoded(good: RunCheck) -> None:
    (error,) = good.errors
    assert good.decoded
    assert not good.clocks_apart
    assert error.past_only < 0.05
    assert error.smoothed <= error.past_only
    assert error.exchanged > 0.2
    assert error.most_occupied > 0.3
    assert error.n_folds == 5
    assert good.best_lag == pytest.approx(0, abs=0.15)
    words = describe_check(good)
    assert words[0].startswith("On track the decoding error of the run is")
    assert "as it should be" in words[-1]
    assert warn_of_run(good) == []


@pytest.mark.parametrize("lag", [10.0, -4.2])
def test_clocks_that_disagree_are_told_with_the_lag(lag: float) -> None:
    path = make_track()
    spikes = fire_on_track(path)
    late = replace(path, times=path.times + lag)
    check = check_run(spikes, [make_environment(late)], rng=np.random.default_rng(0))
    assert check.clocks_apart
    assert check.best_lag == pytest.approx(lag, abs=0.15)
    assert check.best_error < 0.5 * check.error_without_lag
    (warning,) = [words for words in warn_of_run(check) if "clocks" in words]
    assert f"--lag {check.best_lag:g}" in warning
    assert f"{abs(check.best_lag):.1f} s apart" in warning


def test_cells_without_places_give_no_replay() -> None:
    path = make_track()
    rng = np.random.default_rng(3)
    spikes = {unit: np.sort(rng.uniform(0, 240, 400)) for unit in range(25)}
    check = check_run(spikes, [make_environment(path)], rng=np.random.default_rng(0))
    assert check.decoded is False
    assert not check.clocks_apart
    assert describe_check(check)[0].startswith("No replay can be read from this session")


def test_too_few_traversals_are_said() -> None:
    path = make_track(seconds=12.0)
    check = check_run(fire_on_track(path), [make_environment(path)], rng=np.random.default_rng(0))
    assert check.decoded is None
    assert describe_check(check) == [
        "There are too few traversals to check by cross-validation whether the run can be decoded."
    ]
    assert draw_errors(check) is None
    assert draw_lags(check) is None


def test_open_fields_and_mazes_are_checked_too() -> None:
    field = roam(240.0)
    rng = np.random.default_rng(0)
    centres = rng.uniform(0, 1, (40, 1, 2))
    rates = 0.1 + 15 * np.exp(-0.5 * (((field.values[None] - centres) / 0.12) ** 2).sum(axis=2))
    spikes = fire(rates, field.times, rng=rng)
    check = check_run(spikes, [Environment("field", field, None)], rng=np.random.default_rng(0))
    assert check.decoded
    assert check.errors[0].past_only < 0.12
    path = linearise_on_graph(walk(W, W_WAYS, laps=10), make_w())
    check = check_run(fire_along(path, make_w()), [make_environment(path)], rng=np.random.default_rng(0))
    assert check.errors[0].past_only < 0.03
    assert check.errors[0].length == pytest.approx(3.2)


def test_pictures_of_the_run(good: RunCheck) -> None:
    from sharpwave.reactivation.place_fields import estimate_place_fields

    path = make_track()
    fields = estimate_place_fields(fire_on_track(path), path, epochs=make_environment(path).laps)
    pictures = draw_fields(fields)
    assert len(pictures) == 2
    assert "track outbound" in pictures[0]
    assert "best at" in draw_lags(good)
    assert draw_errors(good).count("<circle") == 4
    field = roam(120.0)
    planes = draw_fields(estimate_place_fields({0: field.times[::7], 1: field.times[::9]}, field))
    assert len(planes) == 2
