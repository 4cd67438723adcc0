"""How much each token moved a forecast, by four methods; occlusion says which one to trust."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int

from sharpwave.brainmu.explanation.occlusion import (
    CONTEXT,
    Context,
    RecordingPass,
    forecast_without,
    forecast_without_modalities,
)
from sharpwave.brainmu.model import BrainMu
from sharpwave.errors import SharpwaveError

REACHES = (1, 2, 3, 5, 10)
"""Steps back from a forecast at which spans begin; the whole context comes last."""

N_LEVELS = 5
"""Points of the integral from all tokens nearly gone to all there."""


def attribute_by_attention(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """Attention rollout (Abnar & Zuidema 2020): shares of attention, multiplied through the blocks.

    It says where a forecast looked, not what it made of it: all values are positive, whatever the horizon. What a state
    token starts from counts as what it looked at.
    """
    context = night.open(step)
    with torch.no_grad():
        attention = model(context.batch, context.caches, trace=True).attention
    n_tokens = attention[0].shape[1]
    flow = torch.eye(n_tokens)[-1]
    for weight in reversed(attention):
        flow = 0.5 * flow + 0.5 * (flow @ weight[0])[-n_tokens:]
    own = _to_table(flow.double().numpy(), context)
    if not model.config.pooled_query:
        return own
    shares = context.present / np.maximum(context.present.sum(axis=0), 1)
    return own + shares * flow[-context.n_steps :].double().numpy()


def attribute_by_gradient(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """Gradient times attention: the derivative of the logit by the mask weight of each token, where all are 1."""
    context = night.open(step)
    return _to_table(_differentiate(model, context, 1.0, horizon), context)


def attribute_by_integration(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """The same, integrated while all mask weights grow together (after Sundararajan et al. 2017)."""
    context = night.open(step)
    levels = (np.arange(N_LEVELS) + 0.5) / N_LEVELS
    return _to_table(np.mean([_differentiate(model, context, level, horizon) for level in levels], axis=0), context)


def attribute_by_occlusion(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """By how much the logit falls when a single token is occluded."""
    context = night.open(step)
    there = np.argwhere(context.present)
    occlusions = np.zeros((len(there) + 1, *context.present.shape), dtype=bool)
    occlusions[np.arange(len(there)) + 1, there[:, 0], there[:, 1]] = True
    logits = forecast_without(model, context, occlusions, horizon=horizon)
    out = np.zeros(context.present.shape)
    out[there[:, 0], there[:, 1]] = logits[0] - logits[1:]
    return out


def attribute_by_spans(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """By how much the logit falls when a modality is occluded from some moment on, for earlier and earlier moments.

    Neighbouring tokens say much the same, so that one alone is hardly missed; a span is. What each longer span adds is
    shared among the steps that it adds.
    """
    return spread_spans(*measure_spans(model, night, step, horizon=horizon)) * night.open(step).present


def spread_spans(
    reaches: Int[np.ndarray, " reach"], falls: Float[np.ndarray, "modality reach"]
) -> Float[np.ndarray, "modality step"]:
    """What each longer span adds, shared among the steps that it adds, in order of time."""
    lengths = np.diff(reaches, prepend=0)
    added = np.diff(falls, axis=1, prepend=0.0) / lengths
    return np.repeat(added[:, ::-1], lengths[::-1], axis=1)


def measure_spans(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> tuple[Int[np.ndarray, " reach"], Float[np.ndarray, "modality reach"]]:
    """Steps back from the forecast, and by how much the logit falls when a modality is occluded from there on."""
    n_steps = min(step + 1, CONTEXT)
    reaches = np.array([*(reach for reach in REACHES if reach < n_steps), n_steps])
    logit = float(night.readout.change[0, step, horizon])
    without = [
        forecast_without_modalities(model, night.open(step, length=reach), horizon=horizon)
        for reach in reaches.tolist()
    ]
    return reaches, logit - np.stack(without, axis=1)


def attribute_by_recency(
    model: BrainMu, night: RecordingPass, step: int, *, horizon: int = 0
) -> Float[np.ndarray, "modality step"]:
    """The later, the more, whatever the model: a baseline that any explanation has to beat."""
    context = night.open(step)
    return np.broadcast_to(np.arange(context.n_steps) + 1.0, context.present.shape) * context.present


ATTRIBUTIONS: dict[str, Callable[..., Float[np.ndarray, "modality step"]]] = {
    "attention": attribute_by_attention,
    "gradient x attention": attribute_by_gradient,
    "integrated": attribute_by_integration,
    "occlusion": attribute_by_occlusion,
    "spans": attribute_by_spans,
    "recency": attribute_by_recency,
}
"""Methods by name; each gives a number per token, above 0 where the token spoke for a change."""


def get_attribution(name: str) -> Callable[..., Float[np.ndarray, "modality step"]]:
    """A method by name.

    Raises:
        SharpwaveError: If there is none of this name.
    """
    if name not in ATTRIBUTIONS:
        raise SharpwaveError(
            f"an attribution among {', '.join(ATTRIBUTIONS)}", got=repr(name), fix="choose one of these"
        )
    return ATTRIBUTIONS[name]


def _differentiate(model: BrainMu, context: Context, level: float, horizon: int) -> np.ndarray:
    n_tokens = (len(context.names) + 1) * context.n_steps
    states = torch.arange(n_tokens) >= n_tokens - context.n_steps
    weights = torch.where(states, 1.0, level)[None].requires_grad_()
    output = model(context.batch, context.caches, mask_weights=weights, trace=True)
    (gradient,) = torch.autograd.grad(output.readout.change[0, -1, horizon], weights)
    return gradient[0].double().numpy()


def _to_table(values: np.ndarray, context: Context) -> Float[np.ndarray, "modality step"]:
    """Tokens of modalities as (modality, step); those of the states are left out."""
    shape = context.present.shape
    return np.asarray(values[: shape[0] * shape[1]].reshape(shape) * context.present, dtype=float)
