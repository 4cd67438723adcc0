"""Masked latents: planted structure is told, noise is not, collapse is an error, and a run goes on as it was."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu import collate
from sharpwave.brainmu.encoders.electrophysiology import EEG
from sharpwave.brainmu.epochs import EpochedRecording, EpochGrid, ModalityEpochs
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.masked_latents import MaskedLatents, spread_patches
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.pretraining import pretrain
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

OBJECTIVE = Objective(next_step=0.0, stage=0.0, change=0.0, depth=0.0, latent=1.0, drop_modality=0.0, drop_channel=0.0)
OPTIONS = TrainingOptions(steps=40, batch=3, piece=12, learning_rate=2e-2, objective=OBJECTIVE)


def make_two(seed: int, *, tied: bool) -> EpochedRecording:
    """EEG and EOG whose level changes every step, together where tied; no step foretells the next."""
    rng, n_steps, parts = np.random.default_rng(seed), 60, {}
    level = rng.standard_normal((n_steps, 1, 1, 1))
    for name in ("eeg", "eog"):
        own = level if tied else rng.standard_normal(level.shape)
        values = (own + 0.3 * rng.standard_normal((n_steps, 1, 10, 2 * EEG.frames.n_bands))).astype(np.float32)
        parts[name] = ModalityEpochs(values, np.ones((n_steps, 1), dtype=bool), (name,))
    stages = np.full(n_steps, -1, dtype=np.int8)
    return EpochedRecording(EpochGrid(0.0, 30.0, n_steps), parts, stages, np.zeros((n_steps, 5), dtype=np.float32))


def explain(tied: bool) -> float:
    """Share of the variance of EEG's latents that is told where the EEG's step is hidden whole, in nights not seen."""
    model = make_model(modalities=["eeg", "eog"])
    losses = MaskedLatents(model, OPTIONS)
    train(model, RandomCrops([make_two(s, tied=tied) for s in range(3)]), options=OPTIONS, losses=losses, show=False)
    batch, seeds = collate([make_two(s, tied=tied) for s in (8, 9)]), torch.arange(2, dtype=torch.int32)
    losses.eval()
    with torch.no_grad():
        seen = losses.hide(batch, seeds)
        eeg = seen.modalities["eeg"]
        seen.modalities["eeg"] = replace(eeg, present=torch.zeros_like(eeg.present))  # type: ignore[index]
        losses._hidden["eeg"] = torch.ones_like(losses._hidden["eeg"])
        part = losses(model, model(seen), batch, OBJECTIVE)["latent eeg"]
    return 1 - float(part.total / part.number)


def test_one_modality_is_told_from_another_where_they_go_together_and_not_where_they_do_not() -> None:
    assert explain(tied=True) > 0.3
    assert explain(tied=False) < 0.1


def test_what_is_hidden_is_not_seen_and_follows_from_the_seed_of_its_crop() -> None:
    losses = MaskedLatents(make_model(modalities=["eeg", "eog"]), OPTIONS)
    batch, seeds = collate([make_two(s, tied=True) for s in (0, 1)]), torch.tensor([5, 6], dtype=torch.int32)
    seen, hidden = losses.hide(batch, seeds), dict(losses._hidden)
    frames = hidden["eeg"][:, :, spread_patches(6, 10, device=seeds.device)]
    shown = seen.modalities["eeg"].present[..., 0]
    assert (seen.modalities["eeg"].values[:, :, 0][frames & shown[..., None]] == 0).all()
    assert 0.5 < float(frames.float().mean()) < 0.7  # half of the patches, and a fifth of the steps whole
    assert 0.1 < 1 - float(shown.float().mean()) < 0.3
    losses.hide(collate([make_two(1, tied=True)]), seeds[1:])
    assert torch.equal(losses._hidden["eeg"][0], hidden["eeg"][1])
    assert not torch.equal(hidden["eeg"][0], hidden["eeg"][1])
    assert not torch.equal(hidden["eeg"], hidden["eog"])


def test_latents_that_are_all_alike_are_an_error() -> None:
    model = make_model(modalities=["eeg", "eog"])
    with torch.no_grad():
        model.encoders["eeg"].second.weight.zero_()
    source = RandomCrops([make_two(0, tied=True)])
    with pytest.raises(SharpwaveError, match=r"latents of eeg that differ .*the encoder has collapsed"):
        pretrain(model, source, options=OPTIONS)


def test_a_run_that_was_stopped_goes_on_with_its_teacher_and_predictors(tmp_path: Path) -> None:
    source = RandomCrops([make_night(seed) for seed in range(2)])
    options = replace(OPTIONS, steps=4, checkpoint_every=2, piece=10, batch=2)
    torch.manual_seed(3)
    whole = pretrain(one := make_model(), source, options=options, folder=tmp_path / "whole")

    class Stop(Exception):
        pass

    class Stopping(RandomCrops):
        def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
            self.left = getattr(self, "left", 3 * options.batch) - 1
            if self.left < 0:
                raise Stop
            return super().draw(rng, n_steps)

    torch.manual_seed(3)
    with pytest.raises(Stop):
        pretrain(make_model(), Stopping(source.nights), options=options, folder=tmp_path / "halves")
    torch.manual_seed(99)
    again = pretrain(other := make_model(), source, options=options, folder=tmp_path / "halves")
    assert again == whole
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_the_objective_without_a_teacher_is_refused() -> None:
    with pytest.raises(SharpwaveError, match="a teacher, for the masked latents"):
        train(make_model(), RandomCrops([make_night(0)]), options=OPTIONS, show=False)


def test_options_without_latents_are_saved_as_before() -> None:
    assert "latent" not in TrainingOptions().to_dict()["objective"]
    assert OPTIONS.to_dict()["objective"]["latent"] == 1.0
