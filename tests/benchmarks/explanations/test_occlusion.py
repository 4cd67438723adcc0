"""Explanations of a model that learnt beat random deletion; shuffled ones do not."""

from __future__ import annotations

import numpy as np
import pytest
from tests.brainmu.planted import simulate_pieces, train_model

from sharpwave.benchmarks.explanations.occlusion import compare_occlusion
from sharpwave.errors import SharpwaveError


@pytest.fixture(scope="module")
def curves():
    options = {"n_forecasts": 6, "n_random": 5, "rng": np.random.default_rng(0)}
    return compare_occlusion(train_model(), simulate_pieces(6, seed=21), **options)


@pytest.mark.parametrize("method", ["spans", "integrated", "occlusion", "gradient x attention"])
def test_named_parts_move_the_forecast_more_than_random_ones(method: str, curves):
    rows = curves[(curves["method"] == method) & (curves["share"] <= 0.2)]
    assert (rows["low"] > 0.5).all()
    assert (rows["n"] == 6).all()


def test_shuffled_explanations_are_no_better_than_random(curves):
    rows = curves[curves["method"] == "shuffled"]
    assert (rows["low"] < 0).all() or (rows["difference"].abs() < 0.3).all()
    assert rows["difference"].abs().max() < curves.loc[curves["method"] == "spans", "difference"].min()


def test_random_deletion_moves_more_the_more_is_deleted(curves):
    random = curves[curves["method"] == "spans"].sort_values("share")["random"].to_numpy()
    assert random[-1] > random[0]


def test_unknown_method_is_refused(rng: np.random.Generator):
    with pytest.raises(SharpwaveError, match="an attribution among"):
        compare_occlusion(train_model(), simulate_pieces(1), rng=rng, methods=("guess",))
