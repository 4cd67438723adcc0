"""Which electrodes a recording is read from: quality before name, with the references that the file keeps apart.

The one choice that every use of a recording starts from. A recording that is good throughout is read from the channel
that its name puts first, as if nothing were judged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording, Signal
from sharpwave.recordings.channels import is_electrode, rank_channels
from sharpwave.recordings.derivations import add_derivations, check_derivable, is_derived
from sharpwave.signals.artefacts import LABELS, Spans, find_artefacts, tabulate_spans
from sharpwave.signals.high_rates import lower_rates
from sharpwave.signals.lfp_channels import choose_lfp
from sharpwave.signals.pieces import runs
from sharpwave.signals.quality import GOOD, USABLE, judge_epochs, mask_epochs
from sharpwave.signals.staging import rescale_signal

EPOCH = 30.0
"""Length of the epochs that are judged, in seconds."""

SHORTEST_SWITCH = 4
"""Epochs in a row that the first electrode must miss before another stages them; fewer are left unscored."""

CLEARLY_BETTER = 0.1
"""How much more of the night another channel must hold to be taken before one whose name ranks higher."""

LEAST_RATE = 81.0
"""Rate in Hz from which on a channel can stand in for any other."""

MOST_TRIED = 16
"""Channels of one role that are judged at most."""

JUDGED = ("missing", "flat", "floating", "hum", "clipped", "extreme")


@dataclass(frozen=True, eq=False)
class Electrode:
    """One channel, how good it is, and when.

    Attributes:
        signal: The channel, scaled where its unit is unknown.
        spans: What `find_artefacts` found in it, and in the parts of a derivation.
        unusable: Why each 30 s epoch from its start cannot be used; "" where it can.
    """

    signal: Signal
    spans: Spans
    unusable: np.ndarray

    @property
    def artefacts(self) -> pd.DataFrame:
        """The spans as `detect_artefacts` gives them."""
        return tabulate_spans(self.signal, self.spans)

    @property
    def usable_share(self) -> float:
        """Share of epochs that can be used."""
        return float((self.unusable == "").mean()) if self.unusable.size else 0.0

    def is_usable_at(self, times: np.ndarray) -> np.ndarray:
        """Whether the epoch around each time can be used; never outside the channel."""
        place = np.floor((times - self.signal.start) / EPOCH).astype(int)
        inside = (place >= 0) & (place < self.unusable.size)
        usable = np.zeros(times.size, dtype=bool)
        usable[inside] = self.unusable[place[inside]] == ""
        return usable

    @property
    def bad(self) -> np.ndarray:
        """Whether there is something in each epoch that must not be used, shape (epoch,)."""
        return is_bad(self.unusable)

    def mask(self) -> Signal:
        """The channel, missing where it cannot be used; epochs that miss samples only are left as they are."""
        return mask_epochs(self.signal, self.bad)


@dataclass(frozen=True, eq=False)
class Choice:
    """The channels of a night.

    Attributes:
        recording: The recording, with the derivations that are used and its EEG scaled where its unit is unknown.
        picks: Name of the channel used for each role: "eeg", "eog", "emg"; "lfp" where no EEG can be used.
        electrodes: Every channel that was judged and may be used, by name.
        others: Further EEG channels that stand in where the picked one cannot be used, best first.
        factors: Factor of each channel that is used and whose unit is unknown; 1 where it is flat or too short.

    >>> chosen = choose_electrodes(Recording())
    >>> chosen.picks, chosen.others
    ({}, [])
    """

    recording: Recording
    picks: dict[str, str]
    electrodes: Mapping[str, Electrode]
    others: list[str]
    factors: Mapping[str, float] = field(default_factory=dict)

    def plan_epochs(self) -> list[Plan | None]:
        """Role and channel of each 30 s epoch of the picked EEG; None where there is no EEG to use."""
        primary = self.picks["eeg"]
        first = self.electrodes[primary]
        times = first.signal.start + EPOCH * (np.arange(int(first.signal.duration / EPOCH + 1e-6)) + 0.5)
        usable = {name: self.electrodes[name].is_usable_at(times) for name in [*self.picks.values(), *self.others]}
        long = _find_long(~usable[primary])
        missing = first.unusable[: times.size] == "missing"  # models and stagers leave these out themselves
        plans: list[Plan | None] = []
        for index in range(times.size):
            brain = primary if usable[primary][index] or (missing[index] and not long[index]) else None
            if brain is None and long[index]:
                brain = next((name for name in self.others if usable[name][index]), primary if missing[index] else None)
            extras = [(role, name) for role, name in self.picks.items() if role != "eeg" and usable[name][index]]
            plans.append(None if brain is None else (("eeg", brain), *extras))
        return plans


Plan = tuple[tuple[str, str], ...]
"""Role and channel of everything that one epoch is read from."""


def choose_electrodes(recording: Recording, *, channels: Sequence[str] = ()) -> Choice:
    """Pick the channel of each role by its name and its quality, and form references that the file keeps apart.

    Args:
        recording: The recording, read piece by piece.
        channels: The user's choice, best first; nothing else is taken for its roles.

    Raises:
        SharpwaveError: If a chosen channel is not there and cannot be formed.

    >>> from sharpwave.recordings import MODALITIES
    >>> good, dead = np.random.default_rng(0).normal(0, 20, 12_000), np.zeros(12_000)
    >>> signals = {
    ...     name: Signal(name, samples, 100.0, MODALITIES["eeg"], scale=1e-6)
    ...     for name, samples in (("C4-M1", dead), ("C3-M2", good))
    ... }
    >>> choose_electrodes(Recording(signals=signals)).picks
    {'eeg': 'C3-M2'}
    """
    recording = lower_rates(choose_lfp(recording))
    for wanted in channels:
        check_derivable(recording, wanted)
    whole = add_derivations(recording, channels=channels)
    ranked = rank_channels(whole, channels=channels)
    judge = _Judge(whole)
    picks, sentences = {}, []
    if ranked.get("eeg") == rank_channels(whole).get("eeg"):  # not one that the user asked for
        ranked = _add_implanted(ranked, whole, judge)
    for role, names in ranked.items():
        name = _pick_best(names, judge)
        if name != names[0]:
            why = describe_faults(judge(names[0]))
            sentences.append(f"{names[0]}: {why}, so {name} was taken as the {role.upper()}")
        if judge(name).usable_share > 0 or role in ("eeg", "lfp"):
            picks[role] = name
        else:
            sentences.append(f"{name}: {describe_faults(judge(name))}, so the night was staged without {role.upper()}")
    others = _find_substitutes(picks, ranked, judge, {*whole.metadata.get("doubtful", ())})
    used = [*picks.values(), *others]
    scaled = [name for name in used if judge.scales(name) and name != picks.get("lfp")]
    recording = _keep_used(recording, whole, used, judge, scaled=scaled)
    electrodes = {name: judge(name) for name in (*used, *_list_implanted(whole))}
    recording = replace(recording, repairs=(*recording.repairs, *sentences))
    return Choice(recording, picks, electrodes, others, {name: judge.factors.get(name, 1.0) for name in scaled})


def _list_implanted(recording: Recording) -> list[str]:
    """Names of single LFP channels, those that are doubtful last."""
    names = [name for name, signal in recording.of("lfp").items() if len(signal.samples.shape) == 1]
    names = [name for name in names if recording[name].times is None]
    doubtful = {*recording.metadata.get("doubtful", ()), *recording.metadata.get("bad_channels", ())}
    return sorted(names, key=lambda name: name in doubtful)[:MOST_TRIED]


def _add_implanted(ranked: Mapping[str, list[str]], whole: Recording, judge: _Judge) -> dict[str, list[str]]:
    """The ranking with LFP in place of EEG, where there is no EEG, or nothing of it can be used and LFP can."""
    names = _list_implanted(whole)
    if not names:
        return dict(ranked)
    brain = ranked.get("eeg", [])
    if any(judge(name).usable_share > 0 for name in brain[:MOST_TRIED]):
        return dict(ranked)
    if brain and max(judge(name).usable_share for name in names) < USABLE:
        return dict(ranked)
    return {role: channels for role, channels in ranked.items() if role != "eeg"} | {"lfp": names}


class _Judge:
    """Judges each channel once, when it is asked for."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.unit_unknown = recording.metadata.get("amplitude_unit") == "unknown"
        self.scaled: dict[str, Signal] = {}
        self.factors: dict[str, float] = {}
        self._known: dict[str, Electrode] = {}

    def __call__(self, name: str) -> Electrode:
        if name not in self._known:
            self._known[name] = self._judge(self.recording[name])
        return self._known[name]

    def scales(self, name: str) -> bool:
        """Whether a channel is judged at the amplitude of a usual night, for want of its unit."""
        return self.unit_unknown and self.recording[name].modality.name in ("eeg", "lfp")

    def _judge(self, signal: Signal) -> Electrode:
        if self.scales(signal.name):
            try:
                signal, self.factors[signal.name] = rescale_signal(signal)
                self.scaled[signal.name] = signal
            except SharpwaveError:  # no signal at all: every epoch is missing or flat
                pass
        return judge_electrode(signal, unit_known=not self.unit_unknown)


def judge_electrode(signal: Signal, *, unit_known: bool = True, epoch_length: float = EPOCH) -> Electrode:
    """Which epochs of a channel can be used.

    Args:
        signal: One channel; EEG and LFP at the amplitude of a usual night.
        unit_known: Whether the unit of the other channels is known; where it is not, only gaps are seen in them.
        epoch_length: Length of an epoch in seconds.

    >>> from sharpwave.recordings import MODALITIES
    >>> judge_electrode(Signal("C4", np.zeros(3000), 100.0, MODALITIES["eeg"])).unusable.tolist()
    ['flat']
    """
    spans = find_artefacts(signal) + _find_dead_parts(signal, LABELS)
    return Electrode(signal, spans, _name_faults(signal, spans, unit_known=unit_known, epoch_length=epoch_length))


def find_faults(signal: Signal, *, unit_known: bool = True, epoch_length: float = EPOCH) -> np.ndarray:
    """Why each epoch of a channel cannot be used, as `judge_electrode` says, by what this takes alone.

    Args:
        signal: One channel; EEG and LFP at the amplitude of a usual night.
        unit_known: Whether the unit of the other channels is known.
        epoch_length: Length of an epoch in seconds.

    >>> from sharpwave.recordings import MODALITIES
    >>> find_faults(Signal("C4", np.zeros(3000), 100.0, MODALITIES["eeg"])).tolist()
    ['flat']
    """
    counted = _list_counted(signal.modality.name, unit_known=unit_known)
    spans = find_artefacts(signal, counted) + _find_dead_parts(signal, counted)
    return _name_faults(signal, spans, unit_known=unit_known, epoch_length=epoch_length)


def is_bad(faults: np.ndarray) -> np.ndarray:
    """Whether there is something in each epoch that must not be used; what is missing only is left as it is.

    >>> is_bad(np.array(["", "missing", "flat"], dtype=object)).tolist()
    [False, False, True]
    """
    return np.asarray((faults != "") & (faults != "missing"))


def _name_faults(signal: Signal, spans: Spans, *, unit_known: bool, epoch_length: float) -> np.ndarray:
    counted = _list_counted(signal.modality.name, unit_known=unit_known)
    return judge_epochs(signal, tuple(each for each in spans if each[0] in counted), epoch_length=epoch_length)


def _list_counted(kind: str, *, unit_known: bool) -> tuple[str, ...]:
    """Kinds of artefact that make an epoch of this modality unusable."""
    if kind == "eeg" or (kind == "eog" and unit_known):
        return JUDGED
    if kind == "lfp":
        return ("missing", "flat", "hum", "clipped")
    return ("missing", "flat") if unit_known else ("missing",)


def _find_dead_parts(signal: Signal, labels: Collection[str]) -> Spans:
    """Where an electrode of a derivation stands still or is clipped: what is left there is the other one alone."""
    parts = signal.samples.parts if is_derived(signal) else ()
    wanted = [label for label in ("flat", "clipped") if label in labels]
    return tuple(each for part in parts for each in find_artefacts(part, wanted))


def _pick_best(names: Sequence[str], judge: Callable[[str], Electrode]) -> str:
    """The first name of which nine tenths can be used; else the first that no other clearly surpasses."""
    shares: dict[str, float] = {}
    for name in names[:MOST_TRIED]:
        shares[name] = judge(name).usable_share if len(names) > 1 else 1.0
        if shares[name] >= GOOD:
            break
    best = max(shares.values())
    return next(name for name, share in shares.items() if share >= best - CLEARLY_BETTER)


def _find_substitutes(
    picks: Mapping[str, str], ranked: Mapping[str, Sequence[str]], judge: _Judge, doubtful: set[str]
) -> list[str]:
    """EEG channels that can stage long stretches in which the picked one cannot be used."""
    if "eeg" not in picks:
        return []
    electrode = judge(picks["eeg"])
    first = electrode.signal
    times = electrode.signal.start + EPOCH * (np.arange(electrode.unusable.size) + 0.5)
    wanted = _find_long(electrode.unusable != "")
    found: list[str] = []
    for name in [name for name in ranked["eeg"] if name != picks["eeg"] and name not in doubtful][:MOST_TRIED]:
        if not wanted.any():
            break
        other = judge.recording[name]
        if other.start != first.start or other.rate < min(first.rate, LEAST_RATE):
            continue
        helps = wanted & judge(name).is_usable_at(times)
        if helps.any():
            found.append(name)
            wanted &= ~helps
    return found


def _find_long(unusable: np.ndarray) -> np.ndarray:
    """True in runs of at least `SHORTEST_SWITCH` epochs."""
    long = np.zeros(unusable.size, dtype=bool)
    for first, last in runs(unusable):
        long[first:last] = last - first >= SHORTEST_SWITCH
    return long


def describe_faults(electrode: Electrode) -> str:
    """How much of a channel cannot be used, and why."""
    names, counts = np.unique(electrode.unusable[electrode.unusable != ""].astype(str), return_counts=True)
    kinds = " and ".join(str(name) for name in names[np.argsort(-counts)])
    return f"{counts.sum() / max(electrode.unusable.size, 1):.0%} of it cannot be used ({kinds})"


def _keep_used(
    recording: Recording, whole: Recording, used: Sequence[str], judge: _Judge, *, scaled: Sequence[str]
) -> Recording:
    """The recording with the derivations and scaled channels that are used, each declared."""
    signals = dict(recording.signals)
    repairs = list(recording.repairs)
    eyes: dict[str, str] = {}
    for name in whole.of("eog"):
        if is_derived(whole[name]):
            eyes.setdefault(name.partition("-")[0], name)
    formed = [name for name in whole.signals if is_derived(whole[name]) and name in {*used, *eyes.values()}]
    for name in formed:
        first, *references = (part.name for part in whole[name].samples.parts)
        repairs.append(f"{name}: formed as {first} minus {' and '.join(references)}, which the file keeps apart")
        signals[name] = whole[name]
    for name in used:
        if whole[name].modality.name == "eeg" and is_electrode(name) and name.partition("-")[2] in ("", "REF"):
            repairs.append(f"{name}: used as it is; the file does not say what it is measured against, nor hold that")
        if name in scaled and name not in judge.scaled:
            repairs.append(f"{name}: its unit is unknown, and it is flat or too short to be scaled")
        if name in scaled and name in judge.scaled:
            repairs.append(
                f"{name}: its unit is unknown, so it was scaled to the amplitude of a usual night; amplitudes in µV, "
                "and events found by µV, hold for that scale only"
            )
            signals[name] = judge.scaled[name]
    metadata = {**recording.metadata, **({"amplitude_unit": "rescaled"} if scaled else {})}
    return replace(recording, signals=signals, repairs=tuple(repairs), metadata=metadata)


def list_eyes(recording: Recording) -> list[Signal]:
    """The channels that show the eyes; not those whose difference from a reference is there too.

    >>> list_eyes(Recording())
    []
    """
    eyes = recording.of("eog")
    derived = {part.name for eye in eyes.values() if is_derived(eye) for part in eye.samples.parts}
    return [eye for name, eye in eyes.items() if name not in derived]
