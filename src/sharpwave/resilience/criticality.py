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
        low: Lower end of its 95 % interval, over stretches of time (or trials) drawn anew.
        high: Upper end of it.
        timescale: Autocorrelation time in s, `-dt / log m`.
        ratio_regression: Slope from one bin to the next: what subsampling biases low, for comparison.
    """

    ratio: float
    timescale: float
    ratio_regression: float
    low: float = float("nan")
    high: float = float("nan")


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


N_STRETCHES, N_DRAWS = 20, 200
"""Stretches of one recording that are drawn anew, and how often, for an interval."""

LEAST_CORRELATION = 3.0
"""Standard errors by which activity must be correlated with itself, or there is no ratio to be found."""

LONGEST_TIMESCALE = 5.0
"""Time scale, in longest lags, beyond which a decay cannot be told from a drift."""


def compute_branching_ratio(
    activity: Real[np.ndarray, "trial time"] | Real[np.ndarray, " time"],
    *,
    bin_length: float,
    longest: float,
    rng: np.random.Generator | None = None,
) -> BranchingRatio:
    """Branching ratio by multistep regression, which stays right when only few units are seen (mrestimator).

    The slope `r_k` of activity on activity `k` bins before decays as `b m^k`; subsampling lowers `b` alone (Wilting &
    Priesemann 2018, doi:10.1038/s41467-018-04725-4).

    Args:
        activity: Events per bin; trials in rows.
        bin_length: Length of a bin in seconds.
        longest: Longest lag of the fit in s, several times the expected time scale.
        rng: Random generator of the interval; seeded with 0 where omitted.

    Raises:
        SharpwaveError: If the activity is too short for the lags or does not vary, if it is not correlated with itself
            (white noise), or if its correlation does not decay within the lags (a trend).
    """
    table = np.atleast_2d(np.asarray(activity, dtype=float))
    n_lags = round(longest / bin_length)
    if n_lags < 3 or table.shape[1] < 3 * n_lags or not table.std() > 0:
        raise SharpwaveError(
            "varying activity at least three times as long as the longest lag, of at least 3 bins",
            got=f"{table.shape[1]} bins, lags up to {n_lags}",
            fix="record for longer, or shorten `longest`",
        )
    covariances, n_products = _correlate(table, n_lags)
    slopes = covariances.sum(axis=0)[1:] / covariances.sum(axis=0)[0]
    few = slopes[: min(10, n_lags)]
    if few.sum() < LEAST_CORRELATION * np.sqrt(len(few) / n_products):
        raise SharpwaveError(
            "activity that depends on the activity before it",
            got=f"none to be told from chance: slopes of {few.mean():.3f} on the {len(few)} bins before",
            fix="record for longer or use other bins; white noise has no branching ratio",
        )
    ratio, timescale, first = _estimate_ratio(table, n_lags, bin_length)
    if not 0 < ratio < 1 or timescale > LONGEST_TIMESCALE * longest:
        raise SharpwaveError(
            f"correlation that decays within {LONGEST_TIMESCALE:g} times the longest lag of {longest:g} s",
            got=f"m = {ratio:.4f}, a time scale of {timescale:.3g} s",
            fix="take out the drift, or lengthen `longest`; a trend has no branching ratio",
        )
    low, high = _find_interval(covariances, np.random.default_rng(0) if rng is None else rng)
    return BranchingRatio(ratio, timescale, first, min(low, ratio), max(high, ratio))


def _estimate_ratio(
    table: Float[np.ndarray, "trial time"], n_lags: int, bin_length: float
) -> tuple[float, float, float]:
    """m, time scale in s, and the slope on the bin before, by mrestimator, whose logging is left as it was."""
    import mrestimator

    was_disabled = mrestimator.ut.log.disabled
    mrestimator.ut.log.disabled = True
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            slopes = mrestimator.coefficients(
                table,
                method="stationarymean" if len(table) > 1 else "trialseparated",
                steps=(1, n_lags),
                dt=bin_length * 1e3,
                numboot=0,
            )
            fit = mrestimator.fit(slopes, fitfunc=mrestimator.f_exponential, numboot=0)
    finally:
        mrestimator.ut.log.disabled = was_disabled
    return float(fit.mre), float(fit.tau) / 1e3, float(slopes.coefficients[0])


def _correlate(table: Float[np.ndarray, "trial time"], n_lags: int) -> tuple[Float[np.ndarray, "stretch lag"], int]:
    """Mean products of each stretch (a trial, or part of the one recording) with itself by lag, and their number."""
    centred = table - table.mean()
    if len(centred) < N_STRETCHES // 2:
        n_parts = max(2, min(N_STRETCHES, table.shape[1] // (3 * n_lags)))
        width = table.shape[1] // n_parts
        centred = centred[:, : n_parts * width].reshape(-1, width)
    width = centred.shape[1]
    products = [(centred[:, : width - lag] * centred[:, lag:]).sum(axis=1) / (width - lag) for lag in range(n_lags + 1)]
    return np.stack(products, axis=1), centred.size


def _find_interval(covariances: Float[np.ndarray, "stretch lag"], rng: np.random.Generator) -> tuple[float, float]:
    """Range of m over stretches drawn anew, each fitted by `b m^k`."""
    lags = np.arange(1, covariances.shape[1])
    ratios = np.exp(-1 / np.geomspace(0.2, LONGEST_TIMESCALE * len(lags), 600))
    powers = ratios[:, None] ** lags
    decays = powers / np.linalg.norm(powers, axis=1, keepdims=True)
    drawn = covariances[rng.integers(len(covariances), size=(N_DRAWS, len(covariances)))].sum(axis=1)
    found = ratios[np.argmax((drawn[:, 1:] / drawn[:, :1]) @ decays.T, axis=1)]
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)


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
        n_samples: Samples drawn from the fit (and from the data below the smallest value), in each of which the
            smallest value is chosen anew unless it was given; 0 leaves `p_fit` NaN.

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
            above = n if smallest is not None else int(rng.binomial(values.size, n / values.size))
            exponent, least = float(law.alpha), float(law.xmin)
            drawn = draw_power_law(above, exponent=exponent, smallest=least, discrete=discrete, rng=rng)
            if smallest is None and n < values.size:
                drawn = np.concatenate([drawn, rng.choice(values[values < law.xmin], size=values.size - above)])
            again = powerlaw.Fit(drawn, discrete=discrete, xmin=smallest, verbose=0)
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
