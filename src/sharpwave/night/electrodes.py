"""Which electrode stages which part of a night: quality before name, and nothing staged from a dead stretch.

A recording that is good throughout is staged from the channel that its name puts first, as if nothing were judged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Hypnogram, Recording, Signal
from sharpwave.recordings.channels import is_electrode, rank_channels
from sharpwave.recordings.derivations import add_derivations, check_derivable, is_derived
from sharpwave.recordings.hypnogram import UNSCORED
from sharpwave.signals import detect_artefacts, rescale_signal
from sharpwave.signals.pieces import runs
from sharpwave.signals.quality import GOOD, find_unusable_epochs, mask_epochs

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
        artefacts: What `detect_artefacts` found in it.
        unusable: Why each 30 s epoch from its start cannot be used; "" where it can.
    """

    signal: Signal
    artefacts: pd.DataFrame
    unusable: np.ndarray

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

    def mask(self) -> Signal:
        """The channel, missing where it cannot be used; epochs that miss samples only are left as they are."""
        return mask_epochs(self.signal, ~np.isin(self.unusable, ("", "missing")))


@dataclass(frozen=True, eq=False)
class Choice:
    """The channels of a night.

    Attributes:
        recording: The recording, with the derivations that are used and its EEG scaled where its unit is unknown.
        picks: Name of the channel used for each role.
        electrodes: Every channel that was judged and may be used, by name.
        others: Further EEG channels that stand in where the picked one cannot be used, best first.

    >>> chosen = choose_electrodes(Recording())
    >>> chosen.picks, chosen.others
    ({}, [])
    """

    recording: Recording
    picks: dict[str, str]
    electrodes: Mapping[str, Electrode]
    others: list[str]


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
    for wanted in channels:
        check_derivable(recording, wanted)
    whole = add_derivations(recording, channels=channels)
    ranked = rank_channels(whole, channels=channels)
    judge = _Judge(whole)
    picks, sentences = {}, []
    for role, names in ranked.items():
        name = _pick_best(names, judge)
        if name != names[0]:
            why = _describe_faults(judge(names[0]))
            sentences.append(f"{names[0]}: {why}, so {name} was taken as the {role.upper()}")
        if judge(name).usable_share > 0 or role == "eeg":
            picks[role] = name
        else:
            sentences.append(f"{name}: {_describe_faults(judge(name))}, so the night was staged without {role.upper()}")
    others = _find_substitutes(picks, ranked, judge, {*whole.metadata.get("doubtful", ())})
    used = [*picks.values(), *others]
    recording = _keep_used(recording, whole, used, judge)
    electrodes = {name: judge(name) for name in used}
    return Choice(replace(recording, repairs=(*recording.repairs, *sentences)), picks, electrodes, others)


class _Judge:
    """Judges each channel once, when it is asked for."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.unit_unknown = recording.metadata.get("amplitude_unit") == "unknown"
        self.scaled: dict[str, Signal] = {}
        self._known: dict[str, Electrode] = {}

    def __call__(self, name: str) -> Electrode:
        if name not in self._known:
            self._known[name] = self._judge(self.recording[name])
        return self._known[name]

    def _judge(self, signal: Signal) -> Electrode:
        kind = signal.modality.name
        if self.unit_unknown and kind in ("eeg", "lfp"):
            try:
                signal, _ = rescale_signal(signal)
                self.scaled[signal.name] = signal
            except SharpwaveError:  # no signal at all: every epoch is missing or flat
                pass
        artefacts = detect_artefacts(signal)
        if is_derived(signal):
            artefacts = pd.concat([artefacts, *(_find_dead_parts(part, signal) for part in signal.samples.parts)])
            artefacts = artefacts.sort_values("onset", kind="stable", ignore_index=True)
        judged = artefacts[artefacts["label"].isin(self._list_counted(kind))]
        return Electrode(signal, artefacts, find_unusable_epochs(signal, judged, epoch_length=EPOCH))

    def _list_counted(self, kind: str) -> tuple[str, ...]:
        """Kinds of artefact that make an epoch of this modality unusable."""
        if kind == "eeg" or (kind == "eog" and not self.unit_unknown):
            return JUDGED
        return ("missing",) if self.unit_unknown and kind != "lfp" else ("missing", "flat")


def _find_dead_parts(part: Signal, derived: Signal) -> pd.DataFrame:
    """Where an electrode of a derivation stands still or is clipped: what is left there is the other one alone."""
    found = detect_artefacts(part)
    return found[found["label"].isin(("flat", "clipped"))].assign(channel=derived.name)


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


def _describe_faults(electrode: Electrode) -> str:
    """How much of a channel cannot be used, and why."""
    names, counts = np.unique(electrode.unusable[electrode.unusable != ""].astype(str), return_counts=True)
    kinds = " and ".join(str(name) for name in names[np.argsort(-counts)])
    return f"{counts.sum() / max(electrode.unusable.size, 1):.0%} of it cannot be used ({kinds})"


def _keep_used(recording: Recording, whole: Recording, used: Sequence[str], judge: _Judge) -> Recording:
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
        if name in judge.scaled:
            repairs.append(
                f"{name}: its unit is unknown, so it was scaled to the amplitude of a usual night; amplitudes in µV, "
                "and events found by µV, hold for that scale only"
            )
            signals[name] = judge.scaled[name]
    scaled = {"amplitude_unit": "rescaled"} if judge.scaled.keys() & {*used} else {}
    metadata = {**recording.metadata, **scaled}
    return replace(recording, signals=signals, repairs=tuple(repairs), metadata=metadata)


def list_eyes(recording: Recording) -> list[Signal]:
    """The channels that show the eyes; not those whose difference from a reference is there too.

    >>> list_eyes(Recording())
    []
    """
    eyes = recording.of("eog")
    derived = {part.name for eye in eyes.values() if is_derived(eye) for part in eye.samples.parts}
    return [eye for name, eye in eyes.items() if name not in derived]


def stage_good_stretches(
    choice: Choice, stage: Callable[[Recording, Mapping[str, str]], Hypnogram]
) -> tuple[Hypnogram, np.ndarray, list[str]]:
    """Stage a night, each part from channels that can be used there; what no channel shows is left unscored.

    Args:
        choice: The channels of the night.
        stage: Stages a recording with the channels that it is given for each role.

    Returns:
        The stages; the name of the EEG channel behind each epoch ("" where unscored for want of one); and sentences
        that declare what was not staged from the picked channels.
    """
    recording, picks = choice.recording, choice.picks
    if "eeg" not in picks:
        hypnogram = stage(recording, picks)
        return hypnogram, np.full(len(hypnogram), "", dtype=object), []
    first = choice.electrodes[picks["eeg"]]
    times = first.signal.start + EPOCH * (np.arange(int(first.signal.duration / EPOCH + 1e-6)) + 0.5)
    plans = _plan(choice, times)
    distinct = dict.fromkeys(plan for plan in plans if plan is not None)
    merged: Hypnogram | None = None
    for plan in distinct:
        masked = {name: choice.electrodes[name].mask() for _, name in plan}
        left_out = {name for role, name in picks.items() if (role, name) not in plan}
        signals = {name: signal for name, signal in recording.signals.items() if name not in left_out}
        part = stage(replace(recording, signals={**signals, **masked}), dict(plan))
        mine = np.array([other == plan for other in plans])
        if merged is None:
            length = times.size if len(distinct) > 1 and part.epoch_length == EPOCH else len(part)
            merged = _empty_like(part, length)
        merged = _merge(merged, part, start=first.signal.start, mine=mine)
    if merged is None:
        merged = Hypnogram(np.full(times.size, UNSCORED, dtype=np.int8), EPOCH, 5, first.signal.start)
    middles = merged.onsets + merged.epoch_length / 2
    place = np.clip(np.floor((middles - first.signal.start) / EPOCH).astype(int), 0, max(times.size - 1, 0))
    sources = np.array([dict(plan)["eeg"] if plan else "" for plan in plans], dtype=object)
    return merged, sources[place] if times.size else sources, _declare(choice, plans)


Plan = tuple[tuple[str, str], ...]


def _plan(choice: Choice, times: np.ndarray) -> list[Plan | None]:
    """Role and channel of each epoch's stages; None where there is no EEG to use."""
    primary = choice.picks["eeg"]
    usable = {name: choice.electrodes[name].is_usable_at(times) for name in [*choice.picks.values(), *choice.others]}
    long = _find_long(~usable[primary])
    missing = choice.electrodes[primary].unusable[: times.size] == "missing"  # the stager leaves these out itself
    plans: list[Plan | None] = []
    for index in range(times.size):
        brain = primary if usable[primary][index] or (missing[index] and not long[index]) else None
        if brain is None and long[index]:
            brain = next((name for name in choice.others if usable[name][index]), primary if missing[index] else None)
        extras = [(role, name) for role, name in choice.picks.items() if role != "eeg" and usable[name][index]]
        plans.append(None if brain is None else (("eeg", brain), *extras))
    return plans


def _empty_like(part: Hypnogram, length: int) -> Hypnogram:
    """A hypnogram of unscored epochs on the clock of another."""
    stages = np.full(length, UNSCORED, dtype=np.int8)
    probabilities = None if part.probabilities is None else np.full((length, part.n_stages), np.nan)
    return replace(part, stages=stages, probabilities=probabilities)


def _merge(merged: Hypnogram, part: Hypnogram, *, start: float, mine: np.ndarray) -> Hypnogram:
    """Stages so far, and those of `part` in the 30 s epochs that are its own."""
    length = min(len(merged), len(part))
    place = np.floor((part.onsets[:length] + part.epoch_length / 2 - start) / EPOCH).astype(int)
    taken = (place >= 0) & (place < mine.size) & mine[np.clip(place, 0, mine.size - 1)]
    stages = merged.stages.copy()
    stages[:length][taken] = part.stages[:length][taken]
    probabilities = None
    if merged.probabilities is not None and part.probabilities is not None:
        probabilities = merged.probabilities.copy()
        probabilities[:length][taken] = part.probabilities[:length][taken]
    return replace(merged, stages=stages, probabilities=probabilities)


def _declare(choice: Choice, plans: Sequence[Plan | None]) -> list[str]:
    """What was staged from other channels than the picked ones, and what was not staged."""
    primary = choice.picks["eeg"]
    electrode = choice.electrodes[primary]
    kinds = " and ".join(sorted({str(kind) for kind in electrode.unusable if kind}))
    sentences = []
    for name in choice.others:
        minutes = sum(plan is not None and plan[0] == ("eeg", name) for plan in plans) * EPOCH / 60
        if minutes:
            sentences.append(f"{primary}: {kinds} for {minutes:g} min, which were staged from {name}")
    unusable = electrode.unusable[: len(plans)]
    lost = [kind for kind, plan in zip(unusable, plans, strict=True) if plan is None]
    if any(kind != "missing" for kind in lost):
        minutes = len(lost) * EPOCH / 60
        kinds = " and ".join(sorted({str(kind) for kind in lost}))
        sentences.append(f"{primary}: {kinds} for {minutes:g} min without another EEG channel; left unscored")
    for role, name in choice.picks.items():
        without = sum(plan is not None and (role, name) not in plan[1:] for plan in plans) * EPOCH / 60
        if role != "eeg" and without:
            sentences.append(f"{name}: {_describe_faults(choice.electrodes[name])}; {without:g} min staged without it")
    return sentences
