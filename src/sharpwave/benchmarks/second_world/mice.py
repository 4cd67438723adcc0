"""Mice of a second world: EEG and EMG of days with light and dark, a debt of sleep, and hours kept awake.

Nothing here comes from `sharpwave.simulation`. Debt grows in wake and falls in sleep, each towards its end with a time
constant of its own; it lengthens sleep and the slow waves. Light does the rest. Signals are noise through resonators,
whose size follows the state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from sharpwave.recordings import MODALITIES, Recording, Signal

RATE, EPOCH, DAY = 128, 4, 86_400
START = datetime(2024, 3, 4, 7)
"""Lights on of the first day."""
WAKE, NREM, REM = 0, 1, 2
GROWS, FALLS = 8 * 3600.0, 2.5 * 3600.0
"""Seconds in which debt comes nearer to its end by 63 %, awake and asleep."""
SCALE = 1e-7
"""Volts of one step of the samples."""


@dataclass(frozen=True)
class MouseDays:
    """How long a mouse is recorded, and when it is kept awake.

    Attributes:
        days: Number of days, each from lights on to lights on; 3 by default.
        kept_awake: Day on which it is kept awake, from 0; 1 by default.
        hours: Hours of that, from lights on; 6 by default.
        light: Hours of light a day; 12 by default.
    """

    days: int = 3
    kept_awake: int = 1
    hours: float = 6.0
    light: float = 12.0


def draw_course(
    plan: MouseDays, *, rng: np.random.Generator
) -> tuple[Int[np.ndarray, " epoch"], Float[np.ndarray, " epoch"]]:
    """Stages in epochs of 4 s (0 wake, 1 NREM, 2 REM), and the debt of sleep, 0 to 1.

    Args:
        plan: What the mouse goes through.
        rng: Random generator.

    >>> stages, debt = draw_course(MouseDays(days=1, kept_awake=0), rng=np.random.default_rng(0))
    >>> len(stages), bool((stages[:5400] == 0).all()), bool(debt[5399] > debt[0])
    (21600, True, True)
    """
    n = plan.days * DAY // EPOCH
    stages, debt = np.zeros(n, np.int8), np.zeros(n)
    state, left, level, slept = WAKE, 60.0, 0.4, 0.0
    low = plan.kept_awake * DAY
    for k in range(n):
        second = k * EPOCH
        awake = low <= second < low + 3600 * plan.hours
        if awake:
            state, left = WAKE, 0.0
        elif left <= 0:
            lit = second % DAY < 3600 * plan.light
            state, left, slept = _choose(state, level, slept, lit, rng)
        stages[k], debt[k] = state, level
        level += EPOCH * ((1 - level) / GROWS if state == WAKE else -level / FALLS)
        left -= EPOCH
    return stages, debt


def _choose(state: int, level: float, slept: float, lit: bool, rng: np.random.Generator) -> tuple[int, float, float]:
    """The next state, its seconds, and seconds of NREM since REM."""
    drive = 2.4 * (level - 0.4) + (0.55 if lit else -0.75)
    if state == WAKE:
        seconds = rng.exponential(75 * np.exp(0.8 * drive)) + 8
        return NREM, seconds, slept + seconds
    if state == NREM and rng.random() < 0.45 * (1 - np.exp(-slept / 300)):
        return REM, rng.exponential(55) + 12, 0.0
    brief = rng.random() < 0.72
    return WAKE, (rng.exponential(6) + 4 if brief else rng.exponential(260 * np.exp(-1.1 * drive)) + 30), slept


def compute_slow_gain(debt: Float[np.ndarray, " epoch"]) -> Float[np.ndarray, " epoch"]:
    """How large slow waves of NREM are beside those without debt: what is planted of depth."""
    return 1.0 + 1.2 * debt


def draw_days(
    plan: MouseDays, *, rng: np.random.Generator
) -> Iterator[tuple[Int[np.ndarray, " epoch"], Float[np.ndarray, " epoch"], Recording]]:
    """Day by day: stages and debt in epochs of 4 s, and the recording, as `append_store` takes it.

    Args:
        plan: What the mouse goes through.
        rng: Random generator.
    """
    stages, debt = draw_course(plan, rng=rng)
    per_day = DAY // EPOCH
    for day in range(plan.days):
        part = slice(day * per_day, (day + 1) * per_day)
        signals = {
            name: Signal(name, values, float(RATE), MODALITIES[name.lower()], scale=SCALE)
            for name, values in zip(("EEG", "EMG"), _draw_signals(stages[part], debt[part], rng), strict=True)
        }
        start = START + timedelta(days=day)
        yield stages[part], debt[part], Recording(signals, species="mouse", source="second world", start=start)


def _draw_signals(stages: np.ndarray, debt: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """EEG and EMG as int16."""
    n = len(stages) * EPOCH * RATE
    moving = np.exp(0.6 * rng.standard_normal(len(stages)))

    def follow(wake: Any, nrem: Any, rem: Any) -> np.ndarray:
        """A size by the sample, which changes within a second or two."""
        by_epoch = np.select([stages == WAKE, stages == NREM], [wake, nrem], rem).astype(np.float32)
        places = (np.arange(n, dtype=np.float32) / (EPOCH * RATE)) - 0.5
        return np.interp(places, np.arange(len(by_epoch)), by_epoch).astype(np.float32)

    def noise() -> np.ndarray:
        return rng.standard_normal(n, dtype=np.float32)

    spindle = 0.5 + rng.random(len(stages))
    eeg = 22 * _resonate(noise(), 0.0, 0.95)
    eeg += follow(16.0, 62 * compute_slow_gain(debt), 13.0) * _resonate(noise(), 2.3, 0.94)
    eeg += follow(9 + 7 * np.minimum(moving, 2.5), 9.0, 44.0) * _resonate(noise(), 7.4, 0.985)
    eeg += follow(5.0, 15 * spindle, 6.0) * _resonate(noise(), 11.5, 0.96)
    eeg += 6 * noise()
    tone = np.diff(noise(), prepend=np.float32(0)) / np.sqrt(2)
    emg = follow(16 + 22 * moving, 10.0, 6.0) * tone + 4 * noise()
    as_stored = 1e-6 / SCALE
    return tuple(np.clip(np.rint(x * as_stored), -32_000, 32_000).astype(np.int16) for x in (eeg, emg))  # type: ignore[return-value]


def _resonate(noise: np.ndarray, frequency: float, radius: float) -> np.ndarray:
    """Noise of unit variance through one resonator (Hz; poles at this radius)."""
    from scipy.signal import lfilter

    poles = [1.0, -radius] if not frequency else [1.0, -2 * radius * np.cos(2 * np.pi * frequency / RATE), radius**2]
    found = lfilter([1.0], np.asarray(poles, dtype=np.float32), noise).astype(np.float32)
    return found / found.std()
