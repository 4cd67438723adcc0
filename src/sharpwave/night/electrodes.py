"""Staging a night from the electrodes that can be used, each part from its own; nothing staged from a dead stretch.

Which electrodes those are is chosen in `sharpwave.signals.electrodes`, for every use of a recording.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from sharpwave import moved
from sharpwave.recordings import Hypnogram, Recording
from sharpwave.recordings.hypnogram import UNSCORED
from sharpwave.signals.electrodes import EPOCH, Choice, Plan, describe_faults
from sharpwave.signals.preparation import show_chosen


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
        hypnogram = stage(show_chosen(choice), picks)
        return hypnogram, np.full(len(hypnogram), "", dtype=object), []
    first = choice.electrodes[picks["eeg"]]
    plans = choice.plan_epochs()
    times = first.signal.start + EPOCH * (np.arange(len(plans)) + 0.5)
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
            sentences.append(f"{name}: {describe_faults(choice.electrodes[name])}; {without:g} min staged without it")
    return sentences


__getattr__ = moved.rename(
    __name__,
    {
        name: f"signals.electrodes:{name}"
        for name in ("CLEARLY_BETTER", "SHORTEST_SWITCH", "Electrode", "choose_electrodes", "list_eyes")
    },
)
