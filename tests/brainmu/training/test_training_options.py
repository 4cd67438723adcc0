from __future__ import annotations

import numpy as np
import pytest

from sharpwave.brainmu.training.training_options import TrainingOptions, compute_average_decay, compute_learning_rate
from sharpwave.errors import SharpwaveError


def test_the_rate_warms_up_then_falls_along_a_cosine() -> None:
    options = TrainingOptions(steps=100, learning_rate=2.0, warm_up=0.1, final=0.1)
    rates = np.array([compute_learning_rate(step, options) for step in range(101)])
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11))
    assert (np.diff(rates[10:]) <= 0).all()
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx((2.0 + 0.2) / 2)
    assert rates[100] == pytest.approx(0.2)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_the_average_spans_a_share_of_the_updates(width: float) -> None:
    """The weights of the updates in the average have the standard deviation that was asked for, of any length."""
    for steps in (400, 2000):
        weights = np.zeros(steps)
        for step in range(steps):
            decay = compute_average_decay(step, width)
            weights *= decay
            weights[step] = 1 - decay
        place = (np.arange(steps) + 1) / steps
        mean = weights @ place
        assert weights.sum() == pytest.approx(1)
        assert np.sqrt(weights @ (place - mean) ** 2) == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize("name", ["steps", "batch", "piece", "checkpoint_every"])
def test_nothing_to_do_is_refused(name: str) -> None:
    with pytest.raises(SharpwaveError, match=f"{name} of at least 1; got 0"):
        TrainingOptions(**{name: 0})


def test_too_wide_an_average_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"from 0 to 0\.28; got 0\.5"):
        TrainingOptions(average=0.5)
