"""Adapting a trained model to a laboratory's own nights, with their stages, in minutes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np
import torch
from torch.nn import Parameter

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.crops import Source
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

LAYERS = ("heads", "last", "all")
"""What may change: the heads; these and the last block; everything."""

FINETUNING = TrainingOptions(
    steps=120,
    batch=8,
    piece=120,
    learning_rate=3e-4,
    warm_up=0.1,
    weight_decay=0.0,
    average=0.1,
    checkpoint_every=60,
    objective=Objective(drop_modality=0.2, drop_channel=0.1),
)
"""Few updates at a low rate, from which the average is kept."""


SHARE = 0.5
"""Share of the new weights in the mean with the old ones that is kept."""


class OfSubject(Protocol):
    """A night that says whose it is."""

    @property
    def subject(self) -> str:
        """Who."""


S = TypeVar("S", bound=OfSubject)


def finetune(
    model: BrainMu,
    source: Source,
    *,
    options: TrainingOptions = FINETUNING,
    layers: str = "all",
    share: float = SHARE,
    folder: str | Path | None = None,
    fabric: Fabric | None = None,
) -> list[float]:
    """Train a model in place on labelled nights, from the weights that it has, and go back part of the way.

    Between weights of which one was trained from the other the loss is low all the way, and the mean of both loses less
    on other people than the new ones (Wortsman et al. 2022, doi:10.48550/arXiv.2109.01903).

    Args:
        model: Trained before.
        source: Source of labelled crops.
        options: Options of the run; `FINETUNING` by default.
        layers: One of `LAYERS`; the fewer nights, the fewer layers.
        share: Share of the new weights in the mean with the old ones; 1 for the new ones alone.
        folder: For checkpoints, losses and the new weights alone; a run found there goes on.
        fabric: Devices; one where omitted.

    Returns:
        The loss of every update.

    Raises:
        SharpwaveError: If there is no such choice of layers, or the model knows none of the modalities.
    """
    check_fit(model, source)
    learned = choose_layers(model, layers)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.requires_grad_(False)
    for parameter in learned:
        parameter.requires_grad_(True)
    try:
        losses = train(model, source, options=options, folder=folder, fabric=fabric)
    finally:
        model.requires_grad_(True)
    average_weights(model, before, share=share)
    return losses


def average_weights(model: BrainMu, before: dict[str, torch.Tensor], *, share: float) -> None:
    """Set every weight between what it was and what it is.

    Args:
        model: The model as it is; changed in place.
        before: Its weights as they were.
        share: Share of the new weights, from 0 to 1.

    Raises:
        SharpwaveError: If the old weights are another model's.
    """
    now = model.state_dict()
    if {name: value.shape for name, value in now.items()} != {name: value.shape for name, value in before.items()}:
        raise SharpwaveError("weights of one shape", got="weights of two models", fix="start from the same weights")
    mixed = {
        name: torch.lerp(before[name], value, share) if value.is_floating_point() else value
        for name, value in now.items()
    }
    model.load_state_dict(mixed)


def choose_layers(model: BrainMu, layers: str) -> list[Parameter]:
    """The parameters that may change.

    Raises:
        SharpwaveError: If `layers` is not one of `LAYERS`.
    """
    if layers not in LAYERS:
        raise SharpwaveError(f"layers among {', '.join(LAYERS)}", got=repr(layers), fix="choose one of these")
    if layers == "all":
        return list(model.parameters())
    parts = [model.heads] if layers == "heads" else [model.heads, model.norm, model.blocks[-1]]
    return [parameter for part in parts for parameter in part.parameters()]


def check_fit(model: BrainMu, source: Source) -> None:
    """Refuse nights of which the model knows no modality.

    Raises:
        SharpwaveError: If it knows none of those in a crop.
    """
    crop = source.draw(np.random.default_rng(0), 1)
    if not set(crop.epochs) & set(model.config.modalities):
        raise SharpwaveError(
            f"nights with one of {', '.join(model.config.modalities)}, which these weights know",
            got=", ".join(crop.epochs) or "no modality",
            fix="choose weights for these modalities, or train some with `sharpwave train`",
        )


def split_nights(nights: Sequence[S], *, held_out: float, rng: np.random.Generator) -> tuple[list[S], list[S]]:
    """Nights to learn from, and nights of other subjects to judge by.

    Args:
        nights: Nights of at least two subjects.
        held_out: Share of the subjects to judge by; at least one, and not all.
        rng: Chooses them.

    Raises:
        SharpwaveError: If there are fewer than two subjects.
    """
    subjects = sorted({night.subject for night in nights})
    if len(subjects) < 2:
        raise SharpwaveError(
            "nights of at least two subjects, to judge by those that were not learned from",
            got=f"{len(nights)} of {', '.join(subjects) or 'nobody'}",
            fix="add nights of other subjects",
        )
    count = min(max(1, round(held_out * len(subjects))), len(subjects) - 1)
    judged = set(rng.permutation(subjects)[:count].tolist())
    return (
        [night for night in nights if night.subject not in judged],
        [night for night in nights if night.subject in judged],
    )
