"""A scoring beside the gaps of its recording: epochs that lie in a gap, and scorings that leave gaps out.

Some programs number only the epochs that were recorded. Laid down one after the other, all that follows a gap would be
too early by its length; where their number says so, they are laid over the gaps instead, and it is declared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int64

from sharpwave.recordings.annotations import is_lights, name_event
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram

Gaps = Sequence[tuple[float, float]]

NEAR = 0.5
"""Epochs by which a number of epochs may differ from what was recorded."""


SHORTEST_EPOCH = 4.0
"""Seconds; rows that lie closer are no epochs."""

PARTS = 30
"""Parts of an epoch that are looked at where epochs lie off the grid."""


@dataclass(frozen=True, eq=False)
class RecordedEpochs:
    """Where epochs that were numbered without the gaps lie in the time of the recording.

    Attributes:
        epoch: Length of an epoch in seconds.
        edges: Start and end of each recorded part in seconds, shape (part, 2).
        first: Number of the epoch, or part of one, that each recorded part begins with, shape (part,).
    """

    epoch: float
    edges: Float[np.ndarray, "part 2"]
    first: Float[np.ndarray, " part"]

    def place(self, times: Float[np.ndarray, " time"]) -> Float[np.ndarray, " time"]:
        """Times as the scoring counts them, in seconds from the start of the recording."""
        part = np.clip(np.searchsorted(self.first * self.epoch, times, side="right") - 1, 0, len(self.first) - 1)
        return self.edges[part, 0] + times - self.first[part] * self.epoch

    def locate(self, times: Float[np.ndarray, " time"]) -> Int64[np.ndarray, " time"]:
        """Number of the epoch at each time of the recording; -1 in a gap."""
        part = np.clip(np.searchsorted(self.edges[:, 0], times, side="right") - 1, 0, len(self.edges) - 1)
        number = self.first[part] + (times - self.edges[part, 0]) / self.epoch
        after = np.append(self.first[1:], np.inf)[part]
        return np.where((times < self.edges[part, 1]) & (number < after), number, -1).astype(np.int64)


def find_recorded_epochs(hypnogram: Hypnogram, gaps: Gaps, duration: float) -> RecordedEpochs | None:
    """Where the epochs lie, if the scoring is of the recorded epochs alone; None where it is of the whole time.

    Epochs run on over a gap where as many fit into all that was recorded; else they begin anew with each part.

    Args:
        hypnogram: A scoring that begins with the recording and has no times of its own, or times without holes.
        gaps: Start and end of each stretch in which nothing was recorded, in seconds.
        duration: Length of the recording with its gaps in seconds.

    >>> found = find_recorded_epochs(Hypnogram.from_labels(["W"] * 4), [(60.0, 660.0)], 720.0)
    >>> found.place(np.array([0.0, 30.0, 60.0, 90.0])).tolist(), found.locate(np.array([75.0, 670.0])).tolist()
    ([0.0, 30.0, 660.0, 690.0], [-1, 2])
    >>> find_recorded_epochs(Hypnogram.from_labels(["W"] * 24), [(60.0, 660.0)], 720.0) is None
    True
    """
    epoch, count = hypnogram.epoch_length, len(hypnogram)
    if not len(gaps) or hypnogram.start != 0 or not count:
        return None
    edges = np.array([0.0, *(edge for gap in gaps for edge in gap), duration]).reshape(-1, 2)
    edges = edges[edges[:, 1] > edges[:, 0]]
    lengths = edges[:, 1] - edges[:, 0]
    recorded = float(lengths.sum())
    if abs(count - duration / epoch) <= 1 or duration - recorded <= epoch:
        return None
    if abs(count - recorded / epoch) <= NEAR or count == np.ceil(recorded / epoch):
        return RecordedEpochs(epoch, edges, np.cumsum(np.r_[0.0, lengths[:-1]]) / epoch)
    for whole in (np.floor(lengths / epoch + 1e-6), np.ceil(lengths / epoch - 1e-6)):
        if count == whole.sum():
            return RecordedEpochs(epoch, edges, np.cumsum(np.r_[0.0, whole[:-1]]))
    return None


def lay_over_gaps(
    hypnogram: Hypnogram, found: RecordedEpochs, gaps: Gaps, duration: float
) -> tuple[Hypnogram, list[str]]:
    """The scoring on a grid of whole epochs over the recording with its gaps, and a sentence that says so.

    Args:
        hypnogram: The scoring of the recorded epochs.
        found: Where they lie.
        gaps: Start and end of each gap in seconds.
        duration: Length of the recording in seconds.

    >>> stages, gap = Hypnogram.from_labels(["W", "N1", "N2"]), [(60.0, 120.0)]
    >>> lay_over_gaps(stages, find_recorded_epochs(stages, gap, 150.0), gap, 150.0)[0].labels
    ['W', 'N1', '?', '?', 'N2']
    """
    epoch, length = hypnogram.epoch_length, int(duration / hypnogram.epoch_length + 1e-6)
    times = epoch * (np.arange(length)[:, None] + (np.arange(PARTS) + 0.5) / PARTS)
    there = found.locate(times.ravel()).reshape(times.shape)
    there[there >= len(hypnogram)] = -1
    counts = (there[:, :, None] == there[:, None, :]).sum(axis=2)
    source = np.take_along_axis(there, counts.argmax(axis=1)[:, None], axis=1)[:, 0]  # what most of it is
    stages = np.where(source >= 0, hypnogram.stages[source], UNSCORED).astype(hypnogram.stages.dtype)
    soft = hypnogram.probabilities
    if soft is not None:
        soft = np.where((source >= 0)[:, None], soft[source], np.nan)
    missing = sum(end - start for start, end in gaps)
    said = (
        f"the scoring has {len(hypnogram)} epochs, as many as were recorded: it was laid over the {len(gaps)} gap"
        f"{'s' if len(gaps) > 1 else ''} of {missing:.6g} s, so that what follows is at its own time"
    )
    starts = found.place(epoch * np.arange(len(hypnogram)))
    moved = float(np.abs(starts - epoch * np.rint(starts / epoch)).max())
    said += f" (within {moved:.3g} s, on a grid of {epoch:g} s)" if moved > 0.01 else ""
    return replace(hypnogram, stages=stages, probabilities=soft), [said]


def leave_gaps_unscored(hypnogram: Hypnogram, gaps: Gaps) -> tuple[Hypnogram, list[str]]:
    """The hypnogram without stages where more than half of an epoch lies in a gap of the recording.

    Args:
        hypnogram: The scoring, on the recording's clock.
        gaps: Start and end of each gap in seconds.

    >>> leave_gaps_unscored(Hypnogram.from_labels(["W", "W", "N1"]), [(25.0, 58.0)])[0].labels
    ['W', '?', 'N1']
    """
    if not len(gaps) or not len(hypnogram):
        return hypnogram, []
    begin = hypnogram.start + hypnogram.epoch_length * np.arange(len(hypnogram))
    empty = sum(
        np.clip(np.minimum(begin + hypnogram.epoch_length, end) - np.maximum(begin, start), 0, None)
        for start, end in gaps
    )
    scored = (hypnogram.stages != UNSCORED) & (empty > 0.5 * hypnogram.epoch_length)
    if not scored.any():
        return hypnogram, []
    stages = np.where(scored, UNSCORED, hypnogram.stages).astype(hypnogram.stages.dtype)
    emptied = replace(hypnogram, stages=stages)
    return emptied, [f"{scored.sum()} scored epochs lie in gaps of the recording and are unscored"]


def find_unknown_stages(labels: Sequence[str], kept: Sequence[int], seconds: Sequence[float]) -> list[int]:
    """Rows that stand in the list where an epoch should, under a label that is neither a stage nor an event.

    A label that is met twice or more, always an epoch or more from the stages before and after it, is a stage in words
    that are not known here: left out, the stage before it would seem to last.

    Args:
        labels: What each row says.
        kept: Rows that name a stage.
        seconds: Time of each row; NaN where there is none.

    >>> find_unknown_stages(["W", "dozing", "dozing", "N1", "N2"], [0, 3, 4], [0, 30, 60, 90, 120])
    [1, 2]
    """
    times = np.asarray(seconds, dtype=float)
    staged = np.unique(times[list(kept)])
    staged = staged[np.isfinite(staged)]
    steps = np.diff(staged)
    if not steps.size or steps.min() < SHORTEST_EPOCH:
        return []
    groups: dict[str, list[int]] = {}
    for row in sorted(set(range(len(labels))) - set(kept)):
        if labels[row] and np.isfinite(times[row]) and times[row] > staged[0]:
            groups.setdefault(labels[row], []).append(row)
    found: list[int] = []
    for label, rows in groups.items():
        place = np.searchsorted(staged, times[rows])
        after = np.append(staged, np.inf)[place] - times[rows]
        apart = min((times[rows] - staged[place - 1]).min(), after.min()) >= 0.99 * steps.min()
        if len(rows) > 1 and apart and not (name_event(label) or is_lights(label)):
            found += rows
    return sorted(found)


def add_unknown_stages(
    labels: Sequence[str], names: Sequence[str], kept: Sequence[int], seconds: Sequence[float]
) -> tuple[list[str], list[int], list[str]]:
    """Stage names and their rows, with those of `find_unknown_stages` as unscored, and a sentence on these."""
    unknown = find_unknown_stages(labels, kept, seconds)
    if not unknown:
        return list(names), list(kept), []
    strange = ", ".join(dict.fromkeys(labels[row] for row in unknown))
    staged = dict(zip(kept, names, strict=True)) | dict.fromkeys(unknown, "?")
    said = f"{len(unknown)} rows name no stage that is known ({strange[:80]}); unscored"
    return [staged[row] for row in sorted(staged)], sorted(staged), [said]
