"""What a forecast would have been without a part of what led to it.

A forecast is seen with its context: the last steps before it, and the caches of everything earlier. Occluding a token
declares it absent, as if it had not been recorded; nothing is put in its place.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np
import torch
from jaxtyping import Bool, Float

from sharpwave import moved
from sharpwave.brainmu.attention import MARGIN, LayerCache, join_caches
from sharpwave.brainmu.epochs import Batch, EpochedRecording, ModalityBatch, collate
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu, Tokens
from sharpwave.errors import SharpwaveError

CONTEXT = 20
"""Steps before a forecast that can be occluded."""
CHUNK = 60
AT_ONCE = 24
"""Variants of a context in one pass."""


@dataclass(frozen=True, eq=False)
class Context:
    """One forecast and what led to it.

    Attributes:
        step: Index of the step at whose end the forecast is made.
        batch: The last steps, one row.
        caches: Keys and values of all earlier steps; None at the start of the recording.
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
    steps["clock"] = None if batch.clock is None else batch.clock[:, first:last]
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
    rows = {name: getattr(batch, name).expand(n, *getattr(batch, name).shape[1:]) for name in fields}
    rows["clock"] = None if batch.clock is None else batch.clock.expand(n, -1)
    return replace(batch, modalities=modalities, **rows)


@dataclass(frozen=True, eq=False)
class RecordingPass:
    """One recording, passed over once, with all that is needed to return to any of its forecasts.

    Attributes:
        recording: The recording, with those modalities that the model has an encoder for.
        readout: What the heads said at every step.
        latents: Shared latent at every step, shape (step, width).
        caches: Keys and values of every token, by chunk of the recording and by layer.
        window: Seconds that a token looks back.
    """

    recording: EpochedRecording
    readout: Readout
    latents: Float[np.ndarray, "step width"]
    caches: tuple[tuple[LayerCache, ...], ...]
    window: float

    def open(self, step: int, *, length: int = CONTEXT) -> Context:
        """The context of the forecast made at the end of a step.

        Raises:
            SharpwaveError: If the step is not in the recording.
        """
        n_steps = len(self.recording)
        if not 0 <= step < n_steps:
            raise SharpwaveError(
                f"steps from 0 to {n_steps - 1}", got=f"{step}", fix="choose a time within the recording"
            )
        first = max(0, step + 1 - length)
        batch = collate([self.recording.restrict(first, step + 1)])
        if first == 0:
            return Context(step, batch, None)
        end = float(self.recording.grid.ends[first - 1])
        oldest = max(0, first - 1 - math.ceil(self.window / self.recording.grid.step))
        before = self.caches[oldest // CHUNK : (first - 1) // CHUNK + 1]
        parts = [tuple(_slice_cache(cache, end - self.window, end) for cache in chunk) for chunk in before]
        return Context(step, batch, tuple(reduce(join_caches, layer) for layer in zip(*parts, strict=True)))


@torch.no_grad()
def pass_over_night(model: BrainMu, recording: EpochedRecording) -> RecordingPass:
    """Pass over a recording once and keep what `RecordingPass` needs.

    Args:
        model: Model in evaluation mode.
        recording: The recording.

    Raises:
        SharpwaveError: If it has no modality that the model knows.
    """
    known = recording.only(model.config.modalities)
    if not known.epochs:
        raise SharpwaveError(
            f"a recording with one of {', '.join(model.config.modalities)}",
            got=", ".join(recording.epochs),
            fix="use a model that was trained with these modalities",
        )
    caches: tuple[LayerCache, ...] | None = None
    outputs, parts, done = [], [], known.grid.start
    for first in range(0, len(known), CHUNK):
        output = model(collate([known.restrict(first, min(first + CHUNK, len(known)))]), caches)
        caches = output.caches
        parts.append(tuple(_slice_cache(cache, done, math.inf) for cache in output.caches))
        outputs.append(output)
        done = float(output.caches[0].times.max())
    fields = ("stage", "change", "destination", "depth")
    readout = Readout(*(torch.cat([getattr(output.readout, name) for output in outputs], dim=1) for name in fields))
    latents = torch.cat([output.latents for output in outputs], dim=1)[0].double().numpy()
    return RecordingPass(known, readout, latents, tuple(parts), model.config.window)


def _slice_cache(cache: LayerCache, after: float, until: float) -> LayerCache:
    """Tokens known later than `after` and not later than `until`."""
    return cache.select((cache.times[0] > after + MARGIN) & (cache.times[0] <= until + MARGIN))


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
    model: BrainMu, context: Context, occlusions: Bool[np.ndarray, "variant modality step"], *, horizon: int = 0
) -> Float[np.ndarray, " variant"]:
    """Logit of a change with each set of tokens occluded.

    Args:
        model: Model in evaluation mode.
        context: The forecast and what led to it, from `RecordingPass.open`.
        occlusions: True where a token is taken away; modalities as in `context.names`.
        horizon: Index among the model's horizons.
    """
    tokens = model.encode(context.batch)
    gone = torch.tensor(occlusions).flatten(1)
    gone = torch.cat([gone, torch.zeros(len(gone), context.n_steps, dtype=torch.bool)], dim=1)
    found = [np.zeros(0)]
    for begin in range(0, len(gone), AT_ONCE):
        hidden = gone[begin : begin + AT_ONCE]
        n = len(hidden)
        variants = Tokens(
            tokens.latents.expand(n, -1, -1),
            tokens.times.expand(n, -1),
            tokens.present.expand(n, -1) & ~hidden,
            tokens.n_states,
        )
        latents, _, _ = model.align(variants, repeat_caches(context.caches, n))
        found.append(model.heads(model.norm(latents[:, -1:])).change[:, 0, horizon].double().numpy())
    return np.concatenate(found)


@torch.no_grad()
def forecast_without_modalities(
    model: BrainMu, context: Context, *, horizon: int = 0
) -> Float[np.ndarray, " modality"]:
    """Logit of a change without each modality of a context by itself."""
    n = len(context.names)
    occlusions = np.broadcast_to(np.eye(n, dtype=bool)[..., None], (n, n, context.n_steps))
    return forecast_without(model, context, occlusions, horizon=horizon)


@torch.no_grad()
def forecast_without_channels(
    model: BrainMu, context: Context, name: str, *, horizon: int = 0
) -> Float[np.ndarray, " channel"]:
    """Logit of a change without each channel of one modality of a context by itself."""
    n_channels = context.batch.modalities[name].present.shape[2]
    repeated = repeat_batch(context.batch, n_channels)
    present = repeated.modalities[name].present & ~torch.eye(n_channels, dtype=torch.bool)[:, None]
    modalities = {**repeated.modalities, name: replace(repeated.modalities[name], present=present)}
    output = model(replace(repeated, modalities=modalities), repeat_caches(context.caches, n_channels))
    return output.readout.change[:, -1, horizon].double().numpy()


__getattr__ = moved.rename(
    __name__,
    {
        "Night": "RecordingPass",
    },
)
