"""Windowed recordings as tensors: padded to one shape, with what is padding declared absent."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.contract import ModalityBatch, identify_channels
from sharpwave.brainmu.windows import N_STAGES, STEP, WindowedRecording, align_stages, make_grid
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.recording import Recording


@dataclass(frozen=True, eq=False)
class Batch:
    """Several pieces of recordings.

    Attributes:
        modalities: By name.
        times: Time of each step's end in seconds, float64, shape (batch, step).
        valid: Steps that are not padding.
        stages: Stage codes among five, -1 where unknown or coarser than five, shape (batch, step).
        votes: Votes per stage, zeros where unknown.
        coarse: Which of the five stages each scored stage may be, shape (batch, stage, fine); identity for five.
        scorable: Stages that can be labelled at all, shape (batch, fine).
    """

    modalities: Mapping[str, ModalityBatch]
    times: Float[Tensor, "batch step"]
    valid: Bool[Tensor, "batch step"]
    stages: Int[Tensor, "batch step"]
    votes: Float[Tensor, "batch step stage"]
    coarse: Float[Tensor, "batch stage fine"]
    scorable: Bool[Tensor, "batch fine"]

    def to(self, device: torch.device | str) -> Batch:
        return Batch(
            {name: part.to(device) for name, part in self.modalities.items()},
            *(getattr(self, name).to(device) for name in ("times", "valid", "stages", "votes", "coarse", "scorable")),
        )


_FINE: dict[int, tuple[tuple[int, ...], ...]] = {
    2: ((0,), (1, 2, 3, 4)),
    3: ((0,), (1, 2, 3), (4,)),
    4: ((0,), (1, 2), (3,), (4,)),
    5: ((0,), (1,), (2,), (3,), (4,)),
}


def map_stages(n_stages: int) -> Float[np.ndarray, "stage fine"]:
    """Which of five stages each of `n_stages` may be."""
    out = np.zeros((N_STAGES, N_STAGES), dtype=np.float32)
    for row, members in enumerate(_FINE[n_stages]):
        out[row, list(members)] = 1
    return out


def window_recording(
    recording: Recording,
    *,
    step: float = STEP,
    modalities: Collection[str] | None = None,
    scorable: tuple[int, ...] | None = None,
    cohort: str = "",
) -> WindowedRecording:
    """Cut a recording into steps: every modality that an encoder serves, and the stages.

    Nothing is padded: the last, incomplete step is left out, and what is missing is declared absent.

    Args:
        recording: Signals may lie on disk; they are read piece by piece.
        step: Length of a step in seconds.
        modalities: Keys of `ENCODERS` to cut; all where omitted. "stages" is the stage history.
        scorable: Stages that can be labelled at all where signals exist, if not all.
        cohort: Kept with the result.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has none of the modalities.
    """
    grid = make_grid(recording, step=step)
    wanted = ENCODERS if modalities is None else {name: ENCODERS[name] for name in modalities}
    windows = {name: cut for name, kind in wanted.items() if (cut := kind.cut(recording, grid)) is not None}
    if not windows:
        raise SharpwaveError(
            f"a recording with one of {', '.join(wanted)}",
            got=f"{', '.join(recording.modalities) or 'no signals'}",
            fix="name the channels so that they are recognised (`sharpwave decode --channels`)",
        )
    stages, votes, n_stages = align_stages(recording.hypnogram, grid)
    return WindowedRecording(
        grid=grid,
        windows=windows,
        stages=stages,
        votes=votes,
        n_stages=n_stages,
        scorable=scorable,
        cohort=cohort,
        subject=recording.subject,
    )


def collate(pieces: Sequence[WindowedRecording]) -> Batch:
    """Stack pieces; shorter ones, missing modalities and missing channels are absent, which attention never sees."""
    n_steps = max(len(piece) for piece in pieces)
    names = dict.fromkeys(name for piece in pieces for name in piece.windows)
    return Batch(
        modalities={name: _stack(pieces, name, n_steps) for name in names},
        times=torch.from_numpy(np.stack([_times(piece, n_steps) for piece in pieces])),
        valid=torch.from_numpy(np.stack([np.arange(n_steps) < len(piece) for piece in pieces])),
        stages=torch.from_numpy(np.stack([_pad(piece.stages, n_steps, -1) for piece in pieces]).astype(np.int64)),
        votes=torch.from_numpy(np.stack([_pad(piece.votes, n_steps, 0) for piece in pieces]).astype(np.float32)),
        coarse=torch.from_numpy(np.stack([map_stages(piece.n_stages) for piece in pieces])),
        scorable=torch.from_numpy(np.stack([_scorable(piece) for piece in pieces])),
    )


def _stack(pieces: Sequence[WindowedRecording], name: str, n_steps: int) -> ModalityBatch:
    some = next(piece.windows[name] for piece in pieces if name in piece.windows)
    n_channels = max(len(piece.windows[name].channels) for piece in pieces if name in piece.windows)
    values = np.zeros((len(pieces), n_steps, n_channels, *some.values.shape[2:]), dtype=np.float32)
    present = np.zeros((len(pieces), n_steps, n_channels), dtype=bool)
    identity = np.zeros((len(pieces), n_channels), dtype=np.int64)
    for row, piece in enumerate(pieces):
        if name in piece.windows:
            windows = piece.windows[name]
            steps, channels = windows.present.shape
            values[row, :steps, :channels] = windows.values
            present[row, :steps, :channels] = windows.present
            identity[row, :channels] = identify_channels(windows.channels)
    times = np.stack([_times(piece, n_steps) for piece in pieces])
    return ModalityBatch(*(torch.from_numpy(array) for array in (values, times, present, identity)))


def _times(piece: WindowedRecording, n_steps: int) -> np.ndarray:
    return piece.grid.start + piece.grid.step * np.arange(1, n_steps + 1, dtype=np.float64)


def _pad(values: np.ndarray, n_steps: int, fill: float) -> np.ndarray:
    missing = n_steps - len(values)
    return np.concatenate([values, np.full((missing, *values.shape[1:]), fill, dtype=values.dtype)])


def _scorable(piece: WindowedRecording) -> np.ndarray:
    allowed = range(N_STAGES) if piece.scorable is None else piece.scorable
    return np.isin(np.arange(N_STAGES), list(allowed))
