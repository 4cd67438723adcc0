"""A whole night by Brainµ: stages, changes and destinations ahead, and depth, from whatever was recorded.

model, card = load_brainmu()
night = run_brainmu(recording, model, card=card)
night.hypnogram, night.forecast(30.0)
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave.brainmu.model import BrainMu
from sharpwave.brainmu.runtime.night_pass import CHUNK, pass_recording
from sharpwave.brainmu.uncertainty import Calibration
from sharpwave.brainmu.windows import N_STAGES, Grid
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.signals.stage_smoothing import smooth_probabilities

NAME = "Brainµ"
SMOOTHING = 0.4
"""Weight of each step's evidence against the transitions: neighbouring steps share what the model has seen."""


@dataclass(frozen=True, eq=False)
class BrainMuNight:
    """What Brainµ says of a night, step by step; NaN where nothing was recorded.

    Attributes:
        grid: When each step is.
        hypnogram: Likeliest stages, with probabilities; looks ahead where it was smoothed.
        stages: Probability of each of the five stages from the past alone, shape (step, stage).
        change: Probability that the stage at each horizon differs from the present one, shape (step, horizon).
        destination: Probability of each stage at each horizon, shape (step, horizon, stage).
        depth: Slow-wave power of the EEG in log10 µV²/Hz, or what the other signals make of it, shape (step,).
        horizons: Seconds ahead.
        present: Share of the night in which each modality had data.
    """

    grid: Grid
    hypnogram: Hypnogram
    stages: Float[np.ndarray, "step stage"]
    change: Float[np.ndarray, "step horizon"]
    destination: Float[np.ndarray, "step horizon stage"]
    depth: Float[np.ndarray, " step"]
    horizons: tuple[float, ...]
    present: Mapping[str, float]

    def forecast(self, horizon: float = 30.0) -> pd.DataFrame:
        """One row per step: onset (s), stage (now), p_change, and p_<stage> at the horizon.

        Args:
            horizon: Seconds ahead, one of `horizons`.

        Raises:
            SharpwaveError: If it is not.
        """
        if horizon not in self.horizons:
            raise SharpwaveError(
                f"a horizon of {', '.join(f'{h:g}' for h in self.horizons)} s",
                got=f"{horizon:g} s",
                fix="choose one of these",
            )
        column = self.horizons.index(horizon)
        frame = pd.DataFrame(
            {
                "onset": self.hypnogram.onsets,
                "stage": self.hypnogram.labels,
                "p_change": self.change[:, column],
                **{f"p_{name}": self.destination[:, column, code] for code, name in enumerate(STAGE_SETS[N_STAGES])},
            }
        )
        frame.attrs.update(method=NAME, horizon=float(horizon))
        return frame


def run_brainmu(
    recording: Recording,
    model: BrainMu,
    *,
    calibration: Calibration | None = None,
    history: Hypnogram | None = None,
    modalities: Collection[str] | None = None,
    transitions: Float[np.ndarray, "stage stage"] | None = None,
    chunk: int = CHUNK,
) -> BrainMuNight:
    """Stages and forecasts of a night, from any of the modalities that the model knows.

    Signals are read, windowed and passed through the model a stretch at a time, so a week takes no more memory than a
    night. Everything at a step comes from that step and the past, except the hypnogram if `transitions` are given.

    Args:
        recording: Its own hypnogram is not looked at.
        model: Ready for use.
        calibration: Of the model's probabilities; none where omitted.
        history: Stages that the model may see, each when its epoch has ended: an expert's, or another stager's.
            Without them it reads the signals alone.
        modalities: Those to use; all that there are where omitted.
        transitions: Probability of the next stage (column) given this one (row); the hypnogram is then smoothed
            forward and backward over them.
        chunk: Steps at once.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has nothing that the model knows.
    """
    said = pass_recording(recording, model, history=history, modalities=modalities, chunk=chunk)
    calibration = calibration or Calibration()
    stages = _where(said.known, calibration.stages(said.stage))
    smoothed = stages if transitions is None else smooth_stages(stages, transitions)
    return BrainMuNight(
        grid=said.grid,
        hypnogram=_to_hypnogram(smoothed, said.known, said.grid),
        stages=stages,
        change=_where(said.known, calibration.changes(said.change)),
        destination=_where(said.known, Calibration().stages(said.destination)),
        depth=_where(said.known, said.depth),
        horizons=model.config.horizons,
        present=said.present,
    )


def smooth_stages(
    probabilities: Float[np.ndarray, "step stage"],
    transitions: Float[np.ndarray, "stage stage"],
    *,
    weight: float = SMOOTHING,
) -> Float[np.ndarray, "step stage"]:
    """Posterior of each stage given the whole night; the chain's stationary shares are taken for the prior."""
    values, vectors = np.linalg.eig(np.asarray(transitions, dtype=float).T)
    shares = np.abs(np.real(vectors[:, np.argmax(np.real(values))]))
    return smooth_probabilities(
        probabilities, transitions=np.asarray(transitions), prior=shares / shares.sum(), weight=weight
    )


def _where(known: Bool[np.ndarray, " step"], values: np.ndarray) -> np.ndarray:
    return np.where(known.reshape(-1, *[1] * (values.ndim - 1)), values, np.nan)


def _to_hypnogram(probabilities: np.ndarray, known: np.ndarray, grid: Grid) -> Hypnogram:
    likeliest = np.nan_to_num(probabilities).argmax(axis=1)
    return Hypnogram(
        np.where(known, likeliest, UNSCORED).astype(np.int8),
        grid.step,
        start=grid.start,
        probabilities=_where(known, probabilities),
        scorer=NAME,
    )
