"""How `weights/phase.bin` is made: `python -m sharpwave.recipes.phase_predictor FOLDER`.

A regression of the analytic signal of 0.5 to 2 Hz, found by a filter that hears the future, at leads from 0 to 0.3 s,
on the last 4 s of the causal grid of `live.phase`. It learns on the deep sleep of eight people of UCDDB, whose signal
is inverted first: there it is positive where others are negative. Everyone else is left for testing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Complex, Float

from sharpwave.live.phase import GRID, STEP, TAPS, GridState, step_grid
from sharpwave.recordings import Recording, load_dataset

TRAINED_ON = ("002", "005", "006", "007", "008", "010", "011", "012")
"""People of UCDDB that the weights learn from."""
TESTED_ON = ("015", "017", "019", "021", "022", "023", "026", "028")
"""People of UCDDB that no part of the live loop was chosen on."""
BAND = (0.5, 2.0)
N_LEADS = 13
N_COMPONENTS = 3
"""Left out one by one, people of the development had .815 of cues within 45 degrees at 12 a minute with three
components, .84 at 10 with two, .81 at 11 with all: three are the fewest that cue often enough."""
RIDGE = 1e-3
"""Added to the diagonal, as a share of its mean."""
SETTLING = 3.0
"""Seconds left out at either end of an unbroken run: filters settle there."""
TYPICAL_UV = 35.0
"""Standard deviation that the median epoch of deep sleep gets: the unit of UCDDB is not known."""


def load_deep_sleep(subject: str, data: str | Path | None = None) -> list[Float[np.ndarray, " time"]]:
    """Unbroken runs of S3 and S4 of a person of UCDDB at 128 Hz, in µV as far as they can be known, upright.

    Args:
        subject: Number of the person, such as "022".
        data: Folder of data sets; the usual one where None.
    """
    return find_deep_sleep(load_dataset(f"ucddb/{subject}", data))


def find_deep_sleep(recording: Recording) -> list[Float[np.ndarray, " time"]]:
    """Unbroken runs of N3 of one recording of UCDDB, inverted and scaled."""
    signal = recording["EEG"]
    hypnogram = recording.hypnogram
    assert hypnogram is not None
    size = round(30 * signal.rate)
    epochs = signal.read(dtype=np.float64)[: len(hypnogram) * size].reshape(-1, size)
    deep = (hypnogram.stages[: len(epochs)] == 3) & np.isfinite(epochs).all(axis=1)
    if not deep.any():
        return []
    scale = -TYPICAL_UV / float(np.median(epochs[deep].std(axis=1)))
    places = np.flatnonzero(deep)
    groups = np.split(places, np.flatnonzero(np.diff(places) != 1) + 1)
    return [epochs[group].reshape(-1) * scale for group in groups]


def compute_truth(
    samples: Float[np.ndarray, " time"], *, rate: float, band: tuple[float, float] = BAND, seconds: float = 4.0
) -> Complex[np.ndarray, " time"]:
    """The analytic signal by a filter without delay, which hears the future: what a phase is held against.

    Args:
        samples: An unbroken run.
        rate: Samples a second.
        band: Edges in Hz; 0.5 to 2 by default.
        seconds: Length of the filter; 4 by default.
    """
    from scipy.signal import fftconvolve, firwin, hilbert

    taps = firwin(int(seconds * rate) | 1, band, pass_zero=False, fs=rate)
    return hilbert(fftconvolve(samples, taps, "same"))


def make_rows(
    runs: Sequence[np.ndarray], *, rate: float
) -> Iterator[tuple[Float[np.ndarray, "grid tap"], Float[np.ndarray, "grid target"]]]:
    """Of each run: the last 128 values of the grid at every value, and the truth at every lead."""
    for run in runs:
        values, _ = step_grid(rate, GridState(), run.tolist())
        at = np.arange(len(values)) / GRID
        truth, times = compute_truth(run, rate=rate), np.arange(run.size) / rate
        settled = np.arange(TAPS - 1, len(values))
        settled = settled[(at[settled] > SETTLING + TAPS / GRID) & (at[settled] < times[-1] - SETTLING - 1.0)]
        if not settled.size:
            continue
        ahead = at[settled, None] + STEP * np.arange(N_LEADS)
        wanted = [np.interp(ahead, times, part) for part in (truth.real, truth.imag)]
        rows = np.lib.stride_tricks.sliding_window_view(values, TAPS)[settled - TAPS + 1]
        size = np.abs(truth).mean()
        yield rows / size, np.concatenate(wanted, axis=1) / size


def fit_predictor(
    people: Sequence[Sequence[np.ndarray]], *, rate: float, n_components: int = N_COMPONENTS
) -> Float[np.ndarray, " weight"]:
    """Weights in the order of `unpack_predictor`.

    Args:
        people: Runs of each person.
        rate: Samples a second.
        n_components: Components that are kept; 3 by default.
    """
    inner, outer = np.zeros((TAPS, TAPS)), np.zeros((TAPS, 2 * N_LEADS))
    for runs in people:
        for rows, wanted in make_rows(runs, rate=rate):
            inner += rows.T @ rows
            outer += rows.T @ wanted
    weights = np.linalg.solve(inner + RIDGE * np.trace(inner) / TAPS * np.eye(TAPS), outer)
    left, strength, right = np.linalg.svd(weights, full_matrices=False)
    basis = (left * strength)[:, :n_components].T
    mixing = right[:n_components].reshape(n_components, 2, N_LEADS).transpose(2, 1, 0)
    return np.concatenate((basis.ravel(), mixing.ravel()))


def train_predictor(folder: Path, data: str | Path | None = None) -> Path:
    """Train on `TRAINED_ON` and write `phase.bin` and its card `phase.json`.

    Args:
        folder: Folder to write into.
        data: Folder of data sets; the usual one where None.
    """
    people = [load_deep_sleep(subject, data) for subject in TRAINED_ON]
    weights = fit_predictor(people, rate=128.0)
    (folder / "phase.bin").write_bytes(weights.astype("<f4").tobytes())
    card = describe(minutes=sum(run.size for runs in people for run in runs) / 128.0 / 60.0)
    path = folder / "phase.json"
    path.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return path


def describe(*, minutes: float) -> dict[str, Any]:
    """The card beside the weights."""
    return {
        "what": "analytic signal of 0.5-2 Hz, 0 to 0.3 s ahead, from the last 4 s of one EEG channel at 32 Hz",
        "components": N_COMPONENTS,
        "leads": N_LEADS,
        "bytes": 4 * N_COMPONENTS * (TAPS + 2 * N_LEADS),
        "layout": "little-endian float32: basis (component, 128 values, oldest first), mixing (lead, part, component)",
        "trained_on": [f"ucddb/{subject}" for subject in TRAINED_ON],
        "minutes": round(minutes),
        "licence": "ODC-By 1.0 (UCDDB, PhysioNet 1.0.0)",
        "tested_on": "other people of UCDDB, and DREAMS: benchmarks/results/live-phase.json",
        "not_for": "children, drugs that change slow waves, electrodes far from the midline and mastoid: not tested",
        "method": "ridge regression cut to its first components; truth by a zero-phase FIR and a Hilbert transform",
        "reproduce": "python -m sharpwave.recipes.phase_predictor src/sharpwave/weights",
    }


if __name__ == "__main__":
    import sys

    print(train_predictor(Path(sys.argv[1])))
