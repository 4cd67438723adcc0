"""What is learned without labels, and what from them.

Without labels: predict the next step of each modality from the others and the past, while modalities and channels are
dropped at random, so that each must be told from the rest. With labels, where there are any: stage, change,
destination and depth.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from sharpwave.brainmu.batches import Batch
from sharpwave.brainmu.encoders import EEG, ENCODERS
from sharpwave.brainmu.encoders.contract import ModalityBatch
from sharpwave.brainmu.model import BrainMu, Output

SLOW = 4.0
"""Hz; power below this is depth."""


@dataclass(frozen=True)
class Objective:
    """How the losses are weighed, and what is dropped.

    Attributes:
        next_step: Weight of the prediction of the next step.
        stage: Weight of the stage now.
        change: Weight of change and destination at the horizons.
        depth: Weight of sleep depth, where an EEG was recorded (also when the model is not shown it).
        drop_modality: Chance that a modality is dropped from a piece; one always stays.
        drop_channel: Chance that a channel is dropped.
        masked: Predict the present step of dropped modalities instead of the next one of all (for ablation).
    """

    next_step: float = 0.3
    stage: float = 1.0
    change: float = 1.0
    depth: float = 0.1
    drop_modality: float = 0.3
    drop_channel: float = 0.2
    masked: bool = False


def drop_modalities(
    batch: Batch, *, modality: float, channel: float, generator: torch.Generator | None = None
) -> Batch:
    """The batch with modalities and channels absent at random, piece by piece; at least one modality stays in each."""
    names = list(batch.modalities)
    size = len(batch.times)
    there = torch.stack([batch.modalities[name].present.any(dim=2).any(dim=1) for name in names])
    chance = torch.rand(len(names), size, generator=generator)
    kept = (chance >= modality) & there
    favourite = torch.where(there, chance, torch.full_like(chance, -1.0)).argmax(dim=0)
    kept[favourite, torch.arange(size)] = True
    out = {}
    for index, name in enumerate(names):
        part = batch.modalities[name]
        channels = torch.rand(part.present.shape[0], part.present.shape[2], generator=generator) >= channel
        channels |= ~(channels & part.present.any(dim=1)).any(dim=1, keepdim=True)
        out[name] = replace(part, present=part.present & kept[index][:, None, None] & channels[:, None])
    return replace(batch, modalities=out)


def compute_losses(model: BrainMu, output: Output, batch: Batch, objective: Objective) -> Mapping[str, Tensor]:
    """Every part of the loss, by name; `batch` is the whole one, before anything was dropped."""
    losses: dict[str, Tensor] = {}
    if objective.next_step:
        for name, predicted in model.predict_next(output.latents, batch).items():
            loss = compute_next_step_loss(predicted, batch.modalities[name], name, masked=objective.masked)
            if loss is not None:
                losses[f"next {name}"] = objective.next_step * loss
    readout = output.readout
    labelled = batch.votes.sum(dim=2) > 0
    if objective.stage and bool(labelled.any()):
        log_probability = torch.log_softmax(readout.stage.masked_fill(~batch.scorable[:, None], -1e4), dim=2)
        coarse = torch.log(torch.einsum("bsf,bcf->bsc", log_probability.exp(), batch.coarse) + 1e-9)
        losses["stage"] = objective.stage * -(batch.votes * coarse).sum(dim=2)[labelled].mean()
    depth, known = compute_depth_target(batch)
    if objective.depth and bool(known.any()):
        losses["depth"] = objective.depth * functional.huber_loss(readout.depth[known], depth[known])
    if objective.change:
        for index, horizon in enumerate(model.config.horizons):
            steps = round(horizon / model.config.step)
            losses |= _compute_change_losses(
                readout.change[..., index], readout.destination[:, :, index], batch, steps, objective
            )
    return losses


def compute_depth_target(batch: Batch) -> tuple[Float[Tensor, "batch step"], Bool[Tensor, "batch step"]]:
    """Log10 of the EEG's slow-wave power (up to 4 Hz, µV²/Hz), mean over channels, and where it is known."""
    if "eeg" not in batch.modalities:
        return torch.zeros_like(batch.times).float(), torch.zeros_like(batch.valid)
    part = batch.modalities["eeg"]
    slow = torch.as_tensor(EEG.frames.centres <= SLOW, device=part.values.device)
    power = EEG.summarise(part.values)[..., slow].mean(dim=3)
    count = part.present.sum(dim=2)
    return (power * part.present).sum(dim=2) / count.clamp(min=1), count > 0


def compute_next_step_loss(
    predicted: Float[Tensor, "batch step channel target"], part: ModalityBatch, name: str, *, masked: bool = False
) -> Tensor | None:
    """Mean of the Huber loss over what is present in the next step (or, masked, in this one); None if nothing is."""
    target = ENCODERS[name].summarise(part.values)
    present = part.present
    if not masked:
        predicted, target, present = predicted[:, :-1], target[:, 1:], present[:, 1:]
    if not bool(present.any()):
        return None
    return functional.huber_loss(predicted[present], target[present])


def _compute_change_losses(
    change: Float[Tensor, "batch step"],
    destination: Float[Tensor, "batch step stage"],
    batch: Batch,
    steps: int,
    objective: Objective,
) -> dict[str, Tensor]:
    """Whether the stage `steps` later is another one, and which; unknown stages are left out."""
    if batch.stages.shape[1] <= steps:
        return {}
    now, later = batch.stages[:, :-steps], batch.stages[:, steps:]
    known = (now >= 0) & (later >= 0)
    if not bool(known.any()):
        return {}
    change, destination = change[:, :-steps][known], destination[:, :-steps]
    changed = (now != later).float()[known]
    losses = {f"change +{steps}": objective.change * functional.binary_cross_entropy_with_logits(change, changed)}
    log_probability = torch.log_softmax(destination, dim=2)
    coarse = torch.log(torch.einsum("bsf,bcf->bsc", log_probability.exp(), batch.coarse) + 1e-9)
    chosen = coarse.gather(2, later.clamp(min=0)[..., None])[..., 0]
    losses[f"destination +{steps}"] = 0.5 * objective.change * -chosen[known].mean()
    return losses
