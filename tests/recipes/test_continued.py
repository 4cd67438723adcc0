"""Weights that go on from others: half way back, with a card that names everyone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from sharpwave.brainmu.checkpoints import load_brainmu, make_lite
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.errors import SharpwaveError
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.recipes import continued
from sharpwave.recipes.continued import PARTS, SHARE, average_weights, join_cards
from sharpwave.recipes.sources import Forecasting

SMALL = {"modalities": ("stages", "features"), "width": 16, "n_heads": 2}


def test_weights_lie_between_old_and_new() -> None:
    old, new = make_lite(seed=0, **SMALL), make_lite(seed=1, **SMALL)
    before, after = dict(old.state_dict()), {name: value.clone() for name, value in new.state_dict().items()}
    average_weights(new, before, share=0.25)
    for name, value in new.state_dict().items():
        np.testing.assert_allclose(value, 0.75 * before[name] + 0.25 * after[name], atol=1e-6)


def test_another_models_weights_are_refused() -> None:
    other = make_lite(seed=0, modalities=("stages",), width=16, n_heads=2)
    with pytest.raises(SharpwaveError, match="weights of two models"):
        average_weights(make_lite(seed=0, **SMALL), dict(other.state_dict()), share=0.5)


def test_the_card_keeps_everyone_and_the_calibration() -> None:
    calibration = {"observed +30": [1.0, 0.0]}
    old = {"trained_on": ["dod/a"], "licences": {"dod": "MIT"}, "training": [{"steps": 1}], "calibration": calibration}
    new = {"trained_on": ["boas/pid-1", "dod/a"], "licences": {"boas": "CC0", "dod": "MIT"}}
    card = join_cards(old, new)
    assert card["trained_on"] == ["boas/pid-1", "dod/a"]
    assert card["licences"] == {"boas": "CC0", "dod": "MIT"}
    assert card["calibration"] == calibration
    assert [part["steps"] for part in card["training"]] == [1, *(options.steps for _, options in PARTS)]


@pytest.fixture
def small_recipe(monkeypatch: pytest.MonkeyPatch, make_nights: Callable[..., list[EpochTable]]) -> dict[str, list]:
    """The recipe on three people, of whom the second is not to be met; what it asked for, by name."""
    asked: dict[str, list] = {"staging": [], "options": [], "drawn": []}
    nights = [replace(window_night(night), cohort="ucddb") for night in make_nights(3, n_epochs=30)]
    monkeypatch.setattr(continued, "load_forecasting", lambda data: Forecasting({"ucddb": nights}, ()))
    monkeypatch.setattr(continued, "load_unlabelled", lambda data: [])
    monkeypatch.setattr(continued, "load_band_nights", lambda data: [])

    def make_staging(simulated, *, leave_out, rng, sets=("all",), **others):
        asked["staging"].append((tuple(leave_out), tuple(sets)))
        return RandomCrops([night for night in nights if night.subject not in leave_out])

    def train_first(histories, parts, *, seed, **others):
        draw_all(histories, *(source for source, _ in parts))
        return make_lite(seed=seed, **SMALL), [0.0]

    def train(model, source, *, options, **others):
        draw_all(source)
        asked["options"].append(options)
        with torch.no_grad():
            model.state.add_(1.0)

    def draw_all(*sources) -> None:
        rng = np.random.default_rng(0)
        asked["drawn"].append({source.draw(rng, 10).subject for source in sources for _ in range(20)})

    monkeypatch.setattr(continued, "make_staging_source", make_staging)
    monkeypatch.setattr(continued, "train_in_parts", train_first)
    monkeypatch.setattr(continued, "train", train)
    return asked


def test_whom_a_training_leaves_out_is_met_in_none_of_its_parts(small_recipe: dict[str, list], tmp_path: Path) -> None:
    continued.train_twice(tmp_path / "ours", leave_out=("ucddb/s1",), simulated=[])
    model, card = load_brainmu(tmp_path / "ours")
    assert small_recipe["staging"] == [(("s1",), ()), (("s1",), ("all",))]  # nights of bands in the second alone
    assert small_recipe["drawn"] == [{"s0", "s2"}] * 3
    assert card["trained_on"] == ["ucddb/s0", "ucddb/s2"]
    start = make_lite(seed=0, **SMALL).state
    np.testing.assert_allclose(model.state.detach(), start.detach() + 2 * SHARE, atol=1e-6)  # half way back


def test_the_first_seed_is_that_of_the_shipped_weights_and_no_two_share_draws(
    small_recipe: dict[str, list], tmp_path: Path
) -> None:
    for seed in range(3):
        continued.train_twice(tmp_path / f"seed-{seed}", seed=seed, simulated=[])
    options = small_recipe["options"]
    assert options[:2] == [one for _, one in PARTS]
    assert len({one.seed for one in options}) == 6
    assert [replace(one, seed=0) for one in options[4:]] == [replace(one, seed=0) for one in options[:2]]
