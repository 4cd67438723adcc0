"""What an observer could see who knows how the second world is made: an upper bound for every detector.

It knows the true place fields, the edges of every burst, how each kind of burst is drawn and how often. What it does
not see is not in the spikes: no detector can be blamed for it. Remapped fields, which no observer knows, are taken for
those of exchanged cells.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.special import logsumexp

from sharpwave.benchmarks.second_world.options import N_PLACES, STEP, SessionOptions
from sharpwave.benchmarks.second_world.sessions import Session, draw_path

COMPLEX = 0.0095
"""Longest silence within a complex spike, in s: its followers say nothing new."""
N_DRAWN, N_PATHS = 12_000, 800
"""Paths that are drawn of each kind, and those of the length of a burst that are weighed."""
N_EXCHANGED = 12
"""Exchanges of the cells that stand for fields nobody knows."""
JOINS = 0.2
"""Chance of a cell to join a burst without place, on average."""
PLACED = ("replay", "stationary", "jumping", "remapped")


@dataclass(frozen=True, eq=False)
class Prior:
    """Paths of one kind.

    Attributes:
        paths: Index of the place at each step, one array for each path.
        lengths: Steps of each.
    """

    paths: list[Int[np.ndarray, " step"]]
    lengths: Int[np.ndarray, " path"]

    @classmethod
    def draw(cls, kind: str, options: SessionOptions, rng: np.random.Generator) -> Prior:
        """Paths as the second world draws them."""
        drawn = [draw_path(kind, options, rng)[0] for _ in range(N_DRAWN)]
        scale = N_PLACES / options.track_length
        paths = [np.clip(np.nan_to_num(path) * scale, 0, N_PLACES - 1).astype(np.int16) for path in drawn]
        return cls(paths, np.array([len(path) for path in paths]))

    def fit(self, n: int) -> tuple[Int[np.ndarray, "path step"], float]:
        """Paths of about so many steps, stretched to it, and the log density of that length."""
        away = np.abs(np.log(self.lengths / n))
        near = np.argsort(away, kind="stable")[:N_PATHS]
        density = np.log((away < 0.1).sum() + 0.5) - np.log(len(away))
        rows = [self.paths[row][(np.arange(n) * self.lengths[row]) // n] for row in near]
        return np.array(rows), float(density)


def weigh_bursts(
    session: Session, options: SessionOptions, mix: Mapping[str, float], *, rng: np.random.Generator
) -> pd.DataFrame:
    """Bursts after the run, and the probability of each that it is a replay.

    Args:
        session: The session.
        options: How it was drawn.
        mix: Share of each kind that the observer expects; of a session without replay, other than it is.
        rng: Random generator.

    Returns:
        onset, duration, kind, probability.
    """
    events = session.events[session.events["onset"] > session.task[1]].reset_index(drop=True)
    first = [train[np.diff(train, prepend=-np.inf) > COMPLEX] for train in session.spikes]
    base = _rest_rates(first, events, session)
    priors = {kind: Prior.draw(kind, options, rng) for kind in mix}
    exchanged = [rng.permutation(len(first)) for _ in range(N_EXCHANGED)]
    factor = 1 + 1.875 * options.bursting
    found = np.empty(len(events))
    for row, (onset, duration) in enumerate(events[["onset", "duration"]].to_numpy(float)):
        n = max(round(duration / STEP), 1)
        inside = [(t[slice(*np.searchsorted(t, [onset, onset + duration]))] - onset) / STEP for t in first]
        cell = np.repeat(np.arange(len(first)), [len(times) for times in inside])
        step = np.clip(np.concatenate(inside).astype(int), 0, n - 1)
        stray = options.noise / factor + base * duration
        log = {}
        for kind, share in mix.items():
            paths, length = priors[kind].fit(n)
            if kind in PLACED:
                orders = exchanged if kind == "remapped" else [np.arange(len(first))]
                weighed = [
                    _weigh_places(session.fields[order], paths[:: len(orders)], cell, step, stray, options, factor)
                    for order in orders
                ]
                value = logsumexp(weighed) - np.log(len(weighed))
            else:
                value = _weigh_group(np.bincount(cell, minlength=len(first)), n, stray, factor)
            log[kind] = np.log(max(share, 1e-300)) + length + value
        found[row] = np.exp(log["replay"] - logsumexp(list(log.values())))
    return events[["onset", "duration", "kind"]].assign(probability=found)


def _rest_rates(first: list[np.ndarray], events: pd.DataFrame, session: Session) -> Float[np.ndarray, " cell"]:
    """Rate of each cell outside bursts after the run, in Hz; each complex spike counts as one."""
    edges = np.column_stack([events["onset"], events["onset"] + events["duration"]]).ravel()
    quiet = session.end - session.task[1] - float(events["duration"].sum())
    outside = [((np.searchsorted(edges, t[t > session.task[1]]) % 2) == 0).sum() for t in first]
    return (np.array(outside) + 0.5) / quiet


def _weigh_places(
    fields: Float[np.ndarray, "cell 2 place"],
    paths: Int[np.ndarray, "path step"],
    cell: Int[np.ndarray, " spike"],
    step: Int[np.ndarray, " spike"],
    stray: Float[np.ndarray, " cell"],
    options: SessionOptions,
    factor: float,
) -> float:
    """Log mean likelihood of spikes over paths in both running directions; each cell takes part or does not."""
    n_paths, n = paths.shape
    occupancy = np.zeros((n_paths, N_PLACES), np.float32)
    np.add.at(occupancy, (np.repeat(np.arange(n_paths), n), paths.ravel()), 1.0)
    counts = np.bincount(cell, minlength=len(stray))
    without = counts * np.log(stray / n) - stray
    total = []
    for way in range(fields.shape[1]):
        hazard = options.gain * fields[:, way] * STEP / factor
        expected = occupancy @ hazard.T.astype(np.float32)
        log = np.log(hazard + (stray / n)[:, None])
        with_field = -expected - stray
        for c in np.unique(cell):
            with_field[:, c] += log[c][paths[:, step[cell == c]]].sum(axis=1)
        absent = max(options.absent, 1e-9)
        each = np.logaddexp(np.log(1 - absent) + with_field, np.log(absent) + without)
        total.append(logsumexp(each.sum(axis=1)) - np.log(n_paths))
    return float(logsumexp(total) - np.log(len(total)))


def _weigh_group(counts: Int[np.ndarray, " cell"], n: int, stray: Float[np.ndarray, " cell"], factor: float) -> float:
    """Log likelihood of spikes of cells that join by chance, and then fire where in the burst it falls."""
    joined, alone = 2.0 / factor + stray, stray
    log = [np.log(p) + counts * np.log(m / n) - m for p, m in ((JOINS, joined), (1 - JOINS, alone))]
    return float(np.logaddexp(*log).sum())


def find_best(weighed: pd.DataFrame, *, precision: float) -> tuple[float, float]:
    """Largest recall at which so much of what is found is replay, and the least probability that counts there.

    Args:
        weighed: From `weigh_bursts`, of one session or several.
        precision: Least precision.

    >>> bursts = {"kind": ["replay", "random", "replay"], "probability": [0.9, 0.8, 0.7]}
    >>> find_best(pd.DataFrame(bursts), precision=0.9)
    (0.5, 0.9)
    """
    ranked = weighed.sort_values("probability", ascending=False)
    true = (ranked["kind"] == "replay").to_numpy()
    matched = true.cumsum()
    fine = np.flatnonzero(matched >= precision * np.arange(1, len(true) + 1))
    if not len(fine):
        return 0.0, 1.0
    last = int(fine[-1])
    return float(matched[last] / true.sum()), float(ranked["probability"].iloc[last])
