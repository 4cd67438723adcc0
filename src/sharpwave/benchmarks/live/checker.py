"""An independent judge of a night: it sees what went into the gate and what was given, and shares no code with either.

For every cue it looks back through the raw inputs, from the moment of its intent and from that of its release, and
names each rule that was broken. It keeps no state of its own and takes nothing of the gate's for granted:
the protocol is read from its tables, the locks from what was heard, the limits from the cues themselves.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
from numba import njit

RULES = (
    "not armed",
    "loop stood still or went back",
    "old data",
    "stamps at fault",
    "rate",
    "gap in the signal",
    "contact",
    "saturation",
    "mains",
    "arousal",
    "movement",
    "lock after an arousal",
    "polarity",
    "old stage",
    "not asleep",
    "not asleep for long enough",
    "lock after waking",
    "slow wave too small",
    "slow wave too large",
    "slow wave below its mean",
    "onset not as predicted",
    "intended too late or too early",
    "spindle",
    "ripple",
    "refractory",
    "trials an hour",
    "trials a night",
    "level above the cap",
    "level above its aim",
    "level rose too fast",
    "level not lowered after an arousal",
    "before the first moment",
    "after the night",
    "too many arousals",
    "too many wakings",
    "given without an intent",
    "given twice",
    "given too early or too late",
)
"""What a cue may break."""


def read_rules(tables: dict[str, Any]) -> np.ndarray:
    """Numbers of a protocol, from its tables."""
    event = ["any", "absent", "present"].index
    signal, target, sleep = tables["signal"], tables["target"], tables["sleep"]
    guard, limits, schedule = tables["guard"], tables["limits"], tables["schedule"]
    return np.array(
        [
            signal["rate"],
            signal["rate_tolerance"],
            signal["settle"],
            target["amplitude_ratio"],
            target["amplitude_least_uv"] * 1e-6,
            target["amplitude_most_uv"] * 1e-6,
            target["lead_least"],
            target["lead_most"],
            target["late_most"],
            event(target["spindle"]),
            event(target["ripple"]),
            "N2" in sleep["stages"],
            "N3" in sleep["stages"],
            sleep["probability"],
            sleep["stable"],
            sleep["age_most"],
            sleep["wake_probability"],
            sleep["wake_lock"],
            guard["age_most"],
            guard["arousal_ratio"],
            guard["arousal_lock"],
            guard["movement_ratio"],
            guard["flat_share"],
            guard["saturated_share"],
            guard["mains_ratio"],
            limits["level_db"],
            limits["level_step_db"],
            limits["level_most_db"],
            limits["refractory"],
            limits["per_hour"],
            limits["per_night"],
            limits["hours"] * 3600.0,
            limits["first_after"],
            schedule["window"],
            schedule["arousals_of_ten"],
            schedule["wakings_most"],
        ],
        dtype=np.float64,
    )


def compiled(function: Any) -> Any:
    """Compile by numba, afresh in every process: a cache would miss changes in functions of other files."""
    return njit(inspect.unwrap(function))


@compiled
def may_sound(q, start, i, T, far, E, S, C, broken):  # type: ignore[no-untyped-def]
    """Mark what at step `i` speaks against a cue, whatever its onset; `far` is the latest time up to each step."""
    t, e = T[i], E[i]
    armed = -1
    for k in range(i + 1):
        c = C[k]
        if c == 4:
            armed = -2
        elif armed != -2:
            if c == 1 and armed == -1:
                armed = 1
            elif c == 2 and armed == 1:
                armed = 0
            elif c == 3 and armed == 0:
                armed = 1
    broken[0] |= armed != 1
    settle = q[2]
    quiet, woken = q[20], q[17]
    longest = max(settle, max(quiet, woken)) + 40.0
    broken[1] |= t - start < settle or (i > 0 and t < far[i - 1])
    broken[5] |= t - start < settle
    broken[11] |= t - start < quiet
    broken[16] |= t - start < woken
    k = i
    while k >= 0 and far[k] > t - longest:
        back = far[k]
        if k > 0 and t - back < settle and (T[k] - far[k - 1] > 0.5 or T[k] < far[k - 1]):
            broken[1] = True
        if E[k, 12] == 1.0 and t - T[k] < settle:
            broken[3] = True
        if E[k, 13] == 1.0 and t - T[k] < settle:
            broken[5] = True
        if (E[k, 4] > q[19] or E[k, 5] > q[21]) and t - back < quiet:
            broken[11] = True
        if S[k, 0] == 1.0 and S[k, 3] > q[16] and t - back < woken:
            broken[16] = True
        k -= 1
    broken[2] |= not (t - e[0] <= q[18])
    broken[4] |= not (e[16] >= q[0] * (1 - q[1]) and e[16] <= q[0] * (1 + q[1]))
    broken[6] |= not (e[6] <= q[22])
    broken[7] |= not (e[7] <= q[23])
    broken[8] |= not (e[8] <= q[24])
    broken[9] |= not (e[4] <= q[19])
    broken[10] |= not (e[5] <= q[21])
    broken[12] |= e[9] != 1.0
    broken[17] |= not (e[1] >= q[4] * (1 - 1e-12))
    broken[18] |= not (e[1] <= q[5] * (1 + 1e-12))
    broken[19] |= not (e[2] >= q[3])
    broken[22] |= (q[9] == 1.0 and e[10] != 0.0) or (q[9] == 2.0 and e[10] != 1.0)
    broken[23] |= (q[10] == 1.0 and e[11] != 0.0) or (q[10] == 2.0 and e[11] != 1.0)
    broken[31] |= t < start + q[32]
    broken[32] |= t > start + q[31]
    look_at_sleep(q, start, i, T, far, S, broken)


@compiled
def look_at_sleep(q, start, i, T, far, S, broken):  # type: ignore[no-untyped-def]
    """Walk back over the stager's results until they reach as far as sleep must have lasted."""
    t, k, heard, newest = T[i], i, np.inf, True
    last = -1
    while k >= 0:
        if S[k, 0] != 1.0:
            k -= 1
            continue
        r = S[k]
        total = r[3] + r[4] + r[5] + r[6] + r[7]
        fine = abs(total - 1.0) <= 0.0100001 and r[3:8].min() >= 0.0 and r[3:8].max() <= 1.0
        fine = fine and r[2] <= r[1] and r[1] <= far[k] and r[2] >= start
        if last >= 0 and (r[1:] == S[last, 1:]).all():
            k -= 1
            continue
        if not fine:
            broken[14 if newest else 15] = True
            return
        if newest and t - r[2] > q[15]:
            broken[13] = True
        if (r[5] if q[11] else 0.0) + (r[6] if q[12] else 0.0) < q[13]:
            broken[14 if newest else 15] = True
            return
        if not newest and (heard <= r[2] or heard - r[2] > q[15]):
            broken[15] = True
            return
        heard, newest, last = r[2], False, k
        if heard <= t - q[14]:
            return
        k -= 1
    broken[14 if newest else 15] = True


@compiled
def stirred(q, onset, first, i, far, E, S):  # type: ignore[no-untyped-def]
    """Whether an arousal (1) or waking (2) followed a cue, among the steps from `first` to `i`."""
    found = 0
    for k in range(first, i + 1):
        if far[k] <= onset:
            continue
        if far[k] > onset + q[33]:
            break
        if S[k, 0] == 1.0 and S[k, 3] > q[16]:
            return 2
        if E[k, 4] > q[19] or E[k, 5] > q[21]:
            found = 1
    return found


@compiled
def look_at_others(q, m, i, j, releases, far, E, S, broken):  # type: ignore[no-untyped-def]
    """Mark what earlier cues, and what followed them, speak against cue `m` of intent `j` and release `i`."""
    onset, trial, level = releases[m, 1], releases[m, 2], releases[m, 3]
    hour, arousals, wakings = 1, 0, 0
    for k in range(m - 1, -1, -1):
        earlier = releases[k, 1]
        if releases[k, 2] == trial:
            broken[36] = True
        if onset - earlier < q[28]:
            broken[24] = True
        if onset - earlier < 3600.0:
            hour += 1
        what = stirred(q, earlier, int(releases[k, 0]), i, far, E, S)
        arousals += what > 0 and k >= m - 10
        wakings += what == 2
        if k == m - 1 and j >= 0:
            before = stirred(q, earlier, int(releases[k, 0]), j, far, E, S)
            broken[30] |= before > 0 and level > max(0.0, releases[k, 3] + q[26] - 5.0) + 1e-9
        if k == m - 7:
            broken[29] |= level > releases[k, 3] + q[26] + 1e-9
    broken[25] |= hour > q[29]
    broken[33] |= arousals > q[34]
    broken[34] |= wakings > q[35]


@compiled
def judge(q, start, n, T, E, S, C, intents, releases, counts):  # type: ignore[no-untyped-def]
    """Count what the cues of a night broke.

    Args:
        q: From `read_rules`.
        start: Loop time at which the night began.
        n: Number of steps.
        T, E, S, C: Raw inputs of the steps.
        intents: Rows of step, onset, trial, level.
        releases: Rows of step, onset, trial, level.
        counts: How often each rule was broken, added to.

    Returns:
        Number of cues that broke any.
    """
    far = np.empty(n)
    far[0] = max(start, T[0])
    for k in range(1, n):
        far[k] = max(far[k - 1], T[k])
    bad = 0
    at = 0
    for m in range(len(releases)):
        broken = np.zeros(38, np.bool_)
        i, onset, trial, level = int(releases[m, 0]), releases[m, 1], releases[m, 2], releases[m, 3]
        t = T[i]
        while at < len(intents) and intents[at, 2] < trial:
            at += 1
        if at == len(intents) or intents[at, 2] != trial or intents[at, 1] != onset or int(intents[at, 0]) >= i:
            broken[35] = True
            j = -1
        else:
            j = int(intents[at, 0])
            for k in range(j, i + 1):
                may_sound(q, start, k, T, far, E, S, C, broken)
            broken[20] |= E[j, 3] != onset
            lead = onset - T[j]
            broken[21] |= not (lead >= q[6] and lead <= q[7])
        broken[37] |= not (t >= onset - 0.02 - 1e-9 and t <= onset + q[8])
        broken[27] |= not (level <= q[27])
        broken[28] |= not (level <= q[25])
        broken[26] |= m + 1 > q[30]
        look_at_others(q, m, i, j, releases, far, E, S, broken)
        bad += broken.any()
        for k in range(38):
            counts[k] += broken[k]
    return bad
