"""Cell assemblies where there is no track: groups that fire together in wake, and how strongly they do so in sleep.

For counts of spikes and for ΔF/F of calcium imaging alike; nothing here knows about place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.counts import count_spikes

N_SHIFTS = 200
LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Assemblies:
    """Assemblies of one epoch, the template.

    Attributes:
        patterns: Weight of each unit, of length 1, the largest weight positive.
        eigenvalues: Eigenvalues of the correlation matrix, falling.
        threshold: Eigenvalue that chance does not exceed; there are as many patterns as eigenvalues above it.
    """

    patterns: Float[np.ndarray, "assembly unit"]
    eigenvalues: Float[np.ndarray, " unit"]
    threshold: float

    def __len__(self) -> int:
        return len(self.patterns)


def read_activity(source: Any, *, bin_size: float, start: float, end: float) -> Float[np.ndarray, "time unit"]:
    """Activity in bins: counts of a pynapple `TsGroup`, or means of a `TsdFrame` (ΔF/F).

    Args:
        source: Trains by unit (`TsGroup` or a mapping to times in s), or a `TsdFrame` with one column a unit.
        bin_size: Length of a bin, in s.
        start: Start of the stretch, in s.
        end: End of the stretch, in s.

    Raises:
        SharpwaveError: If the stretch holds fewer than two bins.
    """
    if hasattr(source, "bin_average"):
        import pynapple as nap

        activity = np.asarray(source.bin_average(bin_size, nap.IntervalSet(start, end)).values, dtype=float)
    else:
        activity = count_spikes(source, bin_size=bin_size, start=start, end=end)[1].astype(float)
    if len(activity) < 2:
        raise SharpwaveError(
            f"at least two bins of {bin_size:g} s", got=f"{len(activity)} from {start:g} to {end:g} s", fix="widen it"
        )
    return activity


def find_assemblies(
    activity: Float[np.ndarray, "time unit"],
    *,
    rng: np.random.Generator,
    method: str = "ica",
    threshold: str = "marchenko-pastur",
) -> Assemblies:
    """Assemblies of an epoch (Peyrache et al. 2010; Lopes-dos-Santos et al. 2013).

    Eigenvalues of the correlation matrix above what chance gives are assemblies; independent components within their
    space separate assemblies that share units, which principal components mix.

    Args:
        activity: Counts or ΔF/F in bins.
        rng: Random generator of the shifts, and of where the components start.
        method: "pca" (Peyrache, doi:10.1007/s10827-009-0154-6) or "ica" (Lopes-dos-Santos,
            doi:10.1016/j.jneumeth.2013.04.010).
        threshold: "marchenko-pastur": (1 + √(units / bins))², right for independent bins; "circular-shift": the 95th
            percentile of the largest eigenvalue when each unit is shifted in time on its own, right also for slow
            signals such as calcium.

    Raises:
        SharpwaveError: If an option is unknown, or there are not more bins than units.

    >>> rng = np.random.default_rng(0)
    >>> counts = rng.poisson(1.0, (500, 6)).astype(float)
    >>> counts[::20, :3] += 6  # three units that fire together
    >>> find_assemblies(counts, rng=rng).patterns.round(1)[:, :3]
    array([[0.6, 0.6, 0.6]])
    """
    if method not in ("pca", "ica"):
        raise SharpwaveError("pca or ica", got=repr(method), fix="use ica where assemblies may share units")
    if len(activity) <= activity.shape[1]:
        raise SharpwaveError(
            "more bins than units", got=f"{len(activity)} bins, {activity.shape[1]} units", fix="use smaller bins"
        )
    z = standardise_activity(activity)
    values, vectors = np.linalg.eigh(z.T @ z / len(z))
    values, vectors = values[::-1], vectors[:, ::-1]
    limit = _find_limit(z, threshold, rng)
    space = vectors[:, values > limit]
    if method == "ica" and space.shape[1] > 1:
        space = space @ _separate(z @ space, rng)
    largest = np.abs(space).argmax(axis=0)
    signed = space * np.sign(space[largest, np.arange(space.shape[1])])
    return Assemblies(signed.T, values, limit)


def compute_activation(
    activity: Float[np.ndarray, "time unit"], assemblies: Assemblies
) -> Float[np.ndarray, "time assembly"]:
    """How strongly each assembly is active in each bin: (Σ w z)² - Σ w² z².

    The second term takes the diagonal away, so that one unit alone activates nothing. Activity is standardised within
    its own epoch, so that a change of rate is no activation. On the template's own epoch strength is circular: apply
    it outside.

    Args:
        activity: Counts or ΔF/F in bins of the same units.
        assemblies: Assemblies of the template epoch.

    Raises:
        SharpwaveError: If the units are not the template's.
    """
    if activity.shape[1] != assemblies.patterns.shape[1]:
        raise SharpwaveError(
            f"the template's {assemblies.patterns.shape[1]} units", got=str(activity.shape[1]), fix="keep their order"
        )
    z = standardise_activity(activity)
    return (z @ assemblies.patterns.T) ** 2 - z**2 @ (assemblies.patterns**2).T


def compute_explained_variance(
    before: Float[np.ndarray, "time_before unit_before"],
    task: Float[np.ndarray, "time_task unit_task"],
    after: Float[np.ndarray, "time_after unit_after"],
) -> tuple[float, float]:
    """Explained variance, and the reverse that controls it (Kudrimoti et al. 1999).

    The first is the share of the variance of pairwise correlations after the task that those of the task explain,
    beyond what was there before: the squared partial correlation (doi:10.1523/JNEUROSCI.19-10-04090.1999). In the
    reverse, before and after change places; reactivation makes the first larger.

    Args:
        before: Activity in the rest before.
        task: Activity in the task.
        after: Activity in the rest after.

    Raises:
        SharpwaveError: If the epochs differ in their units, or fewer than three units vary in all of them.
    """
    if not before.shape[1] == task.shape[1] == after.shape[1]:
        shapes = f"{before.shape[1]}, {task.shape[1]} and {after.shape[1]}"
        raise SharpwaveError("the same units in all three epochs", got=shapes, fix="keep their order")
    varies = (before.std(axis=0) > 0) & (task.std(axis=0) > 0) & (after.std(axis=0) > 0)
    if varies.sum() < 3:
        raise SharpwaveError("at least three units active in all epochs", got=str(int(varies.sum())), fix="longer ones")
    pairs = np.triu_indices(int(varies.sum()), 1)
    first, middle, last = (np.corrcoef(each[:, varies].T)[pairs] for each in (before, task, after))
    task_after = float(np.corrcoef(middle, last)[0, 1])
    task_before = float(np.corrcoef(middle, first)[0, 1])
    before_after = float(np.corrcoef(first, last)[0, 1])
    return (
        _square_partial(task_after, task_before, before_after),
        _square_partial(task_before, task_after, before_after),
    )


def standardise_activity(activity: Float[np.ndarray, "time unit"]) -> Float[np.ndarray, "time unit"]:
    """Each unit in standard deviations from its mean; 0 where it does not vary."""
    deviation = activity.std(axis=0)
    return (activity - activity.mean(axis=0)) / np.where(deviation > 0, deviation, np.inf)


def _square_partial(wanted: float, given: float, shared: float) -> float:
    left = (1 - given**2) * (1 - shared**2)
    return (wanted - given * shared) ** 2 / left if left > 0 else float("nan")


def _find_limit(z: Float[np.ndarray, "time unit"], threshold: str, rng: np.random.Generator) -> float:
    n_bins, n_units = z.shape
    if threshold == "marchenko-pastur":
        return float((1 + np.sqrt(n_units / n_bins)) ** 2)
    if threshold != "circular-shift":
        raise SharpwaveError(
            "marchenko-pastur or circular-shift", got=repr(threshold), fix="use circular-shift for slow signals"
        )
    largest = []
    for _ in range(N_SHIFTS):
        rows = (np.arange(n_bins)[:, None] + rng.integers(n_bins, size=n_units)) % n_bins
        shifted = z[rows, np.arange(n_units)]
        largest.append(np.linalg.eigvalsh(shifted.T @ shifted / n_bins)[-1])
    return float(np.quantile(largest, LEVEL))


def _separate(scores: Float[np.ndarray, "time component"], rng: np.random.Generator) -> np.ndarray:
    """Rotation within the space of the assemblies to independent components, as unit columns."""
    from sklearn.decomposition import FastICA

    n_components = scores.shape[1]
    spread = scores.std(axis=0)
    start = rng.standard_normal((n_components, n_components))
    model = FastICA(whiten=False, w_init=start, max_iter=1000, tol=1e-5)
    model.fit(scores / spread)
    filters = model.components_.T / spread[:, None]
    return filters / np.linalg.norm(filters, axis=0)
