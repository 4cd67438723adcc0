"""How much the weights of one run tell of who was in it: an audit by canaries (Steinke, Nasr & Jagielski 2023).

Each of many canaries is in the data with probability one half. Each is an input of its own, so that what was
learned of one shows in one weight alone: the worst case. Those with the lowest losses are guessed to have been in, the
highest out; the more guesses are right, the larger ε must be (arXiv:2305.08846, theorem 5.2).
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import binom
from torch import nn

from sharpwave.consolidation import Private, ReplayBuffer, Sleep
from sharpwave.consolidation.accounting import Use, compute_epsilon

DELTA = 1e-5
N_CANARIES, N_GUESSES = 400, 100
BATCH, CAPACITY, N_WAKE, N_NIGHT, NOISE = 60, 256, 2, 150, 1.5
CONFIDENCE = 0.95
BRIGHTNESS, RATE = 10.0, 0.05

N_SHORT = 20
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
    """

    claimed: float
    found: float
    right: float


def audit(seed: int, *, broken: str = "", dreams: bool = False, n_night: int = N_NIGHT) -> Audit:
    """One run of wake and a night from the buffer, and what it tells of its canaries.

    Args:
        seed: Seed of canaries, draws and noise.
        broken: One of `BREAKS`, or empty, the default, for what is.
        dreams: Whether the night dreams, for nothing, in place of replaying the buffer; default false.
        n_night: Steps of the night from the buffer; default 150.
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
    claimed = compute_epsilon([wake] if broken == "night not counted" else [wake, night], DELTA)
    if not broken:
        claimed = sleep.private.spent
    order = torch.argsort(model.weight[1] - model.weight[0]).numpy()
    half = N_GUESSES // 2
    n_right = int(is_in.numpy()[order[-half:]].sum() + (~is_in.numpy()[order[:half]]).sum())
    return Audit(claimed, find_bound(n_right), n_right / N_GUESSES)


def find_bound(
    n_right: int, *, n_guesses: int = N_GUESSES, n_canaries: int = N_CANARIES, delta: float = DELTA
) -> float:
    """The largest ε that so many right guesses refute, with 95 % confidence; 0 where they refute none.

    Args:
        n_right: Number of right guesses.
        n_guesses: Number of guesses; default 100.
        n_canaries: Number of canaries; default 400.
        delta: δ; default 1e-5.

    Example:
        >>> find_bound(50), round(find_bound(100), 1)
        (0.0, 3.4)
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
