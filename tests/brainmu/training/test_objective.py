"""Losses against what they say they are, and dropping that always leaves something."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.modalities import make_recording
from torch.nn import functional

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import Batch, collate, epoch_recording
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.presets import configure
from sharpwave.brainmu.training.objective import (
    Objective,
    TrainingOptions,
    compute_average_decay,
    compute_learning_rate,
    compute_losses,
    drop_modalities,
    sum_next_step,
)
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

NAMES = ["stages", "oxygen", "heart_rate"]


@pytest.fixture(scope="module")
def model() -> BrainMu:
    torch.manual_seed(0)
    return BrainMu(configure("lite", modalities=NAMES, width=16, n_layers=1, n_heads=2, dropout=0.0)).eval()


def make_batch(hypnogram: Hypnogram | None = None, *, scorable: tuple[int, ...] | None = None) -> Batch:
    rng = np.random.default_rng(0)
    parts = [make_recording(name, rng, seconds=600.0, n_channels=3) for name in NAMES[1:]]
    signals = {key: signal for part in parts for key, signal in part.signals.items()}
    hypnogram = hypnogram or make_recording("stages", rng, seconds=600.0).hypnogram
    return collate([epoch_recording(Recording(signals=signals, hypnogram=hypnogram), scorable=scorable)] * 2)


def run(model: BrainMu, batch: Batch) -> Output:
    with torch.no_grad():
        return model(batch)


def test_dropping_always_leaves_a_modality_that_is_there() -> None:
    batch = make_batch()
    parts = dict(batch.modalities)
    parts["oxygen"] = replace(parts["oxygen"], present=torch.zeros_like(parts["oxygen"].present))
    dead = parts["heart_rate"].present.clone()
    dead[:, :, 0] = False
    parts["heart_rate"] = replace(parts["heart_rate"], present=dead)
    batch = replace(batch, modalities=parts)
    for seed in range(50):
        dropped = drop_modalities(batch, modality=0.9, channel=0.6, generator=torch.Generator().manual_seed(seed))
        left = torch.stack([part.present.any(dim=2).any(dim=1) for part in dropped.modalities.values()])
        assert left.any(dim=0).all()
        for name, part in dropped.modalities.items():
            assert not (part.present & ~batch.modalities[name].present).any()
            torch.testing.assert_close(part.values, batch.modalities[name].values)


def test_what_is_dropped_of_a_crop_does_not_depend_on_the_crops_beside_it() -> None:
    pair = make_batch()
    whole = drop_modalities(pair, modality=0.4, channel=0.3, seeds=[7, 8])
    assert any(not torch.equal(part.present[0], part.present[1]) for part in whole.modalities.values())
    other = replace(pair, modalities=dict(reversed(pair.modalities.items())))  # as another device may have them
    turned = drop_modalities(other, modality=0.4, channel=0.3, seeds=[8, 7])
    for name, part in whole.modalities.items():
        assert torch.equal(part.present, turned.modalities[name].present.flip(0)), name


def test_seeds_drop_as_often_as_they_say() -> None:
    batch = make_batch()
    kept = []
    for seed in range(150):
        part = drop_modalities(batch, modality=0.3, channel=0.2, seeds=[seed, seed + 1000]).modalities["oxygen"]
        kept += part.present[:, 3].any(dim=1).tolist()
    assert np.mean(kept) == pytest.approx(0.7, abs=0.07)


def test_dropping_drops_as_often_as_it_says() -> None:
    batch = make_batch()
    kept, channels = [], []
    for seed in range(300):
        dropped = drop_modalities(batch, modality=0.3, channel=0.2, generator=torch.Generator().manual_seed(seed))
        part = dropped.modalities["oxygen"].present[:, 3]
        kept += part.any(dim=1).tolist()
        channels += part[part.any(dim=1)].float().mean(dim=1).tolist()
    assert np.mean(kept) == pytest.approx(0.7, abs=0.06)
    assert np.mean(channels) == pytest.approx(0.8, abs=0.04)
    same = drop_modalities(batch, modality=0.0, channel=0.0)
    assert all((same.modalities[n].present == batch.modalities[n].present).all() for n in NAMES)


def test_next_step_loss_looks_one_step_ahead() -> None:
    part = make_batch().modalities["oxygen"]
    target = ENCODERS["oxygen"].summarise(part.values)
    perfect = torch.full_like(target, 99.0)
    perfect[:, :-1] = target[:, 1:]
    assert float(sum_next_step(perfect, part, "oxygen").total) == 0
    assert float(sum_next_step(target, part, "oxygen", masked=True).total) == 0
    now = sum_next_step(target, part, "oxygen")
    assert float(now.total / now.number) > 0.01


def test_next_step_loss_by_hand_and_over_what_is_there() -> None:
    part = make_batch().modalities["oxygen"]
    present = torch.rand(part.present.shape, generator=torch.Generator().manual_seed(0)) > 0.5
    part = replace(part, present=present)
    target = ENCODERS["oxygen"].summarise(part.values)
    predicted = torch.randn_like(target)
    terms = [
        float(functional.huber_loss(predicted[b, t, c], target[b, t + 1, c]))
        for b, t, c in np.ndindex(*part.present.shape)
        if t + 1 < part.present.shape[1] and present[b, t + 1, c]
    ]
    found = sum_next_step(predicted, part, "oxygen")
    assert float(found.total / found.number) == pytest.approx(np.mean(terms), rel=1e-5)
    nothing = replace(part, present=torch.zeros_like(part.present))
    assert int(sum_next_step(predicted, nothing, "oxygen").number) == 0


@pytest.mark.parametrize("n_stages", [2, 3, 4, 5])
def test_coarse_stages_are_learnt_as_sums_of_fine_ones(n_stages: int, model: BrainMu) -> None:
    members = {
        2: [[0], [1, 2, 3, 4]],
        3: [[0], [1, 2, 3], [4]],
        4: [[0], [1, 2], [3], [4]],
        5: [[0], [1], [2], [3], [4]],
    }[n_stages]
    votes = np.random.default_rng(1).dirichlet(np.ones(n_stages), 20)
    batch = make_batch(Hypnogram(votes.argmax(axis=1), n_stages=n_stages, probabilities=votes))
    output = run(model, batch)
    probability = torch.softmax(output.readout.stage, dim=2).numpy()
    expected = -np.mean(
        [
            sum(votes[t, s] * np.log(probability[b, t, fine].sum()) for s, fine in enumerate(members))
            for b in range(2)
            for t in range(20)
        ]
    )
    losses = compute_losses(model, output, batch, Objective())
    assert float(losses["stage"]) == pytest.approx(expected, rel=1e-4)


def test_stages_that_cannot_be_scored_cost_nothing(model: BrainMu) -> None:
    stages = np.array([0, 3] * 10)
    batch = make_batch(Hypnogram(stages), scorable=(0, 3))
    output = run(model, batch)
    logits = output.readout.stage.numpy()
    pair = logits[..., [0, 3]] - np.log(np.exp(logits[..., [0, 3]]).sum(axis=2, keepdims=True))
    expected = -pair[:, np.arange(20), (stages == 3).astype(int)].mean()
    assert float(compute_losses(model, output, batch, Objective())["stage"]) == pytest.approx(expected, rel=1e-4)


def test_change_is_a_stage_that_differs_at_the_horizon(model: BrainMu) -> None:
    stages = np.array([0, 0, 1, 2, 2, -1, 2, 3, 3, 0, 0, 4, 4, 4, 1, 1, 2, 2, 0, 0])
    batch = make_batch(Hypnogram(stages))
    output = run(model, batch)
    losses = compute_losses(model, output, batch, Objective())
    for index, steps in enumerate((1, 2, 10)):
        logits = output.readout.change[..., index].double().numpy()
        there = [t for t in range(20 - steps) if stages[t] >= 0 and stages[t + steps] >= 0]
        terms = [
            np.logaddexp(0, -logits[b, t] if stages[t] != stages[t + steps] else logits[b, t])
            for b in range(2)
            for t in there
        ]
        assert float(losses[f"change +{steps}"]) == pytest.approx(np.mean(terms), rel=1e-4)
        goal = torch.log_softmax(output.readout.destination[:, :, index], dim=2).numpy()
        chosen = [-goal[b, t, stages[t + steps]] for b in range(2) for t in there]
        assert float(losses[f"destination +{steps}"]) == pytest.approx(0.5 * np.mean(chosen), rel=1e-4)


def test_weights_of_nothing_switch_parts_off(model: BrainMu) -> None:
    batch = make_batch()
    none = compute_losses(model, run(model, batch), batch, Objective(next_step=0, stage=0, change=0, depth=0))
    assert none == {}
    unlabelled = replace(batch, stages=torch.full_like(batch.stages, -1), votes=torch.zeros_like(batch.votes))
    losses = compute_losses(model, run(model, batch), unlabelled, Objective())
    assert set(losses) == {f"next {name}" for name in NAMES}


def test_the_rate_warms_up_then_falls_along_a_cosine() -> None:
    options = TrainingOptions(steps=100, learning_rate=2.0, warm_up=0.1, final=0.1)
    rates = np.array([compute_learning_rate(step, options) for step in range(101)])
    np.testing.assert_allclose(rates[:10], 0.2 * np.arange(1, 11))
    assert (np.diff(rates[10:]) <= 0).all()
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx((2.0 + 0.2) / 2)
    assert rates[100] == pytest.approx(0.2)


@pytest.mark.parametrize("width", [0.05, 0.1, 0.2])
def test_the_average_spans_a_share_of_the_updates(width: float) -> None:
    """The weights of the updates in the average have the standard deviation that was asked for, of any length."""
    for steps in (400, 2000):
        weights = np.zeros(steps)
        for step in range(steps):
            decay = compute_average_decay(step, width)
            weights *= decay
            weights[step] = 1 - decay
        place = (np.arange(steps) + 1) / steps
        mean = weights @ place
        assert weights.sum() == pytest.approx(1)
        assert np.sqrt(weights @ (place - mean) ** 2) == pytest.approx(width, rel=0.05)


@pytest.mark.parametrize("name", ["steps", "batch", "piece", "checkpoint_every"])
def test_nothing_to_do_is_refused(name: str) -> None:
    with pytest.raises(SharpwaveError, match=f"{name} of at least 1; got 0"):
        TrainingOptions(**{name: 0})


def test_too_wide_an_average_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"from 0 to 0\.28; got 0\.5"):
        TrainingOptions(average=0.5)
