"""Dreem Open Datasets, hypnograms: 25 + 55 nights, five scorers each, no EEG (Guillot et al. 2020; MIT).

`scorers/{dodh,dodo}/scorer_<k>/<night>.json` holds one stage per 30 s (-1 unscored, 0 W, 1 N1, 2 N2, 3 N3, 4 REM) and
`results/{dodh,dodo}/base_models/<model>/<night>.json` what published models said of the same nights.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets.files import require_subject
from sharpwave.recordings.hypnogram import Hypnogram, compute_consensus
from sharpwave.recordings.recording import Recording

COHORTS = ("dodh", "dodo")
EPOCH = 30.0


def subjects(folder: Path) -> list[str]:
    """Nights in `folder` that at least two scorers scored, as "dodh-<night>" and "dodo-<night>"."""
    found = []
    for cohort in COHORTS:
        scored: dict[str, int] = {}
        for path in sorted((folder / "scorers" / cohort).glob("scorer_*/*.json")):
            scored[path.stem] = scored.get(path.stem, 0) + 1
        found += [f"{cohort}-{night}" for night, count in sorted(scored.items()) if count >= 2]
    return found


def load(folder: Path, subject: str) -> Recording:
    """One night: the consensus with the scorers' votes as probabilities, over the span that all of them scored.

    A night of DOD-O begins with up to 457 epochs that some scorers left unscored; a majority vote would call them wake.

    Args:
        folder: The data set's folder.
        subject: As listed by `subjects`.

    Returns:
        A recording without signals; `metadata["scorers"]` maps each scorer's name to its `Hypnogram`, same span.

    Raises:
        SharpwaveError: If the night is unknown, a file is not a list of stages, or no epoch was scored by all.
    """
    require_subject(subject, subjects(folder), dataset="dod")
    cohort, night = subject.split("-", 1)
    paths = sorted((folder / "scorers" / cohort).glob(f"scorer_*/{night}.json"))
    codes = {path.parent.name: _read_stages(path) for path in paths}
    length = min(len(stages) for stages in codes.values())
    table = np.stack([stages[:length] for stages in codes.values()])
    complete = np.flatnonzero((table >= 0).all(axis=0))
    if not complete.size:
        raise SharpwaveError("epochs that every scorer scored", got=f"none in {subject}", fix="leave this night out")
    first, last = int(complete[0]), int(complete[-1]) + 1
    scorers = {
        name: Hypnogram(stages[first:last], EPOCH, 5, first * EPOCH, scorer=name) for name, stages in codes.items()
    }
    return Recording(
        hypnogram=compute_consensus(list(scorers.values())),
        subject=subject,
        species="human",
        source=f"dod/{subject}",
        repairs=(f"kept epochs {first} to {last - 1} of {length}: the span that all {len(scorers)} scorers scored",),
        metadata={"cohort": cohort, "scorers": scorers},
    )


def _read_stages(path: Path) -> np.ndarray:
    try:
        values = np.asarray(json.loads(path.read_text(encoding="utf-8")))
    except ValueError as error:
        raise SharpwaveError(
            f"a JSON list of stages in {path.name}", got=str(error)[:120], fix="fetch the file again"
        ) from error
    if values.ndim != 1 or values.dtype.kind not in "iu":
        raise SharpwaveError(
            f"a flat list of integers in {path.name}",
            got=f"shape {values.shape}, {values.dtype}",
            fix="fetch the file again",
        )
    return values
