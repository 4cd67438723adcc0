"""A whole session: place fields, candidate events, what each replays, and which exceed chance before and after."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.errors import SharpwaveError
from sharpwave.reactivation.candidates import count_activity, find_candidates, keep_active
from sharpwave.reactivation.counts import BinnedEvents, bin_events
from sharpwave.reactivation.environments import Experience, find_experience, name_epochs
from sharpwave.reactivation.evidence import (
    FEWEST,
    Evidence,
    control_epochs,
    describe_resolution,
    tabulate_tests,
    weigh_events,
)
from sharpwave.reactivation.order import OrderScores
from sharpwave.reactivation.place_fields import PlaceFields
from sharpwave.reactivation.runs import RunChoice
from sharpwave.reactivation.sequence_scores import STATISTICS
from sharpwave.reactivation.significance import LEVEL, rank_among_controls
from sharpwave.reactivation.state_space import decode_events
from sharpwave.reactivation.tracks import TrackGraph
from sharpwave.recordings import Recording

SCORE_BIN, DECODE_BIN = 0.02, 0.005
"""Bins in s: of the scores (Davidson et al. 2009), and of the decoder that reads content, direction and path."""

STEPS = ("place fields", "candidates", "surrogates", "decoding")
Progress = Callable[[str, int, int], None]


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
    run: RunChoice | None = None,
    lag: float = 0.0,
    graph: TrackGraph | None = None,
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
        run: Start and end of the experience in s, or several runs (`RunChoice`); found from running where omitted.
        lag: Seconds that the clock of the position is late against that of the spikes; 0 by default.
        graph: The track, where it branches; found from the movement where omitted.
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
    experience = find_experience(recording, run=run, lag=lag, graph=graph)
    step("candidates")
    found, n_found = _find_events(recording, experience, events, source=source, min_units=min_units)
    experience = replace(experience, notes=(*experience.notes, *found.attrs.get("notes", ())))
    step("surrogates")
    chosen: dict[str, Any] = {"surrogate": surrogate, "n_surrogates": n_surrogates, "bin_size": bin_size, "rng": rng}
    chosen["statistic"] = _choose_statistic(experience.fields) if statistic is None else statistic
    evidence = weigh_events(recording.spikes, found, experience.fields, **chosen)
    step("decoding")
    session = _conclude(recording.spikes, found, experience, evidence)
    step("done")
    return replace(session, settings=_list_settings(recording, experience, evidence, bin_size, min_units, n_found))


def _conclude(spikes: Any, found: pd.DataFrame, experience: Experience, evidence: Evidence) -> ReplaySession:
    """Events with what they decode to, and the tests of the epochs; the settings are still to be listed."""
    fine = bin_events(spikes, found, bin_size=DECODE_BIN, units=experience.fields.units)
    epoch = name_epochs(found, experience)
    table = _assemble(found, decode_events(fine, experience.fields).table, epoch, evidence)
    tests = tabulate_tests(epoch, table["significant"].to_numpy(), evidence)
    notes = tuple(describe_resolution(epoch, evidence))
    return ReplaySession(table, tests, experience, fine, evidence, {}, notes)


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
    """On a track that branches, place on its line is no distance, and the correlation would not mean a path."""
    straight = fields.position.shape[1] == 1 and fields.distances is None
    return "correlation" if straight else "trajectory"


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
        "runs": [f"{run.name}: {run.start:g} to {run.end:g} s" for run in experience.runs],
        "experience_start_s": experience.start,
        "experience_end_s": experience.end,
    }


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


__getattr__ = moved.rename(
    __name__,
    {
        "ON_A_LINE": "reactivation.environments:ON_A_LINE",
        "mark_place_cells": "reactivation.place_fields:mark_place_cells",
        "EPOCHS": "reactivation.evidence:EPOCHS",
        "SequenceScores": "reactivation.sequence_scores:SequenceScores",
    },
)
