"""How sessions of the second world are drawn: kinds of population bursts, and what is chosen of a session."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sharpwave.errors import SharpwaveError

KINDS: dict[str, str] = {
    "replay": "a path along the track at one speed, in either running direction's fields, forward or backward",
    "stationary": "one place throughout, decodable and going nowhere",
    "jumping": "decodable at each moment, another place at random every 30 to 60 ms",
    "remapped": "a path as of replays, along the fields of a track that the animal never ran on",
    "random": "cells join by chances of their own, and fire where in the event it falls",
    "assembly": "one of a few fixed groups of cells, in no order",
    "poisson": "every cell fires at a multiple of its mean rate",
}
"""Kinds of population bursts."""

STEP = 0.002
"""Step of the paths in events, in s."""

FRAMES = 40.0
"""Samples of position per second."""

N_PLACES = 120


@dataclass(frozen=True, kw_only=True)
class SessionOptions:
    """How a session is drawn.

    Attributes:
        n_cells: Number of cells; 45 by default.
        before: Rest before the run, in s; 300 s by default.
        run: Time on the track, in s; 600 s by default.
        after: Rest after the run, in s; 600 s by default.
        track_length: Length of the track in m; 2 m by default.
        event_rate: Population bursts per second of rest; 0.5 by default.
        mix: Share of each kind (a key of `KINDS`) among the bursts after the run; a fifth replays by default.
        mix_before: The same before the run; random bursts alone by default.
        speed: Slowest and fastest replay in m/s, log-uniform between; 3 to 20 m/s by default.
        least_distance: Shortest way that a replay goes, in m; 0.6 m by default.
        jump: Chance that a replay jumps once to another place; 0.15 by default.
        gain: Factor on the rates of the fields in bursts; 5 by default.
        absent: Chance that a cell takes no part in a burst of the place kinds; 0.2 by default.
        noise: Stray spikes per cell in a burst of the place kinds; 0.05 by default.
        bursting: Share of spikes that start a complex spike of up to five; 0.3 by default, 0 for none.
        refractory: Shortest interval between a cell's spikes, in s; 0.002 s by default.
        drift: Standard deviation of the log of the shared gain in rest, and half of it of each cell's excitability;
            0.4 by default.
        second_field: Chance of a second field in a map; 0.25 by default.

    Raises:
        SharpwaveError: If a kind is unknown or no shares are given.
    """

    n_cells: int = 45
    before: float = 300.0
    run: float = 600.0
    after: float = 600.0
    track_length: float = 2.0
    event_rate: float = 0.5
    mix: Mapping[str, float] = field(default_factory=lambda: {"replay": 0.2, "random": 0.8})
    mix_before: Mapping[str, float] = field(default_factory=lambda: {"random": 1.0})
    speed: tuple[float, float] = (3.0, 20.0)
    least_distance: float = 0.6
    jump: float = 0.15
    gain: float = 5.0
    absent: float = 0.2
    noise: float = 0.05
    bursting: float = 0.3
    refractory: float = 0.002
    drift: float = 0.4
    second_field: float = 0.25

    def __post_init__(self) -> None:
        for mix in (self.mix, self.mix_before):
            if not mix or set(mix) - set(KINDS) or not sum(mix.values()) > 0:
                raise SharpwaveError(
                    f"shares of kinds among {', '.join(KINDS)}", got=repr(dict(mix)), fix='such as {"replay": 1.0}'
                )
