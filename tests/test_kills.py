"""A small version of `tests/kills.py`: saving a state, killed at random moments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.kills import make_state, try_job


def test_a_killed_save_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    assert try_job(make_state(), 4, tmp_path, np.random.default_rng(1)) == []
