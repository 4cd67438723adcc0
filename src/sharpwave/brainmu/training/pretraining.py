"""Learning without labels: tell what each modality does next, or what is hidden of it, from the others and the past."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.crops import Source, pick_source
from sharpwave.brainmu.training.masked_latents import MaskedLatents
from sharpwave.brainmu.training.objective import TrainingOptions, sum_losses
from sharpwave.brainmu.training.training import Losses, train
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from sharpwave.brainmu.training.devices import Execution


class Unlabelled:
    """Crops of a source without stages, neither as labels nor as a modality.

    Args:
        source: Source of crops, with or without labels.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of signals alone.

        Raises:
            SharpwaveError: If the crop has no signals.
        """
        crop = self.source.draw(rng, n_steps)
        epochs = {name: part for name, part in crop.epochs.items() if name != "stages"}
        if not epochs:
            raise SharpwaveError(
                "signals to learn from without labels",
                got=f"a night of {crop.subject} that has only stages",
                fix="leave such nights out, or train with labels",
            )
        return replace(crop, epochs=epochs, stages=np.full_like(crop.stages, -1), votes=np.zeros_like(crop.votes))

    def pick(self, rng: np.random.Generator) -> Unlabelled:
        """What one update draws from: what the source picks, as an `Alternation` does, without its stages."""
        return Unlabelled(pick_source(self.source, rng))


def pretrain(
    model: BrainMu,
    source: Source,
    *,
    options: TrainingOptions,
    folder: str | Path | None = None,
    fabric: Fabric | None = None,
    execution: Execution | None = None,
) -> list[float]:
    """Train a model in place on signals alone.

    Args:
        model: Fresh, or trained before.
        source: Source of crops; their stages are not looked at.
        options: Options of the run; the weights of labelled losses are not used, and that of the next step is 1 unless
            masked latents are learned as well.
        folder: For checkpoints, losses and weights; a run found there goes on.
        fabric: Devices; one where omitted.
        execution: How passes are computed, as in `train`.

    Returns:
        The loss of every update.
    """
    wanted = options.objective
    objective = replace(wanted, next_step=wanted.next_step if wanted.latent else 1.0, stage=0.0, change=0.0)
    options = replace(options, objective=objective)
    losses: Losses = MaskedLatents(model, options) if wanted.latent else sum_losses
    return train(
        model, Unlabelled(source), options=options, folder=folder, fabric=fabric, losses=losses, execution=execution
    )
