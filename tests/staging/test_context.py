"""Surroundings of an epoch."""

from __future__ import annotations

import numpy as np
import pytest

from sharpwave.staging.context import add_context


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
