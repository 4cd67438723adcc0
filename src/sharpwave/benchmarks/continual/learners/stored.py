"""The store of every learner that has one: the same bytes, images in one byte a channel; and how much is drawn."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from sharpwave.benchmarks.continual.learners.contract import Setting
from sharpwave.consolidation import ReplayBuffer
from sharpwave.consolidation.batches import Batch

DRAWS = 2


def make_buffer(setting: Setting, generator: torch.Generator) -> ReplayBuffer:
    """A reservoir of the setting's bytes; images are stored as `uint8`."""
    return ReplayBuffer(n_bytes=setting.buffer_bytes, storage={"x": "uint8"}, generator=generator)


def count_draw(setting: Setting) -> int:
    """Samples in each of the `DRAWS` draws that make up the replay of one step."""
    return round(setting.replay * setting.batch / DRAWS)


def draw_replay(buffer: ReplayBuffer, setting: Setting) -> Iterator[Batch]:
    """The replay of one step; nothing while the buffer is empty."""
    for _ in range(DRAWS if len(buffer) else 0):
        yield buffer.sample(count_draw(setting))
