"""The audit of learning in private finds planted mistakes and no others; draws over many processes are counted."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("opacus", reason="opacus is not installed: pip install 'sharpwave[private]'")

from sharpwave.benchmarks.distributed import BATCH, N_STEPS, ROW_BYTES, simulate
from sharpwave.benchmarks.private.audit import BREAKS, N_SHORT, audit, find_bound


def test_a_bound_is_that_of_guesses_by_chance() -> None:
    each = 0.05 ** (1 / 300)  # all of 300 right once in twenty
    assert find_bound(300, delta=0.0) == pytest.approx(math.log(each / (1 - each)), abs=2e-3)
    assert find_bound(160) == 0
    assert find_bound(270) < find_bound(285) < find_bound(300)
    assert find_bound(285, delta=1e-3) < find_bound(285)


def test_what_is_claimed_holds_and_mistakes_are_found() -> None:
    honest = audit(0, n_night=N_SHORT)
    assert honest.found < honest.claimed
    dreamt = audit(0, dreams=True)
    assert dreamt.found < dreamt.claimed
    night = audit(0)
    assert night.wake < night.found < night.claimed  # a night that is not counted is found
    for broken in BREAKS[1:]:
        found = audit(0, broken=broken, n_night=N_SHORT)
        assert found.found > found.claimed, broken
        assert found.claimed == pytest.approx(honest.claimed)


def test_rows_that_lie_elsewhere_are_counted() -> None:
    rows = {row.metric: row.value for row in simulate(8, 3)}
    expected = BATCH * 7 / 8 * ROW_BYTES * N_STEPS / 1e6
    assert rows["megabytes_per_rank_and_night"] == pytest.approx(expected, rel=0.2)
    assert rows["gigabytes_per_night"] == pytest.approx(8 * rows["megabytes_per_rank_and_night"] / 1e3)
