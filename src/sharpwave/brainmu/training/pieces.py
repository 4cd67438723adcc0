"""Where pieces of training come from: a few hours from a random place of a random night.

A night is anything with a length and `restrict`: a `WindowedRecording` in memory, or a `StoredNight` on disk, of which
only the piece is read. A source hands out pieces; a `Mixture` of sources is a source.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np

from sharpwave.brainmu.windows import WindowedRecording
from sharpwave.errors import SharpwaveError


class Night(Protocol):
    """A recording in steps, of which a part can be had without the rest."""

    def __len__(self) -> int:
        """Number of steps."""

    def restrict(self, first: int, last: int) -> WindowedRecording:
        """Steps first to last (excluded)."""


class Source(Protocol):
    """Hands out pieces."""

    def draw(self, rng: np.random.Generator, n_steps: int) -> WindowedRecording:
        """A piece of at most `n_steps` steps; all randomness comes from `rng`."""


class Nights:
    """Pieces of these nights, every place as likely as any other; a night shorter than a piece is given whole.

    Args:
        nights: In memory or on disk.

    Raises:
        SharpwaveError: If there is no night, or none has a step.
    """

    def __init__(self, nights: Iterable[Night]) -> None:
        self.nights: Sequence[Night] = [night for night in nights if len(night)]
        if not self.nights:
            raise SharpwaveError(
                "at least one night to learn from",
                got="none",
                fix="name recordings, stores (.zarr), or folders that hold them",
            )

    def draw(self, rng: np.random.Generator, n_steps: int) -> WindowedRecording:
        """A piece of a night, which is chosen by how many places for a piece it has."""
        places = np.array([max(len(night) - n_steps, 0) + 1 for night in self.nights])
        place = int(rng.integers(places.sum()))
        which = int(np.searchsorted(np.cumsum(places), place, side="right"))
        first = place - int(places[:which].sum())
        night = self.nights[which]
        return night.restrict(first, min(first + n_steps, len(night)))


class Mixture:
    """Several sources, each drawn from in proportion to its weight.

    Args:
        parts: Sources and their weights; weights need not sum to one.

    Raises:
        SharpwaveError: If there is no source, or a weight is not positive.
    """

    def __init__(self, parts: Iterable[tuple[Source, float]]) -> None:
        pairs = list(parts)
        weights = np.array([weight for _, weight in pairs], dtype=np.float64)
        if not len(weights) or not (np.isfinite(weights) & (weights > 0)).all():
            raise SharpwaveError(
                "one positive weight per source", got=f"weights {weights.tolist()}", fix="leave out what is not wanted"
            )
        self.sources = [source for source, _ in pairs]
        self.shares = weights / weights.sum()

    def draw(self, rng: np.random.Generator, n_steps: int) -> WindowedRecording:
        """A piece of one of the sources."""
        which = int(np.searchsorted(np.cumsum(self.shares[:-1]), rng.random(), side="right"))
        return self.sources[which].draw(rng, n_steps)


class Alternation(Mixture):
    """A mixture of which every update takes one source, so that a batch holds recordings of one kind.

    Attention and encoders work on every modality of a batch for every piece: mixed batches cost several times as much.
    """

    def pick(self, rng: np.random.Generator) -> Source:
        """The source of one update."""
        which = int(np.searchsorted(np.cumsum(self.shares[:-1]), rng.random(), side="right"))
        return pick_source(self.sources[which], rng)


def pick_source(source: Source, rng: np.random.Generator) -> Source:
    """What one update draws from: what a source with `pick` picks, else the source itself."""
    pick = getattr(source, "pick", None)
    return source if pick is None else pick(rng)
