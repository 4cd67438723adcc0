"""The experience of a session: when the animal ran on which track, and the place fields of each.

A session may hold several runs. Runs of one name are one environment, with maps of its own; runs of other names are
other environments. What lies between two runs is rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.branching import find_track_graph, linearise_on_graph
from sharpwave.reactivation.place_fields import (
    SINGLE,
    PlaceFields,
    estimate_place_fields,
    make_fields,
    mark_within,
    select_place_cells,
)
from sharpwave.reactivation.position import (
    Position,
    convert_metres,
    find_runs,
    get_position,
    linearise,
    mark_running,
    restrict_position,
    select_samples,
)
from sharpwave.reactivation.runs import Run, RunChoice, choose_runs
from sharpwave.reactivation.tracks import TrackGraph
from sharpwave.recordings import Recording

ON_A_LINE = 0.8
"""Share of the movement's variance along one axis from which an environment counts as a track."""


@dataclass(frozen=True, eq=False)
class Environment:
    """What the animal did in one environment.

    Attributes:
        name: Name of the environment.
        path: Position within its runs, along the track where there is one.
        laps: Traversals: onset, duration, run_direction, and content where the recording names tracks; None in an open
            field.
    """

    name: str
    path: Position
    laps: pd.DataFrame | None


@dataclass(frozen=True, eq=False)
class Experience:
    """What the animal did, and what its units said of it.

    Attributes:
        start: Start of the first run, in s.
        end: End of the last run, in s.
        fields: Place fields of the place cells alone.
        position: Position in the whole session, in the coordinates of the tracking; None where place fields came
            without.
        notes: Sentences that say what was chosen.
        runs: The runs, in order of time.
        environments: The environments that the fields were estimated in.
    """

    start: float
    end: float
    fields: PlaceFields
    position: Position | None
    notes: tuple[str, ...]
    runs: tuple[Run, ...] = ()
    environments: tuple[Environment, ...] = ()


def find_experience(
    recording: Recording, *, run: RunChoice | None = None, lag: float = 0.0, graph: TrackGraph | None = None
) -> Experience:
    """Place fields from the running of a session, or from the rate map that its source gives instead.

    A table of laps among the recording's events (columns content and run_direction) distinguishes tracks and
    directions; without one, traversals are found from the position.

    Args:
        recording: Recording with spikes, and with a position or `metadata["rate_map"]` (unit, place).
        run: Start and end of the experience in s, or several runs (see `RunChoice`). Where omitted: the named epochs in
            which the animal ran, where the file names several; else from the first to the last traversal.
        lag: Seconds that the clock of the position is late against that of the spikes; they are taken off its times.
        graph: The track, where it branches (`read_track_graph`); found from the movement where omitted.

    Raises:
        SharpwaveError: If there is neither, no running, or fewer than `MIN_CELLS` place cells.
    """
    if not recording.of("position") and "rate_map" in recording.metadata:
        rates = np.asarray(recording.metadata["rate_map"], dtype=float)
        units = tuple(int(unit) for unit in recording.spikes) if recording.spikes is not None else ()
        note = "Place fields are the source's rate map, taken as one track: its positions are not described."
        return Experience(0.0, 0.0, select_place_cells(make_fields(rates, units)), None, (note,))
    position = get_position(recording)
    events, notes = recording.events, [*position.notes]
    if lag:
        position = replace(position, times=position.times - lag)
        notes.append(f"{lag:g} s were taken off the times of the position (--lag).")
    runs = choose_runs(events, position, run)
    if len(runs) > 1:
        notes.append(f"Runs: {'; '.join(f'{each.name} from {each.start:g} to {each.end:g} s' for each in runs)}.")
    laps = _read_laps(events, lag)
    environments = []
    for name in dict.fromkeys(each.name for each in runs) or [SINGLE]:
        own = [each for each in runs if each.name == name]
        environment, said = _find_environment(name, position, own, laps, several=len(runs) > 1, graph=graph)
        environments.append(environment)
        notes += [f"{name}: {words[:1].lower()}{words[1:]}" if len(runs) > 1 else words for words in said]
    if not runs:
        start, end = _find_span(environments[0])
        runs = [Run(SINGLE, start, end)]
        environments = [replace(environments[0], path=restrict_position(environments[0].path, start, end))]
    fields = _estimate_fields(recording, environments)
    chosen = select_place_cells(fields)
    notes.append(f"{len(chosen.units)} of {len(fields.units)} units have a place field.")
    start, end = runs[0].start, max(each.end for each in runs)
    return Experience(start, end, chosen, position, tuple(notes), tuple(runs), tuple(environments))


def name_epochs(events: pd.DataFrame, experience: Experience) -> pd.Series:
    """For each event "before", "during" or "after" the experience.

    "rest" is between two of its runs, or where the time of the experience is not known.
    """
    if experience.position is None:
        return pd.Series("rest", index=events.index)
    middle = (events["onset"] + events["duration"] / 2).to_numpy()
    inside = np.zeros(len(middle), dtype=bool)
    for run in experience.runs or (Run(SINGLE, experience.start, experience.end),):
        inside |= (middle >= run.start) & (middle <= run.end)
    names = np.select(
        [middle < experience.start, inside, middle > experience.end], ["before", "during", "after"], "rest"
    )
    return pd.Series(names, index=events.index)


def _find_environment(
    name: str,
    position: Position,
    runs: list[Run],
    laps: pd.DataFrame | None,
    *,
    several: bool,
    graph: TrackGraph | None,
) -> tuple[Environment, list[str]]:
    """The path through one environment, its traversals, and what was chosen."""
    spans = pd.DataFrame({"onset": [run.start for run in runs], "duration": [run.end - run.start for run in runs]})
    if several:  # each environment has an axis of its own; the end of a run belongs to it
        inside = mark_within(position.times, spans)
        position = select_samples(position, inside)
    path, notes = follow(position, graph=graph)
    if laps is None and path.dimension == 1:
        laps = find_runs(path)
        laps = laps.assign(run_direction=np.where(laps["direction"] > 0, "outbound", "inbound"))
    if runs:
        path = select_samples(path, mark_within(path.times, spans))
        if laps is not None:
            laps = laps[mark_within(laps["onset"].to_numpy(float), spans)].reset_index(drop=True)
    return Environment(name, path, laps), notes


def follow(position: Position, *, graph: TrackGraph | None = None) -> tuple[Position, list[str]]:
    """Position along the track where there is one, else as it is, and a sentence that says so.

    Args:
        position: Position in one or two dimensions.
        graph: The track, where it is known; found from the movement where omitted.
    """
    if graph is not None:
        return linearise_on_graph(position, graph), [f"Position was laid on the track graph given: {graph.describe()}."]
    if position.dimension == 1:
        return position, []
    along = linearise(position)
    straight = along.explained >= ON_A_LINE
    found, why = _try_graph(position)
    if found is not None and not (straight and _is_line(found, along)):
        return linearise_on_graph(position, found), [
            f"The track was found from the movement: {found.describe()}. Position is that along it; --track-graph "
            "gives another."
        ]
    if straight:
        return along, [f"Position was projected on a line, along which {along.explained:.0%} of the movement lies."]
    return position, [f"Two-dimensional place fields: {along.explained:.0%} of the movement lies along one line{why}."]


def _try_graph(position: Position) -> tuple[TrackGraph | None, str]:
    """The graph of a maze that can be seen in the movement; else why there is none."""
    if position.dimension != 2:
        return None, ""
    try:
        return find_track_graph(position), ""
    except SharpwaveError as error:
        return None, f"; no track of narrow paths: {error.got}"


def _is_line(graph: TrackGraph, along: Position) -> bool:
    """Whether a graph adds nothing to the straight line: no branch, or branches that are short against it."""
    branches = np.bincount(np.array(graph.edges).ravel()).max() > 2 or len(graph.edges) >= len(graph.nodes)
    return not branches or graph.length < 1.25 * float(np.ptp(along.values))


def _read_laps(events: pd.DataFrame, lag: float) -> pd.DataFrame | None:
    """The recording's own table of laps, on the clock of the spikes."""
    if {"content", "run_direction"} <= set(events.columns) and events["run_direction"].isin(("outbound",)).any():
        laps = events[events["run_direction"].isin(("outbound", "inbound"))].reset_index(drop=True)
        return laps.assign(onset=laps["onset"] - lag)
    return None


def _find_span(environment: Environment) -> tuple[float, float]:
    path, laps = environment.path, environment.laps
    if laps is not None and len(laps):
        return float(laps["onset"].min()), float((laps["onset"] + laps["duration"]).max())
    moving = path.times[mark_running(path)]
    if laps is not None or not len(moving):
        raise SharpwaveError(
            "running, from which the experience is found",
            got="no traversal of the track",
            fix="give its start and end: --run START-END",
        )
    return float(moving[0]), float(moving[-1])


def _estimate_fields(recording: Recording, environments: Sequence[Environment]) -> PlaceFields:
    """Place fields of all environments; several are all in two dimensions where one of them is."""
    dimensions = {environment.path.dimension for environment in environments}
    if len(dimensions) > 1:
        raise SharpwaveError(
            "runs that are all on tracks, or all in open fields",
            got="both: " + ", ".join(f"{each.name} in {each.path.dimension}" for each in environments) + " dimensions",
            fix="analyse them one by one: --run NAME or --run START-END",
        )
    sizes = [convert_metres(0.04, environment.path) for environment in environments]
    parts = []
    for environment in environments:
        one = estimate_place_fields(
            recording.spikes,
            environment.path,
            epochs=environment.laps,
            bin_size=max(sizes) if len(environments) > 1 else None,
        )
        parts.append(
            replace(one, contents=(environment.name,)) if len(one.contents) == 1 and one.contents[0] == SINGLE else one
        )
    return join_fields(parts)


def join_fields(parts: Sequence[PlaceFields]) -> PlaceFields:
    """Place fields of several environments as one; contents of one name are one.

    Args:
        parts: Fields of the same units, in one unit of length and with places of one size.
    """
    if len(parts) == 1:
        return parts[0]
    contents = tuple(dict.fromkeys(name for part in parts for name in part.contents))
    number = [np.array([contents.index(name) for name in part.contents])[part.content] for part in parts]
    return replace(
        parts[0],
        rates=np.concatenate([part.rates for part in parts], axis=1),
        contents=contents,
        content=np.concatenate(number),
        direction=np.concatenate([part.direction for part in parts]),
        position=np.concatenate([part.position for part in parts]),
        occupancy=np.concatenate([part.occupancy for part in parts]),
        distances=_join_distances(parts, np.concatenate(number)),
    )


def _join_distances(parts: Sequence[PlaceFields], content: np.ndarray) -> Float[np.ndarray, "place place"] | None:
    if all(part.distances is None for part in parts):
        return None
    found, low = np.full((len(content), len(content)), np.inf), 0
    for part in parts:
        high = low + len(part.content)
        own = np.abs(part.position[:, 0][:, None] - part.position[:, 0]) if part.distances is None else part.distances
        found[low:high, low:high] = own
        low = high
    return np.where(content[:, None] == content, found, np.inf)
