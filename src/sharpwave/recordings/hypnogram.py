"""A hypnogram says which stage was when: the same type for a patient's night and a network's training run.

Needs numpy and pandas only, so that `sharpwave.consolidation` can return one without the brain libraries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_file

if TYPE_CHECKING:
    import yasa

UNSCORED = -1

STAGE_SETS: dict[int, tuple[str, ...]] = {
    2: ("W", "S"),
    3: ("W", "NREM", "R"),
    4: ("W", "LIGHT", "DEEP", "R"),
    5: ("W", "N1", "N2", "N3", "R"),
}
"""Stage names by number of stages, in the order of their codes. Rechtschaffen & Kales S3 and S4 are N3 (AASM)."""

NREM_STAGES = ("N1", "N2", "N3", "LIGHT", "DEEP", "NREM", "S")
"""Stages of any of these sets that are NREM sleep; S is NREM and REM sleep."""

_YASA_NAMES = {"W": "WAKE", "S": "SLEEP", "R": "REM"}

_MERGES: dict[tuple[int, int], tuple[int, ...]] = {
    (5, 4): (0, 1, 1, 2, 3),
    (5, 3): (0, 1, 1, 1, 2),
    (5, 2): (0, 1, 1, 1, 1),
    (4, 3): (0, 1, 1, 2),
    (4, 2): (0, 1, 1, 1),
    (3, 2): (0, 1, 1),
}


@dataclass(frozen=True, eq=False)
class Hypnogram:
    """Stage per epoch, on a clock.

    Attributes:
        stages: Codes, shape (epoch,): index into `names`, or -1 where unscored.
        epoch_length: Length of an epoch in seconds (in training steps for a network, `unit="step"`).
        n_stages: 2 to 5; see `STAGE_SETS` for what they are.
        start: Onset of the first epoch, in the same unit, counted from the start of the recording.
        probabilities: Probability of each stage, shape (epoch, stage), rows summing to 1; optional.
        scorer: Who or what scored it.
        unit: "s", or "step" for a network's hypnogram.

    Raises:
        SharpwaveError: If codes, lengths or probabilities do not fit each other.

    >>> night = Hypnogram(np.array([0, 1, 2, 3, -1]))
    >>> night.labels, night.end
    (['W', 'N1', 'N2', 'N3', '?'], 150.0)
    >>> night.merge(3).labels
    ['W', 'NREM', 'NREM', 'NREM', '?']
    """

    stages: Int[np.ndarray, " epoch"]
    epoch_length: float = 30.0
    n_stages: int = 5
    start: float = 0.0
    probabilities: Float[np.ndarray, "epoch stage"] | None = None
    scorer: str | None = None
    unit: str = "s"

    def __post_init__(self) -> None:
        if self.n_stages not in STAGE_SETS:
            raise SharpwaveError(
                "2, 3, 4 or 5 stages",
                got=f"n_stages={self.n_stages}",
                fix="merge or name the stages as in sharpwave.recordings.hypnogram.STAGE_SETS",
            )
        if not (np.isfinite(self.epoch_length) and self.epoch_length > 0 and np.isfinite(self.start)):
            raise SharpwaveError(
                "a positive, finite epoch length and a finite start",
                got=f"epoch_length={self.epoch_length}, start={self.start}",
                fix="give both in seconds",
            )
        raw = np.asarray(self.stages)
        if raw.ndim != 1 or raw.dtype.kind not in "iu":
            raise SharpwaveError(
                "one integer stage code per epoch",
                got=f"an array of shape {raw.shape} and type {raw.dtype}",
                fix="pass codes, or use Hypnogram.from_labels for names",
            )
        if raw.size and (raw.min() < UNSCORED or raw.max() >= self.n_stages):
            raise SharpwaveError(
                f"stage codes from -1 (unscored) to {self.n_stages - 1}",
                got=f"codes from {raw.min()} to {raw.max()}",
                fix="map the labels first, or use Hypnogram.from_labels",
            )
        object.__setattr__(self, "stages", _frozen(raw.astype(np.int8)))
        if self.probabilities is not None:
            object.__setattr__(self, "probabilities", self._checked_probabilities())

    def __repr__(self) -> str:
        counts = {name: self.labels.count(name) for name in (*self.names, "?")}
        found = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
        scorer = f", by {self.scorer}" if self.scorer else ""
        return f"<Hypnogram: {len(self)} epochs of {self.epoch_length:g} {self.unit} ({found or 'empty'}){scorer}>"

    def _checked_probabilities(self) -> np.ndarray:
        probabilities = np.asarray(self.probabilities, dtype=np.float64)
        expected = (len(self), self.n_stages)
        if probabilities.shape != expected:
            raise SharpwaveError(
                f"probabilities of shape {expected} (epoch, stage)",
                got=f"shape {probabilities.shape}",
                fix="give one row per epoch and one column per stage",
            )
        scored = np.isfinite(probabilities).all(axis=1)
        rows = probabilities[scored]
        if rows.size and (rows.min() < -1e-6 or np.abs(rows.sum(axis=1) - 1).max() > 1e-3):
            raise SharpwaveError(
                "probabilities that are not negative and sum to 1 in each epoch",
                got=f"sums from {rows.sum(axis=1).min():.3g} to {rows.sum(axis=1).max():.3g}",
                fix="normalise each row; mark an epoch without probabilities with NaN",
            )
        return _frozen(probabilities)

    @classmethod
    def from_labels(
        cls,
        labels: Iterable[str],
        *,
        epoch_length: float = 30.0,
        n_stages: int = 5,
        start: float = 0.0,
        scorer: str | None = None,
    ) -> Self:
        """A hypnogram from stage names as in `STAGE_SETS`; "?" and "" are unscored.

        >>> Hypnogram.from_labels(["W", "N1", "N2", "?"]).stages.tolist()
        [0, 1, 2, -1]
        """
        names = STAGE_SETS[n_stages]
        codes = {name: code for code, name in enumerate(names)} | {"?": UNSCORED, "": UNSCORED}
        labels = list(labels)
        unknown = sorted({str(label) for label in labels if label not in codes})
        if unknown:
            raise SharpwaveError(
                f"stage names among {', '.join(names)} or '?'",
                got=", ".join(unknown[:5]),
                fix="use sharpwave.recordings.read_hypnogram, which knows R&K, AASM and vendor labels",
            )
        stages = np.array([codes[label] for label in labels], dtype=np.int8)
        return cls(stages, epoch_length, n_stages, start, scorer=scorer)

    def __len__(self) -> int:
        return int(self.stages.size)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Hypnogram):
            return NotImplemented
        same_probabilities = (self.probabilities is None) == (other.probabilities is None) and (
            self.probabilities is None
            or np.allclose(self.probabilities, other.probabilities, atol=1e-9, equal_nan=True)  # type: ignore[arg-type]
        )
        return (
            (self.epoch_length, self.n_stages, self.start, self.unit)
            == (other.epoch_length, other.n_stages, other.start, other.unit)
            and np.array_equal(self.stages, other.stages)
            and same_probabilities
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Stage names, in the order of their codes."""
        return STAGE_SETS[self.n_stages]

    @property
    def labels(self) -> list[str]:
        """Stage name per epoch; "?" where unscored."""
        return [self.names[code] if code >= 0 else "?" for code in self.stages]

    @property
    def onsets(self) -> Float[np.ndarray, " epoch"]:
        """Onset of each epoch, in `unit`, from the start of the recording."""
        return self.start + self.epoch_length * np.arange(len(self))

    @property
    def end(self) -> float:
        return self.start + self.epoch_length * len(self)

    @property
    def scored(self) -> np.ndarray:
        """True where an epoch has a stage, shape (epoch,)."""
        return np.asarray(self.stages >= 0)

    def at(self, times: Float[np.ndarray, " time"] | float) -> Int[np.ndarray, " time"]:
        """Stage code at each time; -1 outside the hypnogram."""
        index = np.floor((np.atleast_1d(np.asarray(times, dtype=float)) - self.start) / self.epoch_length + 1e-9)
        inside = (index >= 0) & (index < len(self))
        codes = np.full(index.shape, UNSCORED, dtype=np.int8)
        codes[inside] = self.stages[index[inside].astype(int)]
        return codes

    def restrict(self, start: float, end: float) -> Self:
        """The epochs that lie wholly within [start, end]."""
        onsets = self.onsets
        keep = np.flatnonzero((onsets >= start - 1e-9) & (onsets + self.epoch_length <= end + 1e-9))
        first = float(onsets[keep[0]]) if keep.size else start
        probabilities = None if self.probabilities is None else self.probabilities[keep]
        return replace(self, stages=self.stages[keep], start=first, probabilities=probabilities)

    def merge(self, n_stages: int) -> Self:
        """The same night with fewer stages (5 → 4 light/deep, 3 NREM, 2 sleep); probabilities add up."""
        if n_stages == self.n_stages:
            return self
        if (self.n_stages, n_stages) not in _MERGES:
            raise SharpwaveError(
                f"fewer than {self.n_stages} stages, at least 2",
                got=f"{n_stages}",
                fix="a hypnogram can be merged into coarser stages, not split into finer ones",
            )
        target = np.array(_MERGES[self.n_stages, n_stages])
        stages = np.where(self.stages >= 0, target[self.stages], UNSCORED).astype(np.int8)
        probabilities = None if self.probabilities is None else self.probabilities @ np.eye(n_stages)[target]
        return replace(self, stages=stages, n_stages=n_stages, probabilities=probabilities)

    def resample(self, epoch_length: float) -> Self:
        """The stage that holds most of each new epoch (ties go to the earlier stage); probabilities are averaged.

        A last epoch that is not whole is left out; an epoch that is mostly unscored stays unscored.
        """
        if epoch_length == self.epoch_length:
            return self
        n_new = int(np.floor(len(self) * self.epoch_length / epoch_length + 1e-9))
        edges_new = epoch_length * np.arange(n_new + 1)
        overlap = np.zeros((n_new, self.n_stages + 1))
        soft = None if self.probabilities is None else np.zeros((n_new, self.n_stages))
        for index, code in enumerate(self.stages):
            low, high = index * self.epoch_length, (index + 1) * self.epoch_length
            first = int(low // epoch_length)
            for new in range(first, min(int(np.ceil(high / epoch_length - 1e-9)), n_new)):
                share = min(high, edges_new[new + 1]) - max(low, edges_new[new])
                overlap[new, code] += share  # code -1 is the last column
                if soft is not None and self.probabilities is not None:
                    soft[new] += share * self.probabilities[index]
        best = overlap.argmax(axis=1)
        stages = np.where(best == self.n_stages, UNSCORED, best).astype(np.int8)
        return replace(
            self, stages=stages, epoch_length=epoch_length, probabilities=None if soft is None else soft / epoch_length
        )

    def bouts(self) -> pd.DataFrame:
        """Runs of one stage: columns `onset`, `duration` (in `unit`), `stage` (name)."""
        if not len(self):
            return pd.DataFrame({"onset": [], "duration": [], "stage": []})
        first = np.flatnonzero(np.r_[True, np.diff(self.stages) != 0])
        lengths = np.diff(np.r_[first, len(self)])
        labels = self.labels
        return pd.DataFrame(
            {
                "onset": self.onsets[first],
                "duration": lengths * self.epoch_length,
                "stage": [labels[index] for index in first],
            }
        )

    def to_frame(self) -> pd.DataFrame:
        """BIDS `_hypnogram.tsv` rows: onset, duration, stage, and `p_<stage>` where known."""
        frame = pd.DataFrame({"onset": self.onsets, "duration": self.epoch_length, "stage": self.labels})
        if self.probabilities is not None:
            for code, name in enumerate(self.names):
                frame[f"p_{name}"] = self.probabilities[:, code]
        return frame

    def write(self, path: str | Path) -> Path:
        """Write as BIDS `_hypnogram.tsv` (tab-separated, `n/a` where undefined)."""
        path = Path(path)
        frame = self.to_frame()
        frame["stage"] = frame["stage"].replace("?", "n/a")
        with replace_file(path) as partial:
            frame.to_csv(partial, sep="\t", index=False, na_rep="n/a", float_format="%.10g")
        return path

    def to_yasa(self) -> yasa.Hypnogram:
        """As `yasa.Hypnogram`, for its statistics, agreement and transition tables."""
        import yasa

        values = [_YASA_NAMES.get(label, "UNS" if label == "?" else label) for label in self.labels]
        return yasa.Hypnogram(values, n_stages=self.n_stages, freq=f"{self.epoch_length:g}s", scorer=self.scorer)


def compute_consensus(hypnograms: Sequence[Hypnogram]) -> Hypnogram:
    """Majority vote of several scorers; ties go to the scorer who agrees most with the others (Guillot et al. 2020).

    Args:
        hypnograms: Scorings of the same epochs.

    Returns:
        The consensus, with each stage's share of the votes as its probabilities (NaN where nobody scored).

    Raises:
        SharpwaveError: If the scorings differ in length, start or epoch length.

    >>> experts = [Hypnogram.from_labels(labels) for labels in (["W", "N2"], ["W", "N3"], ["N1", "N2"])]
    >>> compute_consensus(experts).labels
    ['W', 'N2']
    """
    first = hypnograms[0]
    for other in hypnograms[1:]:
        if (len(other), other.start, other.epoch_length, other.n_stages) != (
            len(first),
            first.start,
            first.epoch_length,
            first.n_stages,
        ):
            raise SharpwaveError(
                f"scorings of the same {len(first)} epochs",
                got=f"one of {len(other)} epochs of {other.epoch_length:g} s from {other.start:g} s",
                fix="restrict all scorings to the span they share",
            )
    codes = np.stack([h.stages for h in hypnograms])
    votes = np.stack([(codes == stage).sum(axis=0) for stage in range(first.n_stages)], axis=1)
    totals = votes.sum(axis=1, keepdims=True)
    # Soft agreement of each scorer: the votes its choices received, relative to the most that any stage received.
    ranks = [np.where(c >= 0, votes[np.arange(len(c)), c], 0).sum() for c in codes]
    best_scorer = codes[int(np.argmax(ranks))]
    winner = votes.argmax(axis=1)
    tied = (votes == votes.max(axis=1, keepdims=True)).sum(axis=1) > 1
    rescued = tied & (best_scorer >= 0)
    in_tie = votes[np.arange(len(winner)), np.maximum(best_scorer, 0)] == votes.max(axis=1)
    winner = np.where(rescued & in_tie, best_scorer, winner)
    stages = np.where(totals[:, 0] > 0, winner, UNSCORED).astype(np.int8)
    with np.errstate(invalid="ignore"):
        probabilities = votes / np.where(totals > 0, totals, np.nan)
    return replace(first, stages=stages, probabilities=probabilities, scorer=f"consensus of {len(hypnograms)}")


def _frozen(array: np.ndarray) -> np.ndarray:
    array = np.array(array)
    array.flags.writeable = False
    return array
