"""The planted brittle part is found, per unit of damage."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.resilience.brittleness import map_brittleness

LOSSES = {None: 0.0, "large": 0.4, "small": 0.2, "idle": 0.0}
DAMAGE = {"large": 10.0, "small": 1.0, "idle": 1.0}


def test_the_brittle_part_comes_first(rng: np.random.Generator) -> None:
    found = map_brittleness(
        lambda part, _: 0.9 - LOSSES[part],
        ["large", "small", "idle"],
        rng=rng,
        damage=DAMAGE.__getitem__,
    )
    assert found.parts == ("small", "large", "idle")
    assert found.loss == pytest.approx([0.2, 0.4, 0.0])
    assert found.per_damage == pytest.approx([0.2, 0.04, 0.0])


def test_some_part_is_needed(rng: np.random.Generator) -> None:
    with pytest.raises(SharpwaveError, match="at least one part"):
        map_brittleness(lambda part, _: 1.0, [], rng=rng)
