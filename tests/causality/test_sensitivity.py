from __future__ import annotations

import numpy as np
import pytest

from sharpwave.causality.sensitivity import compute_e_value, compute_e_value_of_difference, convert_hazard_ratio


def test_e_values_as_published() -> None:
    """Maternal smoking, VanderWeele & Ding 2017: RR 3.9 has 7.26, its lower bound 1.8 has 3.0."""
    assert compute_e_value(3.9) == pytest.approx(7.26, abs=0.01)
    assert compute_e_value(1.8) == pytest.approx(3.0, abs=0.01)
    assert compute_e_value(1 / 3.9) == pytest.approx(compute_e_value(3.9))
    assert compute_e_value(1.0) == 1
    assert np.isnan(compute_e_value(0.0))


def test_differences_and_hazards() -> None:
    assert compute_e_value_of_difference(0.5, 1.0) == pytest.approx(compute_e_value(np.exp(0.455)))
    assert compute_e_value_of_difference(0.0, 1.0) == 1
    assert np.isnan(compute_e_value_of_difference(0.5, 0.0))
    assert convert_hazard_ratio(2.0, risk=0.05) == 2.0
    assert 1 < convert_hazard_ratio(2.0, risk=0.4) < 2.0
    assert convert_hazard_ratio(1.0, risk=0.4) == pytest.approx(1.0)
