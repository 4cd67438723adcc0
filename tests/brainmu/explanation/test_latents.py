"""A direction earns its name on nights left out, against other people's nights."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.brainmu.explanation.latents import FILE, fit_directions, load_directions, save_directions
from sharpwave.errors import SharpwaveError

WIDTH, N_STEPS = 12, 300


def _simulate_night(rng: np.random.Generator) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The latent holds depth and a drift that all nights share; movement is nowhere in it."""
    time = np.linspace(-1, 1, N_STEPS)
    depth = np.convolve(rng.normal(size=N_STEPS), np.ones(20) / 5, mode="same")
    latents = rng.normal(0, 0.5, (N_STEPS, WIDTH))
    latents[:, 3] += depth
    latents[:, 7] += 2 * time
    course = np.cumsum(rng.normal(size=N_STEPS))
    measures = {"depth": 10 + 3 * depth, "movement": rng.normal(size=N_STEPS), "drift": course, "time of night": time}
    measures["depth"][:10] = np.nan
    return latents, measures


@pytest.fixture(scope="module")
def nights():
    streams = np.random.default_rng(4).spawn(12)
    return [_simulate_night(rng) for rng in streams]


@pytest.fixture(scope="module")
def directions(nights):
    return fit_directions(*zip(*nights, strict=True), rng=np.random.default_rng(0))


def test_what_the_latent_holds_is_named(directions):
    row = directions.table.set_index("name").loc["depth"]
    assert row["named"]
    assert row["correlation"] > 0.8
    assert row["low"] < row["correlation"] < row["high"]
    assert abs(row["null_correlation"]) < 0.15


def test_what_it_does_not_hold_is_not(directions):
    rows = directions.table.set_index("name")
    assert not rows.loc["movement", "named"]
    assert abs(rows.loc["movement", "correlation"]) < 0.1
    assert not rows.loc["drift", "named"]


def test_what_all_nights_share_is_no_achievement(directions):
    """Time of night is read perfectly, and as well against anyone else's night."""
    row = directions.table.set_index("name").loc["time of night"]
    assert row["correlation"] > 0.8
    assert row["null_correlation"] == pytest.approx(row["correlation"], abs=0.01)
    assert not row["named"]


def test_readings_follow_a_new_night(directions):
    latents, measures = _simulate_night(np.random.default_rng(99))
    table = directions.read(latents)
    assert list(table.columns) == ["depth"]
    known = np.isfinite(measures["depth"])
    assert np.corrcoef(table["depth"][known], measures["depth"][known])[0, 1] > 0.8
    assert set(directions.read(latents, named=False)) == {"depth", "movement", "drift", "time of night"}


def test_noise_is_named_no_more_often_than_by_chance():
    """Random latents and random walks: drifting, and so correlated, but not with their own night in particular."""
    named = 0
    for rng in np.random.default_rng(8).spawn(40):
        nights = [
            (np.cumsum(rng.normal(size=(100, 4)), axis=0), {"walk": np.cumsum(rng.normal(size=100))}) for _ in range(8)
        ]
        named += int(fit_directions(*zip(*nights, strict=True), rng=rng).table["named"].sum())
    assert named <= 3


def test_written_and_read_gives_the_same(directions, nights, tmp_path):
    save_directions(directions, tmp_path)
    again = load_directions(tmp_path)
    np.testing.assert_allclose(again.read(nights[0][0]), directions.read(nights[0][0]), atol=1e-4)
    assert again.table["named"].tolist() == directions.table["named"].tolist()


def test_refusals_say_what_to_do(nights, tmp_path, rng: np.random.Generator):
    with pytest.raises(SharpwaveError, match="at least 4 nights"):
        fit_directions(*zip(*nights[:3], strict=True), rng=rng)
    unknown = [{"depth": np.full(N_STEPS, np.nan)}] * 5
    with pytest.raises(SharpwaveError, match="a measure known in at least four nights"):
        fit_directions([night for night, _ in nights[:5]], unknown, rng=rng)
    (tmp_path / FILE).write_bytes(b"no")
    with pytest.raises(SharpwaveError, match="save_directions"):
        load_directions(tmp_path)
