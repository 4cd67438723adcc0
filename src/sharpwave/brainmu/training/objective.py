"""What is learned without labels, and what from them.

Without labels: predict the next step of each modality from the others and the past, while modalities and channels are
dropped at random, so that each must be predicted from the rest. With labels, where there are any: stage, change,
destination and depth. Beside it `TrainingOptions`: everything that a run depends on beside the model and the data,
saved with its checkpoints.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import Batch, ModalityBatch
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.errors import SharpwaveError

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
        drop_modality: Chance that a modality is dropped from a crop; one always stays.
        drop_channel: Chance that a channel is dropped.
        masked: Predict the present step of dropped modalities instead of the next one of all (for ablation).
        latent: Weight of the masked latents, as in `MaskedLatents`; 0, the default, for none.
        hide: Share of patches and channels that are hidden where latents are predicted.
    """

    next_step: float = 0.3
    stage: float = 1.0
    change: float = 1.0
    depth: float = 0.1
    drop_modality: float = 0.3
    drop_channel: float = 0.2
    masked: bool = False
    latent: float = 0.0
    hide: float = 0.5


def drop_modalities(
    batch: Batch,
    *,
    modality: float,
    channel: float,
    generator: torch.Generator | None = None,
    seeds: Sequence[int] | None = None,
) -> Batch:
    """The batch with modalities and channels absent at random, crop by crop; at least one modality stays in each.

    Args:
        batch: The batch.
        modality: Chance that a modality is dropped.
        channel: Chance that a channel is dropped.
        generator: Random generator of the whole batch; torch's own where omitted. Not used with `seeds`.
        seeds: A seed for each crop: what is dropped of it is then the same whatever crops are beside it, and so for any
            number of devices.
    """
    names, size = list(batch.modalities), len(batch.times)
    there = torch.stack([batch.modalities[name].present.any(dim=2).any(dim=1) for name in names])
    widths = [batch.modalities[name].present.shape[2] for name in names]
    chance = torch.empty(len(names), size)
    chances = [torch.empty(size, width) for width in widths]
    if seeds is None:
        chance = torch.rand(len(names), size, generator=generator)
        chances = [torch.rand(size, width, generator=generator) for width in widths]
    for row, seed in enumerate(seeds or ()):
        for index, name in enumerate(names):
            own = np.random.default_rng([seed, zlib.crc32(name.encode())])
            chance[index, row] = own.random()
            chances[index][row] = torch.from_numpy(own.random(widths[index]))
    stays = (chance >= modality) & there
    favourite = torch.where(there, chance, torch.full_like(chance, -1.0)).argmax(dim=0)
    stays[favourite, torch.arange(size)] = True
    out = {}
    for index, name in enumerate(names):
        part = batch.modalities[name]
        channels = chances[index] >= channel
        channels |= ~(channels & part.present.any(dim=1)).any(dim=1, keepdim=True)
        out[name] = replace(part, present=part.present & stays[index][:, None, None] & channels[:, None])
    return replace(batch, modalities=out)


class Sum(NamedTuple):
    """A part of the loss before it is divided, so that devices that know different numbers of items average alike.

    Attributes:
        total: Sum over items, times the weight of the part.
        number: How many items; 0 where nothing is known.
    """

    total: Tensor
    number: Tensor

    @classmethod
    def over(cls, values: Tensor, known: Tensor, *, weight: float = 1.0) -> Sum:
        """Of those values that are known; `known` has the shape of the first axes of `values`."""
        spread = known.reshape(known.shape + (1,) * (values.ndim - known.ndim))
        each = values[(0,) * known.ndim].numel()
        return cls(weight * torch.where(spread, values.float(), 0.0).sum(), known.sum() * each)


def compute_losses(model: BrainMu, output: Output, batch: Batch, objective: Objective) -> Mapping[str, Tensor]:
    """Every part of the loss of which something is known, by name; `batch` is the whole one, before dropping."""
    parts = sum_losses(model, output, batch, objective)
    return {name: part.total / part.number for name, part in parts.items() if int(part.number)}


def sum_losses(model: BrainMu, output: Output, batch: Batch, objective: Objective) -> Mapping[str, Sum]:
    """Every part of the loss as a sum and a count; the names follow from model and objective alone, not the batch.

    Nothing here asks the device for a number, so that a graphics card is never waited for.
    """
    zero = output.latents.new_zeros((), dtype=torch.float32)
    sums = {}
    if objective.next_step:
        predicted = model.predict_next(output.latents, batch)
        for name in model.decoders:
            part = Sum(zero, zero)
            if name in predicted:
                part = sum_next_step(predicted[name], batch.modalities[name], name, masked=objective.masked)
            sums[f"next {name}"] = Sum(objective.next_step * part.total, part.number)
    readout = output.readout
    if objective.stage:
        log_probability = torch.log_softmax(readout.stage.masked_fill(~batch.scorable[:, None], -1e4), dim=2)
        coarse = torch.log(torch.einsum("bsf,bcf->bsc", log_probability.exp(), batch.coarse) + 1e-9)
        labelled = batch.votes.sum(dim=2) > 0
        sums["stage"] = Sum.over(-(batch.votes * coarse).sum(dim=2), labelled, weight=objective.stage)
    if objective.depth:
        depth, known = compute_depth_target(batch)
        error = functional.huber_loss(readout.depth.float(), depth.float(), reduction="none")
        sums["depth"] = Sum.over(error, known, weight=objective.depth)
    if objective.change:
        for index, horizon in enumerate(model.config.horizons):
            steps = round(horizon / model.config.step)
            sums |= _sum_changes(
                readout.change[..., index], readout.destination[:, :, index], batch, steps, objective.change
            )
    return sums


def compute_depth_target(batch: Batch) -> tuple[Float[Tensor, "batch step"], Bool[Tensor, "batch step"]]:
    """Log10 of the EEG's slow-wave power (up to 4 Hz, µV²/Hz), mean over channels, and where it is known."""
    if "eeg" not in batch.modalities:
        return torch.zeros_like(batch.times).float(), torch.zeros_like(batch.valid)
    part, eeg = batch.modalities["eeg"], cast(Any, ENCODERS["eeg"])
    slow = torch.as_tensor(eeg.frames.centres <= SLOW, device=part.values.device)
    power = eeg.summarise(part.values)[..., slow].mean(dim=3)
    count = part.present.sum(dim=2)
    return (power * part.present).sum(dim=2) / count.clamp(min=1), count > 0


def sum_next_step(
    predicted: Float[Tensor, "batch step channel target"], part: ModalityBatch, name: str, *, masked: bool = False
) -> Sum:
    """Huber loss over what is present in the next step (or, masked, in this one)."""
    target = ENCODERS[name].summarise(part.values)
    present = part.present
    if not masked:
        predicted, target, present = predicted[:, :-1], target[:, 1:], present[:, 1:]
    if not present.numel():
        return Sum(predicted.sum() * 0.0, present.sum())
    return Sum.over(functional.huber_loss(predicted.float(), target.float(), reduction="none"), present)


def _sum_changes(
    change: Float[Tensor, "batch step"],
    destination: Float[Tensor, "batch step stage"],
    batch: Batch,
    steps: int,
    weight: float,
) -> dict[str, Sum]:
    """Whether the stage `steps` later is another one, and which; unknown stages are left out."""
    names = f"change +{steps}", f"destination +{steps}"
    if batch.stages.shape[1] <= steps:
        zero = change.new_zeros((), dtype=torch.float32)
        return dict.fromkeys(names, Sum(zero, zero))
    now, later = batch.stages[:, :-steps], batch.stages[:, steps:]
    known = (now >= 0) & (later >= 0)
    changed = (now != later).float()
    surprise = functional.binary_cross_entropy_with_logits(change[:, :-steps].float(), changed, reduction="none")
    log_probability = torch.log_softmax(destination[:, :-steps], dim=2)
    coarse = torch.log(torch.einsum("bsf,bcf->bsc", log_probability.exp(), batch.coarse) + 1e-9)
    chosen = coarse.gather(2, later.clamp(min=0)[..., None])[..., 0]
    parts = Sum.over(surprise, known, weight=weight), Sum.over(-chosen, known, weight=0.5 * weight)
    return dict(zip(names, parts, strict=True))


@dataclass(frozen=True)
class TrainingOptions:
    """Options of one run of training.

    Attributes:
        steps: Updates of the weights.
        batch: Number of crops per update, over all devices together.
        piece: Length of a crop in steps of the model (240 of 30 s: two hours).
        learning_rate: The highest learning rate.
        warm_up: Share of the updates in which the learning rate rises to it.
        final: Learning rate at the end, as a share of the highest one.
        weight_decay: Weight decay of matrices; vectors have none.
        clip: Largest norm of the gradient; longer gradients are shortened to it.
        average: Width of the average over weights that is kept in the end, as a share of the updates; 0 for none.
        precision: Precision as Lightning Fabric names it: "32-true" or "bf16-mixed".
        seed: Crops, dropping and dropout of update k follow from (seed, k) alone.
        checkpoint_every: Updates between checkpoints.
        objective: What is learned, and how the losses are weighed.

    Example:
        >>> options = TrainingOptions(steps=100, learning_rate=1e-3, warm_up=0.1)
        >>> compute_learning_rate(9, options)
        0.001
    """

    steps: int = 1000
    batch: int = 16
    piece: int = 240
    learning_rate: float = 1e-3
    warm_up: float = 0.05
    final: float = 0.02
    weight_decay: float = 0.05
    clip: float = 1.0
    average: float = 0.05
    precision: str = "32-true"
    seed: int = 0
    checkpoint_every: int = 200
    objective: Objective = field(default_factory=Objective)

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "piece", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise SharpwaveError(
                    f"{name} of at least 1", got=f"{getattr(self, name)}", fix=f"choose another {name}"
                )
        if not 0 <= self.average < 0.28:
            raise SharpwaveError(
                "an average over a share of the updates from 0 to 0.28", got=f"{self.average:g}", fix="try 0.05"
            )

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it; without what concerns masked latents where there are none, as runs were saved before."""
        content = asdict(self)
        if not self.objective.latent:
            content["objective"] = {k: v for k, v in content["objective"].items() if k not in ("latent", "hide")}
        return content


def compute_learning_rate(step: int, options: TrainingOptions) -> float:
    """Linear warm-up, then half a cosine down to `final`; `step` counts from 0."""
    warm = max(1, round(options.warm_up * options.steps))
    if step < warm:
        return options.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, options.steps - warm)
    return options.learning_rate * (options.final + (1 - options.final) * 0.5 * (1 + math.cos(math.pi * done)))


def compute_average_decay(step: int, width: float) -> float:
    """How much of the average stays at update `step` (from 0), so that it spans a share `width` of the updates so far.

    The power function of Karras et al. 2024 (doi:10.48550/arXiv.2312.02696, eq. 3 and 127): no warm-up, and the same
    shape however long the run.
    """
    return (1 - 1 / (step + 1)) ** (_find_exponent(width) + 1)


def _find_exponent(width: float) -> float:
    """γ whose profile t^γ has standard deviation `width`: width² = (γ + 1) / ((γ + 2)² (γ + 3)), by bisection."""
    low, high = 0.0, 1e6
    for _ in range(100):
        middle = (low + high) / 2
        spread = math.sqrt((middle + 1) / ((middle + 2) ** 2 * (middle + 3)))
        low, high = (middle, high) if spread > width else (low, middle)
    return low
