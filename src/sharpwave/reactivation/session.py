"""A whole session: place fields, candidate events, what each replays, and which exceed chance before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.candidates import count_activity, find_candidates, keep_active
from sharpwave.reactivation.counts import BinnedEvents, bin_events
from sharpwave.reactivation.evidence import (
    FEWEST,
    Evidence,
    control_epochs,
    describe_resolution,
    tabulate_tests,
    weigh_events,
)
from sharpwave.reactivation.order import OrderScores
from sharpwave.reactivation.place_fields import PlaceFields, estimate_place_fields, make_fields, select_place_cells
from sharpwave.reactivation.position import (
    Position,
    find_runs,
    get_position,
    linearise,
    mark_running,
    restrict_position,
)
from sharpwave.reactivation.sequence_scores import STATISTICS
from sharpwave.reactivation.significance import LEVEL, rank_among_controls
from sharpwave.reactivation.state_space import decode_events
from sharpwave.recordings import Recording

SCORE_BIN, DECODE_BIN = 0.02, 0.005
"""Bins in s: of the scores (Davidson et al. 2009), and of the decoder that reads content, direction and path."""

STEPS = ("place fields", "candidates", "surrogates", "decoding")
Progress = Callable[[str, int, int], None]

ON_A_LINE = 0.8
"""Share of the movement's variance along one axis from which an environment counts as a track."""


@dataclass(frozen=True, eq=False)
class ReplaySession:
    """What was found in a session.

    Attributes:
        events: One row per candidate event, see `COLUMNS` in `sharpwave.commands.replay`.
        tests: One row per epoch: n_events, share with p at or below the level, expected of surrogates with low and
            high (95 %), p, n_significant (q at or below the level); last "after less before", where both are there.
        experience: Place fields and when they were made.
        binned: Spikes of the events in bins of `DECODE_BIN`, in their order.
        evidence: Events against their surrogates.
        settings: Everything that was chosen.
        notes: Sentences on how low p can be, and where that forbids a discovery.
    """

    events: pd.DataFrame
    tests: pd.DataFrame
    experience: Experience
    binned: BinnedEvents
    evidence: Evidence
    settings: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> OrderScores:
        """The gains, by the name that they had; to be deleted with version 0.3."""
        moved.warn("session.scores", "session.evidence.order")
        return self.evidence.order


def analyse_session(
    recording: Recording,
    *,
    rng: np.random.Generator,
    run: tuple[float, float] | None = None,
    events: pd.DataFrame | None = None,
    source: str = "auto",
    surrogate: str = "cell-identity",
    n_surrogates: int = 500,
    statistic: str | None = None,
    bin_size: float = SCORE_BIN,
    min_units: int = 5,
    progress: Progress | None = None,
) -> ReplaySession:
    """Find the replays of a session.

    Args:
        recording: Recording with spikes, and with the position of an experience (or its source's rate map).
        rng: Random generator of the surrogates.
        run: Start and end of the experience in s; found from running where omitted.
        events: The user's candidate events (onset, duration in s); detected where omitted. False discoveries are
            controlled in each epoch, so that true events after the experience make none before it significant.
        source: Source of the candidates: "ripples", "bursts", or "auto": ripples where an LFP allows, else bursts.
        surrogate: Kind of surrogate, a key of `SURROGATES`.
        n_surrogates: Number of surrogates; 500 by default, and up to 20 times as many for promising events.
        statistic: Statistic whose gain gives p, one of `STATISTICS`; correlation on tracks, else trajectory.
        bin_size: Length of the bins of the scores, in s; 0.02 s by default.
        min_units: Fewest units with place fields that fire in an event; 5 by default.
        progress: Function called with (step, number of steps done, number of steps).

    Raises:
        SharpwaveError: If there is no experience, no place cell, or no candidate event.

    >>> import pynapple as nap
    >>> onsets, middles = np.arange(20.0), np.linspace(0, 19, 10)[:, None]
    >>> rates = 0.1 + 20 * np.exp(-0.5 * ((np.arange(20) - middles) / 1.5) ** 2)
    >>> spikes = nap.TsGroup({unit: nap.Ts(onsets + 0.01 + 0.02 * unit) for unit in range(10)})
    >>> recording = Recording(spikes=spikes, metadata={"rate_map": rates})
    >>> events = pd.DataFrame({"onset": onsets, "duration": 0.2})
    >>> int(analyse_session(recording, rng=np.random.default_rng(0), events=events).events["significant"].sum())
    20
    """
    step = _Stepper(progress)
    step("place fields")
    experience = find_experience(recording, run=run)
    fields = experience.fields
    statistic = _choose_statistic(fields) if statistic is None else statistic
    step("candidates")
    found, n_found = _find_events(recording, experience, events, source=source, min_units=min_units)
    step("surrogates")
    chosen: dict[str, Any] = {
        "statistic": statistic,
        "surrogate": surrogate,
        "n_surrogates": n_surrogates,
        "bin_size": bin_size,
    }
    evidence = weigh_events(recording.spikes, found, fields, **chosen, rng=rng)
    step("decoding")
    fine = bin_events(recording.spikes, found, bin_size=DECODE_BIN, units=fields.units)
    epoch = name_epochs(found, experience)
    table = _assemble(found, decode_events(fine, fields).table, epoch, evidence)
    step("done")
    settings = _list_settings(recording, experience, evidence, bin_size, min_units, n_found)
    tests = tabulate_tests(epoch, table["significant"].to_numpy(), evidence)
    notes = tuple(describe_resolution(epoch, evidence))
    return ReplaySession(table, tests, experience, fine, evidence, settings, notes)


def _find_events(
    recording: Recording, experience: Experience, given: pd.DataFrame | None, *, source: str, min_units: int
) -> tuple[pd.DataFrame, int]:
    """The candidates in which enough place cells fire, and how many candidates there were."""
    if given is None and experience.position is None and len(recording.events):
        given = recording.events
    found = find_candidates(recording, source=source, given=given, position=experience.position, min_units=min_units)
    active = keep_active(count_activity(recording.spikes, found, units=experience.fields.units), min_units)
    if not len(active):
        raise SharpwaveError(
            f"candidate events in which {min_units} place cells fire",
            got=f"none among {len(found)} candidates",
            fix="give your own with --events, or take candidates from the other source",
        )
    return active, len(found)


def _choose_statistic(fields: PlaceFields) -> str:
    return "correlation" if fields.position.shape[1] == 1 else "trajectory"


def _list_settings(
    recording: Recording,
    experience: Experience,
    evidence: Evidence,
    bin_size: float,
    min_units: int,
    n_candidates: int,
) -> dict[str, Any]:
    """Everything that was chosen, as the page and the summary show it."""
    fields = experience.fields
    return {
        "surrogate": evidence.surrogate,
        "n_surrogates": len(evidence.order.surrogates),
        "most_surrogates": int(evidence.n_draws.max()),
        "statistic": evidence.order.statistic,
        "bin_size_s": bin_size,
        "decoder_bin_size_s": DECODE_BIN,
        "min_units": min_units,
        "n_candidates": n_candidates,
        "level": LEVEL,
        "n_units": len(recording.spikes) if recording.spikes is not None else 0,
        "n_place_cells": len(fields.units),
        "n_places": len(fields.position),
        "contents": list(fields.contents),
        "experience_start_s": experience.start,
        "experience_end_s": experience.end,
    }


def name_epochs(events: pd.DataFrame, experience: Experience) -> pd.Series:
    """For each event "before", "during" or "after" the experience, or "rest" where its time is not known."""
    if experience.position is None:
        return pd.Series("rest", index=events.index)
    middle = events["onset"] + events["duration"] / 2
    names = np.select([middle < experience.start, middle <= experience.end], ["before", "during"], "after")
    return pd.Series(names, index=events.index)


def _assemble(found: pd.DataFrame, decoded: pd.DataFrame, epoch: pd.Series, evidence: Evidence) -> pd.DataFrame:
    p, z = evidence.p, evidence.z
    q = control_epochs(p, epoch)
    before = (epoch == "before").to_numpy()
    control: dict[str, Any] = {"p_control": rank_among_controls(z, before)} if before.sum() >= FEWEST else {}
    measured = [str(name) for name in decoded if name not in ("onset", "duration", "content", "direction")]
    heading = {0: "outbound", 1: "inbound"}
    return pd.DataFrame(
        {
            "onset": found["onset"],
            "duration": found["duration"],
            "label": np.where(q <= LEVEL, "reactivation", "candidate"),
            "content": decoded["content"],
            "run_direction": [heading.get(int(code), "") for code in decoded["direction"]],
            "epoch": epoch,
            "source": found["source"],
            "significant": q <= LEVEL,
            "p": p,
            "q": q,
            **control,
            "z": z,
            "n_surrogates": evidence.n_draws,
            **{name: evidence.order.raw[:, index] for index, name in enumerate(STATISTICS)},
            **{name: decoded[name] for name in measured},
        }
    )


class _Stepper:
    """Says which of `STEPS` is under way."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress

    def __call__(self, step: str) -> None:
        if self._progress is not None:
            self._progress(step, STEPS.index(step) if step in STEPS else len(STEPS), len(STEPS))


@dataclass(frozen=True, eq=False)
class Experience:
    """What the animal did, and what its units said of it.

    Attributes:
        start: Start of the experience, in s.
        end: End of the experience, in s.
        fields: Place fields of the place cells alone.
        position: Position in the whole session, in the coordinates of the tracking; None where place fields came
            without.
        notes: Sentences that say what was chosen.
    """

    start: float
    end: float
    fields: PlaceFields
    position: Position | None
    notes: tuple[str, ...]


def find_experience(recording: Recording, *, run: tuple[float, float] | None = None) -> Experience:
    """Place fields from the running of a session, or from the rate map that its source gives instead.

    A table of laps among the recording's events (columns content and run_direction) distinguishes tracks and
    directions; without one, traversals are found from the position.

    Args:
        recording: Recording with spikes, and with a position or `metadata["rate_map"]` (unit, place).
        run: Start and end of the experience in s; from the first to the last traversal where omitted.

    Raises:
        SharpwaveError: If there is neither, no running, or fewer than `MIN_CELLS` place cells.
    """
    if not recording.of("position") and "rate_map" in recording.metadata:
        rates = np.asarray(recording.metadata["rate_map"], dtype=float)
        units = tuple(int(unit) for unit in recording.spikes) if recording.spikes is not None else ()
        note = "Place fields are the source's rate map, taken as one track: its positions are not described."
        return Experience(0.0, 0.0, select_place_cells(make_fields(rates, units)), None, (note,))
    position = get_position(recording)
    path, notes = _follow(position)
    laps = _find_laps(recording, path, run)
    if run is None:
        run = _find_span(path, laps)
    path = restrict_position(path, *run)
    if not len(path.times):
        raise SharpwaveError(
            "a position within the experience",
            got=f"none from {run[0]:g} to {run[1]:g} s",
            fix=f"--run START END, within {position.times[0]:g} to {position.times[-1]:g} s",
        )
    fields = estimate_place_fields(recording.spikes, path, epochs=laps)
    chosen = select_place_cells(fields)
    notes.append(f"{len(chosen.units)} of {len(fields.units)} units have a place field.")
    return Experience(run[0], run[1], chosen, position, tuple(notes))


def _follow(position: Position) -> tuple[Position, list[str]]:
    """Position along the track where there is one, else as it is."""
    if position.dimension == 1:
        return position, []
    along = linearise(position)
    if along.explained >= ON_A_LINE:
        return along, [f"Position was projected on a line, along which {along.explained:.0%} of the movement lies."]
    return position, [f"Two-dimensional place fields: {along.explained:.0%} of the movement lies along one line."]


def _find_laps(recording: Recording, path: Position, run: tuple[float, float] | None) -> pd.DataFrame | None:
    events = recording.events
    if {"content", "run_direction"} <= set(events.columns) and events["run_direction"].isin(("outbound",)).any():
        laps = events[events["run_direction"].isin(("outbound", "inbound"))]
    elif path.dimension == 1:
        laps = find_runs(path)
        laps = laps.assign(run_direction=np.where(laps["direction"] > 0, "outbound", "inbound"))
    else:
        return None
    inside = np.ones(len(laps), bool) if run is None else laps["onset"].between(*run, inclusive="left").to_numpy()
    return laps[inside].reset_index(drop=True)


def _find_span(path: Position, laps: pd.DataFrame | None) -> tuple[float, float]:
    if laps is not None and len(laps):
        return float(laps["onset"].min()), float((laps["onset"] + laps["duration"]).max())
    moving = path.times[mark_running(path)]
    if laps is not None or not len(moving):
        raise SharpwaveError(
            "running, from which the experience is found",
            got="no traversal of the track",
            fix="give its start and end: --run START END",
        )
    return float(moving[0]), float(moving[-1])


__getattr__ = moved.rename(
    __name__,
    {
        "mark_place_cells": "reactivation.place_fields:mark_place_cells",
        "EPOCHS": "reactivation.evidence:EPOCHS",
        "SequenceScores": "reactivation.sequence_scores:SequenceScores",
    },
)
