"""Nights of raw inputs for the gate, drawn at random in numba: sleeper, stager, amplifier, operator and loop.

Nearly all is well at nearly every step, and something goes wrong every few seconds, alone more often than not: so a
gate that forgets one condition gives a cue that it should not. More goes wrong while a trial is under way.
"""

from __future__ import annotations

import numpy as np

from sharpwave.benchmarks.live import twin
from sharpwave.benchmarks.live.twin import (
    ARM,
    INTEND,
    N_INPUTS,
    N_OUT,
    N_STAGE,
    PAUSE,
    PENDING,
    RELEASE,
    RESUME,
    STOP,
    compiled,
)

N_FAULTS = 20
_begin, _step = twin.begin, twin.step


def allocate(minutes: float) -> tuple[np.ndarray, ...]:
    """Empty arrays for a night: times, estimates, stage results, commands, and what came out."""
    n = int(minutes * 60 * 6) + 1000
    return np.zeros(n), np.zeros((n, N_INPUTS)), np.zeros((n, N_STAGE)), np.zeros(n, np.int8), np.zeros((n, N_OUT))


@compiled
def draw_stage(rng, sleep, t, row, last):  # type: ignore[no-untyped-def]
    """A result of the stager; now and then one that makes no sense."""
    u = rng.random()
    row[0] = 1.0
    row[1] = t - rng.random() * 0.1
    row[2] = row[1] - rng.random() * (12.0 if rng.random() < 0.01 else 1.0)
    top = 0.82 + 0.17 * rng.random() if rng.random() < 0.97 else 0.5 + 0.4 * rng.random()
    for k in range(5):
        row[3 + k] = (1.0 - top) / 4
    row[3 + sleep] = top
    if sleep >= 2 and sleep <= 3:  # N2 and N3 share what is not elsewhere
        rest = 0.01 + 0.05 * rng.random() if rng.random() < 0.98 else 0.1 + 0.2 * rng.random()
        other = 5 - sleep
        for k in range(5):
            row[3 + k] = rest / 3
        row[3 + other] = 0.3 * rng.random()
        row[3 + sleep] = 1.0 - rest - row[3 + other]
    if u < 0.002:
        row[3 + int(rng.random() * 5)] = np.nan
    elif u < 0.003:
        row[2] = row[1] + 1.0
    elif u < 0.004:
        row[1] = t + 5.0
    elif u < 0.005:
        row[2] -= 80_000.0
    elif u < 0.006:
        row[4] += 0.5
    elif u < 0.014:
        row[:] = last


@compiled
def draw_estimates(rng, fault, t, e, p):  # type: ignore[no-untyped-def]
    """What filters and clock say, all well but for the faults that last."""
    e[0] = t - 0.2 * rng.random()
    e[1] = (p[4] + (p[5] - p[4]) * (0.05 + 0.9 * rng.random())) * 1e-6
    e[2] = p[3] + rng.random()
    e[3] = t + p[6] + (p[7] - p[6]) * rng.random()
    e[4] = p[19] * rng.random()
    e[5] = p[21] * rng.random()
    e[6] = p[22] * rng.random()
    e[7] = p[23] * rng.random()
    e[8] = p[24] * rng.random()
    e[9] = 1.0
    e[10] = 0.0 if p[9] < 2.0 else 1.0
    e[11] = 0.0 if p[10] < 2.0 else 1.0
    e[12] = e[13] = 0.0
    u = rng.random()
    if u < 0.4:
        e[3] = np.nan
    beyond = 1.0 + 0.5 * rng.random()
    if fault[0] > 0:
        e[0] = t - p[18] * beyond if u < 0.8 else -np.inf
    if fault[1] > 0:
        e[1] = p[4] * (0.5 + 0.499 * rng.random()) * 1e-6
    if fault[2] > 0:
        e[1] = p[5] * beyond * 1e-6
    if fault[3] > 0:
        e[2] = p[3] * (0.5 + 0.499 * rng.random())
    if fault[4] > 0:
        e[3] = t + p[6] * (1.8 * rng.random() - 0.8)
    if fault[5] > 0:
        e[3] = t + p[7] * beyond
    if fault[6] > 0:
        e[4] = p[19] * beyond
    if fault[7] > 0:
        e[5] = p[21] * beyond
    if fault[8] > 0:
        e[6] = p[22] * beyond + 0.001
    if fault[9] > 0:
        e[7] = p[23] * beyond + 0.001
    if fault[10] > 0:
        e[8] = p[24] * beyond + 0.001
    if fault[11] > 0:
        e[9] = 0.0 if u < 0.5 else 2.0
    if fault[12] > 0:
        e[10] = 1.0 - e[10]
    if fault[13] > 0:
        e[11] = 1.0 - e[11]
    e[16] = p[0] * (1.0 + p[1] * (1.8 * rng.random() - 0.9))
    if fault[14] > 0:
        e[16] = p[0] * (1.0 + p[1] * beyond * (1.0 if u < 0.5 else -1.0))
    if fault[15] > 0:
        which = int(rng.random() * 12)
        if which == 9:
            e[9] = 0.0
        elif which > 0:
            e[which] = np.nan
        else:
            e[16] = np.nan


@compiled
def draw_command(rng, may_arm, under_way, operator):  # type: ignore[no-untyped-def]
    """What the operator asks for; `operator` holds whether he has armed and whether he has paused."""
    if not operator[0]:
        operator[0] = may_arm
        return ARM if may_arm else 0
    if operator[1] and rng.random() < 0.01:
        operator[1] = False
        return RESUME
    if rng.random() < (0.01 if under_way else 0.0008):
        operator[1] = True
        return PAUSE
    if rng.random() < (0.001 if under_way else 0.0000005):
        return STOP
    if rng.random() < 0.0005:
        return ARM
    return 0


@compiled
def draw_next(rng, t, code, onset):  # type: ignore[no-untyped-def]
    """When the loop steps next: before the onset where a trial is under way, late or twice now and then."""
    w, after = rng.random(), t + 0.2 + 0.1 * rng.random()
    if code in (INTEND, PENDING):
        if w < 0.8 and onset - 0.02 > t:
            return onset - 0.02
        return t + 0.04 * rng.random() if w < 0.9 else after
    if code == RELEASE and w < 0.2:
        return t + 0.02 * rng.random()
    if w < 0.0001:
        return after + 0.3 + 30.0 * rng.random() ** 3
    if w < 0.0002:
        return after - 6.0 * rng.random()
    return after


@compiled
def break_something(rng, fault, under_way):  # type: ignore[no-untyped-def]
    """Let a fault begin now and then, for up to twelve steps, and those that last end."""
    for k in range(N_FAULTS):
        fault[k] -= fault[k] > 0
    if rng.random() < (0.15 if under_way else 0.015):
        which = int(rng.random() * 16)
        if (which != 6 and which != 7) or rng.random() < 0.2:  # these lock for half a minute
            fault[which] = 1 + int(rng.random() * 12)


@compiled
def make_night(rng, p, start, minutes, stirs, T, E, S, C, OUT, mutant):  # type: ignore[no-untyped-def]
    """Draw a night and lead the twin through it.

    Args:
        rng: Where chance comes from.
        p: Numbers of the protocol, from `pack_protocol`.
        start: Loop time at which it begins.
        minutes: Its length.
        stirs: Chance that a trial is followed by an arousal; a tenth of that wakes.
        T, E, S, C, OUT: Arrays to fill, from `allocate`.
        mutant: What is broken; −1 for nothing.

    Returns:
        Number of steps.
    """
    s, onsets, opened, ten = _begin(p, start)
    fault = np.zeros(N_FAULTS, np.int64)
    last = np.zeros(N_STAGE)
    t, n, sleep, until_sleep = start, 0, 0, start + 60.0 * (1 + 5 * rng.random())
    next_stage, stager_until = start + 5.0, 0.0
    arm_at = start + 60.0 * rng.random()
    fault_at, gap_at = -np.inf, start + 1.0
    stir_at, wake_at = np.inf, np.inf
    operator = np.zeros(2, np.bool_)
    while t < start + minutes * 60.0 and n < len(T):
        e, out = E[n], OUT[n]
        break_something(rng, fault, s[20] == 1.0)
        draw_estimates(rng, fault, t, e, p)
        if t >= stir_at:
            e[4], stir_at = p[19] * 2.0, np.inf
        v = rng.random()
        if v < 0.0008:
            e[12], fault_at = 1.0, t
        elif v < 0.0016:
            e[13], gap_at = 1.0, t
        e[14], e[15] = fault_at, gap_at
        if t >= until_sleep:
            w = rng.random()
            sleep = 3 if w < 0.4 else 2 if w < 0.8 else 4 if w < 0.9 else 1 if w < 0.95 else 0
            until_sleep = t + 60.0 * (1 + (40 if 2 <= sleep <= 3 else 6) * rng.random())
        S[n, :] = 0.0
        if t >= next_stage or (s[20] == 1.0 and rng.random() < 0.03):
            next_stage = t + 5.0
            if rng.random() < 0.004:
                stager_until = t + 40.0 * rng.random()
            if t >= stager_until:
                draw_stage(rng, 0 if t >= wake_at else sleep, t, S[n], last)
                wake_at = np.inf if t >= wake_at else wake_at
                last[:] = S[n]
        C[n] = draw_command(rng, t >= arm_at, s[20] == 1.0, operator)
        T[n] = t
        _step(p, s, onsets, opened, ten, e, S[n], C[n], t, out, mutant)
        n += 1
        if out[1] == RELEASE and rng.random() < stirs:
            stir_at = t + 0.5 + p[34] * rng.random()
            wake_at = stir_at + 1.0 if rng.random() < 0.3 else np.inf
        t = draw_next(rng, T[n - 1], out[1], out[2])
    return n
