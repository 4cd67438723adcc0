"""From channels as a file has them to signals as the nouns want them: named, in SI, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import ChannelIdentity, is_electrode, is_same_label, recognise_channel
from sharpwave.recordings.modality import MODALITIES, Modality
from sharpwave.recordings.recording import Signal
from sharpwave.recordings.units import check_units, convert_unit, interpret_unit


@dataclass(frozen=True)
class RawChannel:
    """One channel as its file has it: `samples * gain + offset` is in `unit`."""

    label: str
    samples: Any
    rate: float
    unit: str
    gain: float = 1.0
    offset: float = 0.0
    start: float = 0.0
    times: np.ndarray | None = None


@dataclass(frozen=True)
class Assembled:
    """Signals by name, and what there is to say about them.

    Attributes:
        signals: Signals by name.
        labels: Label in the file, by name.
        units: Unit as the file writes it, by name.
        repairs: What was repaired, one sentence each.
        doubtful: Names of signals with an implausible amplitude.
        species: "human" where electrodes are named by the 10-20 system, else "unknown".
    """

    signals: dict[str, Signal]
    labels: dict[str, str]
    units: dict[str, str]
    repairs: tuple[str, ...]
    doubtful: tuple[str, ...]
    species: str


def assemble_signals(
    raw: Sequence[RawChannel],
    *,
    channels: Sequence[str] | None = None,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
) -> Assembled:
    """Recognise, convert and check channels.

    Args:
        raw: Channels as the file has them.
        channels: Keep only these (labels of the file, or recognised names); all if None.
        overrides: Label → "name:modality", see `recognise_channel`.
        unit: Unit of all electrical channels, in place of what the header says.

    Raises:
        SharpwaveError: If a wanted channel is absent, or the recording is in another unit than stated.
    """
    if unit is not None and convert_unit(unit, MODALITIES["eeg"]) is None:
        raise SharpwaveError("a unit of voltage", got=f"--unit {unit!r}", fix="write uV, mV, V or nV")
    signals: dict[str, Signal] = {}
    units: dict[str, str] = {}
    labels: dict[str, str] = {}
    repairs = _describe_unused(raw, overrides)
    for channel in raw:
        identity = recognise_channel(channel.label, overrides=overrides)
        if channels and not {channel.label, identity.name} & set(channels):
            continue
        modality, stated, factors, doubts = _convert(channel, identity, unit)
        repairs += doubts
        turned = -1.0 if identity.inverted and modality.unit == "V" else 1.0
        if turned < 0:
            repairs.append(f"{channel.label}: measured the other way round; turned, to be {identity.name}")
        name = _unique(channel.label if modality.name != identity.modality else identity.name, channel.label, signals)
        units[name], labels[name] = stated, channel.label
        signals[name] = Signal(
            name, channel.samples, channel.rate, modality,
            start=channel.start, times=channel.times,
            scale=turned * channel.gain * factors[0], offset=turned * channel.offset * factors[0] + factors[1],
        )  # fmt: skip
    _check_wanted(channels, signals, raw)
    doubtful: list[str] = []
    if unit is None:
        signals, chosen, doubtful = check_units(signals, units)
        repairs += chosen
    species = "human" if any(is_electrode(name) for name in signals) else "unknown"
    return Assembled(signals, labels, units, tuple(repairs), tuple(doubtful), species)


def _convert(
    channel: RawChannel, identity: ChannelIdentity, unit: str | None
) -> tuple[Modality, str, tuple[float, float], list[str]]:
    """The modality that a channel can be taken as, the unit used, scale and offset to SI, and what to declare."""
    modality = MODALITIES[identity.modality]
    stated = unit if unit is not None and modality.unit == "V" else channel.unit
    read = interpret_unit(stated, modality) if stated.strip() else (1.0, 0.0, "")
    strange = modality.unit == "V" and not modality.rate[0] <= channel.rate <= modality.rate[1]
    if read is None or strange:
        reason = f"its unit is {stated!r}" if read is None else f"it is sampled at {channel.rate:g} Hz"
        mend = " (--unit uV, if it is microvolts)" if read is None and modality.unit == "V" else ""
        doubt = f"{channel.label}: not taken as {modality.name}, because {reason}{mend}"
        return MODALITIES["other"], stated, (1.0, 0.0), [doubt]
    doubts = [f"{channel.label}: its unit {stated!r} was taken for {read[2]}"] if read[2] else []
    return modality, stated, read[:2], doubts


def _describe_unused(raw: Sequence[RawChannel], overrides: Mapping[str, str] | None) -> list[str]:
    """Overrides whose label no channel has."""
    there = [channel.label for channel in raw]
    unused = [label for label in overrides or {} if not any(is_same_label(label, other) for other in there)]
    return [f"no channel is called {label!r}, for which --channel-alias gave a name" for label in unused]


def _unique(name: str, label: str, taken: Mapping[str, Signal]) -> str:
    candidates = [name, f"{name} ({label})", *(f"{name} ({number})" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _check_wanted(channels: Sequence[str] | None, signals: Mapping[str, Signal], raw: Sequence[RawChannel]) -> None:
    labels = {channel.label: channel for channel in raw}
    missing = [name for name in channels or () if name not in signals and name not in labels]
    if missing:
        listed = ", ".join(f"{label!r} (unit {channel.unit!r})" for label, channel in sorted(labels.items()))
        raise SharpwaveError(
            f"the channel {missing[0]!r} in the file",
            got=f"channels {listed or '(none)'}",
            fix=f"choose among these, or say which it is: --channel-alias 'LABEL={missing[0]}:eeg'",
        )
