"""Spindles on slow oscillations: how many, at which phase, how steadily, against chance; and which way up the EEG is.

**Phase** goes by the landmarks of each slow wave, whose halves are not sines (Cole and Voytek 2019,
10.1152/jn.00273.2019): 0° is the peak of the up-state, ±180° the trough of the down-state, −90° the crossing between
them; straight lines in between. **Coupled** is a spindle whose peak lies within a slow wave.

**Chance.** Every spindle is moved by a time of its own, evenly drawn from ±`JITTER` seconds, within N2 and N3, and
everything is computed again; the ups and downs of both over the night stay. In symbols, with the mean vector
m = Σ exp(iφ) / n of the coupled spindles, the test statistic is |m − m̄| with m̄ the mean over all moved nights: what
slow waves and detectors favour by their shape is in m̄ as well, and does not count.

**Spindles** are looked for against a broad band that begins at 4.5 Hz (`COUPLED_SPINDLES`). Against 1–30 Hz, as
YASA has it, a spindle on a large slow wave is lost, because the wave is most of the broad band's power: in simulated
nights without coupling 3 % of the spindles found lay on slow waves where chance is 18 %.

**Polarity.** Turned upside down, an EEG gives the same spindles half a cycle later. In N3 the down-state is deeper than
the up-state is high, so the skewness between 0.5 and 4 Hz tells the two apart (the rule of the live loop). Where it
does not, the phase is known but for half a cycle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.recordings import Hypnogram, Signal
from sharpwave.signals.filters import design_bandpass, filter_piece
from sharpwave.signals.pieces import MICROVOLTS, read_piece, stage_names
from sharpwave.signals.slow_waves import DEEP
from sharpwave.signals.spindles import SpindleSettings

Polarity = Literal["upright", "inverted", "unknown"]
COUPLED_SPINDLES = SpindleSettings(broad=(4.5, 30.0))
"""How spindles are found whose coupling is measured: what counts must not depend on the slow wave below."""
JITTER = 3.0
"""Seconds by which a spindle is moved at most to see what chance does: two to three slow waves."""
N_SURROGATES = 500
FEWEST = 20
"""Coupled spindles below which no phase is given."""
BLOCK, LEAST_BLOCKS, CLEAR, ERRORS, MOST_SKEW = 30.0, 6, 0.1, 3.0, 1.5
"""Of polarity: seconds of a block of N3, least number of them, least mean skewness, least distance from 0 in standard
errors, and where the skewness of a block is cut, so that no artefact decides."""
MOST_BLOCKS = 120


@dataclass(frozen=True)
class Coupling:
    """Coupling of spindles to slow waves in one channel. Phases in degrees, 0 at the peak of the up-state.

    Attributes:
        channel: Name of the channel.
        spindles: Number of spindles in N2 and N3.
        coupled: Number of those whose peak lies within a slow wave.
        share: `coupled` / `spindles`; NaN without spindles.
        share_chance: The same by chance.
        share_p: Probability by chance of a share as far from it.
        phase: Mean phase of the coupled spindles; NaN with fewer than 20.
        phase_low: Lower end of its 95 % interval (bootstrap over spindles); may be below −180.
        phase_high: Upper end; may be above 180.
        strength: Length of the mean vector, 0 (any phase) to 1 (always the same).
        strength_chance: The same by chance.
        strength_p: Probability by chance of a mean vector as far from that of chance.
        polarity: Which way up the EEG is, as measured.
        turned: Whether it was turned upside down before slow waves were looked for.
    """

    channel: str
    spindles: int
    coupled: int
    share: float
    share_chance: float
    share_p: float
    phase: float
    phase_low: float
    phase_high: float
    strength: float
    strength_chance: float
    strength_p: float
    polarity: Polarity = "unknown"
    turned: bool = False


def measure_coupling(
    spindles: pd.DataFrame,
    slow_waves: pd.DataFrame,
    hypnogram: Hypnogram,
    *,
    rng: np.random.Generator,
    channel: str = "",
    jitter: float = JITTER,
    n_surrogates: int = N_SURROGATES,
) -> tuple[Coupling, pd.DataFrame]:
    """Coupling of spindles to slow waves found in the same channel.

    Args:
        spindles: Of `detect_spindles` with the settings `COUPLED_SPINDLES`: column peak (s).
        slow_waves: Of `detect_slow_waves`: onset, duration, negative_peak, mid_crossing, positive_peak (s).
        hypnogram: The stages in which both were looked for.
        rng: Source of randomness of the moved spindles and the interval.
        channel: Name of the channel.
        jitter: Largest time by which spindles are moved, in seconds; 3 by default.
        n_surrogates: Number of nights with moved spindles; 500 by default.

    Returns:
        The coupling, and its histogram: `phase` (middle of bins of 20°), `count`, `chance` (mean count by chance).

    >>> stages = Hypnogram.from_labels(["N3"] * 20)
    >>> begin = np.arange(10, 590, 2.0)
    >>> marks = {"onset": begin, "duration": 1.0, "negative_peak": begin + 0.25, "mid_crossing": begin + 0.5}
    >>> waves = pd.DataFrame(marks | {"positive_peak": begin + 0.75})
    >>> found, histogram = measure_coupling(
    ...     pd.DataFrame({"peak": begin[::3] + 0.75}), waves, stages, rng=np.random.default_rng(0)
    ... )
    >>> found.coupled, round(found.share, 2), round(abs(found.phase)), round(found.strength, 2), found.strength_p < 0.01
    (97, 1.0, 0, 1.0, True)
    """
    peaks = np.sort(spindles["peak"].to_numpy(dtype=float)) if len(spindles) else np.zeros(0)
    peaks = peaks[_is_deep(hypnogram, peaks)]
    marks = _place_marks(slow_waves)
    phases = compute_phases(peaks, marks)
    vector, share = _mean_vector(phases), _share(phases)
    chance = [compute_phases(_move(peaks, hypnogram, jitter=jitter, rng=rng), marks) for _ in range(n_surrogates)]
    vectors, shares = np.array([_mean_vector(moved) for moved in chance]), np.array([_share(moved) for moved in chance])
    coupled = phases[np.isfinite(phases)]
    enough = len(coupled) >= FEWEST
    low, high = _bootstrap_phase(coupled, rng) if enough else (np.nan, np.nan)
    return Coupling(
        channel=channel,
        spindles=len(peaks),
        coupled=len(coupled),
        share=share,
        share_chance=float(np.mean(shares)) if len(peaks) else np.nan,
        share_p=_p_value(abs(share - shares.mean()), np.abs(shares - shares.mean())) if len(peaks) else np.nan,
        phase=float(np.rad2deg(np.angle(vector))) if enough else np.nan,
        phase_low=low,
        phase_high=high,
        strength=float(abs(vector)) if enough else np.nan,
        strength_chance=float(np.mean(np.abs(vectors))) if enough else np.nan,
        strength_p=_p_value(abs(vector - vectors.mean()), np.abs(vectors - vectors.mean())) if enough else np.nan,
    ), _count_phases(phases, chance)


def compute_phases(
    times: Float[np.ndarray, " event"], marks: Float[np.ndarray, "wave mark"]
) -> Float[np.ndarray, " event"]:
    """Phase in radians of each time within a slow wave, 0 at the up-state's peak; NaN outside of all.

    Args:
        times: Times in seconds.
        marks: Begin, trough, crossing, crest and end of each wave in seconds, in order of their begin.

    >>> wave = np.array([[0.0, 0.3, 0.5, 0.8, 1.0]])
    >>> np.rad2deg(compute_phases(np.array([0.0, 0.5, 0.8, 0.9, 2.0]), wave)).round().tolist()
    [90.0, -90.0, 0.0, 45.0, nan]
    """
    phases = np.full(len(times), np.nan)
    if not len(marks) or not len(times):
        return phases
    wave = np.maximum(np.searchsorted(marks[:, 0], times, side="right") - 1, 0)
    mine = marks[wave]
    inside = (times >= mine[:, 0]) & (times < mine[:, 4])
    for part, begin in enumerate((-1.5 * np.pi, -np.pi, -0.5 * np.pi, 0.0)):
        first, last = mine[:, part], mine[:, part + 1]
        here = inside & (times >= first) & (times < last)
        phases[here] = begin + 0.5 * np.pi * ((times - first) / np.maximum(last - first, 1e-9))[here]
    return (phases + np.pi) % (2 * np.pi) - np.pi


def _count_phases(phases: np.ndarray, chance: list[np.ndarray]) -> pd.DataFrame:
    """Histogram of phases in bins of 20°, and the mean one by chance."""
    bins = np.linspace(-180, 180, 19)

    def count(values: np.ndarray) -> np.ndarray:
        return np.histogram(np.rad2deg(values[np.isfinite(values)]), bins)[0]

    return pd.DataFrame(
        {
            "phase": (bins[:-1] + bins[1:]) / 2,
            "count": count(phases),
            "chance": np.mean([count(moved) for moved in chance], axis=0),
        }
    )


def _place_marks(waves: pd.DataFrame) -> Float[np.ndarray, "wave mark"]:
    if not len(waves):
        return np.zeros((0, 5))
    ends = waves["onset"] + waves["duration"]
    columns = [waves[name] for name in ("onset", "negative_peak", "mid_crossing", "positive_peak")]
    marks = np.column_stack([*columns, ends]).astype(float)
    return marks[np.argsort(marks[:, 0])]


def _is_deep(hypnogram: Hypnogram, times: Float[np.ndarray, " event"]) -> Bool[np.ndarray, " event"]:
    return np.isin(stage_names(hypnogram, times), DEEP) if len(times) else np.zeros(0, dtype=bool)


def _move(
    peaks: Float[np.ndarray, " event"], hypnogram: Hypnogram, *, jitter: float, rng: np.random.Generator
) -> Float[np.ndarray, " event"]:
    """Spindles moved within the stages searched; one that finds no place there stays."""
    moved = peaks + rng.uniform(-jitter, jitter, len(peaks))
    codes = [code for code, name in enumerate(hypnogram.names) if name in DEEP]
    for _ in range(8):
        out = np.flatnonzero(~np.isin(hypnogram.at(moved), codes)) if len(moved) else np.zeros(0, dtype=int)
        if not len(out):
            return moved
        moved[out] = peaks[out] + rng.uniform(-jitter, jitter, len(out))
    out = np.flatnonzero(~np.isin(hypnogram.at(moved), codes))
    moved[out] = peaks[out]
    return moved


def _mean_vector(phases: Float[np.ndarray, " event"]) -> complex:
    known = phases[np.isfinite(phases)]
    return complex(np.exp(1j * known).mean()) if len(known) else 0j


def _share(phases: Float[np.ndarray, " event"]) -> float:
    return float(np.isfinite(phases).mean()) if len(phases) else float("nan")


def _p_value(value: float, drawn: Float[np.ndarray, " surrogate"]) -> float:
    return float((1 + (drawn >= value - 1e-12).sum()) / (1 + len(drawn)))


def _bootstrap_phase(phases: Float[np.ndarray, " event"], rng: np.random.Generator) -> tuple[float, float]:
    """95 % interval of the mean phase in degrees, around it."""
    n = len(phases)
    means = np.exp(1j * phases)[rng.integers(0, n, (500, n))].mean(axis=1)
    centre = np.exp(1j * phases).mean()
    away = np.rad2deg(np.angle(means / centre))
    low, high = np.quantile(away, [0.025, 0.975]) + np.rad2deg(np.angle(centre))
    return float(low), float(high)


def measure_polarity(signal: Signal, hypnogram: Hypnogram) -> tuple[Polarity, float, int]:
    """Which way up an EEG is, by the skewness of its slow waves in N3.

    Args:
        signal: One EEG channel.
        hypnogram: Stages of 5 or 4; others do not part deep sleep and leave the polarity unknown.

    Returns:
        "upright" where the down-state is negative, "inverted" where it is positive, "unknown" where 30 s blocks of deep
        sleep are fewer than 6 or their skewness is not clearly away from 0; the mean skewness (NaN without blocks); the
        number of blocks, of 120 spread over the night at most.
    """
    deep = [code for code, name in enumerate(hypnogram.names) if name in ("N3", "DEEP")]
    if not deep:
        return "unknown", float("nan"), 0
    taps = design_bandpass(signal.rate, 0.5, 4.0, low_transition=0.5, high_transition=1.0)
    size, pad = round(BLOCK * signal.rate), taps.size
    starts = np.arange(hypnogram.start, hypnogram.end - BLOCK + 1e-6, BLOCK)
    ends = np.isin(hypnogram.at(starts + 0.01), deep) & np.isin(hypnogram.at(starts + BLOCK - 0.01), deep)
    starts = starts[ends]
    if len(starts) > MOST_BLOCKS:
        starts = starts[np.linspace(0, len(starts) - 1, MOST_BLOCKS).round().astype(int)]
    skews = []
    for start in starts:
        first = round((start - signal.start) * signal.rate)
        if first < 0 or first + size > len(signal):
            continue
        piece = read_piece(signal, first, size, pad=pad)
        if piece.missing.any():
            continue
        values = filter_piece(piece.samples * MICROVOLTS, taps)[pad : pad + size]
        spread = values.std()
        if spread > 0:
            skews.append(float(np.clip(((values - values.mean()) ** 3).mean() / spread**3, -MOST_SKEW, MOST_SKEW)))
    if len(skews) < LEAST_BLOCKS:
        return "unknown", float(np.mean(skews)) if skews else float("nan"), len(skews)
    mean, error = float(np.mean(skews)), float(np.std(skews, ddof=1) / np.sqrt(len(skews)))
    if abs(mean) < max(CLEAR, ERRORS * error):
        return "unknown", mean, len(skews)
    return ("upright" if mean < 0 else "inverted"), mean, len(skews)
