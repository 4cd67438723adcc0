"""What was given tonight and what the sleeper did after it: the level that follows, and what ends the night."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

from sharpwave.live.decision import Intend, Outcome
from sharpwave.live.protocol import Protocol

HOUR = 3600.0
DISTURBED_DB = 5.0
"""dB that an arousal after a trial takes off the level."""
CALM_TRIALS = 10
"""Trials without an arousal after which the level rises by a step."""


@dataclass(frozen=True)
class Trials:
    """What was given so far.

    Attributes:
        next_trial: Number of the next trial; a cancelled one keeps its own.
        given: Trials that were released.
        onsets: Onsets of those of the last hour.
        last_onset: Of the last that was released.
        level_db: Level of the next.
        calm: Trials without an arousal since the level last changed.
        open: Trial, onset and what followed so far, of those whose window is not over.
        last_ten: Whether each of the last ten was followed by an arousal or waking.
        wakings: Trials that were followed by waking.
    """

    level_db: float
    next_trial: int = 1
    given: int = 0
    onsets: tuple[float, ...] = ()
    last_onset: float = -inf
    calm: int = 0
    open: tuple[Outcome, ...] = ()
    last_ten: tuple[bool, ...] = ()
    wakings: int = 0


def follow_trials(
    protocol: Protocol, trials: Trials, *, woke_at: float, aroused_at: float, now: float
) -> tuple[Trials, tuple[Outcome, ...]]:
    """Trials whose window is open are marked where the sleeper stirs; those whose window is over are counted.

    Args:
        protocol: Of the night.
        trials: So far.
        woke_at: When wake was last seen, in seconds of loop time.
        aroused_at: When an arousal or movement was last suspected.
        now: Of the step.

    Returns:
        The trials, and the outcomes of those whose window is over.
    """
    if not trials.open:
        return trials, ()
    window, limits = protocol.schedule.window, protocol.limits
    seen, still, over = [], [], []
    level, calm, wakings, last_ten = trials.level_db, trials.calm, trials.wakings, trials.last_ten
    for one in trials.open:
        disturbed = one.disturbed
        if disturbed != "waking" and one.onset < woke_at <= one.onset + window:
            disturbed, wakings = "waking", wakings + 1
        elif disturbed == "no" and one.onset < aroused_at <= one.onset + window:
            disturbed = "arousal"
        if disturbed != "no" and one.disturbed == "no":
            level, calm = max(0.0, level - DISTURBED_DB), 0
        seen.append(one if disturbed == one.disturbed else replace(one, disturbed=disturbed))
    for one in seen:  # after all marks, so that no level rises in the step in which it falls
        if now <= one.onset + window:
            still.append(one)
            continue
        over.append(one)
        last_ten = (*last_ten, one.disturbed != "no")[-10:]
        calm = calm + 1 if one.disturbed == "no" else 0
        if calm == CALM_TRIALS:
            level, calm = min(limits.level_db, level + limits.level_step_db), 0
    changed = replace(trials, open=tuple(still), level_db=level, calm=calm, wakings=wakings, last_ten=last_ten)
    return changed, tuple(over)


def give_trial(trials: Trials, given: Intend) -> Trials:
    """Count a trial that was released.

    >>> trial = Intend(onset=10.0, trial=1, cue_ref="click", level_db=35.0, deadline=10.02)
    >>> give_trial(Trials(level_db=35.0), trial).given
    1
    """
    recent = tuple(one for one in trials.onsets if given.onset - one < HOUR)
    return replace(
        trials,
        given=trials.given + 1,
        onsets=(*recent, given.onset),
        last_onset=given.onset,
        open=(*trials.open, Outcome(given.trial, given.onset, "no")),
    )
