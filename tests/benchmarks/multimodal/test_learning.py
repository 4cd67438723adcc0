"""A small model finds a planted sign in minutes' worth of nights, and none where none is planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.multimodal import learning
from sharpwave.benchmarks.multimodal.ablations import LateFusion
from sharpwave.benchmarks.multimodal.learning import Budget, fit, forecast, judge_forecasts, judge_staging, make_model
from sharpwave.benchmarks.multimodal.nights import PairedViews
from sharpwave.brainmu.training.objective import Objective

LABELS = Objective(next_step=0.0, stage=0.3, depth=0.0, drop_modality=0.2, drop_channel=0.0)


def learn(nights: Sequence[PairedViews], tiny: Budget, *, modalities: Sequence[str] = ("stages", "features")) -> dict:
    model = make_model(modalities, tiny, seed=0)
    fit(model, [paired.windowed.only(modalities) for paired in nights[:6]], tiny, seed=0, objective=LABELS)
    score = judge_forecasts(model, nights[:6], nights[6:], modalities=modalities)
    return score.score(np.ones(len(nights) - 6))


def test_a_planted_sign_is_found_and_nothing_where_none_is_planted(pair_nights: Callable, tiny: Budget) -> None:
    found = learn(pair_nights(9, informative=True), tiny, modalities=("features",))
    assert found["auprc_change"] > found["prevalence_change"] + 0.3
    assert found["balanced_accuracy_change"] > 0.75
    nothing = learn(pair_nights(9), tiny, modalities=("features",))
    assert abs(nothing["auprc_change"] - nothing["prevalence_change"]) < 0.05
    assert abs(nothing["balanced_accuracy_change"] - 0.5) < 0.06


def test_a_model_is_the_same_from_the_same_seed(pair_nights: Callable, tiny: Budget) -> None:
    nights, short = pair_nights(8, n_epochs=60), replace(tiny, steps=3)
    assert learn(nights, short) == learn(nights, short)
    with torch.no_grad():
        first, second = (make_model(("features",), tiny, seed=seed).state for seed in (0, 1))
    assert not torch.equal(first, second)


def test_forecasts_use_nothing_that_comes_later(pair_nights: Callable, tiny: Budget) -> None:
    paired = pair_nights(1, n_epochs=80)[0]
    model = make_model(("stages", "features"), tiny, seed=0)
    whole = forecast(model, paired.windowed, horizon=30.0)
    part = forecast(model, paired.windowed.restrict(0, 40), horizon=30.0)
    np.testing.assert_allclose(part.change, whole.change[:40], atol=1e-5)
    np.testing.assert_allclose(part.destination, whole.destination[:40], atol=1e-5)


def test_a_night_in_chunks_is_the_whole_night(
    pair_nights: Callable, tiny: Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    windowed = pair_nights(1, n_epochs=90)[0].windowed
    plain = make_model(("stages", "features"), tiny, seed=0)
    fused = LateFusion(plain.config)
    fused.load_state_dict(plain.state_dict())
    for model in (plain, fused):
        monkeypatch.setattr(learning, "CHUNK", 90)
        whole = torch.cat([readout.change for readout in learning.read_night(model, windowed)], dim=1)
        monkeypatch.setattr(learning, "CHUNK", 7)
        pieces = torch.cat([readout.change for readout in learning.read_night(model, windowed)], dim=1)
        torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=0)


@pytest.mark.parametrize("observed", [True, False])
def test_a_forecast_is_a_distribution(pair_nights: Callable, tiny: Budget, observed: bool) -> None:
    paired = pair_nights(1, n_epochs=50)[0]
    said = forecast(make_model(("features",), tiny, seed=0), paired.windowed, horizon=30.0, observed=observed)
    np.testing.assert_allclose(said.destination.sum(axis=1), 1, atol=1e-9)
    staying = said.destination[np.arange(50), paired.night.stages]
    assert np.allclose(said.change, 1 - staying) is observed


def test_staging_needs_what_it_is_shown(pair_nights: Callable, tiny: Budget) -> None:
    nights = pair_nights(6, n_epochs=200)
    model = make_model(("stages", "features"), tiny, seed=0)
    fit(model, [paired.windowed for paired in nights[:4]], tiny, seed=0, objective=LABELS)
    shown = judge_staging(model, nights[4:], modalities=("stages", "features")).score(np.ones(2))
    hidden = judge_staging(model, nights[4:], modalities=("features",)).score(np.ones(2))
    assert shown["kappa"] > 0.5
    assert hidden["kappa"] < 0.2
