"""A small version of `tests/kills.py`: saving a state, killed at random moments.

It forks, which is safe only where no other threads run: so in a process of its own.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run_alone(call: str, home: Path) -> str:
    """What a call of something in `tests.kills` gives, in a process that has no threads yet."""
    code = (
        "import numpy as np; from pathlib import Path; from tests import kills\n"
        f"print('found', kills.{call.format(home=repr(str(home)))})"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.splitlines()[-1]


@pytest.mark.parametrize("make", ["make_state", "make_weights", "make_head"])
def test_a_full_disk_is_said_in_words_and_leaves_the_old(make: str, tmp_path: Path) -> None:
    call = f"fill_job(kills.{make}(), 3, Path({{home}}), np.random.default_rng(2))"
    assert run_alone(call, tmp_path) == "found []"


def test_a_killed_save_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    assert run_alone("try_job(kills.make_state(), 4, Path({home}), np.random.default_rng(1))", tmp_path) == "found []"
