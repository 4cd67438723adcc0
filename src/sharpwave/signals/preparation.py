"""What every use of a recording starts from: the same channels, in the same scale, and every change declared.

`sharpwave decode`, `explain`, `causality` and `export`, Brainµ over a night or step by step, and the Python API pass
through `prepare_signals` or its parts: the choice of `choose_electrodes` (quality before name), shown by `show_chosen`.
A second pass changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.derivations import derive_channel
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.signals.electrodes import EPOCH, Choice, choose_electrodes, find_faults, is_bad
from sharpwave.signals.high_rates import lower_rates
from sharpwave.signals.quality import Masked, mask_epochs, splice_epochs
from sharpwave.signals.staging import rescale_signal

ROLES = ("eeg", "eog", "emg")
"""Modalities of which one signal is picked."""

ELECTRICAL = (*ROLES, "ecg")
"""Modalities of which only the picked signals are used; LFP is used whole."""

UNIT, UNKNOWN, RESCALED = "amplitude_unit", "unknown", "rescaled"
"""Key of the metadata that says whether the unit of the EEG is known, and its two values where it is not."""

PICKS = "picks"
"""Key of the metadata under which a prepared recording keeps the signal of each role."""


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

        Derivations are formed; nothing is judged: `mask_stretch` does that, step by step.

        Raises:
            SharpwaveError: If a channel of an unknown unit has no factor.
        """
        recording = keep_picked(form_picked(recording, self.picks), self.picks)
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
    if picks is None:
        choice = choose_electrodes(recording)
        chosen = {*choice.picks.values()}
        return Preparation(choice.picks, {name: factor for name, factor in choice.factors.items() if name in chosen})
    if recording.metadata.get(UNIT) != UNKNOWN:
        return Preparation(picks)
    recording = form_picked(recording, picks)
    return Preparation(picks, _measure_factors(recording, keep_picked(recording, picks).of("eeg")))


def prepare_signals(
    recording: Recording, picks: Mapping[str, str] | None = None, *, every_channel: bool = False
) -> Recording:
    """The recording as every analysis sees it: EEG in µV as large as a usual night's, and the picked channels alone.

    Args:
        recording: Signals may lie on disk; they are read to be judged, and measured where their unit is unknown.
        picks: Name of the signal for each role, taken as they are; where omitted, chosen by name and quality as in
            `sharpwave decode`, and missing where they cannot be used.
        every_channel: Keep the electrical channels that were not picked as well, as in training; dropped by default.

    >>> import numpy as np
    >>> from sharpwave.recordings import MODALITIES, Signal
    >>> rng = np.random.default_rng(0)
    >>> eeg = {name: Signal(name, rng.normal(0, 1, 6000), 100.0, MODALITIES["eeg"]) for name in ("O1-M2", "C4-M1")}
    >>> prepared = prepare_signals(Recording(eeg, metadata={"amplitude_unit": "unknown"}))
    >>> list(prepared.signals), prepared.repairs[0][:72]
    (['C4-M1'], 'C4-M1: its unit is unknown, so it was scaled to the amplitude of a usual')
    """
    if every_channel:
        return scale_unknown(recording, recording.of("eeg"))
    if picks is None:
        return recording if is_prepared(recording) else show_chosen(choose_electrodes(recording))
    recording = lower_rates(keep_picked(form_picked(recording, picks), picks))
    return _mark(scale_unknown(recording, recording.of("eeg")), picks)


def show_chosen(choice: Choice) -> Recording:
    """The recording with what was chosen alone, missing where it cannot be used, and each change declared.

    The picked EEG is that of its substitutes where `sharpwave decode` stages from them, at one rate.

    Args:
        choice: The channels of the recording, as `choose_electrodes` makes them.

    >>> list(show_chosen(choose_electrodes(Recording())).signals)
    []
    """
    recording = keep_picked(choice.recording, choice.picks)
    signals, repairs = dict(recording.signals), list(recording.repairs)
    for name in [name for name in signals if name in choice.electrodes]:
        electrode = choice.electrodes[name]
        if name == choice.picks.get("eeg") and choice.others:
            signals[name], parts = _splice(choice, signals[name])
            repairs += [f"{name}: {minutes:g} min of it are of {other}" for other, minutes in parts.items()]
        else:
            signals[name] = mask_epochs(signals[name], electrode.bad, epoch_length=EPOCH)
        if electrode.bad.any():
            kinds = " and ".join(sorted({str(kind) for kind in electrode.unusable[electrode.bad]}))
            repairs.append(f"{name}: {kinds} for {electrode.bad.sum() * EPOCH / 60:g} min, which are not used")
    return _mark(replace(recording, signals=signals, repairs=tuple(repairs)), choice.picks)


def _splice(choice: Choice, signal: Signal) -> tuple[Signal, dict[str, float]]:
    """The picked EEG with the epochs of its substitutes in it, and how many minutes are from each."""
    name = choice.picks["eeg"]
    chosen = [name if plan is None else plan[0][1] for plan in choice.plan_epochs()]
    bad = choice.electrodes[name].bad
    spliced, parts = mask_epochs(signal, bad, epoch_length=EPOCH), {}
    for other in choice.others:
        mine = np.zeros(bad.size, dtype=bool)
        mine[: len(chosen)] = [taken == other for taken in chosen]
        if mine.any() and choice.recording[other].rate == signal.rate:
            spliced = splice_epochs(spliced, choice.recording[other], mine, epoch_length=EPOCH)
            parts[other] = float(mine.sum() * EPOCH / 60)
    return spliced, parts


def is_prepared(recording: Recording) -> bool:
    """Whether `prepare_signals` has been here, and nothing electrical came since.

    >>> is_prepared(Recording()), is_prepared(prepare_signals(Recording()))
    (False, True)
    """
    picks = recording.metadata.get(PICKS)
    if not isinstance(picks, Mapping):
        return False
    electrical = {name for name, signal in recording.signals.items() if signal.modality.name in ELECTRICAL}
    return electrical <= {*picks.values()}


def mask_stretch(recording: Recording, start: float, end: float) -> Recording:
    """The recording with its electrical signals missing in one stretch, where they cannot be used in it.

    For a recording that is still running: the stretch is judged by itself, as one epoch.

    Args:
        recording: A prepared recording.
        start: Start of the stretch in seconds.
        end: Its end.

    >>> mask_stretch(Recording(), 0.0, 30.0).signals
    mappingproxy({})
    """
    unit_known = recording.metadata.get(UNIT) not in (UNKNOWN, RESCALED)
    masked = {}
    for name, signal in recording.signals.items():
        part = signal.restrict(start, end)
        if signal.modality.name not in (*ROLES, "lfp") or len(signal.samples.shape) != 1 or not len(part):
            continue
        if is_bad(find_faults(part, unit_known=unit_known, epoch_length=end - start)).any():
            low = round((part.start - signal.start) * signal.rate)
            masked[name] = replace(signal, samples=Masked(signal.samples, np.array([[low, low + len(part)]])))
    return replace(recording, signals={**recording.signals, **masked}) if masked else recording


def _mark(recording: Recording, picks: Mapping[str, str]) -> Recording:
    return replace(recording, metadata={**recording.metadata, PICKS: dict(picks)})


def form_picked(recording: Recording, picks: Mapping[str, str]) -> Recording:
    """With the picked derivations that the recording holds in parts, each declared."""
    formed = {name: derive_channel(recording, name) for name in picks.values() if name not in recording.signals}
    signals = {name: signal for name, signal in formed.items() if signal is not None}
    if not signals:
        return recording
    repairs = [
        f"{name}: formed as {' minus '.join(part.name for part in signal.samples.parts)}, which the file keeps apart"
        for name, signal in signals.items()
    ]
    return replace(recording, signals={**recording.signals, **signals}, repairs=(*recording.repairs, *repairs))


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
    """Without electrical signals other than the picked ones; LFP stays, and electrical ones where nothing else is.

    A picked LFP comes first: who reads one takes the first. An ECG stays where neither EEG nor LFP shows sleep.
    """
    left_out = ELECTRICAL if "eeg" in picks or recording.of("lfp") else ROLES
    kept = {
        name: signal
        for name, signal in recording.signals.items()
        if signal.modality.name not in left_out or name in picks.values()
    }
    implanted = picks.get("lfp")
    if implanted in kept:
        kept = {implanted: kept.pop(implanted), **kept}
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


USUAL_LIGHTS_OFF = 23 * 3600.0
"""Time of day, in seconds, at which a night is taken to begin where only the recording's clock is known."""
DAY = 24 * 3600.0


def find_lights_off(recording: Recording) -> float | None:
    """When the night began, in seconds of the recording; None where nobody knows.

    That is lights off, as the metadata say, else 11 PM on the recording's own clock, unless that clock is in UTC, which
    says nothing of night and day. The start of a file says nothing.

    Example:
        >>> from datetime import datetime
        >>> find_lights_off(Recording(metadata={"lights_off": 600.0})), find_lights_off(Recording())
        (600.0, None)
        >>> find_lights_off(Recording(start=datetime(2024, 5, 1, 22, 30)))
        1800.0
    """
    value = recording.metadata.get("lights_off")
    if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
        return float(value)
    start = recording.start
    if start is None or start.tzname() == "UTC":
        return None
    since_midnight = 3600.0 * start.hour + 60.0 * start.minute + start.second
    return (USUAL_LIGHTS_OFF - since_midnight + DAY / 2) % DAY - DAY / 2


EARLIEST, LATEST = -3600.0, 14 * 3600.0
"""Seconds since lights off between which there is a time of night; outside of them it is day."""


def tell_time(times: Float[np.ndarray, " step"], lights_off: float | None) -> Float[np.ndarray, " step"]:
    """Seconds since lights off, NaN by day and where it is not known when that was.

    Args:
        times: Times in seconds of the recording.
        lights_off: When the night began, on the same clock; None where nobody knows.

    Example:
        >>> tell_time(np.array([0.0, 3600.0, 90000.0]), 600.0).tolist()
        [-600.0, 3000.0, nan]
    """
    since = np.full(len(times), np.nan) if lights_off is None else np.asarray(times, dtype=float) - lights_off
    return np.where((since >= EARLIEST) & (since <= LATEST), since, np.nan)
