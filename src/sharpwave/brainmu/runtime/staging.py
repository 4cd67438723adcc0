"""A whole night by Brainµ: stages, changes and destinations ahead, and depth, from whatever was recorded.

model, card = load_brainmu()
night = run_brainmu(recording, model, card=card)
night.hypnogram, night.forecast(30.0)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float

from sharpwave import moved
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import (
    N_STAGES,
    EpochedRecording,
    EpochGrid,
    ModalityEpochs,
    collate,
    make_epoch_grid,
)
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu, Tokens
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import find_lights_off, prepare_signals
from sharpwave.signals.stage_smoothing import smooth_probabilities

T = TypeVar("T")
NAME = "Brainµ"
SMOOTHING = 0.4
"""Weight of each step's evidence against the transitions: neighbouring steps share what the model has seen."""
FRAGMENT, WHOLE = 2 * 3600.0, 5 * 3600.0
"""Seconds of recorded data up to which nothing is smoothed, for a fragment does not run like a night, and from which it
is in full."""
CHUNK = 180
"""Steps that go through the model at once."""


@dataclass(frozen=True, eq=False)
class BrainMuPrediction:
    """What Brainµ says of a night, step by step; NaN where nothing was recorded.

    Attributes:
        grid: Steps in time.
        hypnogram: Likeliest stages, with probabilities; looks ahead where it was smoothed.
        stages: Probability of each of the five stages from the past alone, shape (step, stage).
        change: Probability that the stage at each horizon differs from the present one, shape (step, horizon).
        destination: Probability of each stage at each horizon, shape (step, horizon, stage).
        depth: Slow-wave power of the EEG in log10 µV²/Hz, or what the other signals make of it, shape (step,).
        horizons: Seconds ahead.
        present: Share of the night in which each modality had data.
    """

    grid: EpochGrid
    hypnogram: Hypnogram
    stages: Float[np.ndarray, "step stage"]
    change: Float[np.ndarray, "step horizon"]
    destination: Float[np.ndarray, "step horizon stage"]
    depth: Float[np.ndarray, " step"]
    horizons: tuple[float, ...]
    present: Mapping[str, float]

    def forecast(self, horizon: float = 30.0) -> pd.DataFrame:
        """One row per step: onset (s), stage (now), p_change, and p_<stage> at the horizon.

        Args:
            horizon: Seconds ahead, one of `horizons`.

        Raises:
            SharpwaveError: If it is not.
        """
        if horizon not in self.horizons:
            raise SharpwaveError(
                f"a horizon of {', '.join(f'{h:g}' for h in self.horizons)} s",
                got=f"{horizon:g} s",
                fix="choose one of these",
            )
        column = self.horizons.index(horizon)
        frame = pd.DataFrame(
            {
                "onset": self.hypnogram.onsets,
                "stage": self.hypnogram.labels,
                "p_change": self.change[:, column],
                **{f"p_{name}": self.destination[:, column, code] for code, name in enumerate(STAGE_SETS[N_STAGES])},
            }
        )
        frame.attrs.update(method=NAME, horizon=float(horizon))
        return frame


def run_brainmu(
    recording: Recording,
    model: BrainMu,
    *,
    calibration: Calibration | None = None,
    history: Hypnogram | None = None,
    modalities: Collection[str] | None = None,
    transitions: Float[np.ndarray, "stage stage"] | None = None,
    chunk: int = CHUNK,
) -> BrainMuPrediction:
    """Stages and forecasts of a night, from any of the modalities that the model knows.

    Signals are read, cut into epochs and passed through the model a stretch at a time, so a week takes no more memory
    than a night. Everything at a step comes from that step and the past, except the hypnogram if `transitions` are
    given.

    Args:
        recording: Its own hypnogram is not looked at. Its channels are picked and scaled by `prepare_signals`.
        model: Ready for use.
        calibration: How the model's logits become probabilities; as they are where omitted.
        history: Stages that the model may see, each when its epoch has ended: an expert's, or another stager's.
            Without them it reads the signals alone.
        modalities: Those to use; all that there are where omitted.
        transitions: Probability of the next stage (column) given this one (row), as in whole nights; the hypnogram is
            then smoothed forward and backward over them, as far as the recording is a whole night (`weigh_night`).
        chunk: Steps at once.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has nothing that the model knows.
    """
    said = pass_recording(recording, model, history=history, modalities=modalities, chunk=chunk)
    calibration = calibration or Calibration()
    stages = _where(said.known, calibration.stages(said.stage))
    smoothed = stages
    share = weigh_night(float(said.known.sum()) * said.grid.step)
    if transitions is not None and share > 0:
        smoothed = (1 - share) * stages + share * smooth_stages(stages, transitions)
    return BrainMuPrediction(
        grid=said.grid,
        hypnogram=_to_hypnogram(smoothed, said.known, said.grid),
        stages=stages,
        change=_where(said.known, calibration.changes(said.change)),
        destination=_where(said.known, Calibration().stages(said.destination)),
        depth=_where(said.known, said.depth),
        horizons=model.config.horizons,
        present=said.present,
    )


def weigh_night(seconds: float) -> float:
    """How far a recording is a whole night, from 0 (a fragment) to 1.

    Args:
        seconds: Length of what was recorded.

    >>> weigh_night(1800.0), weigh_night(3.5 * 3600), weigh_night(8 * 3600.0)
    (0.0, 0.5, 1.0)
    """
    return float(np.clip((seconds - FRAGMENT) / (WHOLE - FRAGMENT), 0.0, 1.0))


def smooth_stages(
    probabilities: Float[np.ndarray, "step stage"],
    transitions: Float[np.ndarray, "stage stage"],
    *,
    weight: float = SMOOTHING,
) -> Float[np.ndarray, "step stage"]:
    """Posterior of each stage given the whole night; the chain's stationary distribution is taken for the prior."""
    values, vectors = np.linalg.eig(np.asarray(transitions, dtype=float).T)
    prior = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    return smooth_probabilities(
        probabilities, transitions=np.asarray(transitions), prior=prior / prior.sum(), weight=weight
    )


def _where(known: Bool[np.ndarray, " step"], values: np.ndarray) -> np.ndarray:
    return np.where(known.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _to_hypnogram(probabilities: np.ndarray, known: np.ndarray, grid: EpochGrid) -> Hypnogram:
    likeliest = np.nan_to_num(probabilities).argmax(axis=1)
    return Hypnogram(
        np.where(known, likeliest, UNSCORED).astype(np.int8),
        grid.step,
        start=grid.start,
        probabilities=_where(known, probabilities),
        scorer=NAME,
    )


@dataclass(frozen=True, eq=False)
class RecordingReadout:
    """What the heads said at the end of each step, from that step and those before it.

    Attributes:
        grid: Steps in time.
        stage: Logits, shape (step, stage).
        change: Logits, shape (step, horizon).
        destination: Logits, shape (step, horizon, stage).
        depth: Slow-wave power, shape (step,).
        present: Share of the steps in which each modality had data, by name.
        known: Steps in which any modality had data, shape (step,).
    """

    grid: EpochGrid
    stage: Float[np.ndarray, "step stage"]
    change: Float[np.ndarray, "step horizon"]
    destination: Float[np.ndarray, "step horizon stage"]
    depth: Float[np.ndarray, " step"]
    present: dict[str, float]
    known: np.ndarray


def pass_recording(
    recording: Recording,
    model: BrainMu,
    *,
    history: Hypnogram | None = None,
    modalities: Collection[str] | None = None,
    chunk: int = CHUNK,
) -> RecordingReadout:
    """Cut a recording into epochs and pass it through the model, `chunk` steps at a time.

    Args:
        recording: Signals may lie on disk. Its own hypnogram is not looked at.
        model: Ready for use.
        history: Stages that the model may see, each as soon as its epoch has ended; without them it reads signals only.
        modalities: Those to use; all that the recording has and the model knows where omitted.
        chunk: More needs more memory and gives the same numbers.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has nothing that the model knows.
    """
    recording = prepare_signals(replace(recording, hypnogram=history))
    wanted = [name for name in model.config.modalities if modalities is None or name in modalities]
    grid = make_epoch_grid(recording, step=model.config.step)
    readouts: list[Readout] = []
    caches, seen, known = None, dict.fromkeys(wanted, 0), []
    for part, tokens in read_ahead(encode_parts(model, iter_epochs(recording, grid, wanted, chunk=chunk))):
        with torch.inference_mode():
            output = model.predict(tokens, caches)
        caches = output.caches
        readouts.append(output.readout)
        there = {name: epochs.present.any(axis=1) for name, epochs in part.epochs.items()}
        for name, rows in there.items():
            seen[name] += int(rows.sum())
        known.append(np.any([np.zeros(len(part), dtype=bool), *there.values()], axis=0))
    if not any(seen.values()):
        raise SharpwaveError(
            f"a recording with data of one of {', '.join(wanted)}",
            got=", ".join(recording.modalities) or "no signals",
            fix="name the channels so that they are recognised (`sharpwave decode --channels`)",
        )
    stage, change, destination, depth = (
        torch.cat([getattr(readout, name)[0] for readout in readouts]).numpy()
        for name in ("stage", "change", "destination", "depth")
    )
    present = {name: count / len(grid) for name, count in seen.items() if count}
    return RecordingReadout(grid, stage, change, destination, depth, present, np.concatenate(known))


def iter_epochs(
    recording: Recording, grid: EpochGrid, modalities: Collection[str], *, chunk: int = CHUNK
) -> Iterator[EpochedRecording]:
    """The epochs of a recording, `chunk` steps at a time, as `epoch_recording` would cut them at once."""
    past: dict[str, Any] = {}
    for first in range(0, len(grid), chunk):
        part = grid.restrict(first, min(first + chunk, len(grid)))
        epochs: dict[str, ModalityEpochs] = {}
        for name in modalities:
            measured = ENCODERS[name].measure(recording, part)
            if measured is not None:
                epochs[name], past[name] = ENCODERS[name].normalise(measured, past.get(name))
        unknown = np.full(len(part), UNSCORED, dtype=np.int8), np.zeros((len(part), N_STAGES), dtype=np.float32)
        yield EpochedRecording(part, epochs, *unknown, subject=recording.subject, lights_off=find_lights_off(recording))


def encode_parts(model: BrainMu, parts: Iterable[EpochedRecording]) -> Iterator[tuple[EpochedRecording, Tokens]]:
    """Each part with its tokens, which need none of the parts before it."""
    for part in parts:
        with torch.inference_mode():
            tokens = model.encode(collate([part]))
        yield part, tokens


def read_ahead(parts: Iterator[T]) -> Iterator[T]:
    """The same parts; while one is used, the next is made in another thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, parts, None)
        while (part := coming.result()) is not None:
            coming = pool.submit(next, parts, None)
            yield part


__getattr__ = moved.rename(
    __name__,
    {
        "BrainMuNight": "BrainMuPrediction",
        "NightPass": "RecordingReadout",
        "iter_windows": "iter_epochs",
    },
)
