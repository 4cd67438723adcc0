"""When to abstain: how far a step's signals are from all that the model has seen.

Each channel is described by what its encoder must predict of it (for electrophysiology: mean log power by band), and
compared with a few typical states of the same modality in training nights: Mahalanobis distance to the nearest one
(Lee et al. 2018), with a shrunk covariance (Ledoit & Wolf 2004). Inputs, not latents, are compared: a latent is
normalised, and a signal a thousand times too large then looks like many others.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from sharpwave import moved
from sharpwave.brainmu.epochs import EpochedRecording, ModalityEpochs
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_file
from sharpwave.untrusted import explained, parse_json

FILE = "novelty.safetensors"
UNJUDGED = ("stages",)
"""Modalities that are judgements, not signals."""
N_CENTRES = 8
N_FOLDS = 3
MOST_ROWS = 20_000
FEWEST_NIGHTS = 3


@dataclass(frozen=True, eq=False)
class Reference:
    """What one modality usually looks like.

    Attributes:
        centres: Typical states, whitened, shape (centre, feature).
        whitening: Map from features to where distance in every direction is in standard deviations.
        usual: Mean and deviation of the log distance of channels of nights it was not fitted on.
    """

    centres: Float[np.ndarray, "centre feature"]
    whitening: Float[np.ndarray, "feature feature"]
    usual: tuple[float, float] = (0.0, 1.0)

    def score(self, features: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, " row"]:
        """Log distance to the nearest centre, in deviations from its usual value."""
        placed = features @ self.whitening
        square = (placed**2).sum(axis=1)[:, None] - 2 * placed @ self.centres.T + (self.centres**2).sum(axis=1)[None, :]
        distance = 0.5 * np.log(np.maximum(square.min(axis=1), 1e-6))
        return np.asarray((distance - self.usual[0]) / self.usual[1])


@dataclass(frozen=True, eq=False)
class OutOfDistribution:
    """What the model has seen, and from where on something is unlike it.

    Attributes:
        references: What each modality usually looks like, by modality.
        threshold: A step whose score is above is unlike anything seen.
        quantile: Share of the steps of held-out training nights that are not above.
        n_subjects: Subjects that it was fitted on.
    """

    references: Mapping[str, Reference]
    threshold: float
    quantile: float
    n_subjects: int

    def score(self, recording: EpochedRecording) -> pd.DataFrame:
        """How unlike each step is.

        Returns:
            One row a step: `onset` (s, start of the step), `novelty` (the most unusual channel's score; NaN where
            nothing known was recorded), `modality` and `channel` that it is of, and `abstain`: above the threshold,
            or nothing to go by.
        """
        columns: list[tuple[str, str]] = []
        scores: list[np.ndarray] = []
        for name, epochs in recording.epochs.items():
            if name in self.references:
                found = _score_channels(self.references[name], epochs, name)
                scores.append(found)
                columns += [(name, channel) for channel in epochs.channels]
        onsets = recording.grid.ends - recording.grid.step
        if not columns:
            empty = np.full(len(recording), "")
            return pd.DataFrame(
                {"onset": onsets, "novelty": np.nan, "modality": empty, "channel": empty, "abstain": True}
            )
        table = np.concatenate(scores, axis=1)
        nothing = np.isnan(table).all(axis=1)
        worst = np.where(np.isnan(table), -np.inf, table).argmax(axis=1)
        score = np.where(nothing, np.nan, table[np.arange(len(table)), worst])
        names = np.array(columns, dtype=object)[worst]
        return pd.DataFrame(
            {
                "onset": onsets,
                "novelty": score,
                "modality": np.where(nothing, "", names[:, 0]),
                "channel": np.where(nothing, "", names[:, 1]),
                "abstain": nothing | (score > self.threshold),
            }
        )

    def unknown(self, recording: EpochedRecording) -> tuple[str, ...]:
        """Modalities of a recording of which nothing was seen in training; they are not judged."""
        return tuple(name for name in recording.epochs if name not in self.references and name not in UNJUDGED)


def fit_out_of_distribution(
    recordings: Sequence[EpochedRecording], *, rng: np.random.Generator, quantile: float = 0.98
) -> OutOfDistribution:
    """Learn what training nights look like, and set the threshold on nights left out of the fit.

    Args:
        recordings: Nights that the model was trained on; nights of one subject count as one.
        rng: Random generator.
        quantile: Share of held-out steps that shall not be flagged, each subject with the same weight.

    Raises:
        SharpwaveError: If there are fewer than three subjects, or the quantile is not between 0 and 1.
    """
    if not 0 < quantile < 1:
        raise SharpwaveError("a quantile between 0 and 1", got=f"{quantile:g}", fix="0.98 flags one step in fifty")
    subjects = list(dict.fromkeys((recording.cohort, recording.subject) for recording in recordings))
    if len(subjects) < FEWEST_NIGHTS:
        raise SharpwaveError(
            f"nights of at least {FEWEST_NIGHTS} subjects",
            got=f"{len(subjects)}",
            fix="the threshold is set on subjects left out; give each recording its subject",
        )
    fold = dict(zip(subjects, rng.permutation(len(subjects)) % N_FOLDS, strict=True))
    folds = np.array([fold[recording.cohort, recording.subject] for recording in recordings])
    names = [
        name
        for name in dict.fromkeys(name for recording in recordings for name in recording.epochs)
        if name not in UNJUDGED
    ]
    references: dict[str, Reference] = {}
    highest: list[list[np.ndarray]] = [[] for _ in recordings]
    for name in names:
        distances = _score_left_out(recordings, name, folds, rng)
        finite = np.concatenate([values[np.isfinite(values)] for values in distances.values()] or [np.zeros(0)])
        whole = _fit_reference([recording for recording in recordings if name in recording.epochs], name, rng)
        if whole is not None and finite.size:
            usual = (float(finite.mean()), max(float(finite.std()), 1e-6))
            references[name] = replace(whole, usual=usual)
            for index, values in distances.items():
                highest[index].append((values - usual[0]) / usual[1])
    steps: dict[tuple[str, str], list[np.ndarray]] = {}
    for recording, parts in zip(recordings, highest, strict=True):
        if parts:
            score = np.concatenate(parts, axis=1)
            recorded = np.isfinite(score).any(axis=1)
            steps.setdefault((recording.cohort, recording.subject), []).append(np.nanmax(score[recorded], axis=1))
    by_subject = [found for found in map(np.concatenate, steps.values()) if len(found)]
    return OutOfDistribution(references, _weigh_quantile(by_subject, quantile), quantile, len(subjects))


def _score_left_out(
    recordings: Sequence[EpochedRecording], name: str, folds: Int[np.ndarray, " recording"], rng: np.random.Generator
) -> dict[int, Float[np.ndarray, "step channel"]]:
    """Log distances of each recording that has a modality, to what was learnt without its fold."""
    having = np.array([name in recording.epochs for recording in recordings])
    out = {}
    for held in np.unique(folds[having]):
        reference = _fit_reference([recordings[int(i)] for i in np.flatnonzero(having & (folds != held))], name, rng)
        if reference is not None:
            for i in np.flatnonzero(having & (folds == held)):
                out[int(i)] = _score_channels(reference, recordings[int(i)].epochs[name], name)
    return out


def _fit_reference(recordings: Sequence[EpochedRecording], name: str, rng: np.random.Generator) -> Reference | None:
    from sklearn.cluster import KMeans
    from sklearn.covariance import LedoitWolf

    rows = [describe_channels(recording.epochs[name], name)[recording.epochs[name].present] for recording in recordings]
    features = np.concatenate(rows) if rows else np.zeros((0, 1))
    if len(features) < 2 * N_CENTRES:
        return None
    if len(features) > MOST_ROWS:
        features = features[rng.choice(len(features), MOST_ROWS, replace=False)]
    deviation = np.maximum(features.std(axis=0), 1e-6)
    clusters = KMeans(N_CENTRES, n_init=1, random_state=int(rng.integers(2**31))).fit(features / deviation)
    centres = clusters.cluster_centers_ * deviation
    covariance = LedoitWolf(assume_centered=True).fit((features - centres[clusters.labels_]) / deviation).covariance_
    floor = 1e-6 * np.eye(len(covariance))
    whitening = np.linalg.cholesky(np.linalg.inv(covariance + floor)) / deviation[:, None]
    return Reference(np.asarray(centres @ whitening, dtype=float), np.asarray(whitening, dtype=float))


def describe_channels(epochs: ModalityEpochs, name: str) -> Float[np.ndarray, "step channel feature"]:
    """What an encoder must predict of each channel in each step."""
    import torch

    from sharpwave.brainmu.encoders import ENCODERS

    values = torch.from_numpy(np.asarray(epochs.values, dtype=np.float32))
    return ENCODERS[name].summarise(values[None])[0].double().numpy()


def _score_channels(reference: Reference, epochs: ModalityEpochs, name: str) -> Float[np.ndarray, "step channel"]:
    """Scores of present channels, NaN where absent."""
    features = describe_channels(epochs, name)
    scores = reference.score(features.reshape(-1, features.shape[2])).reshape(features.shape[:2])
    return np.where(epochs.present, scores, np.nan)


def _weigh_quantile(groups: Sequence[np.ndarray], quantile: float) -> float:
    values = np.concatenate(groups)
    weights = np.concatenate([np.full(len(group), 1 / (len(group) * len(groups))) for group in groups])
    order = np.argsort(values)
    return float(np.interp(quantile, np.cumsum(weights[order]), values[order]))


def save_out_of_distribution(seen: OutOfDistribution, folder: str | Path) -> Path:
    """Write `novelty.safetensors` beside a model's weights."""
    from safetensors.numpy import save_file

    arrays = {
        f"{name}/{part}": np.ascontiguousarray(getattr(reference, part), dtype=np.float32)
        for name, reference in seen.references.items()
        for part in ("centres", "whitening", "usual")
    }
    about = {"threshold": seen.threshold, "quantile": seen.quantile, "n_subjects": seen.n_subjects}
    path = Path(folder) / FILE
    with replace_file(path) as partial:
        save_file(arrays, partial, metadata={"novelty": json.dumps(about)})
    return path


def load_out_of_distribution(folder: str | Path) -> OutOfDistribution:
    """Read `novelty.safetensors` from a model's folder.

    Raises:
        SharpwaveError: If it is not there or damaged.
    """
    from safetensors import safe_open

    path = Path(folder) / FILE
    with explained(
        f"what was seen in training, in {FILE}",
        name=path.parent.name,
        fix="fit it with `fit_out_of_distribution` on the training nights, and save it beside the weights",
    ):
        with safe_open(path, framework="np") as file:
            about = parse_json((file.metadata() or {})["novelty"].encode(), name=FILE)
            arrays = {key: file.get_tensor(key).astype(float) for key in file.keys()}  # noqa: SIM118
        names = dict.fromkeys(key.rpartition("/")[0] for key in arrays)
        references = {name: _read_reference(arrays, name) for name in names}
        numbers = float(about["threshold"]), float(about["quantile"]), int(about["n_subjects"])
        if not np.isfinite(numbers).all():
            raise ValueError(f"a threshold of {numbers[0]} at {numbers[1]}")
        return OutOfDistribution(references, *numbers)


def _read_reference(arrays: Mapping[str, np.ndarray], name: str) -> Reference:
    """What one modality usually looks like, from the arrays of a file."""
    centres, whitening, usual = (arrays[f"{name}/{part}"] for part in ("centres", "whitening", "usual"))
    if not all(np.isfinite(array).all() for array in (centres, whitening, usual)):
        raise ValueError(f"numbers of {name} that are not finite")
    n_features = len(whitening)
    fits = centres.ndim == 2 and centres.shape[1] == n_features and whitening.shape == (n_features, n_features)
    if not fits or not len(centres) or usual.shape != (2,) or not usual[1] > 0:
        raise ValueError(f"{name}: centres of shape {centres.shape}, whitening of {whitening.shape}, usual {usual}")
    return Reference(centres, whitening, (float(usual[0]), float(usual[1])))


__getattr__ = moved.rename(
    __name__,
    {
        "Novelty": "OutOfDistribution",
        "fit_novelty": "fit_out_of_distribution",
        "load_novelty": "load_out_of_distribution",
        "save_novelty": "save_out_of_distribution",
    },
)
