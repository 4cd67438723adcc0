"""Recordings from what is already in memory: arrays, MNE's `Raw`, pynapple's objects; named and checked as files are.

Nothing is copied where the caller's array can be used as it is. What a caller forgets most often (the rate, the unit,
the axis of time) is asked for in words, not by a `TypeError` from somewhere below.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.wearable_columns import INTERVAL_NAMES
from sharpwave.recordings.recording import Recording, Signal, empty_events

if TYPE_CHECKING:
    import mne
    import pynapple as nap

IRREGULAR = 0.01
"""Share of the median step by which steps may differ before a series counts as sampled irregularly."""


def from_arrays(
    signals: Mapping[str, np.ndarray] | np.ndarray,
    rate: float | Mapping[str, float] | None = None,
    *,
    unit: str | Mapping[str, str] | None = None,
    channels: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    hypnogram: Hypnogram | None = None,
    start: datetime | None = None,
    subject: str = "unknown",
    species: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Recording:
    """A recording from arrays in memory.

    Args:
        signals: Samples of each channel by its name, shape (time,); or one array of shape (time,), (channel, time) or
            (time, channel) together with `channels`.
        rate: Sampling rate in Hz, one for all channels or one for each by name.
        unit: Unit of the electrical channels ("uV", "mV", "V"), one for all or one for each by name. Other channels
            (heart rate in 1/min, acceleration in m/s2, oxygen in %) are taken in their SI unit unless named here.
        channels: Names of the channels of a single array, such as ["C4-M1", "EOG left"]. Names say what a channel is.
        aliases: What a channel is, where its name does not say so: name → "name:modality", such as
            {"Ch3": "C4-M1:eeg"}.
        hypnogram: Stages that are known; None where there are none.
        start: Clock time of the first sample; None where unknown.
        subject: Name of the subject; default "unknown".
        species: "human", "mouse" or "rat"; by default human where electrodes are named as on a human scalp.
        metadata: What else is known, such as {"age": 34, "sex": "F"}.

    Returns:
        The recording; its samples are the arrays given.

    Raises:
        SharpwaveError: If rate or unit is missing or impossible, names do not fit the array, or values are not finite
            numbers of a plausible size.

    >>> eeg = np.random.default_rng(0).normal(0, 20, 6000)
    >>> from_arrays({"C4-M1": eeg}, rate=100.0, unit="uV")
    <Recording 'arrays': 0.02 h; human; 1 eeg>
    """
    if rate is None:
        raise _explain_rate(signals)
    arrays = _name_channels(signals, channels)
    for name, array in arrays.items():
        _check_samples(name, array)
    identities = {name: recognise_channel(name, overrides=aliases) for name in arrays}
    units = {name: _choose_unit(name, identities[name].modality, unit) for name in arrays}
    raw = [RawChannel(name, array, _choose_rate(name, rate), units[name]) for name, array in arrays.items()]
    return _assemble(
        raw,
        aliases=aliases,
        hypnogram=hypnogram,
        start=start,
        subject=subject,
        species=species,
        source="arrays",
        metadata=dict(metadata or {}),
    )


def _explain_rate(signals: Mapping[str, np.ndarray] | np.ndarray) -> SharpwaveError:
    fix = "give rate= in Hz, such as rate=256.0"
    if isinstance(signals, Mapping) and any(INTERVAL_NAMES.search(str(name).lower()) for name in signals):
        fix = "write the intervals between heart beats into a file, one a line, and decode 'beats.txt'; else " + fix
    return SharpwaveError("a sampling rate for the arrays", got="none", fix=fix)


def from_mne(raw: mne.io.BaseRaw, *, hypnogram: Hypnogram | None = None, **known: Any) -> Recording:
    """A recording from MNE's `Raw`, in memory or on disk; its channel types count where a name does not say enough.

    Stages among its annotations ("Sleep stage N2") are taken as the expert's. Samples are read from `raw` when they are
    needed, so leave it as it is afterwards.

    Args:
        raw: The recording, as MNE has it (in V, which MNE's readers see to).
        hypnogram: Stages that are known, in place of those among the annotations; None to take these.
        known: `channels`, `overrides` and `unit` as in `read_recording`.

    Raises:
        SharpwaveError: If it is no `Raw`, or no channel of it can be used.

    >>> import mne
    >>> info = mne.create_info(["C4-M1"], 100.0, "eeg")
    >>> raw = mne.io.RawArray(np.random.default_rng(0).normal(0, 2e-5, (1, 6000)), info, verbose="error")
    >>> from_mne(raw)
    <Recording 'MNE Raw': 0.02 h; human; 1 eeg>
    """
    from sharpwave.recordings.readers import attach_hypnogram
    from sharpwave.recordings.readers.mne_reader import describe_raw

    if not is_raw(raw):
        raise SharpwaveError(
            "an MNE Raw object",
            got=f"{type(raw).__module__}.{type(raw).__name__}",
            fix="pass what mne.io.read_raw returns; of Epochs or Evoked, give the Raw that they were cut from",
        )
    names = {"channels": None, "overrides": None, "unit": None}
    if strange := sorted(known.keys() - names.keys()):
        raise SharpwaveError(f"keywords among {', '.join(names)}", got=", ".join(strange), fix="leave them out")
    if not {"eeg", "eog", "emg", "ecg", "seeg", "ecog", "dbs", "bio", "misc"} & set(raw.get_channel_types()):
        raise SharpwaveError(
            "a Raw with EEG, EOG, EMG or intracranial channels",
            got=f"{len(raw.ch_names)} of type {', '.join(sorted(set(raw.get_channel_types())))}",
            fix="name their types: raw.set_channel_types({'C4-M1': 'eeg'})",
        )
    return attach_hypnogram(describe_raw(raw, **(names | known)), hypnogram)


def from_pynapple(
    data: nap.Tsd | nap.TsdFrame | nap.TsGroup | Mapping[str, Any],
    *,
    unit: str | Mapping[str, str] | None = None,
    names: Sequence[str] | str | None = None,
    aliases: Mapping[str, str] | None = None,
    **known: Any,
) -> Recording:
    """A recording from pynapple's objects: signals, spikes, position and epochs, one or several by name.

    A `Tsd` is a channel; a `TsdFrame` one channel a column; either is the track where it is called "position"; a
    `TsGroup` holds the units; an `IntervalSet` a row of events a span, labelled by its name.

    Args:
        data: One object, or several by name, such as {"CA1": lfp, "position": track, "units": spikes}.
        unit: Unit of electrical channels ("uV", "mV", "V"); positions are in metres unless named here.
        names: Name of the channel, or of each column, where one object is given.
        aliases: What a channel is, where its name does not say so: name → "name:modality".
        known: `hypnogram`, `start`, `subject`, `species` and `metadata` as in `from_arrays`.

    Raises:
        SharpwaveError: If something is no object of pynapple, or an electrical channel comes without a unit.

    >>> import pynapple as nap
    >>> lfp = nap.Tsd(t=np.arange(6000) / 1000, d=np.random.default_rng(0).normal(0, 2e-4, 6000))
    >>> from_pynapple({"CA1": lfp}, unit="V", aliases={"CA1": "CA1:lfp"}, species="rat")
    <Recording 'pynapple': 0.00 h; rat; 1 lfp>
    """
    objects = dict(data) if isinstance(data, Mapping) and not _is_nap(data, "TsGroup") else _name_object(data, names)
    channels: list[RawChannel] = []
    frames: dict[str, Signal] = {}
    spikes, events = None, [empty_events()]
    for name, thing in objects.items():
        if _is_nap(thing, "TsGroup"):
            spikes = thing
        elif _is_nap(thing, "IntervalSet"):
            spans = pd.DataFrame({"onset": thing.start, "duration": thing.end - thing.start})
            events.append(spans.assign(label=name))
        elif _is_nap(thing, "Tsd", "TsdFrame") and name.lower() == "position":
            scale = _scale_position(unit, name)
            times, rate = _read_clock(thing, name)
            frames[name] = Signal(
                name, thing.values, rate, MODALITIES["position"], start=float(thing.t[0]), scale=scale, times=times
            )
        elif _is_nap(thing, "Tsd", "TsdFrame"):
            channels += _list_columns(thing, name, unit=unit, aliases=aliases)
        else:
            raise SharpwaveError(
                f"an object of pynapple as {name!r}",
                got=f"{type(thing).__module__}.{type(thing).__name__}",
                fix="pass Tsd, TsdFrame, TsGroup or IntervalSet; for plain arrays there is sharpwave.from_arrays",
            )
    recording = _assemble(channels, aliases=aliases, source="pynapple", **known)
    joined = [table for table in events if len(table)]
    table = pd.concat(joined, ignore_index=True) if joined else recording.events
    return replace(recording, signals={**recording.signals, **frames}, spikes=spikes, events=table)


def is_raw(thing: Any) -> bool:
    """Whether something is MNE's `Raw`, told without importing MNE.

    >>> is_raw(np.zeros(3))
    False
    """
    return any(base.__module__.startswith("mne.") and base.__name__ == "BaseRaw" for base in type(thing).__mro__)


def is_pynapple(thing: Any) -> bool:
    """Whether something is an object of pynapple, told without importing it.

    >>> is_pynapple(np.zeros(3))
    False
    """
    return any(base.__module__.partition(".")[0] == "pynapple" for base in type(thing).__mro__)


def _is_nap(thing: Any, *kinds: str) -> bool:
    return is_pynapple(thing) and any(base.__name__ in kinds for base in type(thing).__mro__)


def _name_object(thing: Any, names: Sequence[str] | str | None) -> dict[str, Any]:
    """One object by its name: columns of a frame keep theirs, unless `names` says others."""
    if _is_nap(thing, "TsdFrame") and names is not None and not isinstance(names, str):
        listed = list(names)
        if len(listed) != thing.shape[1]:
            raise SharpwaveError(
                f"{thing.shape[1]} names, one a column", got=f"{len(listed)}", fix="name every column of the TsdFrame"
            )
        return {name: thing[:, column] for column, name in enumerate(listed)}
    if _is_nap(thing, "Tsd") and names is None:
        raise SharpwaveError(
            "a name for the Tsd, which says what it is", got="none", fix="give names='C4-M1', or a dict {'C4-M1': tsd}"
        )
    return {names if isinstance(names, str) else "data": thing}


def _list_columns(
    thing: Any, name: str, *, unit: str | Mapping[str, str] | None, aliases: Mapping[str, str] | None
) -> Iterator[RawChannel]:
    times, rate = _read_clock(thing, name)
    frame = thing.values if thing.values.ndim == 2 else thing.values[:, None]
    labels = [str(column) for column in thing.columns] if thing.values.ndim == 2 else [name]
    for column, label in enumerate(labels):
        label = f"{name} {label}" if label.isdigit() else label
        _check_samples(label, frame[:, column])
        chosen = _choose_unit(label, recognise_channel(label, overrides=aliases).modality, unit)
        yield RawChannel(label, frame[:, column], rate, chosen, start=float(thing.t[0]), times=times)


def _read_clock(thing: Any, name: str) -> tuple[np.ndarray | None, float]:
    """The times of the samples, None where they are regular, and the rate in Hz."""
    times = np.asarray(thing.t, dtype=float)
    if len(times) < 2:
        raise SharpwaveError(f"at least two samples of {name!r}", got=f"{len(times)}", fix="leave it out")
    steps = np.diff(times)
    step = float(np.median(steps))
    return (None if np.abs(steps - step).max() <= IRREGULAR * step else times), 1 / step


def _scale_position(unit: str | Mapping[str, str] | None, name: str) -> float:
    from sharpwave.recordings.units import convert_unit

    stated = unit.get(name, "m") if isinstance(unit, Mapping) else "m"
    converted = convert_unit(stated, MODALITIES["position"])
    if converted is None:
        raise SharpwaveError(f"a unit of length for {name!r}", got=repr(stated), fix="write m, cm or mm")
    return converted[0]


def _name_channels(signals: Any, channels: Sequence[str] | None) -> dict[str, np.ndarray]:
    if isinstance(signals, Mapping):
        if not signals:
            raise SharpwaveError("at least one array", got="an empty mapping", fix="give {'C4-M1': samples}")
        return {str(name): np.asarray(array) for name, array in signals.items()}
    array = np.asarray(signals)
    names = [channels] if isinstance(channels, str) else list(channels or ())
    if not names:
        raise SharpwaveError(
            "names for the channels of the array, which say what they are",
            got=f"an array of shape {array.shape} without names",
            fix="give channels=['C4-M1', ...], or a mapping {'C4-M1': samples}",
        )
    if array.ndim == 1 and len(names) == 1:
        return {names[0]: array}
    if array.ndim == 2 and len(names) in array.shape:
        rows = array if array.shape[0] == len(names) else array.T
        return dict(zip(names, rows, strict=True))
    raise SharpwaveError(
        f"an array (channel, time) or (time, channel) of {len(names)} channels",
        got=f"shape {array.shape}",
        fix="name every channel once; of epochs (epoch, channel, time), give the continuous samples",
    )


def _check_samples(name: str, array: np.ndarray) -> None:
    if array.ndim != 1 or array.dtype.kind not in "biuf":
        raise SharpwaveError(
            f"numbers of shape (time,) as {name!r}",
            got=f"shape {array.shape} of type {array.dtype}",
            fix="give one array of samples a channel",
        )
    if not array.size or (array.dtype.kind == "f" and not np.isfinite(array).any()):
        raise SharpwaveError(
            f"samples of {name!r}", got="none, or none that is finite", fix="leave the channel out: it is absent"
        )


def _choose_rate(name: str, rate: float | Mapping[str, float]) -> float:
    if isinstance(rate, Mapping) and name not in rate:
        raise SharpwaveError(
            f"a sampling rate for {name!r}", got=f"rates of {', '.join(rate) or 'none'}", fix="give it in Hz"
        )
    value = rate[name] if isinstance(rate, Mapping) else rate
    try:
        return float(value)
    except (TypeError, ValueError):
        raise SharpwaveError(f"a sampling rate of {name!r} in Hz", got=repr(value), fix="give a number") from None


def _choose_unit(name: str, modality: str, unit: str | Mapping[str, str] | None) -> str:
    """The unit of a channel; an electrical one must be told, for numbers alone do not say it."""
    electrical = MODALITIES[modality].unit == "V"
    stated = unit.get(name) if isinstance(unit, Mapping) else unit if electrical else None
    if stated is None and electrical:
        raise SharpwaveError(
            f"the unit of {name!r}, which is {modality}",
            got="none",
            fix="give unit='uV' (or 'mV', 'V'); MNE's get_data() returns V",
        )
    return stated or MODALITIES[modality].unit


def _assemble(
    raw: Sequence[RawChannel],
    *,
    source: str,
    aliases: Mapping[str, str] | None = None,
    hypnogram: Hypnogram | None = None,
    start: datetime | None = None,
    subject: str = "unknown",
    species: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Recording:
    assembled = assemble_signals(raw, overrides=aliases)
    return Recording(
        signals=assembled.signals,
        hypnogram=hypnogram,
        subject=subject,
        species=species or assembled.species,
        start=start,
        source=source,
        repairs=assembled.repairs,
        metadata={
            "doubtful": assembled.doubtful,
            "labels": assembled.labels,
            "units": assembled.units,
            **(metadata or {}),
        },
    )
