"""Made-up nights in both forms, and a budget that learns a plain sign."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharpwave.benchmarks.multimodal.learning import Budget
from sharpwave.benchmarks.multimodal.nights import PairedViews
from sharpwave.benchmarks.multimodal.splits import pair_night
from sharpwave.forecasting.cohorts import EpochTable


@pytest.fixture
def pair_nights(make_nights: Callable[..., list[EpochTable]]) -> Callable[..., list[PairedViews]]:
    """The same nights in both forms: for the baselines and for Brainµ."""

    def pair(n: int, **options: object) -> list[PairedViews]:
        return [pair_night(night) for night in make_nights(n, **options)]

    return pair


@pytest.fixture
def tiny() -> Budget:
    """Enough to learn a plain sign."""
    shape = {"width": 16, "n_layers": 1, "n_heads": 2, "window": 90.0, "dropout": 0.0, "pooled_query": True}
    return Budget(steps=40, batch=6, piece=30, learning_rate=1e-2, shape=shape)
