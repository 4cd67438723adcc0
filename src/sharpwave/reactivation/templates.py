"""Cued reactivation in EEG (TMR): does the pattern that a cue evokes in sleep tell which item it belongs to?

A linear discriminant learns two items in wake and is applied after their cues in sleep. Nothing of the sleep enters its
training, and the moment in wake is chosen by cross-validation within wake.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Signal

FOLDS = 5


@dataclass(frozen=True, eq=False)
class CuedReactivation:
    """What was decoded after cues.

    Attributes:
        time_series: Table with one row a moment: time (s from the cue), auc, p (one-sided, against label permutation)
            and p_corrected (against the largest AUC over all times, so that choosing the best moment is paid for).
        wake_auc: Cross-validated AUC of the wake moment that the template was taken from.
        wake_time: That moment, in s from the wake item's onset.
        n_wake: Number of wake trials.
        n_cues: Number of cues.
    """

    time_series: pd.DataFrame
    wake_auc: float
    wake_time: float
    n_wake: int
    n_cues: int

    @property
    def course(self) -> pd.DataFrame:
        """Old name of `time_series`."""
        moved.warn("CuedReactivation.course", "CuedReactivation.time_series")
        return self.time_series


def cut_trials(
    signals: Sequence[Signal], onsets: Sequence[float], *, window: tuple[float, float] = (-0.2, 1.2), step: float = 0.05
) -> tuple[Float[np.ndarray, "trial channel time"], Float[np.ndarray, " time"]]:
    """Trials of a recording around onsets, averaged over steps of time, each minus its mean before the onset.

    Args:
        signals: Channels of one rate, in V.
        onsets: Onsets of the trials, in s from the start of the recording; one whose window leaves the recording
            raises.
        window: Start and end of a trial, in s from its onset; -0.2 to 1.2 s by default.
        step: Length of the steps whose samples are averaged, in s; 0.05 s by default.

    Returns:
        Trials, and the middle of each step in s from the onset.

    Raises:
        SharpwaveError: If the rates differ, or a window reaches past the recording.
    """
    rates = {signal.rate for signal in signals}
    if len(rates) != 1:
        raise SharpwaveError("channels of one sampling rate", got=f"{sorted(rates)}", fix="choose channels of one rate")
    width = max(round(step * rates.pop()), 1)
    n_steps = int((window[1] - window[0]) / step + 1e-9)
    times = window[0] + (np.arange(n_steps) + 0.5) * step
    trials = np.empty((len(onsets), len(signals), n_steps))
    for trial, onset in enumerate(onsets):
        for channel, signal in enumerate(signals):
            samples = signal.read(onset + window[0], onset + window[1] + 2 * step)[: n_steps * width]
            if len(samples) < n_steps * width or onset + window[0] < signal.start:
                raise SharpwaveError(
                    f"{window[1] - window[0]:g} s of {signal.name!r} around each onset",
                    got=f"an onset at {onset:g} s of a recording that ends at {signal.end:g} s",
                    fix="leave out onsets near the ends",
                )
            trials[trial, channel] = samples.reshape(n_steps, width).mean(axis=1)
    if (times < 0).any():
        trials -= trials[:, :, times < 0].mean(axis=2, keepdims=True)
    return trials, times


def decode_cued(
    wake: Float[np.ndarray, "wake_trial channel wake_time"],
    wake_labels: Sequence[str],
    cued: Float[np.ndarray, "cue cued_channel time"],
    cue_labels: Sequence[str],
    *,
    wake_times: Float[np.ndarray, " wake_time"],
    times: Float[np.ndarray, " time"],
    rng: np.random.Generator,
    n_permutations: int = 1000,
) -> CuedReactivation:
    """Apply a template of wake trials at each moment after cues, time-resolved.

    Args:
        wake: Trials of the items in wake, from `cut_trials`.
        wake_labels: Names of the items, one of two for each wake trial.
        cued: Trials around cues in sleep, of the same channels.
        cue_labels: Name of the item that each cue belongs to.
        wake_times: Times of the wake trials' steps, in s from the wake item's onset.
        times: Times of the sleep trials' steps, in s from the cue.
        rng: Random generator of folds and permutations.
        n_permutations: Number of permutations of the cues' labels; 1000 by default.

    Returns:
        AUC over time with its p, and how well the template works in wake.

    Raises:
        SharpwaveError: If there are not two items, too few trials of one, or the channels differ.

    >>> rng = np.random.default_rng(0)
    >>> labels, times = ["face", "house"] * 20, np.arange(10) * 0.1
    >>> trials = rng.normal(size=(40, 3, 10))
    >>> trials[1::2, :, 5] += 3  # houses differ 0.5 s after their onset
    >>> options = {"wake_times": times, "times": times, "rng": rng, "n_permutations": 50}
    >>> found = decode_cued(trials, labels, trials, labels, **options)
    >>> int(found.time_series["auc"].argmax()), found.wake_time
    (5, 0.5)
    """
    items = sorted(set(map(str, wake_labels)))
    truth = _check_labels(wake_labels, items, what="wake trials", fewest=FOLDS)
    target = _check_labels(cue_labels, items, what="cues", fewest=2)
    if wake.shape[1] != cued.shape[1]:
        raise SharpwaveError(
            f"the {wake.shape[1]} channels of wake", got=f"{cued.shape[1]} after cues", fix="cut the same channels"
        )
    after = np.flatnonzero(wake_times >= 0)
    folds = _assign_folds(truth, rng)
    quality = np.array([_cross_validate(wake[:, :, moment], truth, folds) for moment in after])
    best = int(after[quality.argmax()])
    model = _train(wake[:, :, best], truth)
    evidence = np.stack([model.decision_function(cued[:, :, moment]) for moment in range(cued.shape[2])], axis=1)
    permuted = rng.permuted(np.tile(target, (n_permutations, 1)), axis=1)
    time_series = _tabulate_areas(times, compute_areas(evidence, np.vstack([target, permuted])))
    return CuedReactivation(time_series, float(quality.max()), float(wake_times[best]), len(truth), len(target))


def _tabulate_areas(times: Float[np.ndarray, " time"], areas: Float[np.ndarray, "labelling time"]) -> pd.DataFrame:
    """AUC over time with its p: the first labelling is the true one, the others are permutations."""
    observed, null = areas[0], areas[1:]
    return pd.DataFrame(
        {
            "time": times,
            "auc": observed,
            "p": (1 + (null >= observed).sum(axis=0)) / len(areas),
            "p_corrected": (1 + (null.max(axis=1)[:, None] >= observed).sum(axis=0)) / len(areas),
        }
    )


def compute_areas(
    evidence: Float[np.ndarray, "trial time"], labels: Bool[np.ndarray, "labelling trial"]
) -> Float[np.ndarray, "labelling time"]:
    """Area under the ROC curve of many labellings at once, from ranks (Mann–Whitney)."""
    from scipy.stats import rankdata

    ranks = rankdata(evidence, axis=0)
    positive = labels.sum(axis=1, keepdims=True)
    negative = labels.shape[1] - positive
    return (labels @ ranks - positive * (positive + 1) / 2) / (positive * negative)


def _check_labels(labels: Sequence[str], items: list[str], *, what: str, fewest: int) -> Bool[np.ndarray, " trial"]:
    names = np.array([str(label) for label in labels])
    counts = {item: int((names == item).sum()) for item in items}
    if len(items) != 2 or set(names) - set(items) or min(counts.values()) < fewest:
        raise SharpwaveError(
            f"two items with at least {fewest} {what} each",
            got=", ".join(f"{item}: {(names == item).sum()}" for item in sorted(set(names))) or "none",
            fix="decode items two by two",
        )
    return names == items[1]


def _assign_folds(truth: Bool[np.ndarray, " trial"], rng: np.random.Generator) -> np.ndarray:
    """Fold of each trial, both items spread evenly."""
    folds = np.empty(len(truth), dtype=int)
    for value in (False, True):
        own = np.flatnonzero(truth == value)
        folds[rng.permutation(own)] = np.arange(len(own)) % FOLDS
    return folds


def _cross_validate(
    features: Float[np.ndarray, "trial channel"], truth: Bool[np.ndarray, " trial"], folds: np.ndarray
) -> float:
    areas = []
    for fold in range(FOLDS):
        held = folds == fold
        evidence = _train(features[~held], truth[~held]).decision_function(features[held])
        areas.append(compute_areas(evidence[:, None], truth[held][None])[0, 0])
    return float(np.mean(areas))


def _train(features: Float[np.ndarray, "trial channel"], truth: Bool[np.ndarray, " trial"]):  # type: ignore[no-untyped-def]
    """Linear discriminant with the covariance shrunk as its noise asks for (Ledoit & Wolf 2004)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    return LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(features, truth)
