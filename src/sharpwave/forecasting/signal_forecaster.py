"""The ensemble that forecasts a change from signals alone, as it ships: for the wrist, LFP band power and EEG.

It looks at no stage and at nothing that comes later, which a forecast from decoded stages cannot say of itself, for the
stagers look ahead. `python -m sharpwave.recipes.signal_forecasters` writes the weights again.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.forecasting.boosting import SignalEnsemble
from sharpwave.forecasting.cohorts import EPOCH, SLEEP_EDF, EpochTable, tabulate
from sharpwave.forecasting.contract import Forecast
from sharpwave.recordings.hypnogram import UNSCORED
from sharpwave.recordings.recording import Recording
from sharpwave.staging.lightgbm_stagers import LfpStager, WearableStager
from sharpwave.staging.yasa_stager import refuse_unless_human_eeg

NAME = "lightgbm-ensemble"
METHOD = "LightGBM ensemble on signals alone"
WEIGHTS = Path(__file__).parents[1] / "weights"
COHORTS: Mapping[str, str] = {"wrist": "walch", "lfp": "pd-lfp", "eeg": SLEEP_EDF}
"""Kinds of signals, and the cohort whose people each was trained on and whose features it takes."""
LOWEST_RATE = 64.0
"""Samples a second of an EEG, from which its beta band (to 30 Hz) can be measured."""
BETWEEN = "\n=== next booster ===\n"
RAW_HEART_RATE = 20.0
"""Beats a minute: a median above it is a heart rate, and no published feature."""


@dataclass(frozen=True)
class ShippedEnsemble:
    """A trained ensemble for one kind of signals, 30 s ahead.

    Attributes:
        ensemble: The trees.
        base_rate: Share of epochs after which the stage changed in training.
        subjects: People trained on, as "cohort/subject".
    """

    ensemble: SignalEnsemble
    base_rate: float
    subjects: frozenset[str]


def find_kind(recording: Recording) -> str:
    """Which of `COHORTS` a recording's signals are.

    Raises:
        SharpwaveError: If they are neither, with what each lacks.

    >>> find_kind(Recording())
    Traceback (most recent call last):
    ...
    sharpwave.errors.SharpwaveError: expected signals that lightgbm-ensemble knows: ...
    """
    lacks = {
        "eeg": _refuse_eeg(recording),
        "wrist": _refuse_wrist(recording),
        "lfp": LfpStager().accepts(recording, {}),
    }
    for kind, reason in lacks.items():
        if reason is None:
            return kind
    raise SharpwaveError(
        f"signals that {NAME} knows: one channel of human EEG, heart rate and movement of a wrist as published "
        "features, or LFP band power",
        got="; ".join(f"{kind}: {reason}" for kind, reason in lacks.items()),
        fix="leave --forecaster out",
    )


def _refuse_eeg(recording: Recording) -> str | None:
    channels = list(recording.of("eeg"))
    if len(channels) != 1:
        return f"{len(channels)} EEG channels" if channels else "no EEG"
    reason = refuse_unless_human_eeg(recording, {"eeg": channels[0]})
    if reason is not None:
        return reason
    signal = recording[channels[0]]
    if signal.rate < LOWEST_RATE:
        return f"{signal.rate:g} samples a second; {LOWEST_RATE:g} are needed"
    if abs(signal.start) > 1:
        return f"the EEG begins {signal.start:g} s after the recording"
    return None


def _refuse_wrist(recording: Recording) -> str | None:
    reason = WearableStager().accepts(recording, {})
    if reason is not None:
        return reason
    for name in ("heart_rate", "activity"):
        if name not in recording.signals or abs(recording[name].rate * EPOCH - 1) > 1e-6:
            return f"{name!r} does not come once in {EPOCH:g} s"
    if np.nanmedian(recording["heart_rate"].read(dtype=np.float64)) > RAW_HEART_RATE:
        return "the heart rate is in beats a minute, not the published feature that it was measured on"
    return None


def forecast_from_signals(recording: Recording, *, folder: Path = WEIGHTS) -> Forecast:
    """Forecast 30 s ahead from the end of each 30 s epoch of a recording; no stage and nothing later is looked at.

    Args:
        recording: Signals of a kind in `COHORTS`; its own stages are not looked at.
        folder: Folder of the weights; the shipped ones by default.

    Raises:
        SharpwaveError: If the signals are of no such kind, or there are no weights.
        MissingExtraError: If LightGBM is not installed.
    """
    kind = find_kind(recording)
    return load_ensemble(kind, folder=folder).ensemble.predict(measure(recording, kind))


def measure(recording: Recording, kind: str) -> EpochTable:
    """The features of each epoch, of which row t uses nothing after epoch t; stages are hidden."""
    n_epochs = int(recording.duration / EPOCH + 1e-6)
    features, names = tabulate(recording, COHORTS[kind], n_epochs)
    hidden = np.full(n_epochs, UNSCORED, dtype=np.int8)
    return EpochTable(recording.subject, COHORTS[kind], hidden, features, names)


def write_ensemble(folder: Path, kind: str, ensemble: SignalEnsemble) -> Path:
    """Write the trees as LightGBM's text, compressed, without a time stamp: the same trees are the same file."""
    boosters = [*(member for row in ensemble.members for member in row), ensemble.destination]
    path = folder / f"signals_{kind}.txt.gz"
    path.write_bytes(gzip.compress(BETWEEN.join(_to_text(one) for one in boosters).encode(), mtime=0))
    return path


def _to_text(booster: Any) -> str:
    """A booster without its list of parameters, which predictions do not need."""
    return str(booster.model_to_string(importance_type="gain")).partition("\nfeature_importances:")[0]


@lru_cache(maxsize=4)
def load_ensemble(kind: str, *, folder: Path = WEIGHTS) -> ShippedEnsemble:
    """The trained ensemble for "wrist", "lfp" or "eeg".

    Raises:
        SharpwaveError: If there are no weights for this kind.
        MissingExtraError: If LightGBM is not installed.

    >>> 0.05 < load_ensemble("lfp").base_rate < 0.15
    True
    """
    try:
        import lightgbm
    except ImportError as error:
        raise MissingExtraError("lightgbm", extra="brain") from error
    path, card_path = folder / f"signals_{kind}.txt.gz", folder / "signals.json"
    if kind not in COHORTS or not path.is_file() or not card_path.is_file():
        raise SharpwaveError(
            f"a kind of signals among {', '.join(COHORTS)}, with weights",
            got=f"{kind!r}, nothing at {path}",
            fix="make them with `python -m sharpwave.recipes.signal_forecasters`",
        )
    card = json.loads(card_path.read_text(encoding="utf-8"))["kinds"][kind]
    texts = gzip.decompress(path.read_bytes()).decode().split(BETWEEN)
    *members, destination = (lightgbm.Booster(model_str=text) for text in texts)
    ensemble = SignalEnsemble()
    half = len(members) // 2
    ensemble.members, ensemble.destination = [members[:half], members[half:]], destination
    return ShippedEnsemble(ensemble, card["base_rate"], frozenset(card["subjects"]))
