"""Learning without labels: predict what each modality does next from the others and the past."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.training.pieces import Source
from sharpwave.brainmu.training.training import train
from sharpwave.brainmu.training.training_options import TrainingOptions
from sharpwave.brainmu.windows import WindowedRecording
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Unlabelled:
    """Pieces of a source without stages, neither as labels nor as a modality.

    Args:
        source: With or without labels.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def draw(self, rng: np.random.Generator, n_steps: int) -> WindowedRecording:
        """A piece of signals alone.

        Raises:
            SharpwaveError: If the piece has no signals.
        """
        piece = self.source.draw(rng, n_steps)
        windows = {name: part for name, part in piece.windows.items() if name != "stages"}
        if not windows:
            raise SharpwaveError(
                "signals to learn from without labels",
                got=f"a night of {piece.subject} that has only stages",
                fix="leave such nights out, or train with labels",
            )
        return replace(piece, windows=windows, stages=np.full_like(piece.stages, -1), votes=np.zeros_like(piece.votes))


def pretrain(
    model: BrainMu,
    source: Source,
    *,
    options: TrainingOptions,
    folder: str | Path | None = None,
    fabric: Fabric | None = None,
) -> list[float]:
    """Train a model in place on signals alone.

    Args:
        model: Fresh, or trained before.
        source: Of pieces; their stages are not looked at.
        options: Of the run; the weights of labelled losses are not used.
        folder: For checkpoints, losses and weights; a run found there goes on.
        fabric: Devices; one where omitted.

    Returns:
        The loss of every update.
    """
    objective = replace(options.objective, next_step=1.0, stage=0.0, change=0.0)
    options = replace(options, objective=objective)
    return train(model, Unlabelled(source), options=options, folder=folder, fabric=fabric)
