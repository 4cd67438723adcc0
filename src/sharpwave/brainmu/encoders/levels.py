"""A channel's spectrum against its own level so far: gain, reference and filters then cancel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.windows import Windows


@dataclass(frozen=True, eq=False)
class Levels:
    """What is remembered of each channel.

    Attributes:
        channels: Names.
        counts: Steps with data, shape (channel,).
        sums: Sum over them of the mean log power in each band, shape (channel, band).
    """

    channels: tuple[str, ...]
    counts: Float[np.ndarray, " channel"]
    sums: Float[np.ndarray, "channel band"]

    def select(self, channels: Sequence[str]) -> Levels:
        """The same for these channels; those not met yet are empty."""
        at = {name: index for index, name in enumerate(self.channels)}
        rows = [at.get(name, -1) for name in channels]
        return Levels(
            tuple(channels), np.r_[self.counts, 0.0][rows], np.r_[self.sums, np.zeros_like(self.sums[:1])][rows]
        )


def relate_to_level(windows: Windows, past: Levels | None = None) -> tuple[Windows, Levels]:
    """Log power as it is, then less the channel's mean up to and including the step: twice as many bands.

    Args:
        windows: Shape (step, channel, frame, band); bands that the rate cannot carry are 0 and stay so.
        past: Of the steps before.
    """
    values, present, channels = windows.values, windows.present, windows.channels
    empty = Levels(channels, np.zeros(len(channels)), np.zeros((len(channels), values.shape[3])))
    before = empty if past is None else past.select(channels)
    means = values.mean(axis=2, dtype=np.float64) * present[..., None]
    counts = before.counts + np.cumsum(present, axis=0)
    sums = before.sums + np.cumsum(means, axis=0)
    level = (sums / np.maximum(counts, 1)[..., None]).astype(np.float32)
    relative = (values - level[:, :, None]) * present[..., None, None]
    last = Levels(channels, counts[-1], sums[-1]) if len(values) else before
    return Windows(np.concatenate([values, relative], axis=3), present, channels), last
