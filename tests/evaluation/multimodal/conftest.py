"""Nights in both forms, whose features do or do not foretell changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from sharpwave.evaluation.multimodal.learning import Budget
from sharpwave.evaluation.multimodal.nights import PairedNight
from sharpwave.evaluation.multimodal.splits import pair_night

TINY = Budget(
    steps=60,
    batch=8,
    piece=30,
    learning_rate=1e-2,
    shape={"width": 16, "n_layers": 1, "n_heads": 2, "window": 90.0, "dropout": 0.0, "direct": True},
)


@pytest.fixture
def tiny() -> Budget:
    return TINY


@pytest.fixture
def pair_nights(make_nights: Callable) -> Callable[..., list[PairedNight]]:
    def pair(n: int, **options: object) -> list[PairedNight]:
        return [pair_night(night) for night in make_nights(n, **options)]

    return pair
