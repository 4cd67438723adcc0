"""A whole recording through the model, a stretch at a time: memory does not grow with the recording's length."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from sharpwave.brainmu.batches import collate
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.heads import Readout
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.windows import N_STAGES, UNSCORED, Grid, WindowedRecording, Windows, make_grid
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording

CHUNK = 64
"""Steps that go through the model at once."""


@dataclass(frozen=True, eq=False)
class NightPass:
    """What the heads said at the end of each step, from that step and those before it.

    Attributes:
        grid: When each step is.
        stage: Logits, shape (step, stage).
        change: Logits, shape (step, horizon).
        destination: Logits, shape (step, horizon, stage).
        depth: Slow-wave power, shape (step,).
        present: Share of the steps in which each modality had data, by name.
        known: Steps in which any modality had data, shape (step,).
    """

    grid: Grid
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
) -> NightPass:
    """Window a recording and pass it through the model, `chunk` steps at a time.

    Args:
        recording: Signals may lie on disk. Its own hypnogram is not looked at.
        model: Ready for use.
        history: Stages that the model may see, each as soon as its epoch has ended; without them it reads signals only.
        modalities: Those to use; all that the recording has and the model knows where omitted.
        chunk: More needs more memory and gives the same numbers.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has nothing that the model knows.
    """
    recording = replace(recording, hypnogram=history)
    wanted = [name for name in model.config.modalities if modalities is None or name in modalities]
    grid = make_grid(recording, step=model.config.step)
    readouts: list[Readout] = []
    caches, seen, known = None, dict.fromkeys(wanted, 0), []
    for piece in read_ahead(iter_windows(recording, grid, wanted, chunk=chunk)):
        with torch.inference_mode():
            output = model(collate([piece]), caches)
        caches = output.caches
        readouts.append(output.readout)
        there = {name: windows.present.any(axis=1) for name, windows in piece.windows.items()}
        for name, rows in there.items():
            seen[name] += int(rows.sum())
        known.append(np.any([np.zeros(len(piece), dtype=bool), *there.values()], axis=0))
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
    return NightPass(grid, stage, change, destination, depth, present, np.concatenate(known))


def iter_windows(
    recording: Recording, grid: Grid, modalities: Collection[str], *, chunk: int = CHUNK
) -> Iterator[WindowedRecording]:
    """The windows of a recording, `chunk` steps at a time, as `window_recording` would cut them at once."""
    past: dict[str, Any] = {}
    for first in range(0, len(grid), chunk):
        part = grid.restrict(first, min(first + chunk, len(grid)))
        windows: dict[str, Windows] = {}
        for name in modalities:
            measured = ENCODERS[name].measure(recording, part)
            if measured is not None:
                windows[name], past[name] = ENCODERS[name].relate(measured, past.get(name))
        unknown = np.full(len(part), UNSCORED, dtype=np.int8), np.zeros((len(part), N_STAGES), dtype=np.float32)
        yield WindowedRecording(part, windows, *unknown, subject=recording.subject)


def read_ahead(pieces: Iterator[WindowedRecording]) -> Iterator[WindowedRecording]:
    """The same pieces; while one is used, the next is made in another thread."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece
