"""How to train: everything that a run depends on beside the model and the data, saved with its checkpoints."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from sharpwave.brainmu.objective import Objective
from sharpwave.errors import SharpwaveError


@dataclass(frozen=True)
class TrainingOptions:
    """Of one run of training.

    Attributes:
        steps: Updates of the weights.
        batch: Pieces per update, over all devices together.
        piece: Length of a piece in steps of the model (240 of 30 s: two hours).
        learning_rate: The highest.
        warm_up: Share of the updates in which the learning rate rises to it.
        final: Learning rate at the end, as a share of the highest.
        weight_decay: Of matrices; vectors are left alone.
        clip: Highest norm of the gradient.
        average: Width of the average over weights that is kept in the end, as a share of the updates; 0 for none.
        precision: As Lightning Fabric names it: "32-true" or "bf16-mixed".
        seed: Pieces, dropping and dropout of update k follow from (seed, k) alone.
        checkpoint_every: Updates between checkpoints.
        objective: What is learned.
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
        return asdict(self)


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
