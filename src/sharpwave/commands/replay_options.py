"""What the user of `sharpwave replay` chooses: the run, the units, the candidate events and how they are tested."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sharpwave.night.options import option


@dataclass(frozen=True)
class ReplayOptions:
    """What the user chose.

    Attributes:
        run: The runs of the experience, each (start, end) in seconds, a text START-END or NAME=START-END, or the name
            of an epoch; also the one pair itself. Found from running where None.
        lag: Seconds that the clock of the position is late against that of the spikes.
        track_graph: File of the track's graph, where it branches.
        events: Table of candidate events (onset, duration in s).
        candidates: "ripples", "bursts" or "auto".
        surrogate: Kind of surrogates.
        n_surrogates: Number of surrogates of each event.
        statistic: Score that gives p; the default of the environment where None.
        min_units: Fewest place cells that fire in an event.
        lfp: Name or number of the LFP channel in which ripples are looked for; chosen by ripple power where None.
        position: Name of the series that is the animal's position; the best one where None.
        area: Areas whose units are used; all where empty.
        cell_type: Cell types whose units are used; all where empty.
        quality: Qualities of the sorting whose units are used; all where empty.
        seed: Seed of the surrogates.
    """

    run: Any = option(
        None,
        "A run of the experience: START-END in seconds, NAME=START-END, or the NAME of an epoch of the file. May be "
        "given several times: runs of one name are one environment [default: found from epochs and running].",
        type=list[str],
        metavar="START-END|NAME",
    )
    lag: float = option(0.0, "Seconds that the position's clock is late against the spikes'; taken off its times.")
    track_graph: Path | None = option(
        None, "Graph of a track that branches, a JSON file of nodes and edges [default: found from the movement]."
    )
    events: Path | None = option(None, "Table of your own candidate events: onset and duration in seconds.")
    candidates: str = option(
        "auto", "What the candidate events are: ripples, bursts (of spikes), or auto (ripples where there is an LFP)."
    )
    surrogate: str = option(
        "cell-identity",
        "What surrogates exchange: cell-identity. place-field, time-bin and poisson are not calibrated alone, and are "
        "paired with it: p is the larger of both.",
    )
    n_surrogates: int = option(
        500, "Number of surrogates; events that look significant get up to 20 times as many.", min=20
    )
    statistic: str | None = option(
        None,
        "Score of an event: correlation or trajectory [default: correlation on tracks, trajectory in open fields].",
    )
    min_units: int = option(5, "Smallest number of place cells that fire in an event.", min=2)
    lfp: str | None = option(
        None, "LFP channel for ripples, by name or number [default: the hippocampal one with most ripple power]."
    )
    position: str | None = option(
        None, "Name of the series that is the animal's position [default: the best; several epochs are joined]."
    )
    area: Any = option(
        None,
        "Use only units of this area, such as CA1, as the file names it. May be given several times.",
        type=list[str],
        metavar="AREA",
    )
    cell_type: Any = option(
        None,
        "Use only units of this cell type, such as pyramidal. May be given several times.",
        type=list[str],
        metavar="TYPE",
    )
    quality: Any = option(
        None,
        "Use only units of this quality of sorting, such as good. May be given several times.",
        type=list[str],
        metavar="QUALITY",
    )
    seed: int = option(0, "Seed of the surrogates.")
