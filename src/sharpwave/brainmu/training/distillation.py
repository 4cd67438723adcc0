"""A small model that answers as a large one does, or as several do on average (Hinton et al. 2015).

The teachers see all modalities, the student what dropping leaves it. The student matches their probabilities, and which
moments of a crop their latents hold alike (Park et al. 2019), for which widths need not agree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from sharpwave.brainmu.epochs import Batch
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.training.crops import Source
from sharpwave.brainmu.training.devices import make_fabric
from sharpwave.brainmu.training.objective import Objective, Sum, TrainingOptions, sum_losses
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from sharpwave.brainmu.training.devices import Execution


def distil(
    student: BrainMu,
    teachers: Sequence[BrainMu],
    source: Source,
    *,
    options: TrainingOptions,
    folder: str | Path | None = None,
    fabric: Fabric | None = None,
    execution: Execution | None = None,
    soft: float = 1.0,
    latent: float = 1.0,
) -> list[float]:
    """Train a student in place to answer as its teachers do on average.

    Args:
        student: Model that learns, of any size.
        teachers: At least one, with the student's step and horizons; they are not changed.
        source: Source of crops, labelled or not.
        options: Options of the run; the objective says what is learned from the data beside the teachers.
        folder: For checkpoints, losses and weights; a run found there goes on.
        fabric: Devices; one where omitted.
        execution: How passes of the student are computed, as in `train`.
        soft: Weight of the teachers' probabilities.
        latent: Weight of the likeness of moments.

    Returns:
        The loss of every update.

    Raises:
        SharpwaveError: If there is no teacher, or one forecasts other horizons than the student.
    """
    shapes = {(teacher.config.step, teacher.config.horizons) for teacher in teachers}
    if shapes != {(student.config.step, student.config.horizons)}:
        raise SharpwaveError(
            f"teachers with steps of {student.config.step:g} s and horizons {student.config.horizons}, as the student",
            got=f"{sorted(shapes) or 'no teacher'}",
            fix="choose teachers and a student for the same questions",
        )
    fabric = fabric or make_fabric(devices=1, precision=options.precision)
    taught = [teacher.to(fabric.device).eval() for teacher in teachers]

    def losses(model: BrainMu, output: Output, batch: Batch, objective: Objective) -> Mapping[str, Sum]:
        with torch.no_grad():
            answers = [teacher(batch) for teacher in taught]
        steps, pairs = batch.valid.sum(), (batch.valid[:, :, None] & batch.valid[:, None]).sum()
        agreement = compute_soft_losses(output, answers, batch)
        return {
            **sum_losses(model, output, batch, objective),
            **{f"teacher {name}": Sum(soft * value * steps, steps) for name, value in agreement.items()},
            "teacher latent": Sum(latent * compute_latent_loss(output, answers, batch) * pairs, pairs),
        }

    return train(student, source, options=options, folder=folder, fabric=fabric, losses=losses, execution=execution)


def compute_soft_losses(output: Output, answers: Sequence[Output], batch: Batch) -> dict[str, Tensor]:
    """Cross-entropy with the teachers' mean probabilities, less their entropy: 0 where the student agrees."""
    ours, theirs = output.readout, [answer.readout for answer in answers]
    stage = torch.stack([answer.stage.float().softmax(dim=-1) for answer in theirs]).mean(dim=0)
    destination = torch.stack([answer.destination.float().softmax(dim=-1) for answer in theirs]).mean(dim=0)
    change = torch.stack([answer.change.float().sigmoid() for answer in theirs]).mean(dim=0)
    both = torch.stack([change, 1 - change], dim=-1)
    log_both = torch.stack(
        [functional.logsigmoid(ours.change.float()), functional.logsigmoid(-ours.change.float())], -1
    )
    return {
        "stage": _compute_divergence(stage, ours.stage.float().log_softmax(dim=-1), batch),
        "destination": _compute_divergence(destination, ours.destination.float().log_softmax(dim=-1), batch),
        "change": _compute_divergence(both, log_both, batch),
    }


def compute_latent_loss(output: Output, answers: Sequence[Output], batch: Batch) -> Tensor:
    """Squared difference of the cosines between moments of a crop, student against the teachers' mean."""
    theirs = torch.stack([compare_moments(answer.latents) for answer in answers]).mean(dim=0)
    both = batch.valid[:, :, None] & batch.valid[:, None]
    return (compare_moments(output.latents) - theirs).square()[both].mean()


def compare_moments(latents: Float[Tensor, "batch step width"]) -> Float[Tensor, "batch step step"]:
    """Cosine between the latents of every two steps."""
    unit = functional.normalize(latents.float() - latents.float().mean(dim=1, keepdim=True), dim=2)
    return unit @ unit.transpose(1, 2)


def _compute_divergence(target: Tensor, log_probability: Tensor, batch: Batch) -> Tensor:
    """Kullback-Leibler divergence, averaged over steps that are not padding and over horizons."""
    divergence = functional.kl_div(log_probability, target, reduction="none").sum(dim=-1)
    return divergence[batch.valid].mean()
