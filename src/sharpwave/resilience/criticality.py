"""Criticality: does activity beget as much activity, and are avalanches distributed as at a critical point?

A power law that fits is no proof: the fit is held against a lognormal and an exponential, and against samples drawn
from itself (Clauset, Shalizi & Newman 2009, doi:10.1137/070710111).
"""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Real

from sharpwave.errors import SharpwaveError

FEWEST_AVALANCHES = 50


@dataclass(frozen=True)
class BranchingRatio:
    """How much activity the activity of one bin leads to in the next.

    Attributes:
        ratio: m: below 1 dies out, 1 is critical, above 1 grows.
        timescale: Autocorrelation time in s, `-dt / log m`.
        ratio_regression: Slope from one bin to the next: what subsampling biases low, for comparison.
    """

    ratio: float
    timescale: float
    ratio_regression: float


@dataclass(frozen=True)
class AvalancheFit:
    """A power law fitted to sizes or durations of avalanches.

    Attributes:
        exponent: Exponent of the power law.
        smallest: Value from which it is fitted.
        distance: Kolmogorov–Smirnov distance of the fit.
        p_fit: Share of samples drawn from the fit that lie further from it than the data: below 0.1 it is implausible.
        against_lognormal: Normalised log-likelihood ratio; above 0 favours the power law.
        p_lognormal: p value of that comparison; large means that the two cannot be told apart.
        against_exponential: The same against an exponential.
        p_exponential: p value of that comparison.
        n: Avalanches at or above `smallest`.
    """

    exponent: float
    smallest: float
    distance: float
    p_fit: float
    against_lognormal: float
    p_lognormal: float
    against_exponential: float
    p_exponential: float
    n: int


def compute_branching_ratio(
    activity: Real[np.ndarray, "trial time"] | Real[np.ndarray, " time"], *, bin_length: float, longest: float
) -> BranchingRatio:
    """Branching ratio by multistep regression, which stays right when only few units are seen (mrestimator).

    The slope `r_k` of activity on activity `k` bins before decays as `b m^k`; subsampling lowers `b` alone (Wilting &
    Priesemann 2018, doi:10.1038/s41467-018-04725-4).

    Args:
        activity: Events per bin; trials in rows.
        bin_length: Length of a bin in seconds.
        longest: Longest lag of the fit in s, several times the expected time scale.

    Raises:
        SharpwaveError: If the activity is too short for the lags or does not vary.
    """
    table = np.atleast_2d(np.asarray(activity, dtype=float))
    n_lags = round(longest / bin_length)
    if n_lags < 3 or table.shape[1] < 3 * n_lags or not table.std() > 0:
        raise SharpwaveError(
            "varying activity at least three times as long as the longest lag, of at least 3 bins",
            got=f"{table.shape[1]} bins, lags up to {n_lags}",
            fix="record for longer, or shorten `longest`",
        )
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        import mrestimator

        mrestimator.ut._logging_enabled = False
        slopes = mrestimator.coefficients(
            table,
            method="stationarymean" if len(table) > 1 else "trialseparated",
            steps=(1, n_lags),
            dt=bin_length * 1e3,
            numboot=0,
        )
        fit = mrestimator.fit(slopes, fitfunc=mrestimator.f_exponential, numboot=0)
    return BranchingRatio(float(fit.mre), float(fit.tau) / 1e3, float(slopes.coefficients[0]))


def find_avalanches(
    activity: Real[np.ndarray, " time"], *, threshold: float = 0.0
) -> tuple[Float[np.ndarray, " avalanche"], Int[np.ndarray, " avalanche"]]:
    """Size (summed activity) and duration (bins) of each run above a threshold, ended by a bin at or below it.

    Beggs & Plenz 2003, doi:10.1523/JNEUROSCI.23-35-11167.2003.

    >>> find_avalanches(np.array([0, 1, 2, 0, 0, 3, 0]))
    (array([3., 3.]), array([2, 1]))
    """
    activity = np.asarray(activity, dtype=float)
    edges = np.flatnonzero(np.diff(np.r_[False, activity > threshold, False].astype(int)))
    first, last = edges[::2], edges[1::2]
    total = np.r_[0.0, np.cumsum(activity)]
    return total[last] - total[first], last - first


def fit_avalanches(
    values: Real[np.ndarray, " avalanche"],
    *,
    rng: np.random.Generator,
    discrete: bool = True,
    smallest: float | None = None,
    n_samples: int = 50,
) -> AvalancheFit:
    """Fit a power law to sizes or durations, and say how well it fits.

    Args:
        values: Sizes or durations, positive.
        rng: Source of the samples behind `p_fit`.
        discrete: True where values are whole numbers.
        smallest: Value from which to fit; chosen by the smallest distance where omitted.
        n_samples: Samples drawn from the fit, each fitted again from the same smallest value; 0 leaves `p_fit` NaN.

    Raises:
        SharpwaveError: If there are too few avalanches.
    """
    import powerlaw

    values = np.asarray(values, dtype=float)
    values = values[values > 0]
    if values.size < FEWEST_AVALANCHES or np.unique(values).size < 3:
        raise SharpwaveError(
            f"at least {FEWEST_AVALANCHES} avalanches of at least 3 sizes",
            got=f"{values.size} of {np.unique(values).size} sizes",
            fix="record for longer or lower the threshold",
        )
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()), np.errstate(all="ignore"):
        fit = powerlaw.Fit(values, discrete=discrete, xmin=smallest, verbose=0)
        law = fit.power_law
        lognormal = fit.distribution_compare("power_law", "lognormal", normalized_ratio=True)
        exponential = fit.distribution_compare("power_law", "exponential", normalized_ratio=True)
        n = int((values >= law.xmin).sum())
        further = []
        for _ in range(n_samples):
            drawn = draw_power_law(n, exponent=float(law.alpha), smallest=float(law.xmin), discrete=discrete, rng=rng)
            again = powerlaw.Fit(drawn, discrete=discrete, xmin=law.xmin, verbose=0)
            further.append(again.power_law.D >= law.D)
    return AvalancheFit(
        exponent=float(law.alpha),
        smallest=float(law.xmin),
        distance=float(law.D),
        p_fit=float(np.mean(further)) if further else float("nan"),
        against_lognormal=float(lognormal[0]),
        p_lognormal=float(lognormal[1]),
        against_exponential=float(exponential[0]),
        p_exponential=float(exponential[1]),
        n=n,
    )


def draw_power_law(
    n: int, *, exponent: float, smallest: float, rng: np.random.Generator, discrete: bool = True
) -> Float[np.ndarray, " sample"]:
    """Samples of `p(x) ∝ x^-exponent` from a smallest value (for whole numbers the usual approximation, ibid. D)."""
    draws = (1 - rng.random(n)) ** (-1 / (exponent - 1))
    return np.floor((smallest - 0.5) * draws + 0.5) if discrete else smallest * draws
