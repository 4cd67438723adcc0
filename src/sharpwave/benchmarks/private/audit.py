"""`sharpwave benchmark private-audit`: what the weights of one run tell of who was in it (Steinke et al. 2023).

Each of many canaries is in the data with probability one half. Each is an input of its own, so that what was
learned of one shows in one weight alone: the worst case. Those with the lowest losses are guessed to have been in, the
highest out; the more guesses are right, the larger ε must be (arXiv:2305.08846, theorem 5.2).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binom
from torch import nn

from sharpwave.benchmarks.rows import Row
from sharpwave.benchmarks.seeds import run_seeds
from sharpwave.consolidation import Private, ReplayBuffer, Sleep
from sharpwave.consolidation.accounting import Use, compute_epsilon
from sharpwave.executors import Executor

DELTA = 1e-5
N_CANARIES, N_GUESSES = 1000, 300
BATCH, CAPACITY, N_WAKE, N_NIGHT, NOISE = 300, 640, 1, 80, 3.0
CONFIDENCE = 0.95
BRIGHTNESS, RATE = 30.0, 0.05

N_SHORT = 5
"""Steps of a night that shows a coarser mistake at once."""

BREAKS = ("night not counted", "not clipped", "no noise")
"""Mistakes that are planted, which an audit has to find."""


@dataclass(frozen=True)
class Audit:
    """What one run tells.

    Attributes:
        claimed: ε that is claimed.
        found: Lower bound on ε, with 95 % confidence.
        right: Share of guesses that were right.
        wake: ε of wake alone, which is claimed where the night is not counted.
    """

    claimed: float
    found: float
    right: float
    wake: float


def run(
    data: Path | None, *, seeds: int, train: bool = False, on: Executor | None = None
) -> tuple[dict[str, Any], list[Row]]:
    """Audit what is, and planted mistakes.

    Args:
        data: Not used.
        seeds: Number of runs of each kind.
        train: Not used.
        on: What runs the seeds; one after another where omitted.

    Returns:
        Configuration and rows.
    """
    honest = run_seeds(audit, seeds, on)
    rows = to_rows("as it is", honest)
    rows += to_rows("as it is, with dreams", run_seeds(partial(audit, dreams=True), seeds, on))
    rows += to_rows(BREAKS[0], [Audit(each.wake, each.found, each.right, each.wake) for each in honest])
    for broken in BREAKS[1:]:
        rows += to_rows(broken, run_seeds(partial(audit, broken=broken, n_night=N_SHORT), seeds, on))
    config = {
        "canaries": N_CANARIES,
        "guesses": N_GUESSES,
        "noise": NOISE,
        "steps": {"wake": N_WAKE, "night": N_NIGHT, "night of a coarser mistake": N_SHORT},
        "confidence": CONFIDENCE,
        "delta": DELTA,
        "interval": "lowest and highest bound of the runs",
    }
    return config, rows


def to_rows(name: str, found: Sequence[Audit]) -> list[Row]:
    """What is claimed, the lower bound that was found, and in how many runs it passes what is claimed."""
    data, n, bounds = "canaries, one run each", len(found), [each.found for each in found]
    claimed = float(np.mean([each.claimed for each in found]))
    caught = float(sum(each.found > each.claimed for each in found))
    return [
        Row(data, name, "claimed", "epsilon", claimed, n=n),
        Row(data, name, "audit", "epsilon", float(np.mean(bounds)), min(bounds), max(bounds), n),
        Row(data, name, "audit", "runs_above_claim", caught, n=n),
    ]


def audit(seed: int, *, broken: str = "", dreams: bool = False, n_night: int = N_NIGHT) -> Audit:
    """One run of wake and a night from the buffer, and what it tells of its canaries.

    Args:
        seed: Seed of canaries, draws and noise.
        broken: One of the last two of `BREAKS`, or empty, the default, for what is.
        dreams: Whether the night dreams, for nothing, in place of replaying the buffer; default false.
        n_night: Steps of the night from the buffer; default 80.
    """
    rng = torch.Generator().manual_seed(seed)
    is_in = torch.rand(N_CANARIES, generator=rng) < 0.5
    rows = torch.nonzero(is_in)[:, 0]
    scale = 1e6 if broken == "not clipped" else 1.0  # so much room, and the noise of a clip of 1
    noise = 0.0 if broken == "no noise" else NOISE / scale
    private = Private(math.inf, DELTA, clip=scale, noise=noise, replay=not dreams, generator=rng)
    model = nn.Linear(N_CANARIES, 2, bias=False)
    nn.init.zeros_(model.weight)
    optimiser = torch.optim.SGD(model.parameters(), lr=RATE)
    sleep = Sleep(model, None if dreams else ReplayBuffer(CAPACITY), optimiser, private=private)
    items = {"x": BRIGHTNESS * torch.eye(N_CANARIES)[rows], "y": torch.ones(len(rows), dtype=torch.int64)}
    assert sleep.private is not None
    for batch in sleep.private.batches(items, BATCH, epochs=N_WAKE * BATCH / len(rows)):
        sleep.wake(batch).backward()
        optimiser.step()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the night costs
        sleep.night(5 if dreams else n_night)
    wake, night = Use(NOISE, BATCH / len(rows), N_WAKE), Use(NOISE, BATCH / CAPACITY, n_night)
    claimed = compute_epsilon([wake, night], DELTA) if broken else sleep.private.spent
    order = torch.argsort(model.weight[1] - model.weight[0]).numpy()
    half = N_GUESSES // 2
    n_right = int(is_in.numpy()[order[-half:]].sum() + (~is_in.numpy()[order[:half]]).sum())
    return Audit(claimed, find_bound(n_right), n_right / N_GUESSES, compute_epsilon([wake], DELTA))


def find_bound(
    n_right: int, *, n_guesses: int = N_GUESSES, n_canaries: int = N_CANARIES, delta: float = DELTA
) -> float:
    """The largest ε that so many right guesses refute, with 95 % confidence; 0 where they refute none.

    Args:
        n_right: Number of right guesses.
        n_guesses: Number of guesses; default 300.
        n_canaries: Number of canaries; default 1,000.
        delta: δ; default 1e-5.

    Example:
        >>> find_bound(150), round(find_bound(300), 1)
        (0.0, 4.6)
    """
    low, high = 0.0, 20.0
    while high - low > 1e-3:
        middle = (low + high) / 2
        refuted = compute_chance(middle, n_right, n_guesses, n_canaries, delta) < 1 - CONFIDENCE
        low, high = (middle, high) if refuted else (low, middle)
    return low


def compute_chance(epsilon: float, n_right: int, n_guesses: int, n_canaries: int, delta: float) -> float:
    """Largest chance of so many right guesses or more, if (ε, δ) held."""
    each = 1 / (1 + math.exp(-epsilon))
    beta = float(binom.sf(n_right - 1, n_guesses, each))
    sums = np.cumsum(binom.pmf(np.arange(n_right - 1, -1, -1), n_guesses, each))
    alpha = float((sums / np.arange(1, n_right + 1)).max(initial=0.0))
    return min(1.0, beta + 2 * n_canaries * delta * alpha)
