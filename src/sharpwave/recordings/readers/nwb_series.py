"""One time series of an NWB file as signals: what it is, its unit, its channels, and their electrodes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.modality import MODALITIES, Modality
from sharpwave.recordings.readers.files import OnDisk
from sharpwave.recordings.readers.nwb_electrodes import Electrodes, read_electrodes
from sharpwave.recordings.readers.nwb_inside import InsideArray, InsideGroup, read_text_value
from sharpwave.recordings.readers.nwb_times import plan_grid, read_clock, read_number
from sharpwave.recordings.recording import Signal
from sharpwave.recordings.units import convert_unit

NOT_SIGNALS = ("Image", "TwoPhoton", "OnePhoton", "IndexSeries", "Annotation", "IntervalSeries", "OptogeneticSeries")
SCALP = ("eeg", "eog", "emg", "ecg")
NAMES: tuple[tuple[str, str], ...] = (
    (r"(?<!i)eeg", "eeg"),
    (r"eog", "eog"),
    (r"emg", "emg"),
    (r"e[ck]g", "ecg"),
    (r"heart.?rate|(^|_)hr$|bpm", "heart_rate"),
    (r"speed|velocity|accel|motion|movement|running|activity", "activity"),
    (r"temperature|(^|_)temp($|_)", "temperature"),
    (r"resp|breath|sniff", "respiration"),
)
"""What a series is called, and its modality; tried in order."""
NO_PLACE = (
    r"direction|heading|angle|angular|orient|compass|azimuth|yaw|pitch|roll\b|head.?dir|eye|gaze|pupil|wheel|whisk"
    r"|speed|velocit|accel|likelihood|confidence|lick|lever|joystick|cursor|hand|paw|jaw|tongue|target"
)
"""Words of a series that is no place of the animal, whatever container it lies in."""
PLACE = (
    r"(^|[_ ])(pos|position|location|place|xy|coordinates?)($|[_ \d])|position$|track(er|ing)?$"
    r"|^[xy]$|^[xy][_ ]?(pos|loc|coord)|(pos|loc|coord|position)[_ ]?[xy]$"
)
"""Words of a time series that is the place of the animal, though it is not of the type for it."""
NO_LENGTH = r"rad(ian)?s?|deg(ree)?s?|°|turns?|rev.*|.*(/|per)[ _]?s(ec.*)?|.*s-1|hz|v|volts?|bool.*|percent|%"
"""Units of series that are no place."""
LIGHTS = 4
"""Columns of a position that follows two lights: x and y of each."""


@dataclass(frozen=True)
class Series:
    """What one series gave.

    Attributes:
        signals: Its signals.
        unit: Its unit in the file.
        kept_unit: The unit in which its values are kept, where that is not the SI unit of its modality.
        absent: Whether it is declared without data.
        repairs: What there is to say, one sentence each.
        electrodes: Where its channels lie, where the file says it.
    """

    signals: tuple[Signal, ...] = ()
    unit: str = ""
    kept_unit: str = ""
    absent: bool = False
    repairs: tuple[str, ...] = ()
    electrodes: Electrodes | None = None


def read_series(group: InsideGroup, place: str, file: str, *, kind: str, unit: str | None = None) -> Series:
    """A time series as signals in SI units.

    Args:
        group: Group of the series.
        place: Its path in the file.
        file: Name of the file, for messages.
        kind: NWB type of the series (`neurodata_type`).
        unit: Unit of electrical series, in place of the file's.

    Returns:
        Scalp channels one by one, other series as they are; nothing for images and for what holds no numbers.

    Raises:
        SharpwaveError: If it is declared larger than the file, or its clock is impossible.
    """
    array, name, where = group.array("data"), place.rsplit("/", 1)[-1], f"{file}:/{place}"
    nothing = _find_nothing(group, array, name, kind)
    if array is None or nothing is not None:
        return nothing or Series()
    array.check_size()
    data = array.data
    repairs: list[str] = []
    electrodes = read_electrodes(group)
    labels = list(electrodes.labels)
    transposed = data.ndim == 2 and len(labels) == data.shape[0] != data.shape[1]
    if transposed:
        repairs.append(f"{name}: channels come first in the file; time was put first")
    n_samples = data.shape[1] if transposed else data.shape[0]
    n_channels = 1 if data.ndim == 1 else math.prod(data.shape) // n_samples
    written = read_text_value(array.attribute("unit", ""))
    modality = _find_modality(kind, place, [*labels, *electrodes.locations], written, n_channels)
    clock = read_clock(group, n_samples, where)
    if modality.unit == "V" and unit is not None:
        written = unit
    factor, offset, kept_unit, said = _read_scale(array, written, modality)
    repairs += [f"{name}: {sentence}" for sentence in said]
    factors = _read_channel_factors(group, n_channels, repairs, name)
    if len(labels) != n_channels:
        axes = ["x", "y", "z"] if kind == "SpatialSeries" and n_channels <= 3 else []
        labels = axes[:n_channels] or [str(index) for index in range(n_channels)]
        electrodes = Electrodes()
    place_samples, clock = plan_grid(clock, where, gridded=modality.unit == "V")
    stored = OnDisk(data, where, factors=factors, transposed=transposed)
    repairs += [f"{name}: {said}" for said in clock.repairs]
    whole = Signal(
        name,
        place_samples(stored),
        clock.rate,
        modality,
        start=clock.start,
        scale=factor,
        offset=offset,
        channels=tuple(labels) if data.ndim == 2 else (),
        times=clock.times,
    )
    split = modality.name in SCALP and n_channels <= 64 and data.ndim == 2
    signals = _split(whole, stored, place_samples) if split else (whole,)
    return Series(signals, written, kept_unit, repairs=tuple(repairs), electrodes=electrodes)


def _read_scale(array: InsideArray, unit: str, modality: Modality) -> tuple[float, float, str, list[str]]:
    """Factor and offset to the modality's unit, the unit in which values are kept where that fails, and sentences."""
    converted = convert_unit(unit, modality) if unit else (1.0, 0.0)
    repairs, kept = [], ""
    if converted is None:
        converted, kept = (1.0, 0.0), unit
        repairs.append(f"its unit is {unit!r}, not {modality.unit}; values are kept in {unit!r}")
    factor, offset = read_number(array.attribute("conversion"), 1.0), read_number(array.attribute("offset"), 0.0)
    if not read_number(array.attribute("conversion", 1.0), 0.0):
        repairs.append("its conversion is no number; taken as 1")
    return factor * converted[0], offset * converted[0] + converted[1], kept, repairs


def _find_nothing(group: InsideGroup, array: InsideArray | None, name: str, kind: str) -> Series | None:
    """An empty series where there is no signal to read, or none in this file; None where there is one."""
    if any(part in kind for part in NOT_SIGNALS):
        return Series()
    if array is None:
        outside = any(said.startswith(f"{group.place}/data (") for said in group.allowance.outside)
        said = (f"{name}: its samples are in another file, which is not opened",)
        return Series(absent=True, repairs=said) if outside else Series()
    if len(array.shape) not in (1, 2) or array.kind not in "biuf":
        return Series()
    return Series(absent=True) if not array.size or array.stored == 0 else None


def _split(frame: Signal, stored: OnDisk, place: Callable[[OnDisk], Any]) -> tuple[Signal, ...]:
    """One signal per channel of a frame."""
    signals = []
    for index, label in enumerate(frame.channels):
        factors = None if stored.factors is None else stored.factors[index]
        signals.append(
            replace(
                frame,
                name=f"{frame.name}-{label}" if label.isdigit() else label,
                samples=place(replace(stored, column=index, factors=factors)),
                modality=_refine(frame.modality, label),
                channels=(),
            )
        )
    return tuple(signals)


def _find_modality(kind: str, place: str, words: list[str], unit: str, n_channels: int) -> Modality:
    name = place.rsplit("/", 1)[-1].lower()
    if kind == "RoiResponseSeries":
        return MODALITIES["calcium"]
    if kind == "SpatialSeries" or re.search(PLACE, name):
        inside = place.lower().removeprefix("processing/").removeprefix("acquisition/")
        possible = not re.search(NO_PLACE, inside) and not re.fullmatch(NO_LENGTH, unit.lower().strip())
        if possible and n_channels <= LIGHTS:
            return MODALITIES["position"]
    found = next((modality for pattern, modality in NAMES if re.search(pattern, name)), None)
    if "Electrical" in kind or kind in ("LFP", "FilteredEphys"):
        if found in SCALP:
            return MODALITIES[found]
        known = {recognise_channel(word).modality for word in words} & set(SCALP)
        return MODALITIES[next((modality for modality in SCALP if modality in known), "lfp")]
    return MODALITIES["other" if kind == "SpatialSeries" else found or "other"]


def _refine(modality: Modality, label: str) -> Modality:
    known = recognise_channel(label).modality
    return MODALITIES[known] if known in SCALP else modality


def _read_channel_factors(group: InsideGroup, n_channels: int, repairs: list[str], name: str) -> np.ndarray | None:
    array = group.array("channel_conversion")
    if array is None:
        return None
    if array.size != n_channels:
        repairs.append(f"{name}: {array.size} channel factors for {n_channels} channels were left out")
        return None
    factors = array.read().astype(np.float64).ravel()
    return None if np.all(factors == 1.0) else factors
