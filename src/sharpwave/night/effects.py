"""Reactivations and sleep: the effects in one night, and what the effects over many nights are estimated from.

Many nights come from disk: decoded nights' folders, simulated truths, a laboratory's own tables, or recordings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave import moved
from sharpwave.causality import compute_night_series
from sharpwave.causality.input_limits import describe_controls, describe_inputs
from sharpwave.causality.memory import Coupling, compute_coupling
from sharpwave.causality.peri_event import compute_peri_event
from sharpwave.causality.rules import HORIZON, describe_rules, extract_rules
from sharpwave.causality.series import DEPTH_WINDOW, NightSeries
from sharpwave.causality.series_files import (
    CANDIDATES,
    CUES,
    REACTIVATIONS,
    SERIES,
    read_cues,
    read_events,
    read_reactivations,
    read_series,
    tabulate_files,
)
from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import ReactivationEffects
from sharpwave.night.options import DecodeOptions
from sharpwave.night.prepare import PreparedNight, prepare_night
from sharpwave.night.reactivations import FoundReactivations, look_for_reactivations
from sharpwave.recordings import Recording
from sharpwave.recordings.readers import read_hypnogram
from sharpwave.simulation.species import get_species

FEWEST = 20
"""Reactivations in a night below which nothing is estimated from it."""

SAME = 0.3
"""Seconds: a ripple and the reactivation that it carries are found by different detectors."""

ONE_NIGHT = (
    "One night holds few events, and its intervals speak of this night alone: pool several with sharpwave causality."
)

TRUTH, HYPNOGRAM, DEPTH, EVENTS, SUMMARY = "truth.json", "hypnogram.tsv", "depth.tsv", "events.tsv", "summary.json"
WAVE_TIMES = ("negative_peak", "mid_crossing", "positive_peak")
NOT_MEASURED = "hidden state of a simulated night: true depth, stages and reactivations, as no recording gives them"


def compute_series(
    prepared: PreparedNight,
    found: FoundReactivations,
    *,
    night: str = "",
    candidates: pd.DataFrame | None = None,
    cues: pd.DataFrame | None = None,
) -> NightSeries:
    """The time series per second that effects are estimated from: stages, depth, muscle tone and reactivations.

    Args:
        prepared: The night; it gives stages, depth and muscle tone.
        found: Reactivations of the night.
        night: Name of the night.
        candidates: Events that may carry a reactivation: onset (s). The night's ripples where omitted.
        cues: onset, condition ("cue", "sham"), content of randomised stimulation.

    Raises:
        SharpwaveError: If depth cannot be computed.
    """
    events = prepared.events
    others = events[events["label"] == "ripple"] if candidates is None else candidates
    return compute_night_series(
        prepared.recording,
        prepared.hypnogram,
        found.events.drop(columns=["label", "channel"]),
        night=night,
        channel=prepared.depth_channel,
        candidates=join_candidates(found.events, others),
        artefacts=prepared.depth_artefacts,
        cues=cues,
    )


def estimate_night_effects(
    prepared: PreparedNight,
    found: FoundReactivations,
    *,
    rng: np.random.Generator,
    cues: pd.DataFrame | None = None,
) -> ReactivationEffects:
    """Estimate what a night's reactivations do to depth and to its stages.

    Args:
        prepared: The night.
        found: Reactivations of the night.
        rng: Random generator.
        cues: onset, condition ("cue", "sham"), content of randomised stimulation.

    Raises:
        SharpwaveError: If depth cannot be computed.
    """
    from sharpwave.causality import estimate_effects

    series = compute_series(prepared, found, cues=cues)
    files = tabulate_files(series)
    if len(found.events) < FEWEST:
        note = f"{found.note} {len(found.events)} are too few to estimate anything of this night."
        return ReactivationEffects(reactivations=found.counts, note=note, files=files)
    effects = estimate_effects([series], rng=rng)
    rules = extract_rules(effects)
    return ReactivationEffects(
        reactivations=_join_effects(found.counts, effects),
        rules=rules,
        peri_event=compute_peri_event([series], rng=rng),
        note=" ".join(
            [found.note, describe_rules(rules), ONE_NIGHT, *describe_inputs([series]), *describe_controls(effects)]
        ),
        files=files,
    )


def join_candidates(reactivations: pd.DataFrame, others: pd.DataFrame) -> np.ndarray | None:
    """Onsets (s) of all candidate events, reactivations among them; None where there are no others.

    What begins within `SAME` seconds of a reactivation is that reactivation, and counts once.
    """
    if not len(others):
        return None
    mine = np.sort(reactivations["onset"].to_numpy(dtype=float))
    onsets = others["onset"].to_numpy(dtype=float)
    near = np.searchsorted(mine, onsets + SAME, side="right") > np.searchsorted(mine, onsets - SAME, side="left")
    return np.sort(np.r_[onsets[~near], mine])


def _join_effects(counts: pd.DataFrame, effects: pd.DataFrame) -> pd.DataFrame:
    """Beside each content's count its effect on depth and the chance of lighter sleep, at the rules' horizon.

    Where there is but one stage of NREM, lighter is awake.
    """
    chosen = effects[
        (effects["direction"] == "forward")
        & (effects["stage"] == "any")
        & (effects["period"] == "any")
        & (effects["horizon"] == HORIZON)
    ]
    depth = chosen[(chosen["outcome"] == "depth") & (chosen["estimator"] == "matched")]
    hazards = chosen[chosen["estimator"] == "hazard"]
    lighter = hazards[hazards["outcome"] == ("lighter" if (hazards["outcome"] == "lighter").any() else "wake")]
    table = counts.merge(
        depth[["content", "value", "low", "high"]].rename(columns={"value": "effect"}), on="content", how="left"
    )
    chances = pd.DataFrame(
        {
            "content": lighter["content"],
            "lighter_after": 100 * lighter["exposed"],
            "lighter_control": 100 * lighter["control"],
        }
    )
    return table.merge(chances, on="content", how="left")


@dataclass(frozen=True, eq=False)
class EffectData:
    """One night, ready for the effects of its reactivations to be estimated.

    Attributes:
        series: Stages, depth and reactivations, second by second.
        simulated: Whether the night is simulated.
        origin: The source that it was read from, in words.
        memory: Score of the task "before" and "after" sleep, in percent; None where not known.
        coupling: Coupling of its reactivations to spindles and slow waves; None where those were not detected.
    """

    series: NightSeries
    simulated: bool
    origin: str
    memory: Mapping[str, float] | None = None
    coupling: Coupling | None = None


def holds_series(folder: Path) -> bool:
    """Whether a folder holds what `open_folder` reads."""
    return folder.is_dir() and (
        (folder / SERIES).is_file() or ((folder / REACTIVATIONS).is_file() and (folder / DEPTH).is_file())
    )


def open_folder(folder: Path, *, night: str) -> EffectData:
    """Open a folder: of `sharpwave decode`, the `.truth` of `sharpwave simulate`, or tables of one's own.

    One's own tables are `hypnogram.tsv`, `depth.tsv` (onset in s, depth in dB) and `reactivations.tsv` (onset in s,
    content); and, where they are known, `candidates.tsv` (onset in s of every ripple or burst) and `cues.tsv` (onset in
    s, condition "cue" or "sham", content).

    Args:
        folder: A folder for which `holds_series` is true.
        night: Name of the night.

    Raises:
        SharpwaveError: If a file is missing or damaged.
    """
    if (folder / TRUTH).is_file():
        return _open_truth(folder, night)
    if (folder / SERIES).is_file():
        series = read_series(folder, night=night)
        events = read_events(folder / EVENTS, ("onset", "label")) if (folder / EVENTS).is_file() else pd.DataFrame()
        summary = _read_json(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
        return EffectData(
            series, bool(summary.get("simulated")), "decoded night", coupling=_measure_coupling(series, events)
        )
    return EffectData(_read_tables(folder, night), False, "tables")


def open_recording(
    recording: Recording,
    name: str,
    options: DecodeOptions,
    *,
    rng: np.random.Generator,
    candidates: pd.DataFrame | None = None,
) -> EffectData:
    """Prepare a recording: its expert's stages or decoded ones, its reactivations, its depth.

    Args:
        recording: The recording.
        name: Name of the night.
        options: What is known of the recording.
        rng: Random generator of the shuffles.
        candidates: Events that may carry a reactivation: onset (s). Detected ripples where omitted.

    Raises:
        SharpwaveError: If it has no reactivations, or nothing that depth can be measured on.
    """
    events = ("ripple",) if candidates is None else ()
    prepared = prepare_night(recording, options, prefer_given=True, events=events)
    found, why = look_for_reactivations(prepared.recording, prepared.hypnogram, given=options.reactivations, rng=rng)
    if not len(found.events):
        raise SharpwaveError(
            "a night with reactivations",
            got=f"{name}: {' '.join(why) or found.note}",
            fix="record spikes and a track, or give a folder with reactivations.tsv",
        )
    scores = prepared.recording.metadata.get("memory")
    return EffectData(
        compute_series(prepared, found, night=name, candidates=candidates),
        prepared.simulated,
        f"recording; stages {'given' if prepared.recording.hypnogram else 'decoded'}; {found.note}",
        memory=scores if isinstance(scores, dict) else None,
    )


def attach_cues(opened: Sequence[EffectData], path: Path | None) -> list[EffectData]:
    """The nights with the randomised cues of a table: onset, condition, content, and night where there are several.

    Raises:
        SharpwaveError: If the table cannot be read, or does not say which night a cue belongs to.
    """
    if path is None:
        return list(opened)
    table = read_cues(path)
    names = [night.series.night for night in opened]
    if "night" not in table:
        if len(opened) > 1:
            raise SharpwaveError(
                f"a column night in {path.name}, as there are several nights",
                got=", ".join(map(str, table.columns)),
                fix=f"name the night of each cue: {', '.join(names[:5])}",
            )
        table = table.assign(night=names[0])
    table = table.assign(night=table["night"].astype(str))
    unknown = sorted(set(table["night"]) - set(names))
    if unknown:
        raise SharpwaveError(
            f"cues of the nights {', '.join(names[:5])}", got=f"cues of {', '.join(unknown[:5])}", fix="name them so"
        )
    return [
        replace(
            night, series=replace(night.series, cues=mine[["onset", "condition", "content"]].reset_index(drop=True))
        )
        if len(mine := table[table["night"] == night.series.night])
        else night
        for night in opened
    ]


def _open_truth(folder: Path, night: str) -> EffectData:
    knobs = _read_json(folder / TRUTH)
    species = get_species(str(knobs.get("species")))
    table = pd.read_parquet(folder / SERIES)
    ripples = read_events(folder / "ripples.tsv", ("onset", "kind", "content"))
    replays = ripples.loc[ripples["kind"] == "replay", ["onset", "content"]].reset_index(drop=True)
    stage = table["stage"].to_numpy(dtype=np.int8)
    series = NightSeries(
        night=night,
        time=table["time"].to_numpy(dtype=float),
        stage=np.where(np.r_[False, table["arousing"].to_numpy(dtype=bool)[:-1]], 0, stage).astype(np.int8),
        n_stages=species.n_stages,
        depth=table["depth"].to_numpy(dtype=float),
        emg=None,
        infraslow=np.angle(np.exp(1j * table["infraslow"].to_numpy(dtype=float))),
        reactivations=replays,
        usable=np.ones(len(table), dtype=bool),
        candidates=ripples["onset"].to_numpy(dtype=float),
    )
    return EffectData(series, True, NOT_MEASURED, memory=_take_scores(knobs.get("memory")))


def _read_tables(folder: Path, night: str) -> NightSeries:
    """The time series from a laboratory's own tables."""
    hypnogram = read_hypnogram(folder / HYPNOGRAM)
    depth = read_events(folder / DEPTH, ("onset", "depth"))
    onset, values = depth["onset"].to_numpy(dtype=float), depth["depth"].to_numpy(dtype=float)
    if len(onset) < 2:
        raise SharpwaveError(
            "a time series of depth", got=f"{len(onset)} rows in {DEPTH}", fix="write one row a window"
        )
    time = np.arange(int(hypnogram.end), dtype=float)
    index = np.searchsorted(onset, time + 1e-6, side="right") - 1
    window = max(float(np.median(np.diff(onset))), DEPTH_WINDOW)
    known = (index >= 0) & (time - onset[np.maximum(index, 0)] < window)
    level = np.where(known, values[np.maximum(index, 0)], np.nan)
    stage = hypnogram.at(time)
    found = read_reactivations(folder / REACTIVATIONS)
    others = read_events(folder / CANDIDATES, ("onset",)) if (folder / CANDIDATES).is_file() else found.head(0)
    return NightSeries(
        night=night,
        time=time,
        stage=stage,
        n_stages=hypnogram.n_stages,
        depth=level,
        emg=None,
        infraslow=None,
        reactivations=found,
        usable=(stage >= 0) & np.isfinite(level),
        cues=read_cues(folder / CUES) if (folder / CUES).is_file() else None,
        candidates=join_candidates(found, others),
    )


def _measure_coupling(series: NightSeries, events: pd.DataFrame) -> Coupling | None:
    """Coupling to the slow waves and spindles among a night's events; None where none were detected."""
    if not len(events) or not set(WAVE_TIMES) <= set(events.columns):
        return None
    waves = events[events["label"] == "slow_wave"].dropna(subset=list(WAVE_TIMES))
    spindles = events[events["label"] == "spindle"]
    return compute_coupling(series.reactivations["onset"].to_numpy(dtype=float), slow_waves=waves, spindles=spindles)


def _take_scores(memory: Any) -> dict[str, float] | None:
    known = isinstance(memory, Mapping) and {"before", "after"} <= set(memory)
    return {name: float(memory[name]) for name in ("before", "after")} if known else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SharpwaveError(
            f"a readable {path.name}", got=f"{type(error).__name__}: {error}", fix="write the folder again"
        ) from error
    return content if isinstance(content, dict) else {}


__getattr__ = moved.rename(
    __name__,
    {
        "NightEffects": "night.decoded:ReactivationEffects",
        "OpenedNight": "EffectData",
        "holds_course": "holds_series",
    },
)
