"""What private training has spent: every noisy step of wake and night under one accountant (Opacus).

A step that draws each item with probability q and adds Gaussian noise of σ times the clip has a Rényi divergence
(Mironov et al. 2019, arXiv:1908.10530); those of all steps add up, and turn into ε at a δ (Balle et al. 2020). Items
of different cohorts are different: a step of wake touches one cohort, a step of a night all that were there by then.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from sharpwave.errors import MissingExtraError, SharpwaveError

ORDERS: tuple[float, ...] = (1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9, 2.0, 2.1, 2.25, 2.5, 2.75)
ORDERS += (3.5, 4.5, 5.5, 6.5, 7.5, 8.5, *map(float, range(3, 17)), *map(float, range(18, 33, 2)))
ORDERS += (*map(float, range(36, 65, 4)), 80.0, 96.0, 128.0, 192.0, 256.0, 384.0, 512.0, 768.0, 1024.0)
"""Orders of the divergence, of which the best is taken: any choice is a bound, and more would be slower."""

PART = 1e-3
"""Share of ε to which noise is searched."""

MOST_NOISE = 1e4


@dataclass(frozen=True)
class Use:
    """Some noisy steps.

    Attributes:
        noise: Standard deviation of the noise, in lengths at which the gradient of an item is clipped (σ).
        rate: Probability with which a step draws an item (q).
        n_steps: Number of steps.
    """

    noise: float
    rate: float
    n_steps: int = 1


@lru_cache(maxsize=512)
def compute_divergence(noise: float, rate: float) -> np.ndarray:
    """Rényi divergence of one noisy step at each of `ORDERS`, from Opacus.

    Args:
        noise: σ; 0 protects nothing.
        rate: q.

    Raises:
        MissingExtraError: If Opacus is not installed.
    """
    try:
        from opacus.accountants.analysis.rdp import compute_rdp
    except ImportError as error:
        raise MissingExtraError("opacus", extra="private") from error
    if not noise:
        return np.full(len(ORDERS), np.inf if rate else 0.0)
    return np.asarray(compute_rdp(q=rate, noise_multiplier=noise, steps=1, orders=list(ORDERS)), dtype=np.float64)


def compute_epsilon(uses: Iterable[Use], delta: float) -> float:
    """ε of some steps together, for items that all of them may draw.

    Args:
        uses: The steps.
        delta: δ.

    Example:
        >>> wake, night = Use(1.0, 64 / 2000, 156), Use(1.0, 64 / 100, 23)
        >>> f"{compute_epsilon([wake], 1e-5):.2f} {compute_epsilon([wake, night], 1e-5):.1f}"
        '3.14 22.6'
    """
    total = np.zeros(len(ORDERS))
    for use in uses:
        total = total + use.n_steps * compute_divergence(use.noise, use.rate)
    if not total.any():
        return 0.0
    if not np.isfinite(total).any():
        return float("inf")
    from opacus.accountants.analysis.rdp import get_privacy_spent

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "the largest order is the best one": the bound holds, and may be loose
        return max(0.0, float(get_privacy_spent(orders=list(ORDERS), rdp=list(total), delta=delta)[0]))


def find_noise(epsilon: float, delta: float, uses: Sequence[Use]) -> float:
    """The smallest σ, to a thousandth, with which some steps cost no more than ε.

    Args:
        epsilon: What they may cost.
        delta: δ.
        uses: The steps; their own noise does not count.

    Raises:
        SharpwaveError: If no noise is enough.

    Example:
        >>> noise = find_noise(8, 1e-5, [Use(0, 0.032, 156)])
        >>> f"{compute_epsilon([Use(noise, 0.032, 156)], 1e-5):.1f}"
        '8.0'
    """

    def spend(noise: float) -> float:
        return compute_epsilon([Use(noise, use.rate, use.n_steps) for use in uses], delta)

    low, high = 0.0, 0.5
    while spend(high) > epsilon:
        low, high = high, 2 * high
        if high > MOST_NOISE:
            raise SharpwaveError(
                "an ε that some noise can keep",
                got=f"ε={epsilon:g} at δ={delta:g} for {sum(use.n_steps for use in uses)} steps",
                fix="take fewer steps, smaller batches, or a larger epsilon",
            )
    while high - low > PART * high:
        middle = (low + high) / 2
        low, high = (middle, high) if spend(middle) > epsilon else (low, middle)
    return high


class Ledger:
    """What each cohort of items has been through.

    Args:
        delta: δ at which ε is told.

    Example:
        >>> ledger = Ledger(1e-5)
        >>> ledger.charge(Use(1.0, 0.032, 156), cohort="contracts")
        >>> ledger.charge(Use(1.0, 0.032, 156), cohort="letters")
        >>> f"{ledger.compute_epsilon():.2f}"
        '3.14'
        >>> ledger.charge(Use(1.0, 0.64, 23))  # a night, of all of them
        >>> f"{ledger.compute_epsilon():.1f}"
        '22.6'
    """

    def __init__(self, delta: float) -> None:
        self.delta = delta
        self.cohorts: dict[str, list[Use]] = {}

    def charge(self, use: Use, *, cohort: str | None = None) -> None:
        """Write down some steps before they are taken.

        Args:
            use: The steps.
            cohort: Whose items they draw; None, the default, for all that are known.
        """
        names = list(self.cohorts) if cohort is None else [cohort]
        for name in names:
            uses = self.cohorts.setdefault(name, [])
            if uses and (uses[-1].noise, uses[-1].rate) == (use.noise, use.rate):
                uses[-1] = Use(use.noise, use.rate, uses[-1].n_steps + use.n_steps)
            else:
                uses.append(use)

    def compute_epsilon(self, *more: Use, cohort: str | None = None) -> float:
        """ε of the item that has been through most.

        Args:
            more: Steps to come.
            cohort: Whose items they will draw; None, the default, for all.
        """
        names = self.cohorts if cohort is None else {**self.cohorts, cohort: self.cohorts.get(cohort, [])}
        each = [
            compute_epsilon([*uses, *(more if cohort in (None, name) else ())], self.delta)
            for name, uses in names.items()
        ]
        return max(each, default=0.0)

    def state_dict(self) -> dict[str, Any]:
        """Numbers by cohort."""
        return {
            "delta": self.delta,
            "cohorts": [[name, [[u.noise, u.rate, u.n_steps] for u in uses]] for name, uses in self.cohorts.items()],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave; what was spent since is not forgotten: the dearer of both counts.

        Raises:
            SharpwaveError: If it was told at another δ.
        """
        if state["delta"] != self.delta:
            raise SharpwaveError(
                f"a state at δ={self.delta:g}", got=f"one at δ={state['delta']:g}", fix="give Private the same delta"
            )
        loaded = {name: [Use(*use) for use in uses] for name, uses in state["cohorts"]}
        for name, uses in loaded.items():
            own = self.cohorts.get(name, [])
            if compute_epsilon(uses, self.delta) >= compute_epsilon(own, self.delta):
                self.cohorts[name] = uses
