"""One short night of the declared difficulty for all tests here."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.evaluation.brainmu.reactivation_nights import ReactivationNight
from sharpwave.evaluation.reactivation.difficulty import simulate_declared_night


@pytest.fixture(scope="package")
def night() -> ReactivationNight:
    return simulate_declared_night(rng=np.random.default_rng(3), hours=0.5)
