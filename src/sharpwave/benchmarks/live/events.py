"""What the night's filters say as it goes: polarity in N3, spindles and ripples, each against its truth.

Spindles of DREAMS are held against the union of its experts, thresholds chosen on the other three people; ripples
against those that a simulation planted. A burst counts as found where it overlaps the marked one. Its onset is the
moment it was told less the usual delay; it is held against the experts' within half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from sharpwave.benchmarks.live.phase_runs import DREAMS
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.benchmarks.spindles import load_excerpts
from sharpwave.errors import SharpwaveError
from sharpwave.live.decision import StageResult
from sharpwave.live.oscillations import RIPPLES, SPINDLES, BurstSettings, BurstState, step_bursts
from sharpwave.live.phase import TAPS, GridState, step_grid
from sharpwave.live.polarity import PolarityState, note_stages, step_polarity, tell_polarity
from sharpwave.recipes.phase_predictor import TESTED_ON, TRAINED_ON, load_deep_sleep
from sharpwave.recordings.datasets import load_dataset

FILTERS = "live filters"
NEVER = "never measured, as everywhere else"
DEEP = (0.0, 0.0, 0.0, 1.0, 0.0)
GRID_OF_SPINDLES = [
    replace(SPINDLES, times=times, share=share, hold=hold)
    for times, share, hold in product((1.3, 1.5, 1.8, 2.1), (0.4, 0.5, 0.6), (0.1, 0.2))
]
MOST_DEEP = 1200.0
"""Seconds of N3 from which polarity is told."""
CLOSE = 0.5
"""Seconds within which an onset counts as the experts'."""


def tell_burst(settings: BurstSettings, samples: np.ndarray, *, rate: float) -> np.ndarray:
    """When each burst was told and when it ended, in seconds from the first sample, shape (burst, 2).

    Args:
        settings: What counts as one.
        samples: One channel in µV.
        rate: Samples a second.
    """
    state, spans = BurstState(), []
    size = max(1, round(rate / 64))
    values = samples.tolist()
    for first in range(0, len(values), size):
        active, after = step_bursts(settings, state, values[first : first + size], rate=rate)
        if after.told is not None and after.told != state.told:
            spans.append([after.told / rate, np.inf])
        if spans and not active and spans[-1][1] == np.inf:
            spans[-1][1] = min(first + size, len(values)) / rate
        state = after
    return np.minimum(np.array(spans).reshape(-1, 2), len(values) / rate)


def match(spans: np.ndarray, onsets: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Of each marked event, when the first burst that overlaps it was told; no number where there is none.

    Args:
        spans: When bursts were told and ended, in seconds, shape (burst, 2).
        onsets: Of the marked events.
        ends: Of the marked events.
    """
    found = np.full(onsets.size, np.nan)
    for place, (onset, end) in enumerate(zip(onsets, ends, strict=True)):
        inside = spans[(spans[:, 0] < end) & (spans[:, 1] > onset), 0]
        if inside.size:
            found[place] = inside[0]
    return found


def compute_f1(hits: int, told: int, marked: int) -> float:
    """F1 from counts."""
    return 2 * hits / max(told + marked, 1)


def _count_close(first: np.ndarray, second: np.ndarray) -> int:
    """Pairs within half a second, each taken once."""
    free, count = second.tolist(), 0
    for time in first.tolist():
        near = [other for other in free if abs(other - time) <= CLOSE]
        if near:
            free.remove(min(near, key=lambda other: abs(other - time)))
            count += 1
    return count


def measure_spindles(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """DREAMS, each person by thresholds that did best on the others; and by those that ship."""
    excerpts = [one for one in load_excerpts(data) if one.subject in DREAMS]
    if not excerpts:
        raise SharpwaveError("excerpts of DREAMS", got="none", fix="set SHARPWAVE_DATA")
    scores = np.zeros((len(excerpts), len(GRID_OF_SPINDLES), 4))
    for row, excerpt in enumerate(excerpts):
        samples = excerpt.signal.read(dtype=np.float64) * 1e6
        onsets = excerpt.truth["onset"].to_numpy() - excerpt.signal.start
        ends = onsets + excerpt.truth["duration"].to_numpy()
        for column, settings in enumerate(GRID_OF_SPINDLES):
            spans = tell_burst(settings, samples, rate=excerpt.signal.rate)
            told = spans[:, 0]
            overlaps = int(((onsets[:, None] < spans[:, 1]) & (ends[:, None] > told)).any(axis=1).sum())
            delays = match(spans, onsets, ends) - onsets
            scores[row, column] = (
                compute_f1(overlaps, len(told), len(onsets)),
                compute_f1(_count_close(told, onsets), len(told), len(onsets)),
                compute_f1(_count_close(told - settings.delay, onsets), len(told), len(onsets)),
                float(np.nanmedian(delays)) if np.isfinite(delays).any() else np.nan,
            )
    others = scores[:, :, 0].sum(axis=0) - scores[:, :, 0]
    chosen = scores[np.arange(len(excerpts)), others.argmax(axis=1)]
    shipped = scores[:, GRID_OF_SPINDLES.index(SPINDLES)]
    names = ("f1_overlap", "f1_told_within_half_a_second", "f1_onset_within_half_a_second", "delay_s")
    rows = []
    for setting, values in (("thresholds by the others", chosen), ("thresholds that ship", shipped)):
        for place, metric in enumerate(names):
            name = f"spindles online, experts' union, {setting}"
            rows.append(estimate_row("dreams", name, FILTERS, metric, values[:, place].tolist(), rng=rng))
    return rows


def measure_ripples(seeds: int, *, rng: np.random.Generator) -> list[Row]:
    """Simulated rats: ripples told, false ones a minute, and how late."""
    from sharpwave.simulation import simulate_night

    values: dict[str, list[float]] = {"recall": [], "false_per_minute": [], "delay_ms": [], "within_20_ms": []}
    for stream in np.random.default_rng(7).spawn(seeds):
        recording, truth = simulate_night("rat", 0.5, rng=stream, modalities=("lfp",))
        signal = next(iter(recording.of("lfp").values()))
        samples = signal.read(dtype=np.float64) * 1e6
        samples = samples if samples.ndim == 1 else samples[:, 0]
        onsets = truth.ripples["onset"].to_numpy() - signal.start
        ends = onsets + truth.ripples["duration"].to_numpy()
        spans = tell_burst(RIPPLES, samples, rate=signal.rate)
        found = match(spans, onsets, ends)
        true = ((spans[:, :1] < ends) & (spans[:, 1:] > onsets)).any(axis=1)
        late = found - onsets
        values["recall"].append(float(np.isfinite(found).mean()))
        values["false_per_minute"].append(float((~true).sum() / (len(samples) / signal.rate / 60)))
        values["delay_ms"].append(1e3 * float(np.nanmedian(late)))
        values["within_20_ms"].append(float((late <= 0.02).mean()))
    setting = "ripples online, planted"
    return [estimate_row("simulated", setting, FILTERS, name, each, rng=rng) for name, each in values.items()]


def find_polarity(runs: Sequence[np.ndarray], *, rate: float) -> tuple[str, float]:
    """What polarity is told of runs of N3, and after how many minutes of them first.

    Args:
        runs: Unbroken runs in µV.
        rate: Samples a second.
    """
    state, now, first = PolarityState(), 0.0, np.nan
    for run in runs:
        if now > MOST_DEEP:
            break
        values, _ = step_grid(rate, GridState(), run.tolist())
        for end in range(TAPS + 32, len(values), 32):
            state = note_stages(state, [StageResult(now, now, DEEP)])
            state = step_polarity(state, values[end - 160 : end], 32, until=now)
            now += 1.0
            if np.isnan(first) and tell_polarity(state) != "unknown":
                first = now / 60
    return tell_polarity(state), first


def measure_polarity(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """Whether each person is told the right way up, mirrored ones the other way, and after how long.

    UCDDB as stored is taken to be inverted; nobody has said so, but all of its people agree.
    """
    people: dict[str, list[tuple[list[np.ndarray], float]]] = {"ucddb": [], "dreams": []}
    for subject in (*TRAINED_ON, *TESTED_ON):
        people["ucddb"].append((load_deep_sleep(subject, data), 128.0))
    for subject in DREAMS:
        recording = load_dataset(f"dreams/{subject}", data)
        signal, hypnogram = next(iter(recording.signals.values())), recording.hypnogram
        assert hypnogram is not None
        samples = signal.read(dtype=np.float64) * 1e6
        deep = np.repeat(hypnogram.stages == 3, round(hypnogram.epoch_length * signal.rate))[: samples.size]
        edges = np.flatnonzero(np.diff(np.r_[0, deep.astype(int), 0])).reshape(-1, 2)
        people["dreams"].append(([samples[low:high] for low, high in edges], signal.rate))
    rows = []
    for name, group in people.items():
        for setting, sign, right in (("upright", 1.0, "as declared"), ("mirrored", -1.0, "inverted")):
            said = [find_polarity([sign * run for run in runs], rate=rate) for runs, rate in group]
            told = [one for one, _ in said]
            shares = {
                "right": [float(one == right) for one in told],
                "wrong": [float(one not in (right, "unknown")) for one in told],
                "unknown": [float(one == "unknown") for one in told],
                "minutes_of_n3": [first for _, first in said],
            }
            for metric, values in shares.items():
                rows.append(estimate_row(name, f"polarity, {setting}", FILTERS, metric, values, rng=rng))
            lost = [float(right != "as declared")] * len(group)
            rows.append(estimate_row(name, f"polarity, {setting}", NEVER, "wrong", lost, rng=rng))
    return rows
