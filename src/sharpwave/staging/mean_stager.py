"""Human EEG by two stagers at once: the mean of the probabilities of YASA's classifier and of Brainµ.

The two err in different places. With weights that were fixed beforehand (one half each) the mean was better than either
on people at full rate; at 50 Hz it is level with them (docs/staging.md).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.recording import Recording
from sharpwave.staging.brainmu_stager import BrainMuStager
from sharpwave.staging.contract import Picks, Stager
from sharpwave.staging.weights import load_validation
from sharpwave.staging.yasa_stager import LEAST_RATE, YasaResampledStager, YasaStager

NAME = "yasa+brainmu"


class MeanStager:
    """YASA and Brainµ on the same channels, their probabilities averaged.

    Neither takes the start of the file for that of the night: both have a clock only where lights off is known.

    Args:
        weights: Folder of the user's own weights of Brainµ; the shipped ones where omitted.
    """

    name = NAME

    def __init__(self, weights: Path | None = None) -> None:
        self.brainmu = BrainMuStager(weights)

    def accepts(self, recording: Recording, picks: Picks) -> str | None:
        reason = _choose_yasa(recording, picks).accepts(recording, picks)
        return self.brainmu.accepts(recording, picks) if reason is None else reason

    def stage(self, recording: Recording, picks: Picks) -> Hypnogram:
        theirs = _choose_yasa(recording, picks).stage(recording, picks)
        return average_hypnograms(theirs, self.brainmu.stage(recording, picks))

    def validation(self, recording: Recording, picks: Picks) -> list[dict[str, Any]]:
        rows = [] if self.brainmu.weights is not None else load_validation(self.name, signals="eeg")
        return [row for row in rows if _is_slow(recording, picks) or "at 50 Hz" not in row["data"]]


def _is_slow(recording: Recording, picks: Picks) -> bool:
    """Whether YASA's part has to resample the EEG."""
    return "eeg" in picks and recording[picks["eeg"]].rate <= LEAST_RATE


def _choose_yasa(recording: Recording, picks: Picks) -> Stager:
    slow = _is_slow(recording, picks)
    return YasaResampledStager(from_file_start=False) if slow else YasaStager(from_file_start=False)


def average_hypnograms(first: Hypnogram, *others: Hypnogram) -> Hypnogram:
    """Stages by the mean of the probabilities of several hypnograms, on the epochs of the first.

    Args:
        first: Its epochs are kept; where it is unscored, so is the result.
        others: With as many stages; an epoch has the probabilities of theirs at its middle. Where one has none, those
            of the rest stand alone.

    >>> sure = Hypnogram(np.array([0]), 30.0, 2, probabilities=np.array([[0.9, 0.1]]), scorer="one")
    >>> other = Hypnogram(np.array([1]), 30.0, 2, probabilities=np.array([[0.3, 0.7]]), scorer="another")
    >>> mean = average_hypnograms(sure, other)
    >>> mean.labels, mean.probabilities.round(2).tolist(), mean.scorer
    (['W'], [[0.6, 0.4]], 'mean of one and another')
    """
    total, n = _get_probabilities(first), np.ones((len(first), 1))
    for other in others:
        place = np.floor((first.onsets + first.epoch_length / 2 - other.start) / other.epoch_length).astype(int)
        inside = (place >= 0) & (place < len(other))
        beside = np.where(inside[:, None], _get_probabilities(other)[np.clip(place, 0, len(other) - 1)], np.nan)
        known = np.isfinite(beside).all(axis=1, keepdims=True)
        total, n = total + np.where(known, beside, 0), n + known
    mean = total / n
    known = first.scored & np.isfinite(mean).all(axis=1)
    stages = np.where(known, np.nan_to_num(mean).argmax(axis=1), UNSCORED).astype(np.int8)
    return Hypnogram(
        stages,
        first.epoch_length,
        first.n_stages,
        first.start,
        np.where(known[:, None], mean, np.nan),
        scorer="mean of " + " and ".join(dict.fromkeys(str(one.scorer) for one in (first, *others))),
    )


def _get_probabilities(hypnogram: Hypnogram) -> Float[np.ndarray, "epoch stage"]:
    """Probabilities, those of a sure scorer where it gave none."""
    if hypnogram.probabilities is not None:
        return np.asarray(hypnogram.probabilities, dtype=float)
    sure = np.full((len(hypnogram), hypnogram.n_stages), np.nan)
    sure[hypnogram.scored] = np.eye(hypnogram.n_stages)[hypnogram.stages[hypnogram.scored]]
    return sure
