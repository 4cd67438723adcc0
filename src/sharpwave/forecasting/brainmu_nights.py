"""Nights of the forecasting cohorts as Brainµ sees them: stage history and causal features, nothing else.

UCDDB's raw EEG is not among them: it exists for some stages only, so its presence would tell the stage.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float

from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.encoders.behaviour import MEASURES, N_BINS, RESOLVED, SPREAD
from sharpwave.brainmu.encoders.stage_history import measure_stages
from sharpwave.brainmu.epochs import N_STAGES, EpochedRecording, EpochGrid, ModalityEpochs
from sharpwave.forecasting.cohorts import EpochTable, load_cohort


def load_windowed_cohort(name: str, root: str | Path | None = None) -> list[EpochedRecording]:
    """Every night of a cohort; see `load_cohort`."""
    return [window_night(night) for night in load_cohort(name, root)]


def window_night(night: EpochTable) -> EpochedRecording:
    """A night as windows: its votes where several scored, else its stages, and its features as named channels.

    A night whose stages are hidden has no stage history. Features are as causal as the night's own: they are neither
    standardised again nor declared absent anywhere, so presence tells nothing.
    """
    votes = get_votes(night)
    windows = {}
    if (night.stages >= 0).any():
        windows["stages"] = window_stages(night.stages, votes)
    if night.names:
        windows["features"] = window_features(night.features, night.names)
    return EpochedRecording(
        grid=EpochGrid(0.0, night.epoch_length, len(night)),
        epochs=windows,
        stages=night.stages.astype(np.int8),
        votes=votes,
        cohort=night.cohort,
        subject=night.subject,
    )


def get_votes(night: EpochTable) -> Float[np.ndarray, "epoch stage"]:
    """Votes where several scored, one vote where one did, zeros where nobody did."""
    votes = np.zeros((len(night), N_STAGES), dtype=np.float32)
    known = night.stages >= 0
    if night.votes is None:
        votes[known, night.stages[known]] = 1.0
    else:
        votes[known] = np.nan_to_num(night.votes[known])
    return votes


def window_stages(stages: np.ndarray, votes: np.ndarray) -> ModalityEpochs:
    """Stage history of stages and votes that are on the grid."""
    return ENCODERS["stages"].normalise(measure_stages(stages, votes, N_STAGES))[0]


def window_features(features: Float[np.ndarray, "epoch feature"], names: tuple[str, ...]) -> ModalityEpochs:
    """Features as the encoder of slow signals takes them: one value per step, known at its end."""
    values = np.repeat(features[..., None], len(MEASURES), axis=2).astype(np.float32)
    values[..., SPREAD] = 0.0
    values[..., RESOLVED] = 1 / N_BINS
    return ModalityEpochs(values, np.ones(features.shape, dtype=bool), names)
