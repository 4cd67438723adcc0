"""From channels as a file has them to signals as the nouns want them: named, in SI, checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import is_electrode, recognise_channel
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.recording import Signal
from sharpwave.recordings.units import check_units, convert_unit


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
        repairs: What was repaired, one sentence each.
        doubtful: Names of signals with an implausible amplitude.
        species: "human" where electrodes are named by the 10-20 system, else "unknown".
    """

    signals: dict[str, Signal]
    labels: dict[str, str]
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
    signals: dict[str, Signal] = {}
    units: dict[str, str] = {}
    labels: dict[str, str] = {}
    repairs: list[str] = []
    for channel in raw:
        identity = recognise_channel(channel.label, overrides=overrides)
        if channels and not {channel.label, identity.name} & set(channels):
            continue
        modality, stated = MODALITIES[identity.modality], channel.unit
        if unit is not None and modality.unit == "V":
            stated = unit
        factors = convert_unit(stated, modality) if stated.strip() else (1.0, 0.0)
        fast = modality.unit == "V" and not modality.rate[0] <= channel.rate <= modality.rate[1]
        if factors is None or fast:
            reason = f"its unit is {stated!r}" if factors is None else f"it is sampled at {channel.rate:g} Hz"
            repairs.append(f"{channel.label}: not taken as {modality.name}, because {reason}")
            modality, factors = MODALITIES["other"], (1.0, 0.0)
        name = _unique(channel.label if modality.name != identity.modality else identity.name, channel.label, signals)
        units[name], labels[name] = stated, channel.label
        signals[name] = Signal(
            name, channel.samples, channel.rate, modality,
            start=channel.start, times=channel.times,
            scale=channel.gain * factors[0], offset=channel.offset * factors[0] + factors[1],
        )  # fmt: skip
    _check_wanted(channels, signals, raw)
    doubtful: list[str] = []
    if unit is None:
        signals, chosen, doubtful = check_units(signals, units)
        repairs += chosen
    species = "human" if any(is_electrode(name) for name in signals) else "unknown"
    return Assembled(signals, labels, tuple(repairs), tuple(doubtful), species)


def _unique(name: str, label: str, taken: Mapping[str, Signal]) -> str:
    candidates = [name, f"{name} ({label})", *(f"{name} ({number})" for number in range(2, len(taken) + 3))]
    return next(candidate for candidate in candidates if candidate not in taken)


def _check_wanted(channels: Sequence[str] | None, signals: Mapping[str, Signal], raw: Sequence[RawChannel]) -> None:
    labels = {channel.label for channel in raw}
    missing = [name for name in channels or () if name not in signals and name not in labels]
    if missing:
        raise SharpwaveError(
            f"the channel {missing[0]!r} in the file",
            got=f"channels {', '.join(sorted(labels))[:300] or '(none)'}",
            fix="choose among these, or rename one with an override such as --channel-alias 'label=name:modality'",
        )
