"""Whether reactivation and depth go together within stages beyond what drift alone would do: a check by surrogates.

The stage drives both, so that each is taken against its mean in the stage; common causes within a stage stay in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from sharpwave.causality.course import NightCourse
from sharpwave.causality.surrogates import CIRCULAR_WARNING, compute_session_p, compute_shift_p
from sharpwave.errors import SharpwaveError

STEP = 20
"""Seconds in which reactivations are counted and depth is averaged."""
METHODS = ("linear", "session", "circular")


@dataclass(frozen=True)
class Association:
    """Result of the check.

    Attributes:
        method: Kind of surrogate.
        p: Over all nights; of shifts, the nights' p combined by Fisher's method.
        n_nights: Nights long enough to be shifted.
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
    courses: Sequence[NightCourse], *, rng: np.random.Generator, method: str = "linear"
) -> Association:
    """Hold the correlation of reactivation rate and depth against surrogates that drift as they do.

    Args:
        courses: Nights.
        rng: Draws permutations and circular shifts.
        method: "linear" or "session"; "circular" on request, with a warning, because it is unsafe on drifting signals.

    Returns:
        The check; p is NaN where no night is long enough.

    Raises:
        SharpwaveError: If the method is unknown, or "session" has fewer than four nights.
    """
    if method not in METHODS:
        raise SharpwaveError(f"a surrogate among {', '.join(METHODS)}", got=repr(method), fix="choose one of these")
    pairs = [_tabulate(course) for course in courses]
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


def _tabulate(course: NightCourse) -> tuple[Float[np.ndarray, " step"], Float[np.ndarray, " step"]]:
    """Reactivations and mean depth in steps, each against its mean in that stage; 0 outside usable NREM sleep."""
    n_steps = len(course.time) // STEP
    start = course.time[0] if len(course.time) else 0.0
    edges = start + STEP * np.arange(n_steps + 1)
    rate = np.histogram(course.reactivations["onset"].to_numpy(dtype=float), edges)[0].astype(float)
    stage = course.stage[: n_steps * STEP].reshape(n_steps, STEP)
    usable = course.usable[: n_steps * STEP].reshape(n_steps, STEP).all(axis=1)
    depth = np.where(usable, course.depth[: n_steps * STEP].reshape(n_steps, STEP).mean(axis=1), 0.0)
    whole = usable & (stage == stage[:, :1]).all(axis=1)
    x, y = np.zeros(n_steps), np.zeros(n_steps)
    for code in course.nrem:
        mine = whole & (stage[:, 0] == code)
        if mine.any():
            x[mine], y[mine] = rate[mine] - rate[mine].mean(), depth[mine] - depth[mine].mean()
    return x, y
