"""Chunks of a recording as they arrive, joined on one clock; what is lost between them stays absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording, Signal


@dataclass(frozen=True, eq=False)
class Train:
    """Times of one unit's spikes in seconds."""

    t: Float[np.ndarray, " spike"]


@dataclass(frozen=True, eq=False)
class Support:
    """Where spikes were recorded, shape (interval, 2), in seconds."""

    values: Float[np.ndarray, "interval edge"]

    @property
    def end(self) -> Float[np.ndarray, " interval"]:
        return self.values[:, 1]


@dataclass(frozen=True, eq=False)
class Trains:
    """Spike trains read like a pynapple `TsGroup`, which takes longer to build than a step may last.

    Attributes:
        units: Train by unit.
        time_support: Where spikes were recorded.
    """

    units: Mapping[Any, Train]
    time_support: Support

    def __len__(self) -> int:
        return len(self.units)

    def __getitem__(self, unit: Any) -> Train:
        return self.units[unit]

    def keys(self) -> Sequence[Any]:
        return list(self.units)


def join_chunks(chunks: Sequence[Recording]) -> Recording:
    """One recording from chunks in the order of their arrival.

    Regular signals keep their clock; samples that no chunk holds are NaN. Later chunks win where two overlap.

    Raises:
        SharpwaveError: If chunks of a signal differ in rate or channels, or those of a hypnogram in their epochs.
    """
    signals: dict[str, list[Signal]] = {}
    for chunk in chunks:
        for name, signal in chunk.signals.items():
            signals.setdefault(name, []).append(signal)
    trains = [chunk.spikes for chunk in chunks if chunk.spikes is not None]
    hypnograms = [chunk.hypnogram for chunk in chunks if chunk.hypnogram is not None and len(chunk.hypnogram)]
    return replace(
        chunks[-1],
        signals={name: _join_signals(name, parts) for name, parts in signals.items()},
        spikes=cast(Any, _join_trains(trains)) if trains else None,
        hypnogram=_join_hypnograms(hypnograms) if hypnograms else None,
    )


def drop_before(recording: Recording, moment: float) -> Recording:
    """Without what no step that begins at `moment` or later needs."""
    signals = {name: _drop_samples(signal, moment) for name, signal in recording.signals.items()}
    spikes, hypnogram = recording.spikes, recording.hypnogram
    if spikes is not None:
        units = {unit: Train(spikes[unit].t[spikes[unit].t >= moment]) for unit in spikes.keys()}  # noqa: SIM118
        support = np.asarray(spikes.time_support.values)
        later = np.maximum(support, moment)[support[:, 1] >= moment]
        spikes = cast(Any, Trains(units, Support(later)))
    if hypnogram is not None:
        first = max(int((moment - hypnogram.start) // hypnogram.epoch_length) - 1, 0)
        probabilities = hypnogram.probabilities
        hypnogram = replace(
            hypnogram,
            stages=np.array(hypnogram.stages[first:]),
            start=hypnogram.start + first * hypnogram.epoch_length,
            probabilities=None if probabilities is None else probabilities[first:],
        )
    return replace(recording, signals=signals, spikes=spikes, hypnogram=hypnogram)


def _join_signals(name: str, parts: Sequence[Signal]) -> Signal:
    parts = [part for part in parts if len(part)] or parts[:1]
    first = parts[0]
    for part in parts[1:]:
        same = (part.rate, part.channels, part.modality.name, part.samples.shape[1:])
        if same != (first.rate, first.channels, first.modality.name, first.samples.shape[1:]):
            raise SharpwaveError(
                f"chunks of {name!r} at {first.rate:g} Hz with channels as before",
                got=f"{part.rate:g} Hz, shape {tuple(part.samples.shape)}",
                fix="start anew with `init_online` where the set-up changes",
            )
    if first.times is not None:
        times = np.concatenate([np.asarray(part.times) for part in parts])
        samples = np.concatenate([part.read() for part in parts])
        order = np.argsort(times, kind="stable")
        return replace(first, samples=samples[order], times=times[order], scale=1.0, offset=0.0)
    start = min(part.start for part in parts)
    rows = [round((part.start - start) * first.rate) for part in parts]
    length = max(row + len(part) for row, part in zip(rows, parts, strict=True))
    samples = np.full((length, *first.samples.shape[1:]), np.nan, dtype=np.float32)
    for row, part in zip(rows, parts, strict=True):
        samples[row : row + len(part)] = part.read()
    return replace(first, samples=samples, start=start, scale=1.0, offset=0.0)


def _join_trains(groups: Sequence[Any]) -> Trains:
    times: dict[Any, list[np.ndarray]] = {}
    for group in groups:
        trains = getattr(group, "data", group)
        for unit in group.keys():  # noqa: SIM118
            times.setdefault(unit, []).append(trains[unit].t)
    edges: list[list[float]] = []
    for low, high in sorted(tuple(row) for group in groups for row in np.asarray(group.time_support.values)):
        if edges and low <= edges[-1][1] + 1e-6:
            edges[-1][1] = max(edges[-1][1], high)
        else:
            edges.append([low, high])
    units = {unit: Train(np.sort(np.concatenate(parts))) for unit, parts in times.items()}
    return Trains(units, Support(np.array(edges, dtype=np.float64).reshape(-1, 2)))


def _join_hypnograms(parts: Sequence[Hypnogram]) -> Hypnogram:
    first = parts[0]
    length, start = first.epoch_length, min(part.start for part in parts)
    places = [(part.start - start) / length for part in parts]
    whole = all(abs(place - round(place)) < 1e-3 for place in places)
    if not whole or any((part.epoch_length, part.n_stages) != (length, first.n_stages) for part in parts):
        raise SharpwaveError(
            f"chunks of a hypnogram of {length:g} s epochs and {first.n_stages} stages, end to end",
            got="others",
            fix="resample or merge them first",
        )
    n_epochs = max(round(place) + len(part) for place, part in zip(places, parts, strict=True))
    stages = np.full(n_epochs, UNSCORED)
    votes = np.full((n_epochs, first.n_stages), np.nan)
    for place, part in zip(places, parts, strict=True):
        rows = slice(round(place), round(place) + len(part))
        stages[rows] = part.stages
        hard = np.where(np.asarray(part.stages)[:, None] == np.arange(first.n_stages), 1.0, 0.0)
        votes[rows] = hard if part.probabilities is None else part.probabilities
    votes[stages == UNSCORED] = np.nan
    return replace(first, stages=stages, start=start, probabilities=votes)


def _drop_samples(signal: Signal, moment: float) -> Signal:
    """Keeps a sample that stands for time after `moment`, and one more."""
    if signal.times is not None:
        low = int(np.searchsorted(signal.times, moment))
        return replace(signal, samples=signal.samples[low:], times=signal.times[low:])
    low = min(max(int(np.floor((moment - signal.start) * signal.rate)) - 1, 0), len(signal))
    return replace(signal, samples=signal.samples[low:], start=signal.start + low / signal.rate)
