from __future__ import annotations

import numpy as np
import pytest

from sharpwave.causality.regression import Block, fit_cloglog, split_blocks
from sharpwave.errors import SharpwaveError


def make_blocks(seed: int, *, effect: float = 0.7, n_nights: int = 5, n: int = 3000) -> list[Block]:
    rng = np.random.default_rng(seed)
    blocks = []
    for night in range(n_nights):
        x = np.column_stack([rng.random(n) < 0.3, rng.standard_normal(n)]).astype(float)
        own = np.column_stack([np.ones(n), np.linspace(-1, 1, n)])
        level = -3 + 0.3 * night + effect * x[:, 0] + 0.2 * x[:, 1] + 0.3 * own[:, 1]
        blocks.append(Block(night, x, own, (rng.random(n) < -np.expm1(-np.exp(level))).astype(float)))
    return blocks


def test_agrees_with_statsmodels() -> None:
    import statsmodels.api as sm

    blocks = make_blocks(0)
    fit = fit_cloglog(blocks, n_effects=2)
    own = np.zeros((sum(len(b.outcome) for b in blocks), 10))
    first = 0
    for block in blocks:
        own[first : first + len(block.outcome), 2 * block.night : 2 * block.night + 2] = block.own
        first += len(block.outcome)
    design = np.hstack([np.concatenate([b.shared for b in blocks]), own])
    outcome = np.concatenate([b.outcome for b in blocks])
    link = sm.families.links.CLogLog()
    reference = sm.GLM(outcome, design, family=sm.families.Binomial(link=link)).fit()
    np.testing.assert_allclose(fit.coefficients, reference.params[:2], atol=2e-4)


def test_leaves_one_night_out_as_refitting_does() -> None:
    blocks = make_blocks(1)
    fit = fit_cloglog(blocks, n_effects=2)
    for left_out in range(len(blocks)):
        rest = [block for block in blocks if block.night != left_out]
        renamed = [Block(index, b.shared, b.own, b.outcome) for index, b in enumerate(rest)]
        again = fit_cloglog(renamed, n_effects=2)
        np.testing.assert_allclose(fit.without[left_out], again.coefficients, atol=5e-3)


def test_recovers_what_was_planted() -> None:
    estimates = [fit_cloglog(make_blocks(seed), n_effects=2).coefficients[0] for seed in range(10)]
    assert np.mean(estimates) == pytest.approx(0.7, abs=0.06)


def test_few_nights_are_split_into_stretches() -> None:
    time = np.arange(4000.0)
    row = (np.ones((4000, 1)), np.ones((4000, 1)), np.zeros(4000), time)
    assert len(split_blocks([row])) == 3
    assert len(split_blocks([row, row, row])) == 3
    assert [block.night for block in split_blocks([row, row])] == [0, 0, 0, 1, 1, 1]
    assert split_blocks([]) == []


def test_no_event_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="at least one event"):
        fit_cloglog([Block(0, np.ones((5, 1)), np.ones((5, 1)), np.zeros(5))], n_effects=1)
