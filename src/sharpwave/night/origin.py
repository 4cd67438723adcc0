"""A night begins at 0: recordings whose times begin below are moved there whole, and it is said.

Sessions in which 0 is the start of an experiment have sleep before it; epochs and tables of a night count from 0.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.recordings import Recording, Signal

if TYPE_CHECKING:
    import pynapple as nap

LEAST = 0.5
"""Seconds below 0 that are left as they are."""

OBSERVED = "obs_intervals"


def begin_at_zero(recording: Recording) -> Recording:
    """The recording with all times later, where electrical signals begin below 0, so that the earliest begins at 0.

    Args:
        recording: The recording; its clock time of 0 moves with it.

    Returns:
        The recording; as it was where nothing begins below 0. `metadata["clock_offset_s"]` holds what was taken off.

    >>> from sharpwave.recordings import MODALITIES
    >>> before = Signal("HIP", np.zeros(5000), 1000.0, MODALITIES["lfp"], start=-4.0)
    >>> moved = begin_at_zero(Recording(signals={"HIP": before}))
    >>> moved["HIP"].start, moved.duration
    (0.0, 5.0)
    """
    electrical = [signal for signal in recording.signals.values() if signal.modality.unit == "V"]
    starts = [signal.start if signal.times is None else float(signal.times[0]) for signal in electrical]
    first = min(starts, default=0.0)
    if first > -LEAST:
        return recording
    shift = -first
    hypnogram, events = recording.hypnogram, recording.events
    said = (
        f"times begin at {first:.6g} s; {shift:.6g} s were added to all, so that the recording begins at 0 "
        f"(and so are tables given beside it expected to count)"
    )
    return replace(
        recording,
        signals={name: _move(signal, shift) for name, signal in recording.signals.items()},
        spikes=None if recording.spikes is None else _move_spikes(recording.spikes, shift),
        hypnogram=None if hypnogram is None else replace(hypnogram, start=hypnogram.start + shift),
        events=events.assign(onset=events["onset"] + shift) if len(events) else events,
        start=None if recording.start is None else recording.start - timedelta(seconds=shift),
        repairs=(*recording.repairs, said),
        metadata={**recording.metadata, "clock_offset_s": recording.metadata.get("clock_offset_s", 0.0) - shift},
    )


def _move(signal: Signal, shift: float) -> Signal:
    times = None if signal.times is None else signal.times + shift
    return replace(signal, start=signal.start + shift, times=times)


def _move_spikes(spikes: nap.TsGroup, shift: float) -> nap.TsGroup:
    """The units later, with what is known of them."""
    import pynapple as nap

    support = nap.IntervalSet(spikes.time_support.start + shift, spikes.time_support.end + shift)
    metadata = {name: spikes.get_info(name).to_numpy() for name in spikes.metadata_columns if name != "rate"}
    if OBSERVED in metadata:
        moved = np.empty(len(spikes), dtype=object)
        for row, spans in enumerate(metadata[OBSERVED]):
            moved[row] = (np.asarray(spans, dtype=float) + shift).tolist()
        metadata[OBSERVED] = moved
    trains = {unit: nap.Ts(spikes[unit].t + shift, time_support=support) for unit in spikes}
    return nap.TsGroup(trains, time_support=support, metadata=metadata or None)
