from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night, make_recording

from sharpwave.brainmu import BrainMu, collate, epoch_recording
from sharpwave.brainmu.training.crops import Alternation, RandomCrops, pick_source
from sharpwave.brainmu.training.objective import Objective, TrainingOptions, compute_losses
from sharpwave.brainmu.training.pretraining import Unlabelled, pretrain
from sharpwave.errors import SharpwaveError

OPTIONS = TrainingOptions(steps=60, batch=4, piece=30, learning_rate=1e-2)


@torch.no_grad()
def compute_surprise(model: BrainMu) -> float:
    """Loss of the next step on nights that were not learned from."""
    batch = collate([make_night(seed) for seed in (30, 31)])
    return float(compute_losses(model.eval(), model(batch), batch, Objective())["next heart_rate"])


def test_signals_are_predicted_and_stages_play_no_part() -> None:
    """The same recordings with other stages give the same weights to the last digit."""
    nights = [make_night(seed) for seed in range(3)]
    pretrain(one := make_model(), RandomCrops(nights), options=OPTIONS)
    for night in nights:
        night.stages[:] = np.roll(night.stages, 7)
        night.votes[:] = np.roll(night.votes, 7, axis=0)
    pretrain(other := make_model(), RandomCrops(nights), options=OPTIONS)
    assert compute_surprise(one) < 0.8 * compute_surprise(make_model())
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_stage_history_is_not_drawn() -> None:
    night = epoch_recording(make_recording(0))
    piece = Unlabelled(RandomCrops([night])).draw(np.random.default_rng(0), 10)
    assert set(night.epochs) == {"stages", "heart_rate"}
    assert set(piece.epochs) == {"heart_rate"}
    assert (piece.stages == -1).all()
    assert (piece.votes == 0).all()


def test_a_night_of_stages_alone_is_refused() -> None:
    night = epoch_recording(make_recording(0), modalities=["stages"])
    with pytest.raises(SharpwaveError, match=r"signals to learn from without labels; got a night of s0"):
        Unlabelled(RandomCrops([night])).draw(np.random.default_rng(0), 10)


def test_every_update_takes_one_of_the_sources_that_alternate() -> None:
    nights = [epoch_recording(make_recording(seed)) for seed in range(2)]
    parts = [RandomCrops([night]) for night in nights]
    source = Unlabelled(Alternation((part, 1.0) for part in parts))
    met = set()
    for step in range(12):
        picked = pick_source(source, np.random.default_rng(step))
        crops = [picked.draw(np.random.default_rng([step, item]), 10) for item in range(4)]
        assert len({crop.subject for crop in crops}) == 1
        assert all("stages" not in crop.epochs for crop in crops)
        met.add(crops[0].subject)
    assert met == {night.subject for night in nights}
    one = Unlabelled(parts[0])  # without a choice to make, the crops are those they were
    for each in (one, pick_source(one, np.random.default_rng(0))):
        assert each.draw(np.random.default_rng(3), 10).grid == parts[0].draw(np.random.default_rng(3), 10).grid
