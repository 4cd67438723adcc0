"""The gate a second time, in numba: a hundred times as fast as `live.gate`, and held against it step by step.

A night is made while the twin goes through it, since the loop makes a step of its own 20 ms before an onset. What went
in is kept in plain arrays (`T`, `E`, `S`, `C`); what came out in `OUT`. `mutant` breaks one condition or rule.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numba import njit

from sharpwave.live.conditions import NAMES
from sharpwave.live.protocol import Protocol

(UNTIL, AMPLITUDE, RATIO, CROSSING, AROUSAL, MOVEMENT, FLAT, SATURATED, MAINS, POLARITY, SPINDLE, RIPPLE) = range(12)
FAULT, GAP, FAULT_AT, GAP_AT, RATE = 12, 13, 14, 15, 16
N_INPUTS = 17
"""Columns of `E`: estimates, then whether a fault or a gap was seen at this step, when the last was, and the rate."""
N_STAGE = 8
"""Columns of `S`: whether a result came, when made, until when heard, five probabilities."""
ARM, PAUSE, RESUME, STOP = 1, 2, 3, 4
HOLD, INTEND, RELEASE, CANCEL, PENDING = 0, 1, 2, 3, 4
N_OUT = 6
"""Columns of `OUT`: mask of the conditions that hold, what came of it, onset, trial, level, deadline."""
RECHECK, STALL, HOUR = 0.02, 0.5, 3600.0

ALONE = ("asleep", "level", "no trial under way")
"""Conditions that another implies, so that without them alone nothing changes: asleep for long enough, the aim of the
level, and the branch that handles a trial under way. Each is broken together with that, in the second part below."""
MUTANTS = {
    **{name: index for index, name in enumerate(NAMES) if name not in ALONE},
    "asleep, and the run that it ends": 46,
    "level, and the aim of its rise": 48,
    "no trial under way": 52,
    "released twice": 40,
    "no check before the onset": 41,
    "a late step still gives": 42,
    "checked too early": 43,
    "unknown holds": 44,
    "a result without sense is kept": 45,
    "an arousal does not lower the level": 47,
    "stop can be undone": 49,
    "the hour has 900 s": 50,
    "the clock may go back": 51,
}
"""What each mutant breaks: a condition is taken as true, or a rule is left out."""


def pack_protocol(protocol: Protocol) -> np.ndarray:
    """Numbers of a protocol in the order that the twin reads them."""
    one, two, three, four, five, six = (
        protocol.signal,
        protocol.target,
        protocol.sleep,
        protocol.guard,
        protocol.limits,
        protocol.schedule,
    )
    events = {"any": 0.0, "absent": 1.0, "present": 2.0}
    return np.array(
        [
            one.rate,
            one.rate_tolerance,
            one.settle,
            two.amplitude_ratio,
            two.amplitude_least_uv,
            two.amplitude_most_uv,
            two.lead_least,
            two.lead_most,
            two.late_most,
            events[two.spindle],
            events[two.ripple],
            "N2" in three.stages,
            "N3" in three.stages,
            three.probability,
            three.stable,
            three.age_most,
            three.wake_probability,
            three.wake_lock,
            four.age_most,
            four.arousal_ratio,
            four.arousal_lock,
            four.movement_ratio,
            four.flat_share,
            four.saturated_share,
            four.mains_ratio,
            five.level_db,
            five.level_first_db,
            five.level_step_db,
            five.level_most_db,
            five.refractory,
            five.per_hour,
            five.per_night,
            five.hours,
            five.first_after,
            six.window,
            six.arousals_of_ten,
            six.wakings_most,
        ],
        dtype=np.float64,
    )


def compiled(function: Any) -> Any:
    """Compile by numba, afresh in every process: a cache would miss changes in functions of other files."""
    return njit(inspect.unwrap(function))


@compiled
def find(p, s, e, now, onset, hour, arousals, mutant):  # type: ignore[no-untyped-def]
    """Mask of the conditions that hold."""
    held = np.zeros(33, np.bool_)
    nan = np.nan
    under_way = s[20] == 1.0
    has = s[4] == 1.0
    lead = onset - now
    asleep = (s[9] if p[11] == 1.0 else 0.0) + (s[10] if p[12] == 1.0 else 0.0) if has else nan
    height = e[1] * 1e6
    held[0] = s[3] == 1.0
    held[1] = now - s[2] >= p[2]
    held[2] = now - e[0] <= p[18] and np.isfinite(e[0])
    held[3] = now - e[14] >= p[2]
    held[4] = abs(e[16] / p[0] - 1.0) <= p[1]
    held[5] = now - e[15] >= p[2] and np.isfinite(e[15])
    held[6] = e[6] <= p[22]
    held[7] = e[7] <= p[23]
    held[8] = e[8] <= p[24]
    held[9] = e[4] <= p[19]
    held[10] = e[5] <= p[21]
    held[11] = now - s[13] >= p[20]
    held[12] = e[9] == 1.0
    held[13] = has and now - s[6] <= p[15]
    held[14] = asleep >= p[13]
    held[15] = now - s[25] >= p[14]
    held[16] = now - s[12] >= p[17]
    held[17] = height >= p[4]
    held[18] = height <= p[5]
    held[19] = e[2] >= p[3]
    held[20] = lead >= (-p[8] if under_way else p[6])
    held[21] = lead <= p[7]
    held[22] = p[9] == 0.0 or e[10] == (0.0 if p[9] == 1.0 else 1.0)
    held[23] = p[10] == 0.0 or e[11] == (0.0 if p[10] == 1.0 else 1.0)
    since = (now if np.isnan(onset) else onset) - s[16]
    held[24] = s[15] == 0.0 or since >= p[29]
    held[25] = hour + 1 <= p[30]
    held[26] = s[15] + 1 <= p[31]
    level = s[23] if under_way else s[14]
    held[27] = level <= p[28]
    held[28] = now - s[0] >= p[33]
    held[29] = now - s[0] <= p[32] * 3600.0
    held[30] = arousals <= p[35]
    held[31] = s[18] <= p[36]
    held[32] = not under_way
    if mutant == 44:
        for k, value in ((4, e[16]), (6, e[6]), (7, e[7]), (8, e[8]), (9, e[4]), (10, e[5]), (17, e[1]), (18, e[1])):
            if np.isnan(value):
                held[k] = True
    if mutant == 46:
        held[14] = True
    if 0 <= mutant < 33:
        held[mutant] = True
    if mutant == 48:
        held[27] = True
    if mutant == 52:
        held[32] = True
    if mutant == 40 and under_way:
        held[24] = True
    return held


@compiled
def hear(p, s, e, stage, now, mutant):  # type: ignore[no-untyped-def]
    """What the stager and the guard said, into the state."""
    if stage[0] == 1.0:
        made, heard = stage[1], stage[2]
        if stage[3] > p[16]:
            s[12] = now
        same = s[4] == 1.0 and s[5] == made and s[6] == heard
        total = 0.0
        sane = True
        for k in range(5):
            if s[7 + k] != stage[3 + k]:
                same = False
            if not (stage[3 + k] >= 0.0 and stage[3 + k] <= 1.0):
                sane = False
            total += stage[3 + k]
        sane = sane and abs(total - 1.0) <= 0.01 and s[0] <= heard and heard <= made and made <= now
        sane = sane and (s[4] == 0.0 or heard > s[6])
        if not same:
            if not sane:
                if mutant != 45:
                    s[4] = 0.0
                    s[25] = np.nan
            else:
                asleep = (stage[5] if p[11] == 1.0 else 0.0) + (stage[6] if p[12] == 1.0 else 0.0)
                if asleep < p[13]:
                    if mutant != 46:
                        s[25] = np.nan
                elif np.isnan(s[25]) or s[4] == 0.0 or heard - s[6] > p[15]:
                    s[25] = heard
                s[4] = 1.0
                s[5] = made
                s[6] = heard
                for k in range(5):
                    s[7 + k] = stage[3 + k]
    if e[4] > p[19] or e[5] > p[21]:
        s[13] = now


@compiled
def follow(p, s, opened, ten, now, mutant):  # type: ignore[no-untyped-def]
    """Trials whose window is open, into the state; `opened` holds onset and what followed, its count in row 0."""
    n, kept = int(opened[0, 0]), 0
    for k in range(1, n + 1):
        onset, kind = opened[k, 0], opened[k, 1]
        before = kind
        if kind != 2.0 and onset < s[12] and s[12] <= onset + p[34]:
            kind = 2.0
            s[18] += 1.0
        elif kind == 0.0 and onset < s[13] and s[13] <= onset + p[34]:
            kind = 1.0
        if kind != 0.0 and before == 0.0 and mutant != 47:
            s[14] = max(0.0, s[14] - 5.0)
            s[17] = 0.0
        opened[k, 1] = kind
    for k in range(1, n + 1):
        onset, kind = opened[k, 0], opened[k, 1]
        if now > onset + p[34]:
            ten[:9] = ten[1:]
            ten[9] = 1.0 if kind != 0.0 else 0.0
            s[17] = s[17] + 1.0 if kind == 0.0 else 0.0
            if s[17] == 10.0:
                aim = 80.0 if mutant == 48 else p[25]
                s[14] = min(aim, s[14] + p[27])
                s[17] = 0.0
        else:
            kept += 1
            opened[kept, 0], opened[kept, 1] = onset, kind
    opened[0, 0] = kept


@compiled
def obey(s, command, mutant):  # type: ignore[no-untyped-def]
    """What the operator asked for, into the state."""
    if command == STOP:
        s[3] = 3.0
    elif s[3] != 3.0 or mutant == 49:
        if command == ARM and (s[3] == 0.0 or s[3] == 3.0):
            s[3] = 1.0
        elif command == PAUSE and s[3] == 1.0:
            s[3] = 2.0
        elif command == RESUME and s[3] == 2.0:
            s[3] = 1.0


@compiled
def step(p, s, onsets, opened, ten, e, stage, command, now, out, mutant):  # type: ignore[no-untyped-def]
    """One step of the twin: `s`, `onsets`, `opened` and `ten` are changed in place, `out` is filled."""
    late = max(now, s[1])
    if now - s[1] > STALL or (now < s[1] and mutant != 51):
        s[2] = late
    hear(p, s, e, stage, late if mutant != 51 else now, mutant)
    follow(p, s, opened, ten, now, mutant)
    obey(s, command, mutant)
    s[1] = late
    pending = s[20] == 1.0
    onset = s[21] if pending else e[3]
    reference = now if np.isnan(onset) else onset
    span = 900.0 if mutant == 50 else HOUR
    n_onsets, hour = int(s[19]), 0
    for k in range(n_onsets - 1, -1, -1):
        if onsets[k] > reference - span:
            hour += 1
        elif onsets[k] < reference - span - 60.0:
            break
    arousals = ten.sum()
    for k in range(1, int(opened[0, 0]) + 1):
        arousals += 1.0 if opened[k, 1] != 0.0 else 0.0
    held = find(p, s, e, now, onset, hour, arousals, mutant)
    mask, others = 0, True
    for k in range(33):
        if held[k]:
            mask |= 1 << k
        elif k < 32:
            others = False
    out[0], out[1], out[2], out[3], out[4], out[5] = mask, HOLD, np.nan, np.nan, np.nan, np.nan
    if not pending or (mutant == 52 and others and np.isfinite(e[3]) and e[3] > s[21] and now < s[21] - RECHECK):
        if others:
            s[20], s[21], s[22], s[23] = 1.0, e[3], s[24], s[14]
            s[24] += 1.0
            out[1] = INTEND
            out[2], out[3], out[4], out[5] = s[21], s[22], s[23], s[21] + p[8]
        return
    out[2], out[3], out[4], out[5] = s[21], s[22], s[23], s[21] + p[8]
    if mutant == 41:
        others = now <= s[21] + p[8]
    if mutant == 42:
        others = others or now > s[21] + p[8]
    elif now > s[21] + p[8]:
        others = False
    if not others:
        out[1] = CANCEL
        s[20] = 0.0
    elif now < s[21] - (0.1 if mutant == 43 else RECHECK):
        out[1] = PENDING
    else:
        out[1] = RELEASE
        s[20] = 1.0 if mutant == 40 and s[15] % 7 == 3 else 0.0
        s[15] += 1.0
        s[16] = s[21]
        onsets[n_onsets] = s[21]
        s[19] += 1.0
        kept = int(opened[0, 0]) + 1
        if kept < opened.shape[0]:
            opened[0, 0] = kept
            opened[kept, 0], opened[kept, 1] = s[21], 0.0


@compiled
def begin(p, start):  # type: ignore[no-untyped-def]
    """State, onsets, open trials and the last ten, before the first step."""
    s = np.zeros(26)
    s[0] = s[1] = s[2] = s[12] = s[13] = start
    s[25] = np.nan
    s[14] = p[26]
    s[16] = -np.inf
    s[24] = 1.0
    return s, np.zeros(20_000), np.zeros((64, 2)), np.zeros(10)
