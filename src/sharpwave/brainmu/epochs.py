"""A recording cut into epochs of equal length, each of which becomes one token; and several of them as a batch."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sharpwave import moved
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import find_lights_off, prepare_signals, tell_time

N_STAGES = 5
N_IDENTITIES = 512
"""Identities that channels can have; 0 is unknown."""
STEP = 30.0
"""Seconds between forecasts, and the length of a token."""


@dataclass(frozen=True)
class EpochGrid:
    """Steps of equal length: step k covers [start + k·step, start + (k + 1)·step).

    Attributes:
        start: Start of the first step, in seconds from the start of the recording.
        step: Length of a step in seconds.
        n_steps: Number of steps.
    """

    start: float
    step: float
    n_steps: int

    def __len__(self) -> int:
        return self.n_steps

    @property
    def ends(self) -> Float[np.ndarray, " step"]:
        """End of each step in seconds: the time from which all it holds is known."""
        return self.start + self.step * np.arange(1, self.n_steps + 1, dtype=np.float64)

    def restrict(self, first: int, last: int) -> EpochGrid:
        """Steps first to last (excluded)."""
        return EpochGrid(self.start + first * self.step, self.step, last - first)


@dataclass(frozen=True, eq=False)
class ModalityEpochs:
    """One modality of one recording, step by step.

    Attributes:
        values: What its encoder takes, shape (step, channel, ...); zero where absent.
        present: Whether a channel has data in a step, shape (step, channel).
        channels: Name of each channel.
    """

    values: np.ndarray
    present: Bool[np.ndarray, "step channel"]
    channels: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.shape[:2] != self.present.shape or self.present.shape[1] != len(self.channels):
            raise SharpwaveError(
                "values (step, channel, ...), present (step, channel) and a name per channel",
                got=f"{self.values.shape}, {self.present.shape} and {len(self.channels)} names",
                fix="an encoder's `cut` must return all three with the same first two axes",
            )
        if not np.isfinite(self.values).all():
            raise SharpwaveError(
                "finite values",
                got="NaN or infinity",
                fix="set values to 0 and present to False where data are missing",
            )

    def restrict(self, first: int, last: int) -> Self:
        """Steps first to last (excluded)."""
        return replace(self, values=self.values[first:last], present=self.present[first:last])


@dataclass(frozen=True, eq=False)
class EpochedRecording:
    """A recording as the model sees it, and the labels that it is trained or judged with.

    Attributes:
        grid: Steps in time.
        epochs: Epochs by modality.
        stages: Stage codes on the grid among `n_stages`, -1 where unknown, shape (step,).
        votes: Probability of each of the five stages; where fewer were scored, of those in the first columns.
        n_stages: 2 to 5; see `sharpwave.recordings.hypnogram.STAGE_SETS`.
        scorable: Stages that the labelled steps can have at all: in some cohorts signals exist for some stages only.
        cohort: Name of the cohort that the recording is from.
        subject: Name of the sleeper.
        repairs: What was changed in the recording, one sentence each.
        lights_off: When the night began, in seconds on the grid's clock; None where nobody knows.
    """

    grid: EpochGrid
    epochs: Mapping[str, ModalityEpochs]
    stages: Int[np.ndarray, " step"]
    votes: Float[np.ndarray, "step stage"]
    n_stages: int = N_STAGES
    scorable: tuple[int, ...] | None = None
    cohort: str = ""
    subject: str = "unknown"
    repairs: tuple[str, ...] = ()
    lights_off: float | None = None

    def __len__(self) -> int:
        return len(self.grid)

    @property
    def windows(self) -> Mapping[str, ModalityEpochs]:
        """Old name of `epochs`."""
        moved.warn("EpochedRecording.windows", "epochs")
        return self.epochs

    def restrict(self, first: int, last: int) -> Self:
        """Steps first to last (excluded)."""
        return replace(
            self,
            grid=self.grid.restrict(first, last),
            epochs={name: epochs.restrict(first, last) for name, epochs in self.epochs.items()},
            stages=self.stages[first:last],
            votes=self.votes[first:last],
        )

    def only(self, modalities: Collection[str]) -> Self:
        """The same with these modalities alone."""
        return replace(self, epochs={name: self.epochs[name] for name in self.epochs if name in modalities})


def make_epoch_grid(recording: Recording, *, step: float = STEP) -> EpochGrid:
    """The whole steps of a recording; those of its stages where it has nothing else.

    Raises:
        SharpwaveError: If the recording is shorter than a step.
    """
    hypnogram = recording.hypnogram
    start = hypnogram.start if hypnogram is not None and not recording.signals else 0.0
    grid = EpochGrid(start, step, int((recording.duration - start + 1e-6) // step))
    if len(grid) == 0:
        raise SharpwaveError(
            f"a recording of at least one step of {step:g} s",
            got=f"{recording.duration:g} s",
            fix="choose a shorter step, or a longer recording",
        )
    return grid


def align_stages(
    hypnogram: Hypnogram | None, grid: EpochGrid, *, ended: bool = False
) -> tuple[np.ndarray, np.ndarray, int]:
    """Stage codes (step,), votes (step, 5) and number of stages on a grid; -1 and 0 where unknown.

    A step has the stage at its middle; with `ended`, that of the last epoch which has ended with the step, if the epoch
    at its middle has not.
    """
    stages = np.full(len(grid), UNSCORED, dtype=np.int8)
    votes = np.zeros((len(grid), N_STAGES), dtype=np.float32)
    if hypnogram is None or len(hypnogram) == 0:
        return stages, votes, N_STAGES
    middles = grid.ends - grid.step / 2
    index = np.floor((middles - hypnogram.start) / hypnogram.epoch_length + 1e-9).astype(int)
    if ended:
        finished = np.floor((grid.ends - hypnogram.start) / hypnogram.epoch_length + 1e-6).astype(int) - 1
        index = np.minimum(index, finished)
    inside = (index >= 0) & (index < len(hypnogram))
    stages[inside] = np.asarray(hypnogram.stages)[index[inside]]
    known = stages >= 0
    if hypnogram.probabilities is None:
        votes[known, stages[known]] = 1.0
    else:
        rows = np.nan_to_num(np.asarray(hypnogram.probabilities)[index[known]])
        votes[known, : hypnogram.n_stages] = rows
    return stages, votes, hypnogram.n_stages


@dataclass(frozen=True, eq=False)
class ModalityBatch:
    """One modality of a batch.

    Attributes:
        values: What the encoder takes, shape (batch, token, channel, ...); zero where absent.
        times: Time from which each token is known, in seconds, float64, shape (batch, token).
        present: Which channels have data, shape (batch, token, channel).
        identity: Identity of each channel, shape (batch, channel); 0 is unknown.
    """

    values: Float[Tensor, "batch token channel *rest"]
    times: Float[Tensor, "batch token"]
    present: Bool[Tensor, "batch token channel"]
    identity: Int[Tensor, "batch channel"]

    def to(self, device: torch.device | str) -> ModalityBatch:
        return ModalityBatch(*(getattr(self, name).to(device) for name in ("values", "times", "present", "identity")))

    @property
    def any_present(self) -> Bool[Tensor, "batch token"]:
        """Tokens with at least one channel."""
        return self.present.any(dim=2)


def identify_channels(names: Sequence[str]) -> Int[np.ndarray, " channel"]:
    """A number from 1 to `N_IDENTITIES` - 1 per channel name, the same on every machine (CRC-32)."""
    return np.array([1 + zlib.crc32(name.lower().encode()) % (N_IDENTITIES - 1) for name in names], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Batch:
    """Several crops of recordings.

    Attributes:
        modalities: Tensors of each modality, by name.
        times: Time of each step's end in seconds, float64, shape (batch, step).
        valid: Steps that are not padding.
        stages: Stage codes among five, -1 where unknown or coarser than five, shape (batch, step).
        votes: Votes per stage, zeros where unknown.
        coarse: Which of the five stages each scored stage may be, shape (batch, stage, fine); identity for five.
        scorable: Stages that can be labelled at all, shape (batch, fine).
        clock: Seconds since lights off at each step's end, NaN where not known; None where it is known of no crop.
    """

    modalities: Mapping[str, ModalityBatch]
    times: Float[Tensor, "batch step"]
    valid: Bool[Tensor, "batch step"]
    stages: Int[Tensor, "batch step"]
    votes: Float[Tensor, "batch step stage"]
    coarse: Float[Tensor, "batch stage fine"]
    scorable: Bool[Tensor, "batch fine"]
    clock: Float[Tensor, "batch step"] | None = None

    def to(self, device: torch.device | str) -> Batch:
        names = ("times", "valid", "stages", "votes", "coarse", "scorable")
        clock = None if self.clock is None else self.clock.to(device)
        modalities = {name: part.to(device) for name, part in self.modalities.items()}
        return Batch(modalities, **{name: getattr(self, name).to(device) for name in names}, clock=clock)


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


def epoch_recording(
    recording: Recording,
    *,
    step: float = STEP,
    modalities: Collection[str] | None = None,
    scorable: tuple[int, ...] | None = None,
    cohort: str = "",
    every_channel: bool = False,
) -> EpochedRecording:
    """Cut a recording into steps: every modality that an encoder serves, and the stages, as `sharpwave decode` does.

    Nothing is padded: the last, incomplete step is left out, and what is missing is declared absent. Channels are
    picked and scaled by `prepare_signals`; `repairs` says what was changed.

    Args:
        recording: Signals may lie on disk; they are read a part at a time.
        step: Length of a step in seconds.
        modalities: Keys of `ENCODERS` to cut; all where omitted. "stages" is the stage history.
        scorable: Stages that can be labelled at all, shape (batch, fine); all where signals exist if None.
        cohort: Name of the cohort, kept with the result.
        every_channel: Keep electrical channels that were not picked as well, as in training; dropped by default.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has none of the modalities.

    Example:
        >>> import numpy as np
        >>> from sharpwave.recordings.modality import MODALITIES
        >>> from sharpwave.recordings.recording import Signal
        >>> pulse = Signal("pulse", np.full(300, 60.0), 1.0, MODALITIES["heart_rate"])
        >>> night = epoch_recording(Recording(signals={"pulse": pulse}))
        >>> len(night), night.epochs["heart_rate"].values.shape
        (10, (10, 1, 10))
    """
    recording = prepare_signals(recording, every_channel=every_channel)
    grid = make_epoch_grid(recording, step=step)
    wanted = ENCODERS if modalities is None else {name: ENCODERS[name] for name in modalities}
    epochs = {name: cut for name, one in wanted.items() if (cut := one.cut(recording, grid)) is not None}
    if not epochs:
        raise SharpwaveError(
            f"a recording with one of {', '.join(wanted)}",
            got=f"{', '.join(recording.modalities) or 'no signals'}",
            fix="name the channels so that they are recognised (`sharpwave decode --channels`)",
        )
    stages, votes, n_stages = align_stages(recording.hypnogram, grid)
    return EpochedRecording(
        grid=grid,
        epochs=epochs,
        stages=stages,
        votes=votes,
        n_stages=n_stages,
        scorable=scorable,
        cohort=cohort,
        subject=recording.subject,
        repairs=recording.repairs,
        lights_off=find_lights_off(recording),
    )


@moved.rename_keywords(pieces="crops")
def collate(crops: Sequence[EpochedRecording]) -> Batch:
    """Stack crops; shorter ones, missing modalities and missing channels are absent, which attention never sees.

    Args:
        crops: Recordings in epochs, whole or in part.

    Example:
        >>> import numpy as np
        >>> from sharpwave.recordings.modality import MODALITIES
        >>> from sharpwave.recordings.recording import Signal
        >>> pulse = Signal("pulse", np.full(300, 60.0), 1.0, MODALITIES["heart_rate"])
        >>> night = epoch_recording(Recording(signals={"pulse": pulse}))
        >>> batch = collate([night, night.restrict(0, 4)])
        >>> batch.valid.sum(dim=1).tolist()
        [10, 4]
    """
    n_steps = max(len(crop) for crop in crops)
    names = dict.fromkeys(name for crop in crops for name in crop.epochs)
    return Batch(
        modalities={name: _stack(crops, name, n_steps) for name in names},
        times=torch.from_numpy(np.stack([_times(crop, n_steps) for crop in crops])),
        valid=torch.from_numpy(np.stack([np.arange(n_steps) < len(crop) for crop in crops])),
        stages=torch.from_numpy(np.stack([_pad(crop.stages, n_steps, -1) for crop in crops]).astype(np.int64)),
        votes=torch.from_numpy(np.stack([_pad(crop.votes, n_steps, 0) for crop in crops]).astype(np.float32)),
        coarse=torch.from_numpy(np.stack([map_stages(crop.n_stages) for crop in crops])),
        scorable=torch.from_numpy(np.stack([_scorable(crop) for crop in crops])),
        clock=_clock(crops, n_steps),
    )


def _clock(crops: Sequence[EpochedRecording], n_steps: int) -> Tensor | None:
    rows = [tell_time(_times(crop, n_steps), crop.lights_off) for crop in crops]
    return None if all(crop.lights_off is None for crop in crops) else torch.from_numpy(np.stack(rows))


def _stack(crops: Sequence[EpochedRecording], name: str, n_steps: int) -> ModalityBatch:
    some = next(crop.epochs[name] for crop in crops if name in crop.epochs)
    n_channels = max(len(crop.epochs[name].channels) for crop in crops if name in crop.epochs)
    values = np.zeros((len(crops), n_steps, n_channels, *some.values.shape[2:]), dtype=np.float32)
    present = np.zeros((len(crops), n_steps, n_channels), dtype=bool)
    identity = np.zeros((len(crops), n_channels), dtype=np.int64)
    for row, crop in enumerate(crops):
        if name in crop.epochs:
            epochs = crop.epochs[name]
            steps, channels = epochs.present.shape
            values[row, :steps, :channels] = epochs.values
            present[row, :steps, :channels] = epochs.present
            identity[row, :channels] = identify_channels(epochs.channels)
    times = np.stack([_times(crop, n_steps) for crop in crops])
    return ModalityBatch(*(torch.from_numpy(array) for array in (values, times, present, identity)))


def _times(crop: EpochedRecording, n_steps: int) -> np.ndarray:
    return crop.grid.start + crop.grid.step * np.arange(1, n_steps + 1, dtype=np.float64)


def _pad(values: np.ndarray, n_steps: int, fill: float) -> np.ndarray:
    missing = n_steps - len(values)
    return np.concatenate([values, np.full((missing, *values.shape[1:]), fill, dtype=values.dtype)])


def _scorable(crop: EpochedRecording) -> np.ndarray:
    allowed = range(N_STAGES) if crop.scorable is None else crop.scorable
    return np.isin(np.arange(N_STAGES), list(allowed))


__getattr__ = moved.rename(
    __name__,
    {
        "Grid": "EpochGrid",
        "Windows": "ModalityEpochs",
        "WindowedRecording": "EpochedRecording",
        "make_grid": "make_epoch_grid",
        "window_recording": "epoch_recording",
    },
)
