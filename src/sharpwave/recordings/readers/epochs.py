"""From scored intervals, with whatever gaps and overlaps they have, to one stage per epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.hypnogram import STAGE_SETS, UNSCORED, Hypnogram
from sharpwave.recordings.stage_labels import codes_of_names

MAX_EPOCHS = 3_000_000
"""A month of seconds, or nearly three years of 30 s."""

_USUAL = (30.0, 20.0, 10.0, 5.0, 4.0, 2.5, 2.0, 1.0)


def fill_epochs(
    onset: Float[np.ndarray, " interval"],
    duration: Float[np.ndarray, " interval"],
    names: Sequence[str],
    *,
    epoch_length: float | None = None,
    probabilities: Float[np.ndarray, "interval stage"] | None = None,
) -> tuple[Hypnogram, list[str]]:
    """Cut scored intervals into epochs; gaps become unscored, and are declared.

    Args:
        onset: Seconds, shape (interval,).
        duration: Seconds; 0 or NaN lasts until the next interval.
        names: Stage names or "?".
        epoch_length: Seconds; found from the intervals if None.
        probabilities: Per interval, shape (interval, stage), optional.

    Returns:
        The hypnogram, and sentences on what was repaired.

    Raises:
        SharpwaveError: If times are not finite, or overlap with different stages.
    """
    repairs: list[str] = []
    order = np.argsort(onset, kind="stable")
    onset, duration = np.asarray(onset, dtype=float)[order], np.asarray(duration, dtype=float)[order]
    if not len(onset) or not np.isfinite(onset).all():
        raise SharpwaveError("finite onsets of scored epochs", got=f"{len(onset)} rows", fix="check the time column")
    duration, open_ended = _closed(onset, duration, epoch_length)
    if open_ended:
        repairs.append(f"{open_ended} scored intervals have no duration; each lasts until the next")
    length = _epoch_length(onset, duration) if epoch_length is None else float(epoch_length)
    start = float(onset[0])
    n_epochs = _count((onset + duration).max() - start, length)
    codes, n_stages = codes_of_names([names[index] for index in order])
    if probabilities is not None:
        n_stages = probabilities.shape[1]
        codes = _recoded([names[index] for index in order], n_stages)
    first = np.rint((onset - start) / length).astype(int)
    last = np.minimum(np.maximum(np.rint((onset + duration - start) / length).astype(int), first + 1), n_epochs)
    shift = np.abs(onset - start - first * length).max()
    if shift > min(1.0, length / 4):
        repairs.append(
            f"scored intervals lie up to {shift:.3g} s off the grid of {length:g} s epochs and were moved to it"
        )
    stages = np.full(n_epochs, UNSCORED, dtype=np.int8)
    soft = None if probabilities is None else np.full((n_epochs, n_stages), np.nan)
    covered = np.zeros(n_epochs, dtype=bool)
    n_conflicts = 0
    for index, (low, high, code) in enumerate(zip(first, last, codes, strict=True)):
        n_conflicts += int((covered[low:high] & (stages[low:high] != code)).sum())
        stages[low:high], covered[low:high] = code, True
        if soft is not None and probabilities is not None:
            soft[low:high] = probabilities[order[index]]
    if n_conflicts > max(1, 0.05 * n_epochs):
        raise SharpwaveError(
            "one stage at a time",
            got=f"{n_conflicts} of {n_epochs} epochs scored twice, differently",
            fix="keep one scorer per file",
        )
    if n_conflicts:
        repairs.append(f"{n_conflicts} epochs are scored twice; the later row counts")
    if not covered.all():
        repairs.append(f"{int((~covered).sum())} epochs lie in gaps of the scoring and are unscored")
    return Hypnogram(stages, length, n_stages, start, soft), repairs


def _recoded(names: Sequence[str], n_stages: int) -> np.ndarray:
    index = {name: code for code, name in enumerate(STAGE_SETS[n_stages])}
    return np.array([index.get(name, UNSCORED) for name in names], dtype=np.int8)


def _closed(onset: np.ndarray, duration: np.ndarray, epoch_length: float | None) -> tuple[np.ndarray, int]:
    open_ended = ~(np.isfinite(duration) & (duration > 0))
    if not open_ended.any():
        return duration, 0
    gaps = np.diff(onset, append=np.nan)
    positive = gaps[gaps > 0]
    usual = epoch_length or (float(positive.min()) if len(positive) else 30.0)
    until_next = np.where(np.isfinite(gaps) & (gaps > 0), gaps, usual)
    return np.where(open_ended, until_next, duration), int(open_ended.sum())


def _epoch_length(onset: np.ndarray, duration: np.ndarray) -> float:
    spans = np.r_[duration, np.diff(onset)]
    spans = spans[spans > 1e-3]
    if not len(spans):
        return 30.0
    for length in _USUAL:
        if (np.abs(spans / length - np.rint(spans / length)) * length < 0.02).mean() > 0.99:
            return length
    return float(np.median(duration))


def _count(span: float, length: float) -> int:
    if not (np.isfinite(length) and length > 0):
        raise SharpwaveError("a positive epoch length", got=f"{length} s", fix="pass epoch_length= in seconds")
    n_epochs = span / length
    if not n_epochs <= MAX_EPOCHS:
        raise SharpwaveError(
            f"at most {MAX_EPOCHS} epochs", got=f"{span:.3g} s of {length:g} s each", fix="check the times in the file"
        )
    return max(1, int(np.ceil(n_epochs - 1e-6)))
