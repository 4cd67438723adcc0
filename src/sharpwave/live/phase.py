"""Phase of the slow oscillation, seen ahead: a learned linear predictor on a grid of 32 Hz.

The signal passes a causal band of 0.1 to 8 Hz and is sampled 32 times a second. Of the last 128 values g (4 s), the
predictor knows the analytic signal of 0.5 to 2 Hz at every moment from now to 0.3 s ahead:

    c_k = sum_i B[k, i] g[i]                      a few components, B of the shipped weights
    z(lead) = sum_k (R[lead, k] + j I[lead, k]) c_k
    phase(lead) = arg z(lead),  0 at the positive peak

B, R and I are a regression on people with slow waves, cut to its first components (`recipes/phase_predictor.py`); the
truth they learned is a filter without delay that hears the future.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.live.filters import FilterState, Sections, design_causal, settle_filter, step_filter

GRID = 32.0
"""Values a second that the predictor sees."""
TAPS = 128
MEMORY = 60.0
"""Seconds over which the mean amplitude is taken."""
STEP = 0.025
"""Seconds between the leads of the predictor."""
LASTING = 0.1
"""Seconds for which an oscillation must stay large to count as large."""
SHRINKAGE = 0.64
"""Of the largest fifth of waves, in people it learned from, the regression says so much of their amplitude."""
PRESENT = 1e-9


@dataclass(frozen=True)
class Predictor:
    """Weights of the predictor.

    Attributes:
        basis: Weights of each component over the last values, oldest first, shape (component, tap).
        mix: For each lead, `STEP` apart from 0 on: real and imaginary weights of the components.

    >>> load_predictor().basis.shape[1]
    128
    """

    basis: np.ndarray
    mix: tuple[tuple[tuple[float, ...], tuple[float, ...]], ...]

    @property
    def longest(self) -> float:
        """Seconds that it looks ahead at most."""
        return round((len(self.mix) - 1) * STEP, 6)


@lru_cache(maxsize=1)
def load_predictor() -> Predictor:
    """The predictor that ships; `weights/phase.json` is its card.

    >>> load_predictor().longest
    0.3
    """
    folder = files("sharpwave") / "weights"
    card = json.loads((folder / "phase.json").read_text(encoding="utf-8"))
    raw = np.frombuffer((folder / "phase.bin").read_bytes(), dtype="<f4").astype(np.float64)
    return unpack_predictor(raw, n_components=card["components"], n_leads=card["leads"])


def unpack_predictor(raw: np.ndarray, *, n_components: int, n_leads: int) -> Predictor:
    """A predictor from its numbers: the basis, then for each lead the real and the imaginary weights.

    Args:
        raw: The numbers, shape (components × (128 + 2 × leads),).
        n_components: Number of components.
        n_leads: Number of leads.

    Raises:
        SharpwaveError: If there are more or fewer numbers than that.

    >>> unpack_predictor(np.zeros(2 * (128 + 2 * 13)), n_components=2, n_leads=13).longest
    0.3
    """
    wanted = n_components * (TAPS + 2 * n_leads)
    if raw.size != wanted:
        raise SharpwaveError(f"{wanted} weights of the predictor", got=str(raw.size), fix="install sharpwave again")
    basis = raw[: n_components * TAPS].reshape(n_components, TAPS)
    rest = raw[n_components * TAPS :].reshape(n_leads, 2, n_components)
    return Predictor(basis, tuple((tuple(real), tuple(imag)) for real, imag in rest.tolist()))


@dataclass(frozen=True)
class GridState:
    """The band of 0.1 to 8 Hz and where the next value of the grid falls.

    Attributes:
        filters: State of the filters; None before the first sample.
        last: The filtered sample before.
        ahead: Samples from the last one to the next value of the grid.
    """

    filters: FilterState | None = None
    last: float = 0.0
    ahead: float = 1.0


@lru_cache(maxsize=16)
def _design_band(rate: float) -> Sections:
    slow = design_causal("highpass", 0.1, order=1, rate=rate)
    return slow + design_causal("lowpass", 8.0, order=4, rate=rate)


def step_grid(rate: float, state: GridState, samples: list[float]) -> tuple[list[float], GridState]:
    """Bring samples onto the grid of 32 Hz, causally.

    Args:
        rate: Samples a second.
        state: State so far; `GridState()` at first.
        samples: In any unit.

    Returns:
        New values of the grid, and the state; the last of them is `1 / GRID - state.ahead / rate` seconds old.

    >>> values, state = step_grid(128.0, GridState(), [1.0] * 8)
    >>> len(values)
    2
    """
    if not samples:
        return [], state
    band = _design_band(rate)
    filters = settle_filter(band, samples[0]) if state.filters is None else state.filters
    filtered, filters = step_filter(band, filters, samples)
    last = filtered[0] if state.filters is None else state.last
    ahead, step, values = state.ahead, rate / GRID, []
    for value in filtered:
        while ahead <= 1.0 + PRESENT:
            values.append(last + (value - last) * ahead)
            ahead += step
        ahead -= 1.0
        last = value
    return values, GridState(filters, last, ahead)


@dataclass(frozen=True, eq=False)
class PhaseState:
    """What the predictor carries from chunk to chunk.

    Attributes:
        grid: Of the front end.
        past: The last values of the grid, the new ones of the last chunk among them.
        new: How many of them the last chunk brought.
        components: At the last value of the grid; None until there are 128.
        mean: Running mean of the lesser of the amplitude now and 0.1 s ahead.
        count: Values that it was taken over.
    """

    grid: GridState = GridState()
    past: np.ndarray = field(default_factory=lambda: np.empty(0))
    new: int = 0
    components: tuple[float, ...] | None = None
    mean: float = 0.0
    count: int = 0


@dataclass(frozen=True)
class Phase:
    """What the predictor says after a chunk.

    Attributes:
        phase: Now, in radians.
        amplitude: Now, in the unit of the samples.
        amplitude_ratio: The lesser of the amplitude now and 0.1 s ahead, over its running mean.
        wait: Seconds from the last sample until the target; None where it does not see one coming.
    """

    phase: float
    amplitude: float
    amplitude_ratio: float
    wait: float | None


def step_phase(
    state: PhaseState, samples: list[float], *, rate: float, target: float, latency: float
) -> tuple[Phase | None, PhaseState]:
    """Take in samples and say when the target comes.

    Args:
        state: State so far; `PhaseState()` at first and after a gap.
        samples: Samples in V or µV, of the declared polarity.
        rate: Samples a second.
        target: Phase to be met, in radians; 0 is the positive peak.
        latency: Seconds from the brain to the loop and on to the ear: the wait ends so much before the target.

    Returns:
        The phase, or None during the first 4 s; and the state for the next chunk.

    >>> import math
    >>> wave = [math.cos(2 * math.pi * 0.9 * n / 128) for n in range(128 * 20)]
    >>> phase, _ = step_phase(PhaseState(), wave, rate=128.0, target=0.0, latency=0.05)
    >>> phase.wait is not None
    True
    """
    predictor = load_predictor()
    values, grid = step_grid(rate, state.grid, samples)
    components, mean, count = state.components, state.mean, state.count
    past = np.concatenate((state.past[1 - TAPS :], values))
    for end in range(len(past) - len(values) + 1, len(past) + 1):
        if end >= TAPS:
            products = predictor.basis * past[end - TAPS : end]
            components = tuple(map(math.fsum, products.tolist()))
            count += 1
            lasting = min(abs(mix(predictor, components, 0.0)), abs(mix(predictor, components, LASTING)))
            mean += (lasting - mean) / min(count, MEMORY * GRID)
    state = PhaseState(grid, past, len(values), components, mean, count)
    if components is None:
        return None, state
    age = 1.0 / GRID - grid.ahead / rate
    now = mix(predictor, components, age)
    wait = find_target(predictor, components, first=age + latency, target=target)
    amplitude = abs(mix(predictor, components, 0.0))
    ratio = min(amplitude, abs(mix(predictor, components, LASTING))) / mean if mean > 0 else 0.0
    wait = None if wait is None else wait - age - latency
    return Phase(math.atan2(now.imag, now.real), amplitude / SHRINKAGE, ratio, wait), state


def mix(predictor: Predictor, components: tuple[float, ...], lead: float) -> complex:
    """The analytic signal `lead` seconds after the last value of the grid; past the longest lead, the last.

    Args:
        predictor: The weights.
        components: Of the last values.
        lead: Seconds, at least 0.

    >>> mix(load_predictor(), (0.0,) * len(load_predictor().basis), 0.05)
    0j
    """
    place = min(max(lead, 0.0) / STEP, len(predictor.mix) - 1.0)
    low = min(int(place), len(predictor.mix) - 2)
    share = place - low
    parts = []
    for part in (0, 1):
        first, second = predictor.mix[low][part], predictor.mix[low + 1][part]
        value = 0.0
        for a, b, c in zip(first, second, components, strict=True):
            value += (a + (b - a) * share) * c
        parts.append(value)
    return complex(*parts)


def find_target(predictor: Predictor, components: tuple[float, ...], *, first: float, target: float) -> float | None:
    """Seconds after the last value of the grid at which the phase passes the target, at least `first`.

    Within the leads it follows the predicted phase; beyond them, the speed of the last two.

    Args:
        predictor: The weights.
        components: Of the last values.
        first: Least seconds.
        target: Phase in radians.

    Returns:
        The seconds, or None where the phase does not move forward.

    >>> find_target(load_predictor(), (0.0,) * len(load_predictor().basis), first=0.05, target=0.0) is None
    True
    """
    turn = complex(math.cos(target), -math.sin(target))
    lead = first
    here = mix(predictor, components, lead) * turn
    before = math.atan2(here.imag, here.real)
    speed = 0.0
    while lead < predictor.longest - PRESENT:
        following = min(lead + STEP, predictor.longest)
        here = mix(predictor, components, following) * turn
        after = math.atan2(here.imag, here.real)
        moved = (after - before + math.pi) % (2 * math.pi) - math.pi
        if before <= 0.0 < before + moved:
            return lead + (following - lead) * -before / moved
        speed = moved / (following - lead)
        lead, before = following, after
    if not 0.25 <= speed / (2 * math.pi) <= 4.0:
        return None
    return lead + (-before % (2 * math.pi)) / speed


def compute_undeclared_latency(errors: np.ndarray, frequencies: np.ndarray) -> float:
    """Latency that nobody declared, from how far beyond the target cues were heard.

    A latency turns a wave of frequency f by 2 pi f times its length; so the mean error of a night over the frequency
    of its waves says how long it is. The errors must come from a recording that holds the sound or its marker, and from
    the filter without delay that the predictor learned from: other filters have a bias of their own.

    Args:
        errors: Phase at which each cue was heard, minus the target, in radians.
        frequencies: Frequency of the slow oscillation at each cue, in Hz.

    Returns:
        Seconds that were not declared; below 0 where too much was.

    >>> waves = np.array([0.7, 0.8, 0.9, 1.0])
    >>> round(compute_undeclared_latency(2 * np.pi * waves * 0.05, waves), 3)
    0.05
    """
    mean = np.exp(1j * errors).mean()
    return float(np.angle(mean) / (2 * np.pi * np.median(frequencies)))
