"""The channels of a modality under names that are unique, however many signals hold them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sharpwave.recordings.recording import Signal


def name_channels(signals: Mapping[str, Signal]) -> dict[str, tuple[str, ...]]:
    """Names of the channels of each signal; those that two signals share are told apart by the signal's name."""
    names = {key: _list_names(key, signal) for key, signal in signals.items()}
    often = Counter(name for group in names.values() for name in group)
    return {key: tuple(name if often[name] == 1 else f"{key} {name}" for name in group) for key, group in names.items()}


def split_channels(signals: Mapping[str, Signal]) -> dict[str, Signal]:
    """Signals of one channel each, unread where they lie on disk."""
    out = {}
    for key, names in name_channels(signals).items():
        signal = signals[key]
        if len(signal.samples.shape) == 1:
            out[names[0]] = signal
            continue
        for index, name in enumerate(names):
            out[name] = replace(signal, name=name, samples=Column(signal.samples, index), channels=())
    return out


@dataclass(frozen=True)
class Column:
    """One column of a table that may lie on disk."""

    table: Any
    index: int

    @property
    def shape(self) -> tuple[int]:
        return (self.table.shape[0],)

    @property
    def dtype(self) -> np.dtype:
        return np.dtype(self.table.dtype)

    def __getitem__(self, key: slice) -> np.ndarray:
        return np.asarray(self.table[key, self.index])


def _list_names(key: str, signal: Signal) -> tuple[str, ...]:
    if len(signal.samples.shape) == 1:
        return (key,)
    return signal.channels or tuple(f"{key} {index + 1}" for index in range(signal.samples.shape[1]))
