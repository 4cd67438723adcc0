"""Directions of the shared latent, named by what they track: depth, spindles, theta, movement, heart rate.

A direction is a ridge regression from the latent to a measure of the recording. It earns its name only on nights that
it was not fitted on: its correlation must exceed what it has with the same measure of *other* subjects' nights, which
share the course of a night but not its events. (A circular shift is no such null: signals that drift correlate anyway.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_file
from sharpwave.untrusted import explained, parse_json

FILE = "directions.safetensors"
RIDGE = 1e-2
"""Penalty per step, in units of the variance of the latents."""
N_FOLDS = 5
FEWEST_NIGHTS = 4
FEWEST_STEPS = 30
N_RESAMPLES = 2000
NULL_LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Directions:
    """Linear readings of the latent.

    Attributes:
        names: What each tracks.
        weights: Weight of each part of the latent, shape (direction, width); a reading is in standard deviations of
            what it tracks.
        offsets: Term that is added after, shape (direction,).
        table: One row a direction: name, correlation (mean over held-out nights), low, high (95 %, bootstrap over
            nights), null_correlation and null_high (mean and 95th percentile with other subjects' nights), n (nights),
            named (low above null_high).
    """

    names: tuple[str, ...]
    weights: Float[np.ndarray, "direction width"]
    offsets: Float[np.ndarray, " direction"]
    table: pd.DataFrame

    def read(self, latents: Float[np.ndarray, "step width"], *, named: bool = True) -> pd.DataFrame:
        """A column per direction, in standard deviations; only those that earned their name unless `named` is False."""
        values = np.asarray(latents, dtype=float) @ self.weights.T + self.offsets
        kept = [i for i, row in enumerate(self.table["named"]) if row or not named]
        return pd.DataFrame({self.names[i]: values[:, i] for i in kept})


def fit_directions(
    latents: Sequence[Float[np.ndarray, "step width"]],
    measures: Sequence[Mapping[str, Float[np.ndarray, " step"]]],
    *,
    rng: np.random.Generator,
) -> Directions:
    """Fit directions, and judge them on nights left out.

    Args:
        latents: Latents of each night, one night per subject.
        measures: Measures of each night by name, from `compute_measures`; NaN where unknown.
        rng: Random generator.

    Raises:
        SharpwaveError: If there are fewer than four nights, or latents and measures differ in length.
    """
    if len(latents) != len(measures) or len(latents) < FEWEST_NIGHTS:
        raise SharpwaveError(
            f"latents and measures of at least {FEWEST_NIGHTS} nights",
            got=f"{len(latents)} and {len(measures)}",
            fix="add nights of other subjects",
        )
    names = tuple(dict.fromkeys(name for night in measures for name in night))
    fold = rng.permutation(len(latents)) % min(N_FOLDS, len(latents))
    rows, fits = [], []
    for name in names:
        nights = [
            (np.asarray(latent, dtype=float), _standardise(np.asarray(measure[name], dtype=float)), int(part))
            for latent, measure, part in zip(latents, measures, fold, strict=True)
            if name in measure and np.isfinite(measure[name]).sum() >= FEWEST_STEPS
        ]
        if len(nights) < FEWEST_NIGHTS or len({part for _, _, part in nights}) < 2:
            continue
        own, other = _judge(nights)
        draws = own[rng.integers(0, len(own), (N_RESAMPLES, len(own)))].mean(axis=1)
        low, high = np.quantile(draws, (0.025, 0.975))
        null_high = float(np.quantile(other, NULL_LEVEL))
        rows.append(
            {"name": name, "correlation": own.mean(), "low": low, "high": high}
            | {"null_correlation": other.mean(), "null_high": null_high, "n": len(own), "named": bool(low > null_high)}
        )
        fits.append(_fit([(latent, values) for latent, values, _ in nights]))
    if not rows:
        raise SharpwaveError(
            "a measure known in at least four nights", got="none", fix="see compute_measures for what is measured"
        )
    weights, offsets = np.stack([weight for weight, _ in fits]), np.array([offset for _, offset in fits])
    return Directions(tuple(row["name"] for row in rows), weights, offsets, pd.DataFrame(rows))


def _judge(nights: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> tuple[np.ndarray, np.ndarray]:
    """Correlations of left-out nights with their own measure, and with those of all other nights."""
    own, other = [], []
    for part in sorted({part for _, _, part in nights}):
        weight, offset = _fit([(latent, values) for latent, values, fold in nights if fold != part])
        for index, (latent, values, fold) in enumerate(nights):
            if fold != part:
                continue
            reading = latent @ weight + offset
            own.append(_correlate(reading, values))
            other += [_correlate(reading, theirs) for j, (_, theirs, _) in enumerate(nights) if j != index]
    return np.nan_to_num(np.array(own)), np.nan_to_num(np.array(other))


def _fit(nights: Sequence[tuple[np.ndarray, np.ndarray]]) -> tuple[np.ndarray, float]:
    latents = np.concatenate([latent[np.isfinite(values)] for latent, values in nights])
    values = np.concatenate([values[np.isfinite(values)] for _, values in nights])
    centre = latents.mean(axis=0)
    spread = latents - centre
    gram = spread.T @ spread / len(spread)
    penalty = RIDGE * np.trace(gram) / len(gram)
    weight = np.linalg.solve(gram + penalty * np.eye(len(gram)), spread.T @ (values - values.mean()) / len(spread))
    return weight, float(values.mean() - centre @ weight)


def _standardise(values: np.ndarray) -> np.ndarray:
    deviation = np.nanstd(values)
    return (values - np.nanmean(values)) / (deviation if deviation > 0 else 1.0)


def _correlate(first: np.ndarray, second: np.ndarray) -> float:
    n = min(len(first), len(second))
    known = np.isfinite(second[:n])
    if known.sum() < FEWEST_STEPS or np.std(first[:n][known]) == 0 or np.std(second[:n][known]) == 0:
        return float("nan")
    return float(np.corrcoef(first[:n][known], second[:n][known])[0, 1])


def save_directions(directions: Directions, folder: str | Path) -> Path:
    """Write `directions.safetensors` beside a model's weights."""
    from safetensors.numpy import save_file

    path = Path(folder) / FILE
    arrays = {"weights": directions.weights.astype(np.float32), "offsets": directions.offsets.astype(np.float32)}
    with replace_file(path) as partial:
        save_file(arrays, partial, metadata={"table": directions.table.to_json(orient="records")})
    return path


def load_directions(folder: str | Path) -> Directions:
    """Read `directions.safetensors` from a model's folder.

    Raises:
        SharpwaveError: If it is not there or damaged.
    """
    from safetensors import safe_open

    path = Path(folder) / FILE
    with explained(
        f"named directions of the latent, in {FILE}",
        name=path.parent.name,
        fix="fit them with `fit_directions` on training nights and `save_directions` them beside the weights",
    ):
        with safe_open(path, framework="np") as file:
            table = pd.DataFrame(parse_json((file.metadata() or {})["table"].encode(), name=FILE))
            weights, offsets = file.get_tensor("weights").astype(float), file.get_tensor("offsets").astype(float)
        if weights.ndim != 2 or offsets.shape != (len(weights),) or len(table) != len(weights):
            raise ValueError(f"weights of shape {weights.shape}, offsets of {offsets.shape}, {len(table)} names")
        if not (np.isfinite(weights).all() and np.isfinite(offsets).all()):
            raise ValueError("weights that are no finite numbers")
        named = table["named"].tolist()
        if not all(isinstance(name, str) for name in table["name"]) or not all(isinstance(n, bool) for n in named):
            raise ValueError("names that are no texts, or a column `named` that is not true or false")
        return Directions(tuple(table["name"]), weights, offsets, table)
