"""How units fire where they are no Poisson processes, and what the bursts hold that are no replay.

All of it is off by default: a night without it is the night that it was. What is drawn here has random streams of its
own, so that switching one thing on moves nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError

DECOYS = ("shuffled", "stationary", "jumping", "assembly", "remapped")
"""What a burst may hold that is no replay: a replay in exchanged cells; one place throughout; places that follow each
other at random; a fixed group of cells without order; a path through maps of a track that nobody ran on."""
STAY = (0.02, 0.07)
"""Seconds that a jumping burst stays at a place, on average; drawn for each burst."""
FOLLOWERS, INTERVAL = 3, (0.003, 0.008)
"""Most spikes that follow the first in a complex spike, and seconds between them; each has half the chance again."""
LEVEL_SECONDS = 2
"""Seconds for which the shared gain keeps its level."""
N_ASSEMBLIES, ASSEMBLY_SHARE, ASSEMBLY_SPIKES = 8, 0.2, 2.5
"""Groups in a night, share of the units in each, and spikes of a member in a burst."""
TRACK = 2.0
"""Metres of a track, as in `scene.TRACK_LENGTH`."""
LEAST_PATH = 0.4
"""Metres that a replay covers at least where speeds are given: a slow one then lasts longer."""


@dataclass(frozen=True)
class Firing:
    """What departs from Poisson firing and straight paths; all off by default.

    Attributes:
        decoys: Kinds of `DECOYS` that the ripples with a decoy hold, in equal shares; exchanged cells alone by default.
        bursting: Share of spikes that begin a complex spike of up to four, 3 to 8 ms apart. 0 is off.
        drift: Standard deviation of the log gain that all units share, anew every 2 s and in every burst. 0 is off.
        speed: Least and largest speed of replayed paths in m/s, log-uniform between; about 8 m/s where omitted.
        leap: Chance that a replayed path leaps once, midway, to another place of the track. 0 is off.
        bend: Largest departure from constant speed along a path, as a share of the speed (0 to 0.9). 0 is off.
        absent: Chance that a cell takes no part in a burst that holds places. 0 is off.
        second_fields: Share of place fields with a second, smaller one elsewhere on the same track. 0 is off.
        gain: Factor on the rate of a place cell in a replay; 7 by default, which makes some ten cells fire per event.

    Raises:
        SharpwaveError: If a kind is unknown or a size out of range.

    >>> Firing().decoys, Firing(speed=(3, 5)).speed
    (('shuffled',), (3, 5))
    """

    decoys: tuple[str, ...] = ("shuffled",)
    bursting: float = 0.0
    drift: float = 0.0
    speed: tuple[float, float] | None = None
    leap: float = 0.0
    bend: float = 0.0
    absent: float = 0.0
    second_fields: float = 0.0
    gain: float = 7.0

    def __post_init__(self) -> None:
        unknown = [kind for kind in self.decoys if kind not in DECOYS]
        if unknown or not self.decoys:
            raise SharpwaveError(
                f"decoys among {', '.join(DECOYS)}", got=", ".join(unknown) or "none", fix="leave decoys out"
            )
        shares = (self.bursting, self.second_fields, self.leap, self.absent, self.bend / 0.9)
        low, high = self.speed or (1.0, 1.0)
        if min(shares) < 0 or max(shares) > 1 or self.drift < 0 or self.gain <= 0 or not 0 < low <= high:
            raise SharpwaveError(
                "shares from 0 to 1, a bend up to 0.9, sizes of at least 0 and rising speeds above 0",
                got=str(self),
                fix="0 switches a departure off",
            )


PLAIN = Firing()
"""Poisson units, straight paths, and decoys of exchanged cells."""


def assign_decoys(ripples: pd.DataFrame, firing: Firing, *, rng: np.random.Generator) -> pd.DataFrame:
    """The ripples whose decoys are of the kinds that are asked for, and paths at the speeds that are.

    Args:
        ripples: From `draw_ripples`.
        firing: What departs.
        rng: Random generator.
    """
    if firing.decoys == PLAIN.decoys and firing.speed is None:
        return ripples
    table, n = ripples.copy(), len(ripples)
    kinds = rng.choice(np.array(firing.decoys, dtype=object), n)
    table["kind"] = np.where(table["kind"] == "shuffled", kinds, table["kind"])
    if firing.speed is not None:
        table = _set_speeds(table, firing.speed, rng)
    stays, placeless = table["kind"] == "stationary", table["kind"].isin(("jumping", "assembly"))
    place = np.where(stays, rng.uniform(0.0, TRACK, n), np.nan)
    for column in ("position_start", "position_end"):
        table[column] = np.where(stays | placeless, place, table[column])
    table["speed"] = np.where(stays, 0.0, np.where(placeless, np.nan, table["speed"]))
    return table


def _set_speeds(table: pd.DataFrame, speeds: tuple[float, float], rng: np.random.Generator) -> pd.DataFrame:
    """Paths at those speeds that stay on the track; events last as long as their paths."""
    speed = np.exp(rng.uniform(np.log(speeds[0]), np.log(speeds[1]), len(table)))
    sequence = table["position_start"].notna().to_numpy()
    duration = table["duration"].to_numpy(float)
    distance = np.clip(speed * duration, LEAST_PATH, 0.95 * TRACK)
    low = rng.random(len(table)) * (TRACK - distance)
    rising = (table["position_end"] > table["position_start"]).to_numpy()
    start, end = np.where(rising, low, low + distance), np.where(rising, low + distance, low)
    table["duration"] = np.where(sequence, np.clip(distance / speed, 0.04, 0.6), duration)
    table["position_start"] = np.where(sequence, start, np.nan)
    table["position_end"] = np.where(sequence, end, np.nan)
    table["speed"] = np.where(sequence, distance / table["duration"], np.nan)
    return table


def draw_positions(
    ripples: pd.DataFrame, n_bins: int, firing: Firing, *, rng: np.random.Generator
) -> Float[np.ndarray, "event bin"]:
    """Where each event is in each of its bins, in metres; NaN where it holds no place.

    Args:
        ripples: Ripples with their paths.
        n_bins: Bins of an event.
        firing: What departs.
        rng: Random generator.
    """
    share = (np.arange(n_bins) + 0.5) / n_bins
    start, end = ripples["position_start"].to_numpy(float), ripples["position_end"].to_numpy(float)
    n = len(ripples)
    bend = firing.bend * rng.uniform(-1, 1, (n, 1)) * np.sin(2 * np.pi * share) / (2 * np.pi)
    path = start[:, None] + (end - start)[:, None] * (share + bend)
    kind = ripples["kind"].to_numpy()
    after = share >= rng.uniform(0.3, 0.7, (n, 1))
    leaps = (rng.random(n) < firing.leap) & (kind == "replay")
    path = np.where(after & leaps[:, None], (path + rng.uniform(0.3, 0.7, (n, 1)) * TRACK) % TRACK, path)
    jumps = np.flatnonzero(kind == "jumping")
    stay = rng.uniform(*STAY, len(jumps))
    chance = np.clip(ripples["duration"].to_numpy(float)[jumps] / n_bins / stay, 0, 1)
    moved = rng.random((len(jumps), n_bins)) < chance[:, None]
    rows = rng.uniform(0.0, TRACK, (len(jumps), n_bins))
    last = np.maximum.accumulate(np.where(moved, np.arange(n_bins), 0), axis=1)
    path[jumps] = np.take_along_axis(rows, last, axis=1)
    return path


def add_second_fields(
    maps: Float[np.ndarray, "unit track direction bin"], share: float, *, rng: np.random.Generator
) -> Float[np.ndarray, "unit track direction bin"]:
    """The maps, some with the same field again, three fifths as high, elsewhere on the track.

    Args:
        maps: Rate in Hz by unit, track, direction and place.
        share: Share of fields that have a second.
        rng: Random generator.
    """
    if not share:
        return maps
    n_bins = maps.shape[-1]
    shift = rng.integers(n_bins // 4, 3 * n_bins // 4, maps.shape[:-1])
    moved = np.take_along_axis(maps, (np.arange(n_bins) - shift[..., None]) % n_bins, axis=-1)
    twice = rng.random(maps.shape[:-1]) < share
    return np.where(twice[..., None], maps + 0.6 * (moved - moved.min(axis=-1, keepdims=True)), maps)


def draw_levels(n_seconds: int, drift: float, *, rng: np.random.Generator) -> Float[np.ndarray, " second"]:
    """Shared gain of all units, second by second, anew every `LEVEL_SECONDS`."""
    pieces = rng.standard_normal(n_seconds // LEVEL_SECONDS + 1)
    return np.exp(drift * np.repeat(pieces, LEVEL_SECONDS))[:n_seconds]


def add_complex_spikes(
    times: Float[np.ndarray, " spike"], share: float, *, rng: np.random.Generator
) -> Float[np.ndarray, " more"]:
    """The spikes, some followed by up to `FOLLOWERS` more.

    Args:
        times: Spike times in s.
        share: Share of spikes that are followed.
        rng: Random generator.
    """
    parts, last = [times], times[rng.random(len(times)) < share]
    for _ in range(FOLLOWERS):
        last = last + rng.uniform(*INTERVAL, len(last))
        parts.append(last)
        last = last[rng.random(len(last)) < 0.5]
    return np.sort(np.concatenate(parts))


def draw_assemblies(n_units: int, n_events: int, *, rng: np.random.Generator) -> Float[np.ndarray, "event unit"]:
    """Spikes that each unit is expected to fire in each event, if a group of cells without order fires in it."""
    groups = rng.random((N_ASSEMBLIES, n_units)) < max(ASSEMBLY_SHARE, 6 / n_units)
    spikes = ASSEMBLY_SPIKES * rng.lognormal(0, 0.4, (N_ASSEMBLIES, n_units))
    return (groups * spikes)[rng.integers(N_ASSEMBLIES, size=n_events)]


def remap(cells_maps: Float[np.ndarray, "unit track direction bin"], *, rng: np.random.Generator) -> np.ndarray:
    """Maps of tracks that nobody ran on: those of other cells, each moved along the track by its own distance."""
    order = rng.permutation(len(cells_maps))
    shift = rng.integers(cells_maps.shape[-1], size=cells_maps.shape[:-1])
    bins = (np.arange(cells_maps.shape[-1]) - shift[..., None]) % cells_maps.shape[-1]
    return np.take_along_axis(cells_maps[order], bins, axis=-1)
