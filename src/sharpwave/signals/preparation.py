"""What every use of a recording starts from: the same channels, in the same scale, and every change declared.

`sharpwave decode`, `explain`, `causality` and `export`, Brainµ over a night or step by step, and the Python API pass
through `prepare_signals`, which changes nothing the second time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import pick_channels
from sharpwave.recordings.recording import Recording
from sharpwave.signals.staging import rescale_signal

ELECTRICAL = ("eeg", "eog", "emg", "ecg")
"""Modalities of which only the picked signals are used; LFP is used whole."""

UNIT, UNKNOWN, RESCALED = "amplitude_unit", "unknown", "rescaled"
"""Key of the metadata that says whether the unit of the EEG is known, and its two values where it is not."""


@dataclass(frozen=True)
class Preparation:
    """What is done to a recording before it is used, so that it can be done to another, or to the chunks of one.

    Attributes:
        picks: Name of the signal used for each role: "eeg", "eog", "emg".
        factors: Factor of each signal whose unit is unknown.

    >>> Preparation({"eeg": "C4-M1"}).factors
    {}
    """

    picks: Mapping[str, str]
    factors: Mapping[str, float] = field(default_factory=dict)

    def apply(self, recording: Recording) -> Recording:
        """The recording with the picked channels alone, scaled; it says so among its repairs.

        Raises:
            SharpwaveError: If a channel of an unknown unit has no factor.
        """
        recording = keep_picked(recording, self.picks)
        if recording.metadata.get(UNIT) != UNKNOWN:
            return recording
        missing = [name for name in recording.of("eeg") if name not in self.factors]
        if missing:
            raise SharpwaveError(
                f"a factor for {', '.join(missing)}, whose unit is unknown",
                got="a plan of other channels",
                fix="make the plan with `plan_preparation` from a recording of the same set-up",
            )
        return _scale(recording, self.factors)


def plan_preparation(recording: Recording, picks: Mapping[str, str] | None = None) -> Preparation:
    """What `prepare_signals` would do to a recording: for chunks of one that is still running.

    Args:
        recording: A recording of the same set-up, of at least one epoch of 30 s.
        picks: Name of the signal for each role; chosen as in `sharpwave decode` where omitted.

    >>> import numpy as np
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> samples = np.random.default_rng(0).normal(0, 1, 12_000)
    >>> raw = Recording({"C4": Signal("C4", samples, 100.0, MODALITIES["eeg"])}, metadata={"amplitude_unit": "unknown"})
    >>> plan = plan_preparation(raw)
    >>> plan.picks, plan.apply(raw).metadata["amplitude_unit"]
    ({'eeg': 'C4'}, 'rescaled')
    """
    picks = pick_channels(recording) if picks is None else picks
    if recording.metadata.get(UNIT) != UNKNOWN:
        return Preparation(picks)
    return Preparation(picks, _measure_factors(recording, keep_picked(recording, picks).of("eeg")))


def prepare_signals(
    recording: Recording, picks: Mapping[str, str] | None = None, *, every_channel: bool = False
) -> Recording:
    """The recording as every analysis sees it: EEG in µV as large as a usual night's, and the picked channels alone.

    Args:
        recording: Signals may lie on disk; they are read only to be measured, where the unit of the EEG is unknown.
        picks: Name of the signal for each role; chosen as in `sharpwave decode` where omitted.
        every_channel: Keep the electrical channels that were not picked as well, as in training; dropped by default.

    >>> import numpy as np
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> rng = np.random.default_rng(0)
    >>> eeg = {name: Signal(name, rng.normal(0, 1, 6000), 100.0, MODALITIES["eeg"]) for name in ("O1-M2", "C4-M1")}
    >>> prepared = prepare_signals(Recording(eeg, metadata={"amplitude_unit": "unknown"}))
    >>> list(prepared.signals), prepared.repairs
    (['C4-M1'], ('C4-M1: its unit is unknown, so it was scaled to the amplitude of a usual night',))
    """
    seen = recording if every_channel else keep_picked(recording, pick_channels(recording) if picks is None else picks)
    return scale_unknown(seen, seen.of("eeg"))


def calibrate(recording: Recording, picks: Mapping[str, str]) -> Recording:
    """The recording with its picked EEG as large as a usual night's, where its unit is unknown; declared as a repair.

    Args:
        recording: The recording; where its unit is known, or nothing was picked, it is returned unchanged.
        picks: Name of the signal for each role; "eeg" is scaled.
    """
    return scale_unknown(recording, [name for role, name in picks.items() if role == "eeg"])


def scale_unknown(recording: Recording, names: Collection[str]) -> Recording:
    """The recording with these EEG signals as large as a usual night's, where its unit is unknown; declared."""
    if recording.metadata.get(UNIT) != UNKNOWN or not names:
        return recording
    return _scale(recording, _measure_factors(recording, names))


def keep_picked(recording: Recording, picks: Mapping[str, str]) -> Recording:
    """Without electrical signals other than the picked ones; LFP stays, and electrical ones where nothing else is."""
    kept = {
        name: signal
        for name, signal in recording.signals.items()
        if signal.modality.name not in ELECTRICAL or name in picks.values()
    }
    return replace(recording, signals=kept) if kept or picks else recording


def _measure_factors(recording: Recording, names: Collection[str]) -> dict[str, float]:
    """Factor of each signal; 1 where it is flat or shorter than an epoch."""
    factors = {}
    for name in names:
        try:
            factors[name] = rescale_signal(recording[name])[1]
        except SharpwaveError:
            factors[name] = 1.0
    return factors


def _scale(recording: Recording, factors: Mapping[str, float]) -> Recording:
    """The recording with these factors applied to the signals that it has, and a sentence for each."""
    signals, repairs = dict(recording.signals), list(recording.repairs)
    for name, factor in factors.items():
        if name not in signals:
            continue
        signal = signals[name]
        signals[name] = replace(signal, scale=signal.scale * factor, offset=signal.offset * factor)
        repairs.append(
            f"{name}: its unit is unknown, so it was scaled to the amplitude of a usual night"
            if factor != 1.0
            else f"{name}: its unit is unknown, and it is flat or too short to be scaled"
        )
    metadata = {**recording.metadata, UNIT: RESCALED}
    return replace(recording, signals=signals, repairs=tuple(repairs), metadata=metadata)
