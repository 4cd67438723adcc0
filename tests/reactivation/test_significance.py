"""p values, false discoveries, and the test of a session."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.significance import (
    assess_difference,
    assess_session,
    compute_p_values,
    compute_shares,
    control_false_discoveries,
    rank_among_controls,
    standardise,
)


def test_p_counts_ties_against_and_is_never_zero() -> None:
    surrogates = np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0]])
    assert compute_p_values(np.array([4.0, 5.0]), surrogates).tolist() == [0.25, 1.0]


def test_false_discoveries_are_held_down(rng: np.random.Generator) -> None:
    """Over many families of events the share of false ones among the discoveries stays at or below the level."""
    shares = []
    for _ in range(300):
        p = np.r_[rng.random(80), rng.random(20) * 0.002]
        found = control_false_discoveries(p) <= 0.1
        shares.append(found[:80].sum() / max(found.sum(), 1))
        assert found[80:].all()
    assert 0.04 < np.mean(shares) < 0.1
    q = control_false_discoveries(np.array([0.01, np.nan, 0.02]))
    assert np.isnan(q[1])
    assert q[[0, 2]].tolist() == [0.02, 0.02]


def test_shares_equal_those_counted_one_by_one(rng: np.random.Generator) -> None:
    observed, surrogates = rng.integers(0, 30, 40).astype(float), rng.integers(0, 30, (79, 40)).astype(float)
    everything = np.vstack([observed[None], surrogates])
    counted = [
        (compute_p_values(row, np.delete(everything, index, axis=0)) <= 0.05).mean()
        for index, row in enumerate(everything)
    ]
    np.testing.assert_allclose(compute_shares(observed, surrogates), counted)


def test_dependent_events_do_not_deceive_the_session(rng: np.random.Generator) -> None:
    """All events share a common factor: the binomial test would reject often, the session's own at its level."""
    rejected = []
    for _ in range(400):
        scores = rng.standard_normal((100, 1)) + 0.5 * rng.standard_normal((100, 50))
        rejected.append(assess_session(scores[0], scores[1:]).p <= 0.05)
    assert 0.02 < np.mean(rejected) < 0.085


def test_session_with_replay_is_found_and_differs_from_before(rng: np.random.Generator) -> None:
    observed, surrogates = rng.standard_normal(200), rng.standard_normal((199, 200))
    after = np.arange(200) >= 100
    observed[after & (np.arange(200) % 4 == 0)] += 4
    test = assess_session(observed[after], surrogates[:, after])
    assert test.p == pytest.approx(1 / 200)
    assert test.share >= 0.25
    assert test.low < 0.05 < test.high
    assert assess_session(observed[~after], surrogates[:, ~after]).p > 0.05
    difference = assess_difference(observed, surrogates, after=after, before=~after)
    assert difference.p == pytest.approx(1 / 200)
    assert abs(difference.expected) < 0.01
    with pytest.raises(SharpwaveError, match="before and after"):
        assess_difference(observed, surrogates, after=after, before=np.zeros(200, bool))
    with pytest.raises(SharpwaveError, match="events to test"):
        assess_session(observed[:0], surrogates[:, :0])


def test_controls_rank_events_among_those_before(rng: np.random.Generator) -> None:
    observed, surrogates = rng.standard_normal(300) * 2 + 1, rng.standard_normal((999, 300)) * 2 + 1
    z = standardise(observed, surrogates)
    assert z.std() == pytest.approx(1, abs=0.1)
    assert z.mean() == pytest.approx(0, abs=0.15)
    before = np.arange(300) < 150
    p = rank_among_controls(z, before)
    assert np.isnan(p[before]).all()
    assert np.nanmean(p) == pytest.approx(0.5, abs=0.1)
    with pytest.raises(SharpwaveError, match="before the experience"):
        rank_among_controls(z, np.zeros(300, bool))
