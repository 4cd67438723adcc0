"""Sessions with and without replay from two generators, as `replay-null` tests them.

The first world is the simulator that ships, the second `benchmarks.second_world`, which shares no code with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sharpwave.benchmarks.second_world.sessions import SessionOptions, draw_session, to_recording
from sharpwave.recordings import Recording
from sharpwave.simulation import Effects, Nuisance, simulate_night
from sharpwave.simulation.firing import Firing

FIRST, SECOND = "first world (simulated rat)", "second world"

Draw = Callable[[np.random.Generator], tuple[Recording, pd.DataFrame | None]]


@dataclass(frozen=True)
class World:
    """One kind of session.

    Attributes:
        data: Name of the generator.
        setting: What the bursts after the run are.
        draw: Draws a session from a generator of random numbers: recording, and its events after the run where they
            are known (else bursts are detected).
    """

    data: str
    setting: str
    draw: Draw


def draw_second(mix: dict[str, float], *, n_cells: int = 40, after: float = 260.0) -> Draw:
    """Sessions of the second world, candidates left to the detector of bursts.

    Args:
        mix: Share of each kind among the bursts after the run.
        n_cells: Number of cells; 40 by default.
        after: Rest after the run, in s; 260 s by default.
    """

    def draw(rng: np.random.Generator) -> tuple[Recording, pd.DataFrame | None]:
        options = SessionOptions(n_cells=n_cells, before=5, run=300, after=after, event_rate=0.6, mix=mix)
        return to_recording(draw_session(options, rng=rng)), None

    return draw


def draw_first(*, replay_share: float = 0.0, decoys: tuple[str, ...] = (), hours: float = 0.35) -> Draw:
    """Sessions of the first world: sleep after a run on one track, cells that burst and drift; ripples are candidates.

    Args:
        replay_share: Share of ripples that carry a replay; none by default.
        decoys: What six in ten of the others hold (`simulation.firing.DECOYS`), in equal shares; where omitted, no
            ripple holds anything.
        hours: Length of the session, in h; 0.35 h by default.
    """

    def draw(rng: np.random.Generator) -> tuple[Recording, pd.DataFrame | None]:
        recording, truth = simulate_night(
            "rat",
            hours,
            rng=rng,
            modalities=("spikes", "position"),
            contents=("track",),
            n_units=40,
            task_start=10.0,
            effects=Effects(replay_share=replay_share),
            nuisance=Nuisance(decoys=0.6 if decoys else 0.0),
            firing=Firing(decoys=decoys or ("shuffled",), bursting=0.3, drift=0.4, second_fields=0.25),
        )
        end = float((truth.laps["onset"] + truth.laps["duration"]).max())
        return recording, truth.ripples[truth.ripples["onset"] > end].reset_index(drop=True)

    return draw


MIXED = {"stationary": 0.3, "remapped": 0.3, "assembly": 0.2, "random": 0.2}

NULLS: tuple[World, ...] = (
    World(SECOND, "bursts without place", draw_second({"random": 1.0})),
    World(SECOND, "bursts at one place", draw_second({"stationary": 0.6, "random": 0.4})),
    World(SECOND, "bursts of assemblies", draw_second({"assembly": 1.0})),
    World(SECOND, "Poisson bursts", draw_second({"poisson": 1.0})),
    World(SECOND, "remapped fields", draw_second({"remapped": 1.0})),
    World(SECOND, "all of these mixed", draw_second(MIXED)),
    World(SECOND, "few cells (20), mixed", draw_second(MIXED, n_cells=20, after=400.0)),
    World(FIRST, "bursts without place", draw_first()),
    World(FIRST, "bursts at one place", draw_first(decoys=("stationary",))),
    World(FIRST, "bursts of assemblies", draw_first(decoys=("assembly",))),
    World(FIRST, "remapped fields", draw_first(decoys=("remapped",))),
    World(FIRST, "sequences of exchanged cells", draw_first(decoys=("shuffled",))),
    World(FIRST, "all of these mixed", draw_first(decoys=("stationary", "assembly", "remapped", "shuffled"))),
)
"""Sessions without replay that the calibration is claimed for."""

BEYOND: tuple[World, ...] = (World(SECOND, "bursts that jump between places", draw_second({"jumping": 1.0})),)
"""Sessions without a path that the calibration is not claimed for: each moment is decodable, and place jumps."""

A_FIFTH = {"replay": 0.2} | {kind: 0.8 * share for kind, share in MIXED.items()}

POWER: tuple[World, ...] = (
    World(SECOND, "a fifth replays", draw_second({"replay": 0.2, "random": 0.8}, after=1300.0)),
    World(SECOND, "a fifth replays, the rest mixed", draw_second(A_FIFTH, after=1150.0)),
    World(FIRST, "a fifth replays", draw_first(replay_share=0.2, hours=0.75)),
)
"""Sessions with replays, of about 500 candidates."""
