"""`sharpwave benchmark rodent`: wake, NREM and REM of rodents in epochs of 4 s, against an expert and planted stages.

`mouse-bands` is one mouse, before and after sleep deprivation, from tables of band power: the interval there is over
its hours, and says nothing of other mice. Features were chosen on this mouse, the first guess on it and on simulated
animals of other seeds, so both are optimistic. Simulated mice and rats (raw EEG and EMG, interval over animals) stand
beside it. Compared with: a threshold on muscle tone and one on theta over delta (Otsu's, per recording), and the stager
of version 0.1 (shares of power smoothed over three epochs, each feature on its own).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
from sharpwave.recordings import Recording, load_dataset
from sharpwave.recordings.datasets import list_subjects
from sharpwave.recordings.datasets.mouse_bands import MEASURES
from sharpwave.simulation import simulate_night
from sharpwave.staging.hidden_markov import fit_states
from sharpwave.staging.rodent import EPOCH, compute_rodent_features, find_threshold, fit_rodent_states
from sharpwave.staging.weights import load_card, save_json

DATA = "one mouse (mouse-bands)"
HOURS = 1.5
"""Length of a simulated recording."""
N_BOOTSTRAP = 1000
STAGES = ("W", "NREM", "R")
WIRED = {("eeg", "emg"): "EEG and EMG", ("eeg",): "EEG alone", ("lfp", "emg"): "LFP and EMG"}
Features = Float[np.ndarray, "epoch 3"]


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Score the rodent stager and two simpler ones.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of simulated animals of each species.
        train: Save the stager's rows as what pages say of it; nothing is trained.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If `data` is given and holds no `mouse-bands`.
    """
    folder = None if data is None else data / "mouse-bands"
    sessions = list_subjects("mouse-bands", folder, required=False)
    if not sessions and data is not None:
        raise SharpwaveError("mouse-bands", got=f"none under {data}", fix="pass the folder of data sets")
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for session in sessions:
        recording = load_dataset(f"mouse-bands/{session}", folder)
        rows += score_hours(recording, setting=session, rng=rng)
    for species in ("mouse", "rat"):
        for wired in WIRED:
            rows += score_simulated(species, wired, n=seeds, rng=rng)
    if train:
        save_json("stager_validation", {**load_card("stager_validation"), "rodent": collect_validation(rows)})
    config = {
        "seeds": seeds,
        "epoch_s": EPOCH,
        "simulated_hours": HOURS,
        "interval": "over hours of the one mouse (mouse-bands), over animals (simulated)",
        "chosen_on": "features on mouse-bands, first guess on it and on simulated animals of other seeds",
    }
    return config, rows


def score_hours(recording: Recording, *, setting: str, rng: np.random.Generator) -> list[Row]:
    """Each method on one session of the mouse, with an interval over its hours.

    Args:
        recording: Band power with the expert's stages.
        setting: Name of the session.
        rng: Generator of the bootstrap.
    """
    assert recording.hypnogram is not None
    bands = np.asarray(recording["bands"].samples, dtype=float)
    truth = np.asarray(recording.hypnogram.stages)
    hour = (np.arange(len(truth)) * EPOCH // 3600).astype(int)
    rows = []
    for method, stage in {**METHODS, "version 0.1": stage_by_shares}.items():
        found = stage(bands if method == "version 0.1" else take_features(bands))
        both = (truth >= 0) & (found >= 0)
        parts = np.stack(
            [compute_confusion(truth[both & (hour == one)], found[both & (hour == one)], n_stages=3)
             for one in np.unique(hour[both])]
        )  # fmt: skip
        rows += list(_resample(parts, setting, method, rng))
    return rows


def _resample(parts: np.ndarray, setting: str, method: str, rng: np.random.Generator) -> Iterator[Row]:
    n = len(parts)
    drawn = [parts[rng.integers(n, size=n)].sum(axis=0) for _ in range(N_BOOTSTRAP)]
    for metric, function in _METRICS.items():
        low, high = np.nanquantile([function(one) for one in drawn], [0.025, 0.975])
        yield Row(DATA, setting, method, metric, float(function(parts.sum(axis=0))), float(low), float(high), n)


def score_simulated(species: str, wired: tuple[str, ...], *, n: int, rng: np.random.Generator) -> list[Row]:
    """The stager and the thresholds on simulated animals, with an interval over animals.

    Args:
        species: "mouse" or "rat".
        wired: Modalities: EEG with or without EMG.
        n: Number of animals.
        rng: Generator of the bootstrap.
    """
    values: dict[tuple[str, str], list[float]] = {}
    for seed in range(n):
        recording, _ = simulate_night(species, HOURS, rng=np.random.default_rng([7, seed]), modalities=wired)
        assert recording.hypnogram is not None
        signal = next(iter(recording.of(wired[0]).values()))
        features = compute_rodent_features(signal, emg=next(iter(recording.of("emg").values()), None))
        truth = recording.hypnogram.at((np.arange(len(features)) + 0.5) * EPOCH)
        for method, stage in METHODS.items():
            found = stage(features)
            both = (truth >= 0) & (found >= 0)
            confusion = compute_confusion(truth[both], found[both], n_stages=3)
            for metric, function in _METRICS.items():
                values.setdefault((method, metric), []).append(float(function(confusion)))
    return [
        estimate_row(f"simulated {species}", WIRED[wired], method, metric, found, rng=rng)
        for (method, metric), found in values.items()
    ]


def collect_validation(rows: list[Row]) -> list[dict[str, Any]]:
    """Rows of the stager that ships, as its pages show them.

    Args:
        rows: Rows of this benchmark.
    """
    return [
        {
            "data": f"{row.data} ({row.setting}, {EPOCH:g} s)",
            "setting": row.setting,
            "signals": "lfp" if row.setting.startswith("LFP") else "eeg",
            "metric": row.metric,
            "value": round(row.value, 5),
            "low": round(row.low, 5),
            "high": round(row.high, 5),
            "n": row.n,
        }
        for row in rows
        if row.method == "sharpwave" and row.setting != "EEG alone"
    ]


def take_features(bands: Float[np.ndarray, "epoch measure"]) -> Features:
    """Muscle tone, delta power and theta over delta, of a table of log band power.

    Args:
        bands: Columns as in `MEASURES`, in log10.
    """
    column = {name: bands[:, index] for index, name in enumerate(MEASURES)}
    return np.stack([column["emg"], column["delta"], column["theta"] - column["delta"]], axis=1)


def stage_by_thresholds(features: Features) -> Int[np.ndarray, " epoch"]:
    """Wake above a threshold of muscle tone; else REM above one of theta over delta, else NREM.

    Args:
        features: Tone, delta, theta over delta; NaN where absent.
    """
    tone, _, ratio = features.T
    known = np.isfinite(features).all(axis=1)
    wake = tone > find_threshold(tone[known])
    quiet = known & ~wake
    rem = ratio > find_threshold(ratio[quiet])
    return np.where(known, np.where(wake, 0, np.where(rem, 2, 1)), -1)


def stage_by_model(features: Features) -> Int[np.ndarray, " epoch"]:
    """The stager that ships.

    Args:
        features: Tone, delta, theta over delta; NaN where absent.
    """
    posterior = fit_rodent_states(features)
    known = np.isfinite(posterior).all(axis=1)
    return np.where(known, np.nan_to_num(posterior).argmax(axis=1), -1)


def stage_by_shares(bands: Float[np.ndarray, "epoch measure"]) -> Int[np.ndarray, " epoch"]:
    """The stager of version 0.1: shares of delta and theta and muscle tone, smoothed, each on its own.

    Args:
        bands: Columns as in `MEASURES`, in log10.
    """
    power = 10.0 ** bands[:, : len(MEASURES) - 1]
    raw = np.stack(
        [bands[:, MEASURES.index("emg")], *np.log(power[:, :2] / power.sum(axis=1, keepdims=True)).T], axis=1
    )
    smooth = pd.DataFrame(raw).rolling(3, center=True, min_periods=1).mean().to_numpy()
    features = np.where(np.isfinite(raw), smooth, np.nan)
    tone, delta, theta = features.T
    high = tone > np.nanquantile(tone, 0.6)
    rem = theta - delta > np.nanquantile((theta - delta)[~high], 0.85)
    posterior = fit_states(features, np.where(high, 0, np.where(rem, 2, 1)), n_states=3)
    known = np.isfinite(posterior).all(axis=1)
    return np.where(known, np.nan_to_num(posterior).argmax(axis=1), -1)


METHODS: dict[str, Callable[[Features], np.ndarray]] = {
    "sharpwave": stage_by_model,
    "two thresholds": stage_by_thresholds,
}


def _score_stage(confusion: np.ndarray, stage: int) -> float:
    found, true = confusion[:, stage].sum(), confusion[stage].sum()
    return float(2 * confusion[stage, stage] / (found + true)) if found + true else float("nan")


_METRICS: dict[str, Callable[[np.ndarray], float]] = {
    "kappa": lambda confusion: float(compute_kappa(confusion)),
    "accuracy": lambda confusion: float(np.trace(confusion) / confusion.sum()),
    "f1_W": lambda confusion: _score_stage(confusion, 0),
    "f1_NREM": lambda confusion: _score_stage(confusion, 1),
    "f1_R": lambda confusion: _score_stage(confusion, 2),
}
