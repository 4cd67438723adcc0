"""Which events exceed chance: one p per event, false discoveries held down over events, and a test of the session."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from sharpwave.errors import SharpwaveError

LEVEL = 0.05


@dataclass(frozen=True)
class SessionTest:
    """Whether a stretch of the session holds more events beyond chance than its surrogates do.

    Attributes:
        n_events: Events tested.
        share: Share with p at or below the level.
        expected: Mean share of the surrogates, each ranked among the others.
        low: 2.5 % of those shares.
        high: 97.5 % of them.
        p: Share of surrogates with as many; the smallest that n surrogates can give is 1 / (n + 1).
    """

    n_events: int
    share: float
    expected: float
    low: float
    high: float
    p: float


def compute_p_values(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"]
) -> Float[np.ndarray, " event"]:
    """(1 + number of surrogates at least as high) / (1 + number of surrogates): never 0, ties count against.

    Args:
        observed: Score of each event.
        surrogates: Scores of its surrogates.

    Returns:
        One p per event (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
    """
    return (1 + (surrogates >= observed).sum(axis=0)) / (1 + len(surrogates))


def control_false_discoveries(p: Float[np.ndarray, " event"]) -> Float[np.ndarray, " event"]:
    """q-values (Benjamini & Hochberg 1995): events at q or below hold a share q of false ones, in expectation.

    Events without a p (NaN) get none and do not count.
    """
    from scipy.stats import false_discovery_control

    known = np.isfinite(p)
    q = np.full(len(p), np.nan)
    if known.any():
        q[known] = false_discovery_control(p[known])
    return q


def rank_among_controls(
    standardised: Float[np.ndarray, " event"], control: Bool[np.ndarray, " event"]
) -> Float[np.ndarray, " event"]:
    """p of each event among the events of a control epoch, the sleep before the experience.

    Args:
        standardised: Score in standard deviations of the event's own surrogates.
        control: Which events are of the control epoch; their own p is left out (NaN).

    Returns:
        (1 + controls at least as high) / (1 + controls).

    Raises:
        SharpwaveError: If there is no control event.
    """
    if not control.any():
        raise SharpwaveError(
            "events before the experience", got="none", fix="leave the control out, or record sleep before the run"
        )
    reference = np.sort(standardised[control])
    higher = len(reference) - np.searchsorted(reference, standardised, side="left")
    return np.where(control, np.nan, (1 + higher) / (1 + len(reference)))


def standardise(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"]
) -> Float[np.ndarray, " event"]:
    """Each event's score in standard deviations from the mean of its surrogates; 0 where these do not vary."""
    spread = surrogates.std(axis=0)
    return np.where(spread > 0, (observed - surrogates.mean(axis=0)) / np.where(spread > 0, spread, 1), 0.0)


def assess_session(
    observed: Float[np.ndarray, " event"],
    surrogates: Float[np.ndarray, "surrogate event"],
    *,
    level: float = LEVEL,
) -> SessionTest:
    """The share of events beyond chance against the same share in each surrogate, ranked among all the others.

    Events are not independent of each other (the same cells and fields serve all of them), so the binomial test would
    be too sure. A surrogate of the whole stretch has the same dependence.

    Args:
        observed: Score of each event.
        surrogates: Scores of surrogates; one row is one surrogate of the whole stretch.
        level: An event counts at this p or below.

    Returns:
        The test.

    Raises:
        SharpwaveError: If there are no events.
    """
    if not len(observed):
        raise SharpwaveError("events to test", got="none in this stretch", fix="lower the thresholds of the candidates")
    return _rank_first(compute_shares(observed, surrogates, level=level), len(observed))


def assess_difference(
    observed: Float[np.ndarray, " event"],
    surrogates: Float[np.ndarray, "surrogate event"],
    *,
    after: Bool[np.ndarray, " event"],
    before: Bool[np.ndarray, " event"],
    level: float = LEVEL,
) -> SessionTest:
    """The share beyond chance after the experience less that before it, against the same difference in surrogates.

    Args:
        observed: Score of each event.
        surrogates: Scores of surrogates, one row a surrogate of the whole session.
        after: Which events are after the experience.
        before: Which are before it.
        level: An event counts at this p or below.

    Returns:
        The test; `share` and `expected` are differences.

    Raises:
        SharpwaveError: If either epoch has no events.
    """
    if not (after.any() and before.any()):
        raise SharpwaveError(
            "events before and after the experience",
            got=f"{int(before.sum())} before, {int(after.sum())} after",
            fix="test the epoch that has events on its own",
        )
    late = compute_shares(observed[after], surrogates[:, after], level=level)
    early = compute_shares(observed[before], surrogates[:, before], level=level)
    return _rank_first(late - early, int(after.sum() + before.sum()))


def compute_shares(
    observed: Float[np.ndarray, " event"], surrogates: Float[np.ndarray, "surrogate event"], *, level: float = LEVEL
) -> Float[np.ndarray, " row"]:
    """Share of events at `level` or below: of the data first, then of each surrogate ranked among all the others."""
    scores = np.vstack([observed[None], surrogates])
    allowed = int(np.floor(level * len(scores) + 1e-9))
    if not allowed:
        return np.zeros(len(scores))
    threshold = -np.partition(-scores, allowed - 1, axis=0)[allowed - 1]
    higher = scores >= threshold
    fits = higher.sum(axis=0) <= allowed
    return np.where(fits, higher, scores > threshold).mean(axis=1)


def _rank_first(shares: Float[np.ndarray, " row"], n_events: int) -> SessionTest:
    null = shares[1:]
    return SessionTest(
        n_events=n_events,
        share=float(shares[0]),
        expected=float(null.mean()),
        low=float(np.quantile(null, 0.025)),
        high=float(np.quantile(null, 0.975)),
        p=float((1 + (null >= shares[0]).sum()) / (1 + len(null))),
    )
