"""What data would show that modularity rises in NREM: regions, minutes and people, on regions whose groups are planted.

Regions fall into groups that share a slow signal, as BOLD does; in NREM they share more of it. Each person has two
recordings as long as each other, and a coupling of its own. From the mean and spread of the difference over many such
people follows how many are needed, and how often a study of twenty would find it; where nothing is planted, how often
it would find it all the same.
"""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.resilience.connectivity import compute_connectivity, compute_modularity

REGIONS, MINUTES = (8, 16, 48, 96), (5, 15, 40)
RATE, MEMORY = 0.5, 0.8
"""Volumes per second, and how much of each volume is that before it."""
N_GROUPS, COMMON = 4, 0.1
"""Groups, and the correlation that all regions share."""
WITHIN, RISE, SPREAD = 0.3, 0.05, 0.05
"""Correlation within groups awake, how much it rises in NREM, and its standard deviation over people."""
DENSITY = 0.2
N_PEOPLE, STUDY, N_STUDIES = 40, 20, 200
POWER = 2.8
"""Standard errors that a mean has to be from 0 for a power of .8 at .05 on two sides."""


def simulate_regions(
    n_regions: int, n_volumes: int, within: float, *, rng: np.random.Generator
) -> Float[np.ndarray, "time region"]:
    """Slow signals of regions in groups.

    Args:
        n_regions: Number of regions, shared out evenly over groups.
        n_volumes: Number of volumes.
        within: Correlation of two regions of one group; those of two groups share `COMMON`.
        rng: Random generator.

    >>> signals = simulate_regions(8, 20000, 0.5, rng=np.random.default_rng(0))
    >>> found = np.corrcoef(signals.T)
    >>> round(float(found[0, 1]), 1), round(float(found[0, 7]), 1)
    (0.5, 0.1)
    """
    groups = np.arange(n_regions) * N_GROUPS // n_regions
    sources = np.zeros((n_volumes, 1 + N_GROUPS + n_regions))
    drawn = rng.normal(size=sources.shape) * math.sqrt(1 - MEMORY**2)
    sources[0] = drawn[0] / math.sqrt(1 - MEMORY**2)
    for step in range(1, n_volumes):
        sources[step] = MEMORY * sources[step - 1] + drawn[step]
    shared, own = sources[:, 1 : 1 + N_GROUPS][:, groups], sources[:, 1 + N_GROUPS :]
    return math.sqrt(COMMON) * sources[:, :1] + math.sqrt(within - COMMON) * shared + math.sqrt(1 - within) * own


def contrast_modularity(n_regions: int, minutes: float, rise: float, *, rng: np.random.Generator) -> list[float]:
    """Modularity in NREM minus awake, one value per person.

    Args:
        n_regions: Number of regions.
        minutes: Length of either recording in minutes.
        rise: How much the correlation within groups rises in NREM.
        rng: Random generator.
    """
    found = []
    for _ in range(N_PEOPLE):
        own = float(np.clip(WITHIN + SPREAD * rng.normal(), COMMON + 0.02, 0.8))
        values = []
        for within in (own + rise, own):
            signals = simulate_regions(n_regions, round(60 * minutes * RATE), within, rng=rng)
            weights = compute_connectivity(signals, density=DENSITY)
            values.append(compute_modularity(weights, rng=rng, n_repeats=3).value)
        found.append(values[0] - values[1])
    return found


def tabulate_power(*, rng: np.random.Generator) -> list[Row]:
    """Rows by regions and minutes: the difference, the people needed, and how often a study of twenty finds it.

    Args:
        rng: Random generator.
    """
    rows: list[Row] = []
    for n_regions in REGIONS:
        for minutes in MINUTES:
            setting = f"{n_regions} regions, {minutes} minutes of each state"
            for method, rise in (("planted", RISE), ("nothing planted", 0.0)):
                values = np.array(contrast_modularity(n_regions, minutes, rise, rng=rng))
                rows.append(estimate_row("simulated regions", setting, method, "modularity", values.tolist(), rng=rng))
                studies = rng.choice(values, size=(N_STUDIES, STUDY))
                errors = studies.std(axis=1, ddof=1) / math.sqrt(STUDY)
                found = studies.mean(axis=1) / errors > 2.09
                share = float(found.mean())
                rows.append(Row("simulated regions", setting, method, "share_of_studies", share, n=N_STUDIES))
                effect = values.mean() / values.std(ddof=1)
                needed = (POWER / effect) ** 2 if effect > 0 else math.nan
                if rise:
                    rows.append(Row("simulated regions", setting, method, "people_needed", needed, n=N_PEOPLE))
    return rows
