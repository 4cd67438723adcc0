"""The recipe's two parts, on made-up nights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from sharpwave.brainmu.checkpoints import make_lite
from sharpwave.brainmu.epochs import collate
from sharpwave.forecasting.brainmu_nights import window_night
from sharpwave.forecasting.cohorts import EpochTable
from sharpwave.recipes.recipe import LAST, LICENCES, add_blocks, describe_training, train_in_parts
from sharpwave.recipes.sources import Forecasting

SMALL = {"modalities": ("stages", "features"), "width": 16, "n_heads": 2}


def test_blocks_start_by_adding_nothing(make_nights: Callable[..., list[EpochTable]]) -> None:
    batch = collate([window_night(make_nights(1, n_epochs=40)[0])])
    shallow = make_lite(seed=0, n_layers=0, **SMALL).eval()
    deep = add_blocks(shallow, make_lite(seed=1, n_layers=2, **SMALL)).eval()
    with torch.inference_mode():
        np.testing.assert_allclose(deep(batch).readout.change, shallow(batch).readout.change, atol=1e-6)
    assert len(deep.blocks) == 2


def test_the_second_part_teaches_the_blocks(make_nights: Callable[..., list[EpochTable]]) -> None:
    nights = [replace(window_night(night), cohort="walch") for night in make_nights(3, n_epochs=60)]
    source = Forecasting({"walch": nights}, ()).make_source()
    model, losses = train_in_parts(source, [(source, LAST)], scale=0.01, n_layers=1, **SMALL)
    assert np.isfinite(losses).all()
    assert model.blocks[0].attention.out.weight.detach().abs().max() > 0
    assert not model.training


def test_card_names_everyone(make_nights: Callable[..., list[EpochTable]]) -> None:
    nights = [replace(window_night(night), cohort="walch") for night in make_nights(2, n_epochs=20)]
    other = replace(nights[0], cohort="simulated-rat", subject="sim-001")
    card = describe_training(Forecasting({"walch": nights}, ()), [other])
    assert card["trained_on"] == ["simulated-rat/sim-001", "walch/s0", "walch/s1"]
    assert card["licences"] == {name: LICENCES[name] for name in ("simulated-rat", "walch")}
