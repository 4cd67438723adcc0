"""Learned stagers: planted stages recovered, calibration, and weights that survive a round trip."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sharpwave.recipes.stagers import cross_validate, fit_temperature
from sharpwave.staging import weights
from sharpwave.staging.boosted import (
    RECIPES,
    Recipe,
    add_context,
    compute_prior,
    fit_booster,
    predict_probabilities,
    soften,
    to_hypnogram,
)

RECIPE = Recipe("", (3,), balance=0.5, rounds=20, smoothing=None)


def nights(n: int, *, effect: float, seed: int = 0) -> tuple[list[pd.DataFrame], list[np.ndarray]]:
    """Nights whose features know the stage, to the extent of `effect`."""
    rng = np.random.default_rng(seed)
    tables, stages = [], []
    for _ in range(n):
        codes = np.repeat(rng.integers(0, 5, 30), rng.integers(4, 16, 30))
        features = effect * np.eye(5)[codes] + rng.standard_normal((len(codes), 5))
        tables.append(add_context(features, list("abcde"), windows=(3,)))
        stages.append(codes)
    return tables, stages


def accuracy(probabilities: list[np.ndarray], stages: list[np.ndarray]) -> float:
    return float(np.mean(np.concatenate(probabilities).argmax(axis=1) == np.concatenate(stages)))


def test_planted_stages_are_recovered_and_nothing_where_nothing_is() -> None:
    tables, stages = nights(6, effect=3.0)
    assert accuracy(cross_validate(tables, stages, recipe=RECIPE, rng=np.random.default_rng(0)), stages) > 0.85
    tables, stages = nights(6, effect=0.0)
    assert accuracy(cross_validate(tables, stages, recipe=RECIPE, rng=np.random.default_rng(0)), stages) < 0.3


def test_held_out_subjects_never_meet_their_own_booster() -> None:
    """A feature that names the subject, and stages that depend on the subject alone, must not help."""
    rng = np.random.default_rng(0)
    stages = [np.full(200, subject % 5) for subject in range(5)]
    tables = [pd.DataFrame({"who": np.full(200, s), "noise": rng.standard_normal(200)}) for s in range(5)]
    held_out = cross_validate(tables, stages, recipe=RECIPE, rng=np.random.default_rng(0))
    assert accuracy(held_out, stages) < 0.3


def test_temperature_undoes_overconfidence() -> None:
    rng = np.random.default_rng(0)
    honest = rng.dirichlet(np.ones(5), size=4000)
    stages = (honest.cumsum(axis=1) > rng.random((4000, 1))).argmax(axis=1)
    assert fit_temperature([soften(honest, 0.5)], [stages]) == pytest.approx(2.0, abs=0.2)
    assert fit_temperature([honest], [stages]) == pytest.approx(1.0, abs=0.15)


def test_missing_epochs_have_no_probabilities() -> None:
    tables, stages = nights(2, effect=3.0)
    booster = fit_booster(tables, stages, recipe=RECIPE, rng=np.random.default_rng(0))
    tables[0].iloc[4] = np.nan
    prior = compute_prior(stages, balance=0.5)
    found = predict_probabilities(booster, tables[0], recipe=RECIPE, prior=prior, temperature=1.0)
    assert np.isnan(found[4]).all()
    assert to_hypnogram(found, scorer="x").stages[4] == -1
    np.testing.assert_allclose(np.delete(found, 4, axis=0).sum(axis=1), 1)


def test_prior_is_the_share_as_weighted() -> None:
    codes = [np.array([0, 0, 0, 0, 1, -1])]
    np.testing.assert_allclose(compute_prior(codes, balance=0.0), [0.8, 0.2, 0, 0, 0])
    np.testing.assert_allclose(compute_prior(codes, balance=0.5), [2 / 3, 1 / 3, 0, 0, 0])


def test_weights_survive_a_round_trip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables, stages = nights(2, effect=3.0)
    booster = fit_booster(tables, stages, recipe=RECIPE, rng=np.random.default_rng(0))
    weights.save_weights("trial", booster, {"prior": [1, 2]}, folder=tmp_path)
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    again, card = weights.load_weights("trial")
    assert card == {"prior": [1, 2]}
    np.testing.assert_allclose(again.predict(tables[0].to_numpy()), booster.predict(tables[0].to_numpy()), atol=1e-9)


@pytest.mark.parametrize("name", RECIPES)
def test_cards_say_who_was_trained_on(name: str) -> None:
    booster, card = weights.load_weights(name)
    assert card["cohort"] in ("walch", "pd-lfp", "slpdb-beats")
    assert len(card["training_subjects"]) >= 7
    assert card["source"]
    assert booster.num_feature() == len(card["features"])


def test_all_shipped_weights_of_stagers_are_small() -> None:
    assert sum(path.stat().st_size for path in weights.FOLDER.glob("lightgbm-*")) < 4e6


def test_values_are_relative_to_the_night() -> None:
    values = np.random.default_rng(0).standard_normal((200, 2))
    table = add_context(values, ["a", "b"], windows=(5,))
    scaled = add_context(7 * values + 100, ["a", "b"], windows=(5,))
    np.testing.assert_allclose(scaled.to_numpy(), table.to_numpy(), atol=1e-9, equal_nan=True)
    assert table["a"].median() == pytest.approx(0)
    assert table["a"].quantile(0.95) - table["a"].quantile(0.05) == pytest.approx(1)


def test_windows_and_shifts_are_centred() -> None:
    values = np.arange(11.0)[:, None]
    table = add_context(values, ["a"], windows=(3,))
    np.testing.assert_allclose(table["a_mean3"].to_numpy()[1:-1], table["a"].to_numpy()[1:-1], atol=1e-12)
    assert table["a_shift1"].iloc[5] == table["a"].iloc[4]
    assert table["a_shift-2"].iloc[5] == table["a"].iloc[7]


def test_epochs_without_features_are_missing_throughout() -> None:
    values = np.random.default_rng(0).standard_normal((50, 2))
    values[10] = np.nan
    table = add_context(values, ["a", "b"])
    assert table.iloc[10].isna().all()
    assert np.isfinite(table["a_mean3"].iloc[11])


def test_a_constant_feature_is_missing_rather_than_infinite() -> None:
    table = add_context(np.c_[np.ones(40), np.arange(40.0)], ["same", "rising"])
    assert table["same"].isna().all()
    assert np.isfinite(table["rising"]).all()
