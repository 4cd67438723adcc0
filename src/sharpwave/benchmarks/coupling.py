"""`sharpwave benchmark coupling`: spindles on slow waves, polarity and the aperiodic part, where the truth is planted.

A second world: EEG made here, of noise, slow waves and spindles, with no code of `simulation/`. Spindles lie anywhere
(nothing may be found), on the crest of slow waves, or a sixth of a cycle before it. Beside our way stand spindles found
as YASA finds them, against 1–30 Hz, and for the aperiodic part a straight line through the spectrum. UCDDB's sixteen
people and more, staged by their expert, say what both find in people.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.recordings import MODALITIES, Hypnogram, Signal, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.signals.coupling import COUPLED_SPINDLES, Coupling, measure_coupling, measure_polarity
from sharpwave.signals.slow_waves import detect_slow_waves
from sharpwave.signals.spectra import compute_spectrum
from sharpwave.signals.spindles import SpindleSettings, detect_spindles
from sharpwave.signals.stage_spectra import fit_aperiodic
from sharpwave.signals.staging import rescale_signal

RATE, HOURS = 100.0, 0.5
METHODS = {"sharpwave": COUPLED_SPINDLES, "spindles against 1–30 Hz": SpindleSettings()}
WORLDS: dict[str, float | None] = {"nothing planted": None, "planted at 0°": 0.0, "planted at −60°": -60.0}
"""Planted phase in degrees, 0 at the crest, by the name of a world; None where spindles lie anywhere."""
FEWER = 5
"""Of the nights with nothing planted, the share that worlds with something planted have: one in five."""
N_SURROGATES = 200
LEVEL = 0.05
EXPONENTS = (0.8, 1.6, 2.4)


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Measure coupling, polarity and exponents on nights of the second world, and coupling and polarity on UCDDB.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of nights with nothing planted; a fifth as many have something planted.
        train: Not used.

    Returns:
        Configuration and rows.
    """
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for world, phase in WORLDS.items():
        nights = range(seeds if phase is None else max(2, seeds // FEWER))
        found = {
            method: [measure_night(seed, phase, settings) for seed in nights] for method, settings in METHODS.items()
        }
        for method, couplings in found.items():
            rows += score_world(world, phase, method, couplings, rng=rng)
    rows += score_polarity(range(max(2, seeds // FEWER)), rng=rng)
    rows += score_exponents(range(max(2, seeds // FEWER)), rng=rng)
    people = measure_people(data)
    rows += score_people(people, rng=rng)
    config = {
        "nights": f"{HOURS:g} h of N3 at {RATE:g} Hz, EEG of this benchmark alone",
        "level": LEVEL,
        "surrogates": N_SURROGATES,
        "ucddb": [name for name, _ in people],
        "interval": "95 %, bootstrap over nights or people",
    }
    return config, rows


def make_eeg(
    rng: np.random.Generator, phase: float | None, *, exponent: float = 2.0, waves: bool = True
) -> Float[np.ndarray, " time"]:
    """Half an hour of EEG in µV: noise, slow waves with a deep trough and a flat crest, spindles.

    Args:
        rng: Random generator.
        phase: Phase of the slow wave that spindles lie on, in degrees, 0 at the crest; None puts them anywhere.
        exponent: Exponent of the noise's power.
        waves: Whether there are slow waves and spindles.

    >>> make_eeg(np.random.default_rng(0), None).shape
    (180000,)
    """
    n = round(HOURS * 3600 * RATE)
    frequencies = np.fft.rfftfreq(n, 1 / RATE)
    size = np.zeros(len(frequencies))
    size[frequencies >= 0.3] = frequencies[frequencies >= 0.3] ** (-exponent / 2)
    values = np.fft.irfft(size * (rng.normal(size=len(size)) + 1j * rng.normal(size=len(size))), n)
    values *= 12 / values.std()
    if not waves:
        return values
    onsets = np.cumsum(1.3 + rng.exponential(3.0, n))
    onsets = onsets[onsets < HOURS * 3600 - 6] + 2
    down, up = rng.uniform(0.35, 0.5, len(onsets)), rng.uniform(0.45, 0.65, len(onsets))
    for onset, first, second, depth in zip(onsets, down, up, rng.uniform(60, 110, len(onsets)), strict=True):
        time = np.arange(int((first + second) * RATE)) / RATE
        trough = np.sin(np.pi * np.clip(time / first, 0, 1)) ** 1.3
        crest = np.sin(np.pi * np.clip((time - first) / second, 0, 1))
        _add(values, onset, depth * (0.55 * crest - np.maximum(trough, 0)))
    count = int(HOURS * 3600 / 12)
    middles = rng.uniform(5, HOURS * 3600 - 5, count)
    if phase is not None:
        chosen = rng.choice(len(onsets), count, replace=False)
        middles = (onsets + down + up / 2 + up * phase / 180)[chosen] + rng.normal(0, 0.06, count)
    for middle in middles:
        length = rng.uniform(0.7, 1.1)
        time = np.arange(int(length * RATE)) / RATE - length / 2
        wave = np.exp(-0.5 * (time / (length / 5)) ** 2) * np.cos(
            2 * np.pi * rng.normal(13.2, 0.4) * time + rng.uniform(0, 2 * np.pi)
        )
        _add(values, middle - length / 2, rng.uniform(18, 30) * wave)
    return values


def _add(values: Float[np.ndarray, " time"], onset: float, wave: Float[np.ndarray, " wave"]) -> None:
    first = round(onset * RATE)
    if first >= 0 and first + len(wave) <= len(values):
        values[first : first + len(wave)] += wave


def _wrap(values: Float[np.ndarray, " time"]) -> Signal:
    return Signal("EEG", values, RATE, MODALITIES["eeg"], scale=1e-6)


def _stages() -> Hypnogram:
    return Hypnogram.from_labels(["N3"] * round(120 * HOURS))


def measure_night(seed: int, phase: float | None, settings: SpindleSettings) -> Coupling:
    """Coupling in one night of the second world.

    Args:
        seed: Seed of the night.
        phase: Planted phase in degrees; None plants nothing.
        settings: How spindles are found.
    """
    rng = np.random.default_rng((seed, 0))
    signal, stages = _wrap(make_eeg(rng, phase)), _stages()
    spindles = detect_spindles(signal, hypnogram=stages, settings=settings)
    waves = detect_slow_waves(signal, hypnogram=stages)
    return measure_coupling(spindles, waves, stages, rng=rng, n_surrogates=N_SURROGATES)[0]


def score_world(
    world: str, phase: float | None, method: str, couplings: Sequence[Coupling], *, rng: np.random.Generator
) -> list[Row]:
    """Rows of one world and method: how often something is found, and how near it is.

    Args:
        world: Name of the world.
        phase: Planted phase in degrees; None plants nothing.
        method: Name of the method.
        couplings: One a night.
        rng: Random generator of the intervals.
    """
    given = [coupling for coupling in couplings if np.isfinite(coupling.strength_p)]
    values: dict[str, list[float]] = {
        "phase_found": [float(coupling.strength_p < LEVEL) for coupling in given],
        "share_found": [float(coupling.share_p < LEVEL) for coupling in couplings],
        "share": [coupling.share for coupling in couplings],
        "share_by_chance": [coupling.share_chance for coupling in couplings],
        "no_phase_given": [float(not np.isfinite(coupling.strength_p)) for coupling in couplings],
    }
    if phase is not None:
        values["phase_error_deg"] = [abs((coupling.phase - phase + 180) % 360 - 180) for coupling in given]
    return [
        estimate_row("second world", world, method, metric, each, rng=rng) for metric, each in values.items() if each
    ]


def score_polarity(seeds: Sequence[int], *, rng: np.random.Generator) -> list[Row]:
    """How often the polarity is right, wrong and unknown, as recorded and turned upside down.

    Args:
        seeds: Seeds of the nights.
        rng: Random generator of the intervals.
    """
    rows = []
    for setting, sign, right in (("upright", 1.0, "upright"), ("upside down", -1.0, "inverted")):
        told = [
            measure_polarity(_wrap(sign * make_eeg(np.random.default_rng((s, 1)), None)), _stages())[0] for s in seeds
        ]
        for metric, test in _tests(right).items():
            values = [float(test(one)) for one in told]
            rows.append(estimate_row("second world", f"polarity, {setting}", "sharpwave", metric, values, rng=rng))
    return rows


def _tests(right: str) -> dict[str, Callable[[str], bool]]:
    return {
        "right": lambda told: told == right,
        "unknown": lambda told: told == "unknown",
        "wrong": lambda told: told not in (right, "unknown"),
    }


def score_exponents(seeds: Sequence[int], *, rng: np.random.Generator) -> list[Row]:
    """Error of the aperiodic exponent where slow waves and spindles lie over it, beside a straight line.

    Args:
        seeds: Seeds of the nights.
        rng: Random generator of the intervals.
    """
    rows = []
    for exponent in EXPONENTS:
        errors: dict[str, list[float]] = {"sharpwave": [], "straight line": []}
        for seed in seeds:
            noise = make_eeg(np.random.default_rng((seed, 2)), None, exponent=exponent, waves=False)
            rhythm = 8 * np.sin(2 * np.pi * 10 * np.arange(len(noise)) / RATE)
            signal = _wrap(noise + rhythm)
            table = fit_aperiodic(signal, _stages(), rng=rng, most=8)
            errors["sharpwave"].append(abs(float(table["exponent"].iloc[0]) - exponent))
            frequencies, density = compute_spectrum(signal, max_frequency=25.0)
            inside = frequencies >= 1
            line = np.polyfit(np.log10(frequencies[inside]), np.log10(density[inside]), 1)
            errors["straight line"].append(abs(float(-line[0]) - exponent))
        rows += [
            estimate_row("second world", f"exponent {exponent:g} under a rhythm", method, "error", each, rng=rng)
            for method, each in errors.items()
        ]
    return rows


def measure_people(data: Path | None) -> list[tuple[str, Coupling]]:
    """Coupling in the people of UCDDB, turned upright where measured upside down; none where it is absent.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
    """
    people = []
    for subject in list_subjects("ucddb", data, required=False):
        recording = load_dataset(f"ucddb/{subject}", data)
        signal = next(one for one in recording.signals.values() if one.modality.name == "eeg")
        if recording.hypnogram is None:
            continue
        people.append((subject, measure_person(signal, recording.hypnogram)))
    return people


def measure_person(signal: Signal, hypnogram: Hypnogram) -> Coupling:
    """Coupling in one person's EEG.

    Args:
        signal: EEG.
        hypnogram: The expert's stages.
    """
    signal, _ = rescale_signal(signal)  # its unit is unknown; slow waves are told by their size
    polarity, _, _ = measure_polarity(signal, hypnogram)
    if polarity == "inverted":
        signal = replace(signal, scale=-signal.scale, offset=-signal.offset)
    spindles = detect_spindles(signal, hypnogram=hypnogram, settings=COUPLED_SPINDLES)
    waves = detect_slow_waves(signal, hypnogram=hypnogram)
    found, _ = measure_coupling(spindles, waves, hypnogram, rng=np.random.default_rng(0), n_surrogates=N_SURROGATES)
    return replace(found, polarity=polarity, turned=polarity == "inverted")


def score_people(people: Sequence[tuple[str, Coupling]], *, rng: np.random.Generator) -> list[Row]:
    """Which way up the EEG of people is, and the phase that their spindles prefer once it is upright.

    Args:
        people: Name and coupling of each.
        rng: Random generator of the intervals.
    """
    if not people:
        return []
    found = [coupling for _, coupling in people]
    known = [one for one in found if one.polarity != "unknown" and np.isfinite(one.strength_p)]
    shown = [one for one in known if one.strength_p < LEVEL]
    values: dict[str, list[float]] = {
        f"polarity_{polarity}": [float(one.polarity == polarity) for one in found]
        for polarity in ("upright", "inverted", "unknown")
    }
    values["phase_found"] = [float(one.strength_p < LEVEL) for one in known]
    values["share"] = [one.share for one in found]
    values["share_by_chance"] = [one.share_chance for one in found]
    values["strength"] = [one.strength for one in known]
    values["from_the_crest_deg"] = [abs(one.phase) for one in shown]
    rows = [
        estimate_row("ucddb", "people, expert's stages", "sharpwave", metric, each, rng=rng)
        for metric, each in values.items()
        if each
    ]
    if shown:
        vector = np.exp(1j * np.deg2rad([one.phase for one in shown])).mean()
        mean = float(np.rad2deg(np.angle(vector)))
        rows.append(Row("ucddb", "people, expert's stages", "sharpwave", "mean_phase_deg", mean, n=len(shown)))
    return rows
