"""What is held against chance in a session: p of every event, the test of every epoch, and what the resolution allows.

Replay is claimed where the *order* of an event's bursts fits the fields of its cells better than shuffles of that order
do, and better than the same with exchanged cells. A surrogate that destroys order alone (`time-bin`, `poisson`) takes
a place that is held, or bursting cells, for replay; fields that are shifted round a straight track (`place-field`) are
cut at its ends. These are no test of their own: p is then the larger of two.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from sharpwave.reactivation.counts import bin_events
from sharpwave.reactivation.order import OrderScores, score_order
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.sequence_scores import score_sequences
from sharpwave.reactivation.significance import (
    FIELD_SURROGATES,
    LEVEL,
    SessionTest,
    assess_difference,
    assess_session,
    compute_p_values,
    control_false_discoveries,
    get_surrogate,
    standardise,
)

DEFAULT = "cell-identity"

FEWEST = 10
"""Events that an epoch needs for a test of its own, and that the sleep before must have to serve as control."""

EPOCHS = ("before", "during", "after", "rest")


@dataclass(frozen=True, eq=False)
class Paired:
    """A test that is not calibrated alone.

    Attributes:
        surrogate: Kind of surrogate, a key of `SURROGATES`.
        observed: What events are ranked by.
        surrogates: The same of surrogates of the session.
        p: p of each event.
        n_draws: Surrogates of each event.
    """

    surrogate: str
    observed: Float[np.ndarray, " event"]
    surrogates: Float[np.ndarray, "surrogate event"]
    p: Float[np.ndarray, " event"]
    n_draws: Int[np.ndarray, " event"]


@dataclass(frozen=True, eq=False)
class Evidence:
    """Events against their surrogates.

    Attributes:
        order: Gains of the events and of surrogates with exchanged cells.
        paired: The test of another surrogate, where one was asked for; then both must agree.
    """

    order: OrderScores
    paired: Paired | None = None

    @property
    def surrogate(self) -> str:
        """Kinds of surrogates, as settings show them."""
        return self.order.surrogate if self.paired is None else f"{self.paired.surrogate} and {self.order.surrogate}"

    @property
    def p(self) -> Float[np.ndarray, " event"]:
        """p of each event; the larger where two kinds of surrogates must agree."""
        if self.paired is None:
            return self.order.p
        return np.maximum(self.order.p, self.paired.p)

    @property
    def z(self) -> Float[np.ndarray, " event"]:
        """Gain of each event in standard deviations of its surrogates'."""
        return standardise(self.order.observed, self.order.surrogates)

    @property
    def n_draws(self) -> Int[np.ndarray, " event"]:
        """Surrogates of each event; of the fewer where two kinds must agree."""
        if self.paired is None:
            return self.order.n_draws
        return np.minimum(self.order.n_draws, self.paired.n_draws)

    def assess(self, chosen: Bool[np.ndarray, " event"], less: Bool[np.ndarray, " event"] | None = None) -> SessionTest:
        """The test of some events, or of the difference from others; the weaker one where two kinds must agree."""
        pairs = [(self.order.observed, self.order.surrogates)]
        if self.paired is not None:
            pairs.append((self.paired.observed, self.paired.surrogates))
        tests = [
            assess_session(observed[chosen], surrogates[:, chosen])
            if less is None
            else assess_difference(observed, surrogates, after=chosen, before=less)
            for observed, surrogates in pairs
        ]
        return max(tests, key=lambda test: test.p)


def weigh_events(
    spikes: Any,
    events: pd.DataFrame,
    fields: PlaceFields,
    *,
    statistic: str,
    surrogate: str = DEFAULT,
    n_surrogates: int = 500,
    bin_size: float = 0.02,
    rng: np.random.Generator,
) -> Evidence:
    """Hold events against surrogates of a kind, or of two where the kind alone is not calibrated.

    Args:
        spikes: Trains by unit (pynapple `TsGroup`, or a mapping to arrays of times in s).
        events: Table of events: onset and duration in s.
        fields: Place fields.
        statistic: Score whose gain is wanted, one of `STATISTICS`.
        surrogate: Kind of surrogate, a key of `SURROGATES`.
        n_surrogates: Number of surrogates of the session; promising events get up to 20 times as many. 500 by default.
        bin_size: Length of the bins of the scores, in s; 0.02 s by default.
        rng: Random generator.

    Raises:
        SharpwaveError: If there is no surrogate or statistic of this name.

    >>> from sharpwave.reactivation.place_fields import make_fields
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - np.linspace(0, 19, 10)[:, None]) / 1.5) ** 2)
    >>> spikes = {unit: np.array([0.01 + 0.02 * unit]) for unit in range(10)}
    >>> events, fields = pd.DataFrame({"onset": [0.0], "duration": [0.2]}), make_fields(rates, units=tuple(range(10)))
    >>> rng, chosen = np.random.default_rng(0), {"statistic": "correlation", "surrogate": "time-bin"}
    >>> weigh_events(spikes, events, fields, n_surrogates=50, rng=rng, **chosen).surrogate
    'time-bin and cell-identity'
    """
    get_surrogate(surrogate)
    chosen: dict[str, Any] = {"n_surrogates": n_surrogates, "rng": rng}
    gained: dict[str, Any] = {"statistic": statistic, "bin_size": bin_size} | chosen
    order = score_order(spikes, events, fields, surrogate=DEFAULT, **gained)
    if surrogate == DEFAULT:
        return Evidence(order)
    if surrogate in FIELD_SURROGATES:
        other = score_order(spikes, events, fields, surrogate=surrogate, **gained)
        return Evidence(order, Paired(surrogate, other.observed, other.surrogates, other.p, other.n_draws))
    binned = bin_events(spikes, events, bin_size=bin_size, units=fields.units)
    scores = score_sequences(binned, fields, surrogate=surrogate, only=statistic, **chosen)
    observed, surrogates = scores.of(statistic)
    n_draws = np.full(len(observed), n_surrogates)
    return Evidence(order, Paired(surrogate, observed, surrogates, compute_p_values(observed, surrogates), n_draws))


def control_epochs(p: Float[np.ndarray, " event"], epoch: pd.Series) -> Float[np.ndarray, " event"]:
    """q over the events of each epoch, so that many true events of one make none of another significant."""
    q = np.empty(len(p))
    for name in epoch.unique():
        chosen = (epoch == name).to_numpy()
        q[chosen] = control_false_discoveries(p[chosen])
    return q


def tabulate_tests(epoch: pd.Series, significant: Bool[np.ndarray, " event"], evidence: Evidence) -> pd.DataFrame:
    """The test of each epoch that has `FEWEST` events, and of after less before."""
    rows: list[dict[str, Any]] = []
    for name in EPOCHS:
        chosen = (epoch == name).to_numpy()
        if chosen.sum() >= FEWEST:
            rows.append(
                {"epoch": name, **asdict(evidence.assess(chosen)), "n_significant": int(significant[chosen].sum())}
            )
    before, after = (epoch == "before").to_numpy(), (epoch == "after").to_numpy()
    if min(before.sum(), after.sum()) >= FEWEST:
        rows.append({"epoch": "after less before", **asdict(evidence.assess(after, before)), "n_significant": None})
    columns = ["epoch", "n_events", "n_significant", "share", "expected", "low", "high", "p"]
    return pd.DataFrame(rows, columns=columns)


def describe_resolution(epoch: pd.Series, evidence: Evidence) -> list[str]:
    """Sentences on how low p can be, and on each epoch in which that forbids any discovery.

    With m events and p never below f, false-discovery control at 5 % finds none unless m f / .05 events are that low.
    """
    p, most, least = evidence.p, int(evidence.n_draws.max()), int(evidence.n_draws.min())
    drawn = int((evidence.n_draws > least).sum())
    further = f"; the {drawn} most promising events were drawn further, to {most:,} surrogates" if drawn else ""
    lines = [f"Resolution of p: with {least:,} surrogates it is never below {1 / (least + 1):.2g}{further}."]
    if evidence.paired is not None:
        lines.append(
            f"Surrogates of the kind {evidence.paired.surrogate} take sessions without replay for replay too often "
            f"and are not offered alone: p is the larger of theirs and {evidence.order.surrogate}'s."
        )
    floor = 1 / (most + 1)
    for name in [name for name in EPOCHS if (epoch == name).any()]:
        own = p[(epoch == name).to_numpy()]
        needed, lowest = math.ceil(len(own) * floor / LEVEL - 1e-9), int((own <= floor * 1.001).sum())
        if needed > max(lowest, 1) and not (control_false_discoveries(own) <= LEVEL).any():
            lines.append(
                f"Too few surrogates for single events of the epoch '{name}': of its {len(own)} events {needed} would "
                f"have to reach the smallest p, {floor:.2g}, before one can remain after false-discovery control; "
                f"{lowest} {'does' if lowest == 1 else 'do'}. "
                + ("The test of the whole epoch is not affected. " if len(own) >= FEWEST else "")
                + f"More surrogates: --n-surrogates {10 * least}."
            )
        if len(own) < FEWEST:
            lines.append(f"The epoch '{name}' is not tested as a whole: {len(own)} events, and {FEWEST} are needed.")
    return lines
