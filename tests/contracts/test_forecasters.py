"""Every forecaster through one contract: shapes, probabilities, determinism, and no look at the future."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.forecasting import FORECASTERS
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.forecasting.protocols import hide_stages

MEMBERS = [(protocol, name) for protocol, members in FORECASTERS.items() for name in members]


def make_night(rng: np.random.Generator, subject: str, n_epochs: int = 300) -> EpochTable:
    stages = np.repeat(rng.integers(0, 5, n_epochs), rng.integers(1, 12, n_epochs))[:n_epochs].astype(np.int8)
    stages[40:43] = -1
    votes = rng.dirichlet(np.ones(5), n_epochs)
    return EpochTable(subject, "made-up", stages, rng.normal(size=(n_epochs, 2)), ("a", "b"), votes)


@pytest.fixture(scope="module")
def fitted() -> dict[tuple[str, str], Callable[[], object]]:
    nights = [make_night(np.random.default_rng(seed), f"s{seed}") for seed in range(4)]
    cache: dict[tuple[str, str], object] = {}

    def fit(protocol: str, name: str, *, again: bool = False) -> object:
        if again or (protocol, name) not in cache:
            model = FORECASTERS[protocol][name]()
            if hasattr(model, "n_steps"):
                model.n_steps = 10  # type: ignore[attr-defined]
            cache[protocol, name] = model.fit(nights, horizon=30.0, rng=np.random.default_rng(1))
        return cache[protocol, name]

    return fit  # type: ignore[return-value]


def show(night: EpochTable, protocol: str) -> EpochTable:
    return hide_stages(night) if protocol == "signal-only" else night


@pytest.mark.parametrize(("protocol", "name"), MEMBERS)
def test_shapes_and_probabilities(protocol: str, name: str, fitted: Callable, rng: np.random.Generator) -> None:
    night = make_night(rng, "new")
    forecast = fitted(protocol, name).predict(show(night, protocol))
    assert forecast.change.shape == (len(night),)
    assert forecast.destination.shape == (len(night), 5)
    assert ((forecast.change >= 0) & (forecast.change <= 1)).all()
    assert (forecast.destination >= 0).all()
    np.testing.assert_allclose(forecast.destination.sum(axis=1), 1, atol=1e-6)
    if protocol == "observed":
        rows = np.flatnonzero(night.stages >= 0)
        staying = forecast.destination[rows, night.stages[rows]]
        np.testing.assert_allclose(staying, 1 - forecast.change[rows], atol=1e-6)


@pytest.mark.parametrize(("protocol", "name"), MEMBERS)
def test_noise_after_t_moves_nothing_up_to_t(
    protocol: str, name: str, fitted: Callable, rng: np.random.Generator
) -> None:
    night, model = make_night(rng, "new"), fitted(protocol, name)
    before = model.predict(show(night, protocol))
    for t in (0, 50, 211):
        other = make_night(rng, "new")
        spoilt = EpochTable(
            "new",
            "made-up",
            np.r_[night.stages[: t + 1], other.stages[t + 1 :]],
            np.r_[night.features[: t + 1], 5 * other.features[t + 1 :]],
            night.names,
            np.r_[night.votes[: t + 1], other.votes[t + 1 :]],
        )
        after = model.predict(show(spoilt, protocol))
        np.testing.assert_allclose(after.change[: t + 1], before.change[: t + 1], atol=1e-6)
        np.testing.assert_allclose(after.destination[: t + 1], before.destination[: t + 1], atol=1e-6)


@pytest.mark.parametrize(("protocol", "name"), MEMBERS)
def test_the_same_seed_gives_the_same_forecast(
    protocol: str, name: str, fitted: Callable, rng: np.random.Generator
) -> None:
    night = show(make_night(rng, "new"), protocol)
    first = fitted(protocol, name).predict(night)
    second = fitted(protocol, name, again=True).predict(night)
    np.testing.assert_allclose(first.change, second.change, atol=1e-6)


@pytest.mark.parametrize(("protocol", "name"), MEMBERS)
def test_nights_without_stages_are_refused(protocol: str, name: str, rng: np.random.Generator) -> None:
    empty = replace(make_night(rng, "s"), stages=np.full(300, -1, dtype=np.int8))
    with pytest.raises(SharpwaveError, match="nights with scored epochs 30 s apart"):
        FORECASTERS[protocol][name]().fit([empty], horizon=30.0, rng=rng)
