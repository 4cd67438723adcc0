"""A small version of `tests/kills.py`: saving a state, killed at random moments."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.kills import Job, fill_job, make_head, make_state, make_weights, try_job


@pytest.mark.parametrize("make", [make_state, make_weights, make_head])
def test_a_full_disk_is_said_in_words_and_leaves_the_old(make: Callable[[], Job], tmp_path: Path) -> None:
    assert fill_job(make(), 3, tmp_path, np.random.default_rng(2)) == []


def test_a_killed_save_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    assert try_job(make_state(), 4, tmp_path, np.random.default_rng(1)) == []
