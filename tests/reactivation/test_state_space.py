from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from tests.reactivation.sessions import make_fields, plant_events

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation import state_space
from sharpwave.reactivation.counts import BinnedEvents
from sharpwave.reactivation.place_fields import compute_log_likelihood
from sharpwave.reactivation.state_space import (
    Dynamics,
    compute_random_walk,
    decode_event,
    decode_events,
    decode_posteriors,
    find_diagonals,
)

BIN = 0.01


def sum_over_paths(counts: np.ndarray, fields, dynamics: Dynamics) -> tuple[np.ndarray, float]:
    """Posterior over (dynamics, place) in each bin and the evidence, from every path there is."""
    n = len(fields.content)
    switch, walk = dynamics.compute_switch(BIN), dynamics.compute_walk(fields, BIN)
    even = np.full((n, n), 1 / n)
    moves = {(i, j): even if 2 in (i, j) else (np.eye(n) if j == 0 else walk) for i in range(3) for j in range(3)}
    likelihood = np.exp(compute_log_likelihood(counts, fields, bin_size=BIN, gain=dynamics.gain))
    found = np.zeros((len(counts), 3, n))
    states = list(product(range(3), range(n)))
    for path in product(states, repeat=len(counts)):
        weight = likelihood[0, path[0][1]] / (3 * n)
        for t in range(1, len(counts)):
            (i, p), (j, q) = path[t - 1], path[t]
            weight *= switch[i, j] * moves[i, j][p, q] * likelihood[t, q]
        for t, state in enumerate(path):
            found[(t, *state)] += weight
    return found / found.sum(axis=(1, 2), keepdims=True), float(np.log(found[0].sum()))


def test_posterior_and_evidence_are_sums_over_all_paths(rng):
    fields = make_fields(rng, n_units=4, n_places=2, contents=("a",))
    dynamics = Dynamics(duration=0.03, diffusion=80.0, gain=3.0)
    counts = rng.poisson(0.4, (4, 4)).astype(np.int16)
    binned = BinnedEvents(counts, np.array([0, 4]), BIN, np.zeros(1))
    posterior, evidence = sum_over_paths(counts, fields, dynamics)
    assert decode_event(binned, 0, fields, dynamics=dynamics) == pytest.approx(posterior, abs=1e-6)
    table = decode_events(binned, fields, dynamics=dynamics).table
    assert table["log_likelihood"][0] == pytest.approx(evidence, abs=1e-5)
    chances = table[["p_stationary", "p_continuous", "p_fragmented"]].to_numpy()[0]
    assert chances == pytest.approx(posterior.mean(axis=0).sum(axis=1), abs=1e-6)


def test_planted_trajectories_come_back_with_content_direction_ends_and_speed(rng):
    fields = make_fields(rng, n_units=60, n_places=50)
    n, n_bins = 60, 20
    start = np.where(np.arange(n) % 2, 0.3, 1.7)[:, None]
    speed = np.where(np.arange(n) % 2, 6.0, -6.0)[:, None]
    maps = rng.integers(0, 4, n)
    binned = plant_events(fields, start + speed * BIN * np.arange(n_bins), maps, bin_size=BIN, gain=5.0, rng=rng)
    table = decode_events(binned, fields, dynamics=Dynamics(gain=5.0)).table
    assert (table["content"] == np.array(["a", "b"])[maps // 2]).mean() > 0.97
    assert (table["direction"] == maps % 2).mean() > 0.95
    assert (table["dynamics"] == "continuous").mean() > 0.9
    assert np.median(np.abs(table["path_start"] - start[:, 0])) < 0.1
    assert np.median(np.abs(table["path_end"] - (start + speed * BIN * (n_bins - 1))[:, 0])) < 0.1
    assert table["speed"].median() == pytest.approx(6.0, rel=0.15)
    assert table["duration"].tolist() == pytest.approx([0.2] * n)
    assert np.array_equal(table["n_spikes"], [binned.of(event).sum() for event in range(n)])


def test_places_that_stay_are_stationary_and_places_at_random_fragmented(rng):
    fields = make_fields(rng, n_units=60, n_places=50)
    n, n_bins = 40, 20
    still = np.repeat(rng.uniform(0.3, 1.7, (n, 1)), n_bins, axis=1)
    random = rng.uniform(0, 2, (n, n_bins))
    for paths, dynamics in ((still, "stationary"), (random, "fragmented")):
        binned = plant_events(fields, paths, np.zeros(n, dtype=int), bin_size=BIN, gain=5.0, rng=rng)
        table = decode_events(binned, fields, dynamics=Dynamics(gain=5.0)).table
        assert (table["dynamics"] == dynamics).mean() > 0.9
    assert decode_events(binned, fields).table["p_continuous"].mean() < 0.2


def test_exchanged_cells_are_not_continuous(rng):
    """The same spikes under fields whose cells were exchanged: nothing was planted there."""
    fields = make_fields(rng, n_units=60, n_places=50)
    paths = 0.2 + 6 * BIN * np.tile(np.arange(20), (60, 1))
    binned = plant_events(fields, paths, np.zeros(60, dtype=int), bin_size=BIN, gain=5.0, rng=rng)
    true = decode_events(binned, fields).table["p_continuous"]
    exchanged = replace(fields, rates=fields.rates[rng.permutation(60)])
    assert true.mean() > 0.8
    assert decode_events(binned, exchanged).table["p_continuous"].mean() < 0.3


def test_blocks_do_not_change_the_result(rng, monkeypatch):
    fields = make_fields(rng)
    counts = rng.poisson(0.05, (300, 30)).astype(np.int16)
    binned = BinnedEvents(counts, np.r_[0, 1, np.arange(20, 301, 20)], BIN, np.arange(16.0))
    whole = decode_events(binned, fields).table
    monkeypatch.setattr(state_space, "BLOCK", 25)
    parts = decode_events(binned, fields).table
    assert whole.equals(parts)
    alone = BinnedEvents(binned.of(3), np.array([0, 20]), BIN, np.array([3.0]))
    numbers = whole.select_dtypes("number")
    assert decode_events(alone, fields).table[numbers.columns].iloc[0].to_numpy() == pytest.approx(
        numbers.iloc[3].to_numpy(), rel=1e-5
    )


def test_events_without_spikes_say_nothing_of_the_map(rng):
    fields = make_fields(rng)
    fields = replace(fields, rates=np.ones_like(fields.rates))
    binned = BinnedEvents(np.zeros((10, 30), dtype=np.int16), np.array([0, 10]), BIN, np.zeros(1))
    table = decode_events(binned, fields).table
    assert table["content_probability"][0] == pytest.approx(0.5)
    assert table["speed"][0] == pytest.approx(0, abs=1e-3)
    assert table["n_active_units"][0] == 0


def test_posteriors_stay_finite_in_long_events_with_many_spikes(rng):
    fields = make_fields(rng)
    counts = rng.poisson(3.0, (2000, 30)).astype(np.int16)
    posterior = decode_event(BinnedEvents(counts, np.array([0, 2000]), BIN, np.zeros(1)), 0, fields)
    assert posterior.sum(axis=(1, 2)) == pytest.approx(1, abs=1e-4)


def test_open_fields_have_ends_in_two_dimensions(rng):
    axis = (np.arange(12) + 0.5) / 12
    places = np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)
    centres = rng.uniform(0, 1, (80, 2))
    rates = 0.1 + 15 * np.exp(-0.5 * ((centres[:, None] - places) ** 2).sum(axis=2) / 0.1**2)
    n = len(places)
    fields = replace(
        make_fields(rng, n_units=80),
        rates=rates,
        contents=("box",),
        content=np.zeros(n, dtype=int),
        direction=np.full(n, -1),
        position=places,
        occupancy=np.ones(n),
        bin_size=1 / 12,
    )
    path = np.stack([np.linspace(0.1, 0.9, 20), np.linspace(0.8, 0.3, 20)], axis=1)
    nearest = ((path[:, None] - places) ** 2).sum(axis=2).argmin(axis=1)
    counts = rng.poisson(5 * BIN * rates[:, nearest]).T.astype(np.int16)
    row = decode_events(BinnedEvents(counts, np.array([0, 20]), BIN, np.zeros(1)), fields).table.iloc[0]
    assert row["dynamics"] == "continuous"
    assert [row.path_start_x, row.path_start_y, row.path_end_x, row.path_end_y] == pytest.approx(
        [0.1, 0.8, 0.9, 0.3], abs=0.12
    )


def test_events_that_are_not_there_are_refused(rng):
    fields = make_fields(rng)
    none = BinnedEvents(np.zeros((0, 30), dtype=np.int16), np.array([0]), BIN, np.zeros(0))
    with pytest.raises(SharpwaveError, match="at least one event; got none"):
        decode_events(none, fields)
    with pytest.raises(SharpwaveError, match="an event from 0 to -1; got 2"):
        decode_posteriors(none, fields, events=[2])


def test_a_step_has_the_variance_asked_for_and_stays_on_its_map(rng):
    fields = make_fields(rng, n_places=100)
    walk = compute_random_walk(fields, seconds=0.02, diffusion=0.5)
    assert walk.sum(axis=1) == pytest.approx(1)
    middle = 50
    places = fields.maps[0]
    distance = fields.position[places, 0] - fields.position[middle, 0]
    assert walk[middle, places] @ distance**2 == pytest.approx(0.01, rel=0.01)
    assert walk[middle, np.setdiff1d(np.arange(400), places)].sum() == 0


def test_no_diffusion_is_no_step(rng):
    fields = make_fields(rng)
    assert np.array_equal(compute_random_walk(fields, seconds=0.02, diffusion=0.0), np.eye(100))
    with pytest.raises(SharpwaveError, match="a diffusion of at least 0"):
        compute_random_walk(fields, seconds=0.02, diffusion=-1.0)


def test_pixels_are_those_of_a_track_of_two_metres(rng):
    metres = make_fields(rng)
    pixels = replace(metres, position=metres.position * 150, bin_size=metres.bin_size * 150, unit="pixels")
    assert compute_random_walk(pixels, seconds=0.02) == pytest.approx(compute_random_walk(metres, seconds=0.02))


def test_diagonals_hold_the_whole_matrix(rng):
    matrix = np.where(rng.random((7, 7)) < 0.3, rng.random((7, 7)), 0)
    offsets, weights = find_diagonals(matrix)
    rebuilt = np.zeros((7, 7))
    for offset, diagonal in zip(offsets, weights, strict=True):
        for row in range(7):
            if 0 <= row + offset < 7:
                rebuilt[row, row + offset] = diagonal[row]
    assert rebuilt == pytest.approx(matrix)


SMOOTH = """
import numpy as np
from sharpwave.reactivation._kernels import smooth
rng = np.random.default_rng(0)
likelihood, weights = rng.random((60, 50), dtype=np.float32), rng.random((9, 50), dtype=np.float32)
posterior = np.empty((60, 3, 50), np.float32)
smooth(likelihood, np.full((3, 3), 1 / 3, np.float32), np.arange(-4, 5), weights, posterior)
print(posterior.tobytes().hex())
"""


def test_machine_code_from_the_cache_sums_as_it_did_when_it_was_compiled(tmp_path: Path) -> None:
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    found = [
        subprocess.run([sys.executable, "-c", SMOOTH], env=environment, capture_output=True, check=True).stdout
        for _ in range(2)
    ]
    assert any(tmp_path.rglob("*.nbc"))
    assert found[0] == found[1] != b""
