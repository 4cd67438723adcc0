"""Heart rate and movement from the wrist: LightGBM trained on Walch et al. 2019."""

from __future__ import annotations

from typing import Any

import pandas as pd

from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.boosted import RECIPES, stage_with_weights
from sharpwave.staging.context import add_context
from sharpwave.staging.contract import Picks
from sharpwave.staging.wearable_features import FEATURES, compute_wearable_features
from sharpwave.staging.weights import load_validation

MINIMUM_MINUTES = 60


class WearableStager:
    """Stages from how heart rate and movement vary, each relative to the night."""

    name = "lightgbm-wearable"

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        if recording.species not in ("human", "unknown"):
            return f"the subject is a {recording.species}; it was trained on people"
        absent = [modality for modality in FEATURES if not recording.of(modality)]
        if absent:
            return f"no {' and no '.join(absent)} signal"
        if recording.duration < 60 * MINIMUM_MINUTES:
            return f"{recording.duration / 60:.0f} min; it needs {MINIMUM_MINUTES} min to know what is usual"
        return None

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        return stage_with_weights(self.name, compute_table(recording))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        return load_validation(self.name, signals="wearable")


def compute_table(recording: Recording) -> pd.DataFrame:
    """What the booster is given, one row per 30 s epoch."""
    return add_context(compute_wearable_features(recording), FEATURES, windows=RECIPES["lightgbm-wearable"].windows)
