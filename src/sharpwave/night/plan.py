"""What decoding a night would take, from the headers alone: its channels and why, its stager; and whether options fit.

Nothing is decoded, and no samples are read: how good each channel is, is known only when the night is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, apply_options, find_lights, read_cues
from sharpwave.night.origin import begin_at_zero
from sharpwave.recordings.channels import rank_channels
from sharpwave.recordings.derivations import add_derivations, check_derivable, is_derived
from sharpwave.signals.lfp_channels import choose_lfp
from sharpwave.staging import OWN_WEIGHTS, choose_stager

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

EXTRA = "brain"
"""The extra that every stager needs."""


@dataclass(frozen=True)
class ChannelPlan:
    """One channel that would be taken.

    Attributes:
        role: What it is taken as: eeg, eog, emg, lfp, or the modality of a signal that is not electrical.
        channel: Its name.
        why: Why this one, in a sentence.
        reference: What it is measured against; "" where that says nothing, as of a heart rate.
        unit: Unit of its samples, or that it is unknown.
        rate: Sampling rate in Hz.
    """

    role: str
    channel: str
    why: str
    reference: str
    unit: str
    rate: float


@dataclass(frozen=True)
class NightPlan:
    """What decoding would take.

    Attributes:
        source: How the user named the recording.
        start: Clock time of the first sample; None where the recording does not say.
        hours: Length in hours.
        species: human, rat, mouse or unknown.
        lights_off: In seconds from the start; None where nobody says.
        lights_on: Likewise.
        expert: Whether the night comes with stages to compare with.
        channels: The channels, one a role.
        stager: Who would stage it; None where nobody can.
        refusals: Why others would not, one sentence each.
        extra: What pip has to install: `sharpwave[brain]`.
        repairs: What the reader had to assume.
    """

    source: str
    start: str | None
    hours: float
    species: str
    lights_off: float | None
    lights_on: float | None
    expert: bool
    channels: tuple[ChannelPlan, ...]
    stager: str | None
    refusals: tuple[str, ...]
    extra: str
    repairs: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def describe(self) -> str:
        """Lines to read."""
        begin = f"from {self.start}" if self.start else "with no clock time"
        lines = [f"{self.source}: {self.hours:.1f} h {begin}, {self.species}"]
        for one in self.channels:
            against = f" against {one.reference}" if one.reference else ""
            lines.append(f"  {one.role.upper():10} {one.channel}{against}, {one.rate:g} Hz, {one.unit}: {one.why}")
        if not self.channels:
            lines.append("  no channel that stages a night")
        lights = [("off", self.lights_off), ("on", self.lights_on)]
        said = ", ".join(f"lights {word} at {seconds:g} s" for word, seconds in lights if seconds is not None)
        lines.append(f"  lights     {said or 'nobody says: latencies and efficiency stay blank (--lights-off, -on)'}")
        lines.append(f"  stages     by {self.stager or 'nobody'}{', beside an expert' if self.expert else ''}")
        lines += [f"             not {sentence}" for sentence in self.refusals]
        lines.append(f"  needs      sharpwave[{self.extra}]")
        lines += [f"  assumed    {sentence}" for sentence in self.repairs]
        return "\n".join(lines)


def check_fit(recording: Recording, options: DecodeOptions) -> Recording:
    """Refuse options that do not fit a recording, before any of its samples are read.

    Args:
        recording: The recording as it was opened.
        options: What the user chose.

    Returns:
        The recording with the options applied.

    Raises:
        SharpwaveError: If lights lie outside it, a channel is not there or cannot be formed, a scoring is of another
            recording, a table cannot be read, or the chosen stager cannot use it.

    >>> from sharpwave.recordings import Hypnogram, Recording
    >>> night = Recording(hypnogram=Hypnogram.from_labels(["N2"] * 120))
    >>> check_fit(night, DecodeOptions(lights_off="23:10"))
    Traceback (most recent call last):
    sharpwave.errors.SharpwaveError: expected seconds from the start, because this recording does not say when ...
    """
    recording = apply_options(options, begin_at_zero(recording))
    if options.lfp is not None:
        recording = choose_lfp(recording, options.lfp)
    read_cues(options.cues)
    for wanted in options.channels:
        check_derivable(recording, wanted)
    for wanted in options.event_channels:
        if recording[wanted].modality.name != "eeg":
            raise SharpwaveError(
                "an EEG channel to look for events in", got=wanted, fix="give another --event-channels"
            )
    picks = {role: one.channel for role, one in _plan_channels(recording, options).items()}
    if options.stager is not None and options.stager not in OWN_WEIGHTS:  # theirs load the model: decoding does
        choose_stager(_with_derivations(recording, options), picks, name=options.stager)
    return recording


def plan_night(recording: Recording, options: DecodeOptions) -> NightPlan:
    """What decoding a recording would take, and why.

    Args:
        recording: The recording as it was opened.
        options: What the user chose.

    Raises:
        SharpwaveError: As `check_fit`.

    >>> import numpy as np
    >>> from sharpwave.recordings import MODALITIES, Recording, Signal
    >>> signals = {name: Signal(name, np.zeros(90_000), 100.0, MODALITIES["eeg"]) for name in ("Fz", "C4-M1")}
    >>> plan = plan_night(Recording(signals=signals, species="human"), DecodeOptions(stager="yasa"))
    >>> plan.channels[0].channel, plan.channels[0].reference, plan.stager
    ('C4-M1', 'M1', 'yasa')
    """
    recording = check_fit(recording, options)
    chosen = _plan_channels(recording, options)
    whole = _with_derivations(recording, options)
    off, on = find_lights(recording, options)
    stager: str | None = None
    refusals: Sequence[str] = ()
    try:
        picks = {role: one.channel for role, one in chosen.items()}
        found, refusals = choose_stager(whole, picks, name=options.stager, weights=options.weights)
        stager = found.name
    except SharpwaveError as error:
        refusals = [str(error)]
    return NightPlan(
        source=options.source or recording.source,
        start=None if recording.start is None else f"{recording.start:%Y-%m-%d %H:%M:%S}",
        hours=recording.duration / 3600,
        species=recording.species,
        lights_off=off,
        lights_on=on,
        expert=recording.hypnogram is not None,
        channels=tuple(chosen.values()),
        stager=stager,
        refusals=tuple(refusals),
        extra=EXTRA,
        repairs=tuple(recording.repairs),
    )


def _with_derivations(recording: Recording, options: DecodeOptions) -> Recording:
    return add_derivations(recording, channels=options.channels)


def _plan_channels(recording: Recording, options: DecodeOptions) -> Mapping[str, ChannelPlan]:
    """The channel of each role by its name; LFP where there is no EEG; every signal where nothing is electrical."""
    whole = _with_derivations(recording, options)
    ranked = rank_channels(whole, channels=options.channels)
    if "eeg" not in ranked and recording.of("lfp"):
        ranked = {**ranked, "lfp": [*recording.of("lfp")]}
    if not ranked:
        ranked = {name: [name] for name, signal in recording.signals.items() if signal.modality.name != "other"}
    plans = {}
    for role, names in ranked.items():
        signal = whole[names[0]]
        plans[role] = ChannelPlan(
            role=role if role in ("eeg", "eog", "emg", "lfp") else signal.modality.name.replace("_", " "),
            channel=names[0],
            why=_say_why(role, names, options),
            reference=_find_reference(whole, names[0]),
            unit=_find_unit(recording, names[0], signal.modality.unit),
            rate=signal.rate,
        )
    return plans


def _say_why(role: str, names: list[str], options: DecodeOptions) -> str:
    if {*options.channels} & {*names} or (role == "lfp" and options.lfp is not None):
        return "as asked for"
    if len(names) == 1:
        return "the only one"
    others = ", ".join(names[1:4]) + (" …" if len(names) > 4 else "")
    return f"first by name before {others}; another is taken where more than a tenth more of the night is good in it"


def _find_reference(recording: Recording, name: str) -> str:
    signal = recording[name]
    if signal.modality.unit != "V":
        return ""
    if is_derived(signal):
        first, *references = (part.name for part in signal.samples.parts)
        return f"{' and '.join(references)} (formed: {first} minus {' and '.join(references)})"
    return name.partition("-")[2] or "a reference that the file does not name"


def _find_unit(recording: Recording, name: str, unit: str) -> str:
    if unit == "V" and recording.metadata.get("amplitude_unit") == "unknown":
        return "unit unknown, so scaled to a usual night"
    units = recording.metadata.get("units")
    stored = units.get(name) if isinstance(units, Mapping) else None
    return f"{stored} in the file" if stored else unit or "no unit"
