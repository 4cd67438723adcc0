"""Runs of deep sleep of people that nothing was chosen on, ready for every method of telling phase."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.live.phase import GRID, LASTING, MEMORY, TAPS, GridState, Predictor, load_predictor, mix, step_grid
from sharpwave.recipes.phase_predictor import compute_truth, load_deep_sleep
from sharpwave.recordings.datasets import list_subjects, load_dataset

MOST_MINUTES = 30.0
"""Of a person, from the beginning of the night."""
DREAMS = ("excerpt1", "excerpt4", "excerpt5", "excerpt6")


def _butterworth(samples: np.ndarray, rate: float) -> np.ndarray:
    from scipy.signal import butter, hilbert, sosfiltfilt

    return hilbert(sosfiltfilt(butter(2, (0.5, 1.25), "bandpass", fs=rate, output="sos"), samples))


TRUTHS: dict[str, Callable[[np.ndarray, float], np.ndarray]] = {
    "FIR 0.5-2 Hz": lambda samples, rate: compute_truth(samples, rate=rate),
    "FIR 0.5-4 Hz": lambda samples, rate: compute_truth(samples, rate=rate, band=(0.5, 4.0)),
    "FIR 0.3-1.5 Hz": lambda samples, rate: compute_truth(samples, rate=rate, band=(0.3, 1.5), seconds=6.0),
    "Butterworth 0.5-1.25 Hz": _butterworth,
}
MAIN = "FIR 0.5-2 Hz"


@dataclass(frozen=True, eq=False)
class Run:
    """An unbroken run of deep sleep, ready for every method.

    Attributes:
        seconds: Its length.
        components: Of the predictor at each value of its grid, shape (component, grid); no number in the first 4 s.
        ratio: Amplitude over its running mean at each value.
        plain: The same grid from every sample that falls on it, without any filter or delay: for the other methods.
        truths: Analytic signal by each definition, at the rate of the recording.
        rate: That rate.
    """

    seconds: float
    components: np.ndarray
    ratio: np.ndarray
    plain: np.ndarray
    truths: dict[str, np.ndarray]
    rate: float


def prepare_run(samples: np.ndarray, rate: float, predictor: Predictor) -> Run:
    """What the methods need of a run.

    Args:
        samples: Samples of the run in µV.
        rate: Samples a second.
        predictor: The weights.
    """
    values = np.array(step_grid(rate, GridState(), samples.tolist())[0])
    components = np.full((len(predictor.basis), values.size), np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(values, TAPS)
    components[:, TAPS - 1 :] = predictor.basis @ windows.T
    amplitude = np.minimum(*(np.abs(mix_all(predictor, components, lead)) for lead in (0.0, LASTING)))
    ratio, mean = np.zeros(values.size), 0.0
    for count, place in enumerate(range(TAPS - 1, values.size), start=1):
        mean += (amplitude[place] - mean) / min(count, MEMORY * GRID)
        ratio[place] = amplitude[place] / mean
    plain = np.interp(np.arange(values.size) / GRID, np.arange(samples.size) / rate, samples)
    truths = {name: compute(samples, rate) for name, compute in TRUTHS.items()}
    return Run(samples.size / rate, components, ratio, plain, truths, rate)


def mix_all(predictor: Predictor, components: np.ndarray, lead: float) -> np.ndarray:
    """The analytic signal `lead` seconds after each value of the grid."""
    weights = [mix(predictor, tuple(row), lead) for row in np.eye(len(components)).tolist()]
    return np.array(weights) @ components


def load_people(data: Path | None, subjects: Sequence[str], *, most: float = MOST_MINUTES) -> dict[str, list[Run]]:
    """Runs of people of UCDDB; those who are not there are left out, and a damaged night is an error."""
    there = list_subjects("ucddb", data, required=False)
    return {one: _prepare(load_deep_sleep(one, data), 128.0, most) for one in subjects if one in there}


def load_second_world(data: Path | None) -> dict[str, list[Run]]:
    """Runs of N3 of four people of DREAMS, never inverted; none where the data set is absent."""
    people: dict[str, list[Run]] = {}
    there = list_subjects("dreams", data, required=False)
    for subject in (one for one in DREAMS if one in there):
        recording = load_dataset(f"dreams/{subject}", data)
        signal, hypnogram = next(iter(recording.signals.values())), recording.hypnogram
        assert hypnogram is not None
        samples = signal.read(dtype=np.float64) * 1e6
        deep = np.repeat(hypnogram.stages == 3, round(hypnogram.epoch_length * signal.rate))[: samples.size]
        edges = np.flatnonzero(np.diff(np.r_[0, deep.astype(int), 0])).reshape(-1, 2)
        people[subject] = _prepare([samples[low:high] for low, high in edges], signal.rate, MOST_MINUTES)
    return people


def _prepare(runs: Sequence[np.ndarray], rate: float, most: float) -> list[Run]:
    prepared, left = [], most * 60 * rate
    for run in runs:
        part = run[: int(max(left, 0))]
        if part.size >= 20 * rate:
            prepared.append(prepare_run(part, rate, load_predictor()))
            left -= part.size
    return prepared
