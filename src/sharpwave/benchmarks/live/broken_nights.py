"""Nights from samples in which everything breaks: a second simulated sleeper, and an amplifier, a stager and a loop.

It shares no code with `sharpwave.simulation` or with the source of `sharpwave live --simulate`: noise with a slope,
slow waves as noise between 0.5 and 1.2 Hz whose troughs are deeper than its peaks are high, spindles on the rise of
them, alpha and muscle in wake. What breaks, and when, is planted and known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from scipy import signal as filters

from sharpwave.live.decision import Chunk, StageResult

RATE, CHUNK = 128.0, 16
LATENCY = 0.012

FAULTS: dict[str, tuple[str, ...]] = {
    "dropout": ("age of data", "signal unbroken"),
    "silence": ("age of data", "signal unbroken"),
    "backlog": ("age of data",),
    "stamps back": ("stamps",),
    "stamps forward": ("stamps",),
    "stamps constant": ("age of data", "stamps"),
    "stamps no number": ("stamps", "age of data"),
    "not a number": ("slow wave", "slow wave ratio", "target ahead"),
    "infinite": ("slow wave", "slow wave ratio", "target ahead"),
    "flat": ("contact",),
    "saturated": ("saturation",),
    "mains": ("mains",),
    "microvolts": ("saturation",),
    "doubled": ("stamps",),
    "stager silent": ("age of stage",),
    "stager no number": ("age of stage", "asleep"),
    "stager of yesterday": ("age of stage", "asleep"),
    "loop stands still": ("loop running",),
    "loop clock back": ("loop running",),
}
"""What breaks, and which conditions may name it."""
WITHIN = {
    "flat": 0.85,
    "mains": 1.5,
    "dropout": 0.45,
    "silence": 0.45,
    "stamps constant": 0.45,
    "backlog": 0.45,
    "stager silent": 15.5,
    "stager no number": 5.5,
    "stager of yesterday": 5.5,
}
"""Seconds after its begin from which nothing may be intended or given in a fault, where it is more than `DETECTED`:
half of a second's samples must be flat, missing data have their limit of age, the stager speaks every five seconds."""
DETECTED = 0.25 + CHUNK / RATE
"""Seconds until a hold: 0.25 from the arrival of the first chunk that holds the fault."""


@dataclass
class BrokenNight:
    """What was planted.

    Attributes:
        samples: In volts.
        stages: True stage of each second, in the order of `live.decision.STAGES`.
        arousals: When arousals begin, in seconds.
        faults: Kind, begin and end of each fault, in seconds of loop time.
    """

    samples: np.ndarray
    stages: np.ndarray
    arousals: list[float]
    faults: list[tuple[str, float, float]] = field(default_factory=list)


def make_night(rng: np.random.Generator, *, minutes: float) -> BrokenNight:
    """A sleeper who is deep asleep after a few minutes, and faults every minute or so.

    Args:
        rng: Where chance comes from.
        minutes: Length.
    """
    seconds = int(minutes * 60)
    stages = np.full(seconds, 3)
    stages[:90], stages[90:150] = 0, 2
    turn = 900
    while turn < seconds:
        stages[turn : turn + 60] = rng.choice([0, 2, 2, 4])
        turn += int(rng.uniform(400, 900))
    n, kind = int(seconds * RATE), np.repeat(stages, int(RATE))[: int(seconds * RATE)]
    slow = _band(rng, n, 0.5, 1.2)
    slow = slow - 0.25 * (slow**2 - 1.0)
    sigma, fast, alpha = _band(rng, n, 12.0, 15.0), _band(rng, n, 16.0, 40.0), _band(rng, n, 9.0, 11.0)
    pink = np.cumsum(rng.normal(size=n)) * 0.3
    pink = filters.sosfilt(filters.butter(2, 0.3, "high", fs=RATE, output="sos"), pink)
    depth = np.choose(kind, [0.0, 3.0, 22.0, 45.0, 2.0])
    microvolts = 2.0 * pink + depth * slow + np.where((kind == 2) | (kind == 3), 5.0, 1.0) * sigma * (slow > 0.3)
    microvolts += np.where(kind == 0, 12.0, 1.0) * alpha + np.where(kind == 0, 8.0, 1.2) * fast
    arousals = [float(one) for one in np.arange(500, seconds - 60) if rng.random() < 1 / 400]
    for one in arousals:
        part = slice(int(one * RATE), int((one + 4) * RATE))
        microvolts[part] += 15.0 * fast[part]
    night = BrokenNight((microvolts * 1e-6).astype(np.float32), stages, arousals)
    at, kinds = 330.0, list(FAULTS)
    while at < seconds - 60:
        begin = at + rng.uniform(0, 25)
        if len(night.faults) % len(kinds) == 0:
            kinds = [str(one) for one in rng.permutation(list(FAULTS))]
        night.faults.append((kinds[len(night.faults) % len(kinds)], begin, begin + float(rng.uniform(1.0, 15.0))))
        at = night.faults[-1][2] + 30.0
    return night


def _band(rng: np.random.Generator, n: int, low: float, high: float) -> np.ndarray:
    noise = filters.sosfilt(filters.butter(2, (low, high), "band", fs=RATE, output="sos"), rng.normal(size=n))
    return noise / noise.std()


def stream(night: BrokenNight, rng: np.random.Generator) -> Iterator[Chunk]:
    """Chunks as a broken amplifier delivers them, in the order of their arrival."""
    samples, late = night.samples, 0.0
    skew, held, n_lost = float(rng.uniform(-1e6, 1e9)), 0.0, 0
    for first in range(0, len(samples) - CHUNK, CHUNK):
        begin, end = first / RATE, (first + CHUNK) / RATE
        fault, since, until = _find(night, begin)
        part = _break_samples(samples[first : first + CHUNK], fault, first, rng)
        stamp, arrival = begin + skew, end - 1 / RATE + LATENCY + float(rng.exponential(0.002))
        if fault in ("dropout", "silence"):
            n_lost += CHUNK if fault == "silence" else 0
            continue
        if fault == "stamps back":
            skew, stamp = (skew - 3.0, stamp - 3.0) if begin - since < CHUNK / RATE else (skew, stamp)
        if fault == "stamps forward":
            skew, stamp = (skew + 2e5, stamp + 2e5) if begin - since < CHUNK / RATE else (skew, stamp)
        held = stamp if fault != "stamps constant" else held
        stamp = {"stamps constant": held, "stamps no number": float("nan")}.get(fault, stamp)
        late = max(arrival, late if fault != "backlog" else until + 0.01)
        chunk = Chunk(part[:, None], first - n_lost, stamp, max(arrival, late))
        late = chunk.arrival
        yield chunk
        if fault == "doubled":
            yield chunk


def _find(night: BrokenNight, at: float) -> tuple[str, float, float]:
    for kind, begin, end in night.faults:
        if begin <= at < end:
            return kind, begin, end
    return "", 0.0, 0.0


def _break_samples(part: np.ndarray, fault: str, first: int, rng: np.random.Generator) -> np.ndarray:
    if fault == "not a number":
        return np.full_like(part, np.nan)
    if fault == "infinite":
        return np.full_like(part, np.inf)
    if fault == "flat":
        return np.zeros_like(part) + np.float32(1e-6)
    if fault == "saturated":
        return np.where(np.arange(len(part)) % 2 == 0, np.float32(3e-3), part)
    if fault == "mains":
        hum = 5e-4 * np.sin(2 * np.pi * 50.0 * (first + np.arange(len(part))) / RATE)
        return (part + hum).astype(np.float32)
    return part * np.float32(1e6) if fault == "microvolts" else part


class BrokenStager:
    """Tells the true stage of late, mostly; silent, senseless or of yesterday while that is planted."""

    def __init__(self, night: BrokenNight, rng: np.random.Generator) -> None:
        self._night, self._rng, self._next = night, rng, 5.0

    def poll(self, now: float, shift: float = 0.0) -> tuple[StageResult, ...]:
        """Results that have come by now, in true seconds; the loop's clock lies `shift` behind."""
        if now < self._next:
            return ()
        self._next = now + 5.0
        fault = _find(self._night, now)[0]
        if fault == "stager silent":
            return ()
        heard = now - float(self._rng.uniform(0.2, 1.0))
        true = int(self._night.stages[max(0, min(int(heard) - 5, len(self._night.stages) - 1))])
        p = [0.02] * 5
        p[true] = 0.92
        if fault == "stager no number":
            p[true] = float("nan")
        if fault == "stager of yesterday":
            heard -= 86_400.0
        return (StageResult(now - shift, heard - shift, (p[0], p[1], p[2], p[3], p[4])),)
