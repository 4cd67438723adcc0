from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from sharpwave.causality import NightSeries
from sharpwave.causality.hazards import Block, estimate_hazards, fit_cloglog, split_blocks
from sharpwave.causality.outcomes import find_transitions
from sharpwave.errors import SharpwaveError

CONTENTS = ("aversive", "neutral", "rewarding")


def make_night(seed: int, *, ratio: float, n: int = 20_000) -> NightSeries:
    """Sleep that is left for one second at 1 % a second, times `ratio` for 30 s after a reactivation."""
    rng = np.random.default_rng(seed)
    stage, onsets, last = np.ones(n, np.int8), [], -1e9
    for t in range(n - 1):
        if stage[t] == 1 and rng.random() < -np.expm1(-0.01 * (ratio if t - last <= 30 else 1.0)):
            stage[t + 1] = 0
        if stage[t] == 1 and rng.random() < 0.02:
            last = t
            onsets.append(t + 0.5)
    return NightSeries(
        night=str(seed),
        time=np.arange(n, dtype=float),
        stage=stage,
        n_stages=2,
        depth=np.zeros(n),
        emg=None,
        infraslow=None,
        reactivations=pd.DataFrame({"onset": onsets, "content": "x"}),
        usable=np.ones(n, bool),
    )


@pytest.mark.parametrize("ratio", [1.0, 2.5])
def test_closed_form(ratio: float) -> None:
    nights = [make_night(seed, ratio=ratio) for seed in range(6)]
    found = estimate_hazards(nights, outcome="wake", contents=[None], horizon=30)
    assert found is not None
    assert found[0].log_ratio.value == pytest.approx(np.log(ratio), abs=0.15)
    assert found[0].log_ratio.low < np.log(ratio) < found[0].log_ratio.high
    assert found[0].hazard == pytest.approx(0.01, rel=0.2)
    assert found[0].n_events == pytest.approx(sum(len(night.reactivations) for night in nights), abs=12)


def test_sign_by_content(planted_nights: list[NightSeries]) -> None:
    found = estimate_hazards(planted_nights, outcome="wake", contents=CONTENTS, horizon=30)
    assert found is not None
    aversive, neutral, rewarding = (effect.log_ratio for effect in found)
    assert aversive.low > 0
    assert rewarding.high < 0
    assert neutral.low < 0 < neutral.high


def test_nothing_planted_nothing_found(null_nights: list[NightSeries]) -> None:
    found = estimate_hazards(null_nights, outcome="wake", contents=CONTENTS, horizon=30)
    assert found is not None
    assert all(effect.log_ratio.p > 0.01 for effect in found)


def test_what_never_happens_has_no_estimate(null_nights: list[NightSeries]) -> None:
    assert estimate_hazards(null_nights, outcome="deeper", contents=[None], horizon=30) is None


def test_moves_of_five_stages() -> None:
    stage = np.array([0, 1, 2, 3, 2, 4, 2, 0, -1], np.int8)
    n = len(stage)
    events = pd.DataFrame({"onset": [], "content": []})
    series = NightSeries("x", np.arange(n, dtype=float), stage, 5, np.zeros(n), None, None, events, np.ones(n, bool))
    assert np.flatnonzero(find_transitions(series, outcome="deeper")).tolist() == [1, 2]
    assert np.flatnonzero(find_transitions(series, outcome="lighter")).tolist() == [3, 6]
    assert np.flatnonzero(find_transitions(series, outcome="wake")).tolist() == [6]


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
