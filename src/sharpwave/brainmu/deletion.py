"""What a forecast would have been without a part of what led to it.

A forecast is seen with its context: the last steps before it, and the caches of everything earlier. Deleting a token
declares it absent, as if it had not been recorded; nothing is put in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sharpwave.brainmu.attention import LayerCache
from sharpwave.brainmu.batches import Batch
from sharpwave.brainmu.encoders.contract import ModalityBatch
from sharpwave.brainmu.model import BrainMu
from sharpwave.errors import SharpwaveError

CONTEXT = 20
"""Steps before a forecast that can be deleted."""
CHUNK = 60
AT_ONCE = 24
"""Variants of a context in one pass."""


@dataclass(frozen=True, eq=False)
class Context:
    """One forecast and what led to it.

    Attributes:
        step: Index of the step at whose end the forecast is made.
        batch: The last steps, one row.
        caches: Of all earlier steps.
    """

    step: int
    batch: Batch
    caches: tuple[LayerCache, ...] | None

    @property
    def names(self) -> tuple[str, ...]:
        """Modalities in the order of their tokens."""
        return tuple(self.batch.modalities)

    @property
    def n_steps(self) -> int:
        return int(self.batch.times.shape[1])

    @property
    def present(self) -> Bool[np.ndarray, "modality step"]:
        """Tokens that there are."""
        return np.stack([part.any_present[0].numpy() for part in self.batch.modalities.values()])


def restrict_batch(batch: Batch, first: int, last: int) -> Batch:
    """Steps first to last (excluded)."""
    modalities = {
        name: ModalityBatch(
            part.values[:, first:last], part.times[:, first:last], part.present[:, first:last], part.identity
        )
        for name, part in batch.modalities.items()
    }
    steps = {name: getattr(batch, name)[:, first:last] for name in ("times", "valid", "stages", "votes")}
    return replace(batch, modalities=modalities, **steps)


def repeat_batch(batch: Batch, n: int) -> Batch:
    """One row, `n` times, without copying."""
    modalities = {
        name: ModalityBatch(
            *(
                getattr(part, field).expand(n, *getattr(part, field).shape[1:])
                for field in ("values", "times", "present", "identity")
            )
        )
        for name, part in batch.modalities.items()
    }
    fields = ("times", "valid", "stages", "votes", "coarse", "scorable")
    return Batch(modalities, *(getattr(batch, name).expand(n, *getattr(batch, name).shape[1:]) for name in fields))


def keep_known(model: BrainMu, batch: Batch) -> Batch:
    """The batch with those modalities that the model has an encoder for."""
    return replace(batch, modalities={name: part for name, part in batch.modalities.items() if name in model.encoders})


@torch.no_grad()
def open_contexts(model: BrainMu, batch: Batch, steps: Sequence[int], *, length: int = CONTEXT) -> Iterator[Context]:
    """Contexts of forecasts in order of time, from one pass over the night.

    Args:
        model: In evaluation mode.
        batch: One recording.
        steps: Of the forecasts.
        length: Steps in a context.

    Raises:
        SharpwaveError: If a step is not in the recording.
    """
    n_steps = batch.times.shape[1]
    wanted = sorted(set(steps))
    if wanted and not (wanted[0] >= 0 and wanted[-1] < n_steps):
        raise SharpwaveError(
            f"steps from 0 to {n_steps - 1}", got=f"{wanted[0]} to {wanted[-1]}", fix="choose a time in the recording"
        )
    batch = keep_known(model, batch)
    caches: tuple[LayerCache, ...] | None = None
    done = 0
    for step in wanted:
        first = max(0, step + 1 - length)
        while done < first:
            last = min(done + CHUNK, first)
            caches = model(restrict_batch(batch, done, last), caches).caches
            done = last
        yield Context(step, restrict_batch(batch, first, step + 1), caches)


def repeat_caches(caches: tuple[LayerCache, ...] | None, n: int) -> tuple[LayerCache, ...] | None:
    """Caches of one row, `n` times, without copying."""
    if caches is None:
        return None
    fields = ("keys", "values", "times", "present")
    return tuple(
        LayerCache(*(getattr(cache, name).expand(n, *getattr(cache, name).shape[1:]) for name in fields))
        for cache in caches
    )


@torch.no_grad()
def forecast_without(
    model: BrainMu, context: Context, deletions: Bool[np.ndarray, "variant modality step"], *, horizon: int = 0
) -> Float[np.ndarray, " variant"]:
    """Logit of a change with each set of tokens deleted.

    Args:
        model: In evaluation mode.
        context: Of the forecast.
        deletions: True where a token is taken away; modalities as in `context.names`.
        horizon: Index among the model's horizons.
    """
    found = []
    for begin in range(0, len(deletions), AT_ONCE):
        gone = torch.from_numpy(np.ascontiguousarray(deletions[begin : begin + AT_ONCE]))
        repeated = repeat_batch(context.batch, len(gone))
        modalities = {
            name: replace(part, present=part.present & ~gone[:, index, :, None])
            for index, (name, part) in enumerate(repeated.modalities.items())
        }
        output = model(replace(repeated, modalities=modalities), repeat_caches(context.caches, len(gone)))
        found.append(output.readout.change[:, -1, horizon])
    return torch.cat(found).double().numpy() if found else np.zeros(0)


@torch.no_grad()
def forecast_without_channels(
    model: BrainMu, context: Context, name: str, first: int, *, horizon: int = 0
) -> Float[np.ndarray, " channel"]:
    """Logit of a change without each channel of a modality by itself, from step `first` of the context on."""
    n_channels = context.batch.modalities[name].present.shape[2]
    repeated = repeat_batch(context.batch, n_channels)
    present: Tensor = repeated.modalities[name].present.clone()
    rows = torch.arange(n_channels)
    present[rows, first:, rows] = False
    modalities = {**repeated.modalities, name: replace(repeated.modalities[name], present=present)}
    output = model(replace(repeated, modalities=modalities), repeat_caches(context.caches, n_channels))
    return output.readout.change[:, -1, horizon].double().numpy()
