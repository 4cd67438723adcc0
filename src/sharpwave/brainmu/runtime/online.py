"""The model on a recording that is still running: samples in as they come, a forecast out at the end of each step.

No clock and no threads: the caller says what has arrived. The same numbers as over the whole recording at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.brainmu.attention import LayerCache
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.stage_history import measure_stages
from sharpwave.brainmu.epochs import N_STAGES, EpochedRecording, EpochGrid, ModalityEpochs, collate
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.runtime.arrivals import drop_before, join_chunks
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import (
    ROLES,
    UNIT,
    UNKNOWN,
    Preparation,
    find_lights_off,
    mask_stretch,
    plan_preparation,
)

CLOSE = 1e-6
"""Seconds by which the end of a step and of the data may differ."""


@dataclass(frozen=True, eq=False)
class StepForecast:
    """What the model says at the end of a step.

    Attributes:
        end: End of the step in seconds.
        modalities: Modalities that had data in this step.
        stage: Probability of each of the five stages in the step.
        change: Probability that the stage at each horizon differs from the present one.
        destination: Probability of each stage at each horizon.
        depth: Slow-wave power, in standard deviations of log10 µV².
    """

    end: float
    modalities: tuple[str, ...]
    stage: Float[np.ndarray, " stage"]
    change: Float[np.ndarray, " horizon"]
    destination: Float[np.ndarray, "horizon stage"]
    depth: float


@dataclass(frozen=True, eq=False)
class OnlineState:
    """Everything that is carried from chunk to chunk; never changed in place, so an old one can be gone back to.

    Attributes:
        end: End of the last finished step in seconds.
        feed_back: Whether the model's own stages become its stage history.
        preparation: Channels that are used and how they are scaled; a role that had no channel takes the first to come.
            None until the first step is complete, by which the channels are chosen.
        chunks: What has arrived and is not used up, at most a step of it and what came since.
        reach: Until when each signal has arrived, in seconds.
        past: What each modality carries over from earlier steps.
        caches: Keys and values of attention, at most `config.window` seconds of them.
    """

    end: float
    feed_back: bool = False
    preparation: Preparation | None = None
    chunks: tuple[Recording, ...] = ()
    reach: Mapping[str, float] = field(default_factory=dict)
    past: Mapping[str, Any] = field(default_factory=dict)
    caches: tuple[LayerCache, ...] | None = None


def init_online(
    model: BrainMu, *, start: float = 0.0, feed_back: bool = False, preparation: Preparation | None = None
) -> OnlineState:
    """The state before anything has arrived.

    Args:
        model: Ready for use, as `load_brainmu` returns it.
        start: When the first step begins, in seconds on the recording's clock.
        feed_back: Whether steps without a scored stage take the model's own stage probabilities as stage history.
            Each step then costs two passes.
        preparation: Channels and scale, as `plan_preparation` makes them from an earlier recording of the same set-up.
            Where omitted, channels are chosen by name and quality as `sharpwave decode` chooses them, from the first
            step, and EEG of an unknown unit is refused: a night's usual amplitude is not known before it has been.

    Raises:
        SharpwaveError: If the model is in training, or has no stage history to feed back into.
    """
    if model.training:
        raise SharpwaveError("a model ready for use", got="a model in training", fix="call model.eval()")
    if feed_back and "stages" not in model.config.modalities:
        raise SharpwaveError(
            "a model with the modality stages, to feed back into",
            got=f"{', '.join(model.config.modalities)}",
            fix="leave feed_back out",
        )
    return OnlineState(end=float(start), feed_back=feed_back, preparation=preparation)


def step_online(
    model: BrainMu, state: OnlineState, chunk: Recording, *, now: float | None = None
) -> tuple[tuple[StepForecast, ...], OnlineState]:
    """Take a chunk in, and forecast at the end of every step that it finishes.

    A signal that cannot be used in a step (flat, floating, hum, clipped) is missing in it. Nothing stands in for it, as
    another channel does in a whole night: that a channel is gone for long is not known while it goes.

    Args:
        model: The same as in `init_online`.
        state: State from `init_online` or the last call.
        chunk: What is new: signals with their `start` on the recording's clock, spikes, scored epochs; of any length.
        now: Until when everything that is to come has come, in seconds. Where omitted, until when all signals that
            have ever come have come: the first chunk should then hold all of them, and none may stop.

    Returns:
        A forecast for each finished step, and the state for the next call.

    Raises:
        SharpwaveError: If a chunk does not fit those before.
    """
    step = model.config.step
    if state.preparation is None:
        _check_unit(chunk, Preparation(pick_channels(chunk)))
        preparation = None
    else:
        preparation = _extend(state.preparation, chunk)
        chunk = preparation.apply(chunk)
    reach = {**state.reach, **_measure_reach(chunk)}
    until = min(reach.values(), default=state.end) if now is None else now
    state = replace(state, chunks=(*state.chunks, chunk), reach=reach, preparation=preparation)
    if state.preparation is None and until >= state.end + step - CLOSE:
        state = _choose(state)
        until = min(state.reach.values(), default=state.end) if now is None else now
    forecasts = []
    while until >= state.end + step - CLOSE:
        recording = join_chunks(state.chunks)
        forecast, state = _finish_step(model, state, recording)
        state = replace(state, chunks=(drop_before(recording, state.end),))
        forecasts.append(forecast)
    return tuple(forecasts), state


def _choose(state: OnlineState) -> OnlineState:
    """The state with its channels chosen from everything that has arrived, which is left with those alone."""
    recording = join_chunks(state.chunks)
    preparation = plan_preparation(recording)
    prepared = preparation.apply(recording)
    return replace(state, chunks=(prepared,), reach=_measure_reach(prepared), preparation=preparation)


def _extend(preparation: Preparation, chunk: Recording) -> Preparation:
    """The same with a channel for roles that had none yet."""
    ranked = {} if {*ROLES} <= {*preparation.picks} else pick_channels(chunk)
    extended = replace(preparation, picks={**ranked, **preparation.picks})
    _check_unit(chunk, extended)
    return extended


def _check_unit(chunk: Recording, preparation: Preparation) -> None:
    """Raise if the chunk's EEG has an unknown unit and there is no factor for it."""
    names = [name for name in chunk.of("eeg") if name == preparation.picks.get("eeg")]
    if chunk.metadata.get(UNIT) == UNKNOWN and any(name not in preparation.factors for name in names):
        raise SharpwaveError(
            "EEG whose unit is known, or a plan that says how to scale it",
            got=f"{', '.join(names)} in an unknown unit",
            fix="give init_online(preparation=plan_preparation(an earlier recording of the same set-up))",
        )


def _measure_reach(chunk: Recording) -> dict[str, float]:
    reach = {name: signal.end for name, signal in chunk.signals.items() if len(signal)}
    if chunk.spikes is not None:
        reach["spikes"] = float(chunk.spikes.time_support.end[-1])
    if chunk.hypnogram is not None and len(chunk.hypnogram):
        reach["hypnogram"] = chunk.hypnogram.end
    return reach


def _finish_step(model: BrainMu, state: OnlineState, recording: Recording) -> tuple[StepForecast, OnlineState]:
    grid = EpochGrid(state.end, model.config.step, 1)
    recording = mask_stretch(recording, state.end, state.end + model.config.step)
    if recording.hypnogram is None:
        recording = replace(recording, hypnogram=Hypnogram(np.array([UNSCORED]), grid.step, start=grid.start))
    epochs: dict[str, ModalityEpochs] = {}
    past = dict(state.past)
    unscored = None
    for name in model.config.modalities:
        measured = ENCODERS[name].measure(recording, grid)
        if measured is None:
            continue
        if name == "stages" and not measured.present.any():
            unscored = measured
        epochs[name], past[name] = ENCODERS[name].normalise(measured, state.past.get(name))
    began = find_lights_off(recording)
    output = _pass(model, epochs, grid, state.caches, began)
    if state.feed_back and unscored is not None:
        votes = torch.softmax(output.readout.stage[0, 0], dim=0).numpy()
        own = measure_stages(votes[None].argmax(axis=1), votes[None], N_STAGES)
        epochs["stages"], past["stages"] = ENCODERS["stages"].normalise(own, state.past.get("stages"))
        output = _pass(model, epochs, grid, state.caches, began)
    there = tuple(name for name, part in epochs.items() if part.present.any())
    end = float(grid.ends[0])
    return _read_forecast(output, end, there), replace(state, end=end, past=past, caches=output.caches)


def _pass(
    model: BrainMu,
    epochs: Mapping[str, ModalityEpochs],
    grid: EpochGrid,
    caches: tuple[LayerCache, ...] | None,
    lights_off: float | None,
) -> Output:
    unknown = np.full(1, UNSCORED, dtype=np.int8), np.zeros((1, N_STAGES), dtype=np.float32)
    there = {name: part for name, part in epochs.items() if part.present.any()}
    with torch.inference_mode():
        return model(collate([EpochedRecording(grid, there, *unknown, lights_off=lights_off)]), caches)


def _read_forecast(output: Output, end: float, modalities: tuple[str, ...]) -> StepForecast:
    readout = output.readout
    return StepForecast(
        end=end,
        modalities=modalities,
        stage=torch.softmax(readout.stage[0, 0], dim=0).numpy(),
        change=torch.sigmoid(readout.change[0, 0]).numpy(),
        destination=torch.softmax(readout.destination[0, 0], dim=1).numpy(),
        depth=float(readout.depth[0, 0]),
    )
