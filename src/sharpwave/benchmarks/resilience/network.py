"""A torch classifier as `sharpwave.resilience.card` wants it: it can be copied, damaged, scored and put to sleep."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sharpwave.benchmarks.resilience.perturbations import (
    add_weight_noise,
    corrupt_inputs,
    flip_labels,
    lesion_units,
    list_layers,
)
from sharpwave.errors import SharpwaveError

DOSES: dict[str, tuple[float, ...]] = {
    "weight_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "lesion": (0.0, 0.1, 0.2, 0.4, 0.6, 0.8),
    "input_noise": (0.0, 0.25, 0.5, 1.0, 1.5, 2.0),
    "label_noise": (0.0, 0.2, 0.4, 0.6, 0.8),
}
"""Weight and input noise in standard deviations; shares of units and of labels."""

Recover = Callable[[nn.Module, int], None]
Relearn = Callable[[nn.Module, Int[Tensor, " sample"]], None]


class NetworkSubject:
    """One network under test.

    Args:
        model: Classifier; never changed, copies are.
        inputs: Held-out inputs to score on.
        labels: Their classes.
        recover: One step of recovery of a copy: sleep, or new data, drawn from the number of the step alone. Without
            it nothing recovers.
        relearn: Trains a copy on its own data with the labels given, for label noise; without it that dose is left out.
        train_labels: Labels that `relearn` is given, some of them wrong.
        doses: Doses by kind; `DOSES` where omitted.
        shock: Kind and dose from which it must recover.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Float[Tensor, "sample ..."],
        labels: Int[Tensor, " sample"],
        *,
        recover: Recover | None = None,
        relearn: Relearn | None = None,
        train_labels: Int[Tensor, " sample"] | None = None,
        doses: Mapping[str, Sequence[float]] | None = None,
        shock: tuple[str, float] = ("weight_noise", 1.0),
    ) -> None:
        self.model = model
        self.inputs, self.labels = inputs, labels
        self.n_classes = int(labels.max()) + 1
        self.chance = float(torch.bincount(labels).max() / len(labels))
        self.shock = shock
        # One dose does the same to each layer relative to its weights: a layer's damage is its share of all weights.
        sizes = {name: layer.weight.numel() for name, layer in list_layers(model).items()}  # type: ignore[operator, union-attr]
        self.parts: Mapping[str, float] = {name: size / sum(sizes.values()) for name, size in sizes.items()}
        self._recover, self._relearn, self._train_labels = recover, relearn, train_labels
        known = DOSES if relearn is not None else {kind: row for kind, row in DOSES.items() if kind != "label_noise"}
        self.doses: Mapping[str, Sequence[float]] = known if doses is None else doses

    def copy(self) -> NetworkSubject:
        """The same network, to be damaged."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model)
        return twin

    @torch.no_grad()
    def score(self) -> float:
        """Accuracy."""
        training = self.model.training
        self.model.eval()
        found = self.model(self.inputs).argmax(dim=-1)
        self.model.train(training)
        return float((found == self.labels).float().mean())

    def damage(self, kind: str, dose: float, *, rng: np.random.Generator, part: str | None = None) -> None:
        """Damage this copy.

        Raises:
            SharpwaveError: If the kind is unknown, or label noise is asked for without `relearn`.
        """
        if kind == "weight_noise":
            add_weight_noise(self.model, dose, rng=rng, part=part)
        elif kind == "lesion":
            lesion_units(self.model, dose, rng=rng, part=part)
        elif kind == "input_noise":
            self.inputs = corrupt_inputs(self.inputs, dose, rng=rng)
        elif kind == "label_noise" and self._relearn is not None and self._train_labels is not None:
            wrong = flip_labels(self._train_labels, dose, n_classes=self.n_classes, rng=rng)
            self._relearn(self.model, wrong)
        else:
            raise SharpwaveError(
                f"damage among {', '.join(DOSES)} (label_noise with relearn= and train_labels=)",
                got=repr(kind),
                fix="choose one of these, or pass relearn and train_labels",
            )

    def recover(self, number: int) -> None:
        """One step of recovery."""
        if self._recover is not None:
            self._recover(self.model, number)
