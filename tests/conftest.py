"""Fixtures that several rooms share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

# Small networks on several threads wait for each other: on a busy machine that costs fifty times as long. Said before
# a numerical library is loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from tests.typecheck import install

if TYPE_CHECKING:
    from sharpwave.forecasting.cohorts import EpochTable
    from sharpwave.recipes.replay_nights import ReactivationNight

install()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Put back what libraries change for all that comes after them: each test leaves torch with one thread."""
    yield
    if (torch := sys.modules.get("torch")) is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def make_nights(rng: np.random.Generator) -> Callable[..., list[EpochTable]]:
    """Nights of a Markov chain; see `draw_night`."""
    from tests.markov_nights import draw_night

    def make(n: int, **options: object) -> list[EpochTable]:
        return [draw_night(rng, subject=f"s{index}", **options) for index in range(n)]  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def declared() -> ReactivationNight:
    """One short night of the declared difficulty."""
    from sharpwave.recipes.difficulty import simulate_declared_night

    return simulate_declared_night(rng=np.random.default_rng(3), hours=0.5)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real recordings, or a skip that says why."""
    root = Path(os.environ.get("SHARPWAVE_DATA", "../shared/data"))
    if not root.is_dir():
        pytest.skip("no real recordings: set SHARPWAVE_DATA to the folder that holds them")
    return root
