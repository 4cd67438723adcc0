from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu import BrainMu, collate
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.finetuning import FINETUNING, choose_layers, finetune, split_nights
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

STAGES = Objective(next_step=0, change=0, depth=0)
SHIFTED = (24.0, 0.0, 18.0, 6.0, 12.0)
"""In another laboratory the heart rate goes with the stages in another order."""
OPTIONS = replace(FINETUNING, steps=60, learning_rate=1e-2, piece=30, objective=STAGES)


@pytest.fixture(scope="module")
def trained() -> BrainMu:
    model = make_model()
    options = TrainingOptions(steps=80, batch=4, piece=30, learning_rate=1e-2, objective=STAGES)
    train(model, RandomCrops([make_night(seed) for seed in range(4)]), options=options)
    return model


def copy(model: BrainMu) -> BrainMu:
    other = BrainMu(model.config)
    other.load_state_dict(model.state_dict())
    return other.eval()


@torch.no_grad()
def compute_accuracy(model: BrainMu, nights: list[EpochedRecording]) -> float:
    batch = collate(nights)
    return float((model(batch).readout.stage.argmax(dim=2) == batch.stages).float().mean())


def test_a_planted_shift_is_learned_on_the_nights_of_others(trained: BrainMu) -> None:
    learned, judged = ([make_night(seed, levels=SHIFTED) for seed in seeds] for seeds in ((10, 11, 12), (20, 21)))
    model = copy(trained)
    before = compute_accuracy(model, judged)
    finetune(model, RandomCrops(learned), options=OPTIONS, share=1.0)
    assert compute_accuracy(trained, judged) == before
    assert before < 0.35
    assert compute_accuracy(model, judged) > before + 0.2


def test_what_is_kept_lies_half_way_between_old_and_new_by_default(trained: BrainMu) -> None:
    new, kept, unchanged = copy(trained), copy(trained), copy(trained)
    for model, shares in ((new, {"share": 1.0}), (kept, {}), (unchanged, {"share": 0.0})):
        finetune(model, RandomCrops([make_night(0)]), options=replace(OPTIONS, steps=2), **shares)
    moved = 0.0
    for name, before in trained.state_dict().items():
        after = new.state_dict()[name]
        moved += float((after - before).abs().sum())
        torch.testing.assert_close(kept.state_dict()[name], (before + after) / 2)
        assert torch.equal(unchanged.state_dict()[name], before)
    assert moved > 0


@pytest.mark.parametrize(("layers", "changed"), [("heads", {"heads"}), ("last", {"heads", "blocks", "norm"})])
def test_only_the_chosen_layers_change(trained: BrainMu, layers: str, changed: set[str]) -> None:
    model = copy(trained)
    finetune(model, RandomCrops([make_night(0)]), options=replace(OPTIONS, steps=2), layers=layers)
    before = trained.state_dict()
    different = {
        name.split(".")[0] for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }
    assert different == changed
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_other_layers_are_refused(trained: BrainMu) -> None:
    with pytest.raises(SharpwaveError, match=r"layers among heads, last, all; got 'first'"):
        choose_layers(trained, "first")


def test_nights_of_which_the_weights_know_nothing_are_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"nights with one of eeg, which these weights know; got heart_rate"):
        finetune(make_model(modalities=["eeg"]), RandomCrops([make_night(0)]))


def test_nights_are_held_out_by_subject() -> None:
    nights = [make_night(seed, subject=f"s{seed % 4}", n_steps=20) for seed in range(8)]
    learned, judged = split_nights(nights, held_out=0.25, rng=np.random.default_rng(0))
    assert (len(learned), len(judged)) == (6, 2)
    assert not {night.subject for night in learned} & {night.subject for night in judged}


def test_one_subject_cannot_be_split() -> None:
    nights = [make_night(seed, subject="one", n_steps=20) for seed in range(3)]
    with pytest.raises(SharpwaveError, match=r"nights of at least two subjects.*got 3 of one"):
        split_nights(nights, held_out=0.5, rng=np.random.default_rng(0))
