"""Brainµ in `sharpwave decode`: stages from whatever was recorded, and what comes after stages that are known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.brainmu.checkpoints import WEIGHTS, load_brainmu
from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.runtime.staging import run_brainmu
from sharpwave.brainmu.uncertainty import Calibration, name_calibration
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import prepare_signals
from sharpwave.signals.stage_smoothing import load_transitions

SHIPPED = WEIGHTS / "lite"


@dataclass(frozen=True, eq=False)
class Weights:
    """A model ready for use.

    Attributes:
        model: The model.
        card: What it was trained on, and its calibration.
        name: Name of the model in reports.
    """

    model: BrainMu
    card: dict[str, Any]
    name: str

    def calibrate(self, protocol: str) -> Calibration:
        """Of "observed" forecasts, which see stages, or "signal-only" ones."""
        found = self.card.get("calibration", {})
        lines = [found.get(name_calibration(protocol, horizon), (1.0, 0.0)) for horizon in self.model.config.horizons]
        slopes, offsets = zip(*lines, strict=True)
        return Calibration(float(found.get("temperature", 1.0)), tuple(slopes), tuple(offsets))


@lru_cache(maxsize=4)
def load_weights(folder: Path | None = None) -> Weights:
    """The shipped `lite`, or a user's own weights.

    Raises:
        SharpwaveError: If they are not there or damaged.
    """
    model, card = load_brainmu(folder)
    return Weights(model, card, "Brainµ lite" if folder is None else f"Brainµ of {folder.name}")


def find_refusal(folder: Path | None = None) -> str | None:
    """Why Brainµ cannot be used here; None where it can."""
    if folder is None and not (SHIPPED / "config.json").is_file():
        return "this installation came without weights of Brainµ"
    try:
        load_weights(folder)
    except (SharpwaveError, ImportError) as error:
        return str(error)
    return None


def stage_with_brainmu(recording: Recording, picks: Mapping[str, str], *, weights: Path | None = None) -> Hypnogram:
    """Stages from the picked channels and every other modality, smoothed over the transitions of experts' hypnograms.

    Args:
        recording: Its own stages are not looked at.
        picks: Signal name by role; of electrical signals no others are used. An EEG whose unit is unknown is scaled to
            the amplitude of a usual night.
        weights: Folder; the shipped ones where omitted.
    """
    loaded = load_weights(weights)
    night = run_brainmu(
        prepare_signals(recording, picks),
        loaded.model,
        calibration=loaded.calibrate("signal-only"),
        transitions=np.asarray(load_transitions()["transitions"]),
    )
    return replace(night.hypnogram, scorer=loaded.name)


def forecast_with_brainmu(
    hypnogram: Hypnogram, *, recording: Recording | None = None, weights: Path | None = None, horizon: float = 30.0
) -> pd.DataFrame:
    """Forecast from each epoch of a hypnogram, from the stages and their probabilities up to its end.

    Args:
        hypnogram: Five stages in epochs of 30 s.
        recording: Signals that the model sees as well; none where omitted, as in the benchmark.
        weights: Folder; the shipped ones where omitted.
        horizon: Seconds ahead.

    Returns:
        `onset`, `stage`, `p_change`, `p_<stage>`; NaN where nothing is known.
    """
    loaded = load_weights(weights)
    night = run_brainmu(
        Recording(hypnogram=hypnogram) if recording is None else recording,
        loaded.model,
        calibration=loaded.calibrate("observed"),
        history=hypnogram,
    )
    frame = night.forecast(horizon)
    place = np.round((hypnogram.onsets - night.grid.start) / night.grid.step).astype(int)
    frame = frame.reindex(np.where((place >= 0) & (place < len(frame)), place, -1)).reset_index(drop=True)
    frame["onset"], frame["stage"] = hypnogram.onsets, hypnogram.labels
    frame.attrs.update(method=loaded.name, horizon=float(horizon))
    return frame
