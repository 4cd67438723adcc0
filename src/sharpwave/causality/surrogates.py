"""Surrogates: do two series of a night, such as the rate of reactivation and depth, go together beyond drift?

Circular shifts have too many false positives where series drift: random walks are "related" at α = .05 in a quarter of
the cases, since what was far apart in time meets at the seam. A linear shift slides one series along the other and
never wraps; in theory one of the two has to be stationary (Harris 2020, arXiv 2012.06862), on random walks it was found
to err on the safe side (`sharpwave benchmark causality`). Session permutation pairs the series of different nights and
needs neither, but nights (Harris 2020, 10.1101/2020.11.29.402719).

The check of a night takes reactivation and depth against their means in each stage, since the stage drives both; common
causes within a stage stay in.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.causality.series import NightSeries
from sharpwave.errors import SharpwaveError

STEP = 20
"""Seconds in which reactivations are counted and depth is averaged."""
METHODS = ("linear", "session", "circular")

CIRCULAR_WARNING = (
    "circular shifts are unsafe where signals drift: false positives at α = .05 were .10 for AR(.98) and .29 for "
    "random walks (linear shift: .048 and .018); use method='linear', or permute sessions"
)


@dataclass(frozen=True)
class Association:
    """Result of the check.

    Attributes:
        method: Kind of surrogate.
        p: p over all nights; for shifts, the nights' p combined by Fisher's method.
        n_nights: Number of nights long enough to be shifted.
        warning: Why not to trust it; empty where there is no reason.
    """

    method: str
    p: float
    n_nights: int
    warning: str = ""

    def describe(self) -> str:
        """The check in a sentence."""
        kind = "nights exchanged" if self.method == "session" else f"{self.method} shifts"
        found = "go" if self.p <= 0.05 else "are not shown to go"
        p = "p < .001" if self.p < 0.001 else f"p = {self.p:.3f}"
        return (
            f"Rate of reactivation and depth {found} together within stages beyond drift ({kind}, {p}, {self.n_nights} "
            "nights). This is an association, whatever brings it: the effects adjust for more."
        )


def check_association(
    nights: Sequence[NightSeries], *, rng: np.random.Generator, method: str = "linear"
) -> Association:
    """Hold the correlation of reactivation rate and depth against surrogates that drift as they do.

    Args:
        nights: Time series of each night, one `NightSeries` a night.
        rng: Random generator, which draws permutations and circular shifts.
        method: "linear" or "session"; "circular" on request, with a warning, because it is unsafe on drifting signals.

    Returns:
        The check; p is NaN where no night is long enough.

    Raises:
        SharpwaveError: If the method is unknown, or "session" has fewer than four nights.
    """
    if method not in METHODS:
        raise SharpwaveError(f"a surrogate among {', '.join(METHODS)}", got=repr(method), fix="choose one of these")
    pairs = [_tabulate(series) for series in nights]
    if method == "session":
        return Association(method, compute_session_p(pairs, rng=rng), len(pairs))
    from warnings import catch_warnings, simplefilter

    from scipy.stats import combine_pvalues

    ps = []
    for rate, depth in pairs:
        try:
            with catch_warnings():
                simplefilter("ignore")
                ps.append(compute_shift_p(rate, depth, method=method, rng=rng))
        except SharpwaveError:
            continue
    p = float(combine_pvalues(ps).pvalue) if ps else float("nan")
    return Association(method, p, len(ps), CIRCULAR_WARNING if method == "circular" else "")


def _tabulate(series: NightSeries) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Reactivations and mean depth in steps, each against its mean in that stage; 0 outside usable NREM sleep."""
    n_steps = len(series.time) // STEP
    start = series.time[0] if len(series.time) else 0.0
    edges = start + STEP * np.arange(n_steps + 1)
    rate = np.histogram(series.reactivations["onset"].to_numpy(dtype=float), edges)[0].astype(float)
    stage = series.stage[: n_steps * STEP].reshape(n_steps, STEP)
    usable = series.usable[: n_steps * STEP].reshape(n_steps, STEP).all(axis=1)
    depth = np.where(usable, series.depth[: n_steps * STEP].reshape(n_steps, STEP).mean(axis=1), 0.0)
    whole = usable & (stage == stage[:, :1]).all(axis=1)
    x, y = np.zeros(n_steps), np.zeros(n_steps)
    for code in series.nrem:
        mine = whole & (stage[:, 0] == code)
        if mine.any():
            x[mine], y[mine] = rate[mine] - rate[mine].mean(), depth[mine] - depth[mine].mean()
    return x, y


Statistic = Callable[[Float[np.ndarray, " time"], Float[np.ndarray, " time"]], float]


def compute_shift_p(
    x: Float[np.ndarray, " time"],
    y: Float[np.ndarray, " time"],
    *,
    statistic: Statistic | None = None,
    method: str = "linear",
    n_shifts: int = 50,
    rng: np.random.Generator | None = None,
) -> float:
    """Chance of so large a statistic had one series been shifted in time.

    With the linear shift the statistic is taken on the middle of x against every window of y that is as long and lies
    up to `n_shifts` steps to either side; the one in place is ranked among them. A step is as long as the series
    allow: half of x is kept. p = rank / (2 · shifts + 1), exact for many shifts of a stationary series (Harris 2020).

    Args:
        x: One series.
        y: The other, at the same times.
        statistic: Function of (x, y), larger where the two go together more; the absolute correlation by default.
        method: "linear", or "circular" on request, with a warning.
        n_shifts: Number of shifts to either side, 50 by default; twice as many circular ones.
        rng: Random generator, which draws circular shifts.

    Returns:
        p between 1/(shifts + 1) and 1.

    Raises:
        SharpwaveError: If the series differ in length or are too short, or the method is unknown.
    """
    statistic = statistic or compute_absolute_correlation
    if len(x) != len(y) or len(x) < 4 * (n_shifts + 1):
        raise SharpwaveError(
            f"two series of one length, at least {4 * (n_shifts + 1)} values",
            got=f"{len(x)} and {len(y)} values",
            fix="put both on one grid, or take fewer shifts",
        )
    if method == "circular":
        warnings.warn(CIRCULAR_WARNING, stacklevel=2)
        if rng is None:
            raise SharpwaveError("a random generator for circular shifts", got="none", fix="pass rng")
        moved = [statistic(x, np.roll(y, int(s))) for s in rng.integers(1, len(y), size=2 * n_shifts)]
        return _rank(statistic(x, y), moved)
    if method != "linear":
        raise SharpwaveError("a method among linear, circular", got=repr(method), fix="choose one of these")
    step = len(x) // (4 * n_shifts)
    edge = step * n_shifts
    middle = x[edge : len(x) - edge]
    moved = [
        statistic(middle, y[edge + step * s : len(y) - edge + step * s]) for s in range(-n_shifts, n_shifts + 1) if s
    ]
    return _rank(statistic(middle, y[edge : len(y) - edge]), moved)


def compute_session_p(
    pairs: Sequence[tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]],
    *,
    rng: np.random.Generator,
    statistic: Statistic | None = None,
    n_permutations: int = 999,
) -> float:
    """Chance of so large a mean statistic had the series of different nights been paired.

    Args:
        pairs: (x, y) of each night; where lengths differ the overlap is used.
        rng: Random generator, which draws the permutations.
        statistic: Function of (x, y), larger where the two go together more; the absolute correlation by default.
        n_permutations: Number of permutations; 999 by default.

    Returns:
        p; with n nights it cannot be below 1/n!.

    Raises:
        SharpwaveError: With fewer than four nights, whose 24 pairings cannot reach .05 two-sidedly with ties.
    """
    if len(pairs) < 4:
        raise SharpwaveError(
            "at least four nights to permute", got=f"{len(pairs)}", fix="add nights, or shift linearly"
        )
    statistic = statistic or compute_absolute_correlation
    n = len(pairs)
    table = np.empty((n, n))
    for i, (x, _) in enumerate(pairs):
        for j, (_, y) in enumerate(pairs):
            shared = min(len(x), len(y))
            table[i, j] = statistic(x[:shared], y[:shared])
    drawn = [float(table[np.arange(n), rng.permutation(n)].mean()) for _ in range(n_permutations)]
    return _rank(float(np.diag(table).mean()), drawn)


def compute_absolute_correlation(x: Float[np.ndarray, " time"], y: Float[np.ndarray, " time"]) -> float:
    """|Pearson correlation|; 0 where a series does not vary."""
    x, y = x - x.mean(), y - y.mean()
    size = float(np.sqrt((x @ x) * (y @ y)))
    return abs(float(x @ y)) / size if size > 0 else 0.0


def _rank(value: float, others: Sequence[float]) -> float:
    return (1 + int(np.sum(np.asarray(others) >= value))) / (1 + len(others))
