"""Subthalamic LFP band power of people with Parkinson's disease: LightGBM trained on the UH3-RestoreSleepPD nights."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.boosted import EPOCH, RECIPES, stage_with_weights
from sharpwave.staging.context import add_context
from sharpwave.staging.contract import Picks
from sharpwave.staging.weights import load_validation

N_BANDS = 6
SIGNALS = ("power", "power_sd")


class LfpStager:
    """Stages from band power per 30 s, averaged over contacts and relative to the night."""

    name = "lightgbm-lfp"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        for name in SIGNALS:
            if name not in recording.signals:
                return f"no signal {name!r} of band power per 30 s (band1_contact1 …)"
            shape = recording[name].samples.shape
            if len(shape) != 2 or shape[1] % N_BANDS or abs(recording[name].rate * EPOCH - 1) > 1e-6:
                return f"{name!r} is not {N_BANDS} bands per contact once in {EPOCH:g} s"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        return stage_with_weights(self.name, compute_table(recording))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="lfp")


def compute_table(recording: Recording) -> pd.DataFrame:
    """What the booster is given: log power and its deviation per band, over contacts, with context."""
    power, deviation = (recording[name].read(dtype=np.float64) for name in SIGNALS)
    power, deviation = (np.log(np.maximum(x, 1e-9)).reshape(len(x), N_BANDS, -1) for x in (power, deviation))
    features = np.concatenate([power.mean(axis=2), power.std(axis=2), deviation.mean(axis=2)], axis=1)
    names = [f"{kind}{band}" for kind in ("power", "contacts", "deviation") for band in range(1, N_BANDS + 1)]
    return add_context(features, names, windows=RECIPES["lightgbm-lfp"].windows)
