"""The nights that `sharpwave causality` is given: folders of results, or recordings decoded as far as is needed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from sharpwave.causality import compute_night_series
from sharpwave.causality.series_files import CANDIDATES, REACTIVATIONS, read_events
from sharpwave.commands.replay import open_session
from sharpwave.errors import SharpwaveError
from sharpwave.night.courses import SUMMARY, OpenedNight, holds_course, open_folder
from sharpwave.night.decode import calibrate, detect_events, detect_spans, stage
from sharpwave.night.effects import join_candidates
from sharpwave.night.options import DecodeOptions, apply_options, open_source
from sharpwave.night.reactivations import look_for_reactivations
from sharpwave.recordings import Recording
from sharpwave.recordings.channels import pick_channels


def open_night(source: str, name: str, options: DecodeOptions, *, rng: np.random.Generator) -> OpenedNight:
    """A night ready to be related: from a folder of results, else decoded from its recording as far as is needed.

    Args:
        source: Folder, recording, or data set by name.
        name: Of the night.
        options: What is known of recordings.
        rng: Random generator of the shuffles.

    Raises:
        SharpwaveError: If it has no reactivations, or nothing that depth can be measured on.
    """
    folder = Path(source)
    if holds_course(folder):
        night = open_folder(folder, night=name)
    elif (folder / REACTIVATIONS).is_file():
        options = replace(options, reactivations=folder / REACTIVATIONS)
        given = folder / CANDIDATES
        known = read_events(given, ("onset",)) if given.is_file() else None
        night = _decode_course(open_session(_read_source(folder / SUMMARY)), name, options, rng, candidates=known)
    elif (folder / SUMMARY).is_file():
        raise SharpwaveError(
            f"a night with reactivations in {folder.name}",
            got="a decoded night without any",
            fix="decode a recording that has spikes and a track, or with --reactivations FILE",
        )
    else:
        night = _decode_course(open_source(source, options), name, options, rng)
    if not len(night.course.reactivations):
        raise SharpwaveError("a night with reactivations", got=f"none in {name}", fix="leave this night out")
    return night


def attach_cues(opened: Sequence[OpenedNight], path: Path | None) -> list[OpenedNight]:
    """The nights with the randomised cues of a table: onset, condition, content, and night where there are several.

    Raises:
        SharpwaveError: If the table cannot be read, or does not say which night a cue belongs to.
    """
    if path is None:
        return list(opened)
    table = read_events(path, ("onset", "condition"))
    names = [night.course.night for night in opened]
    if "night" not in table:
        if len(opened) > 1:
            raise SharpwaveError(
                f"a column night in {path.name}, as there are several nights",
                got=", ".join(map(str, table.columns)),
                fix=f"name the night of each cue: {', '.join(names[:5])}",
            )
        table = table.assign(night=names[0])
    content = table["content"].fillna("unknown") if "content" in table else "unknown"
    table = table.assign(content=content, night=table["night"].astype(str))
    unknown = sorted(set(table["night"]) - set(names))
    if unknown:
        raise SharpwaveError(
            f"cues of the nights {', '.join(names[:5])}", got=f"cues of {', '.join(unknown[:5])}", fix="name them so"
        )
    return [
        replace(
            night, course=replace(night.course, cues=mine[["onset", "condition", "content"]].reset_index(drop=True))
        )
        if len(mine := table[table["night"] == night.course.night])
        else night
        for night in opened
    ]


def _read_source(summary: Path) -> str:
    """The recording that a folder of results was made from."""
    try:
        return str(json.loads(summary.read_text(encoding="utf-8"))["source"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise SharpwaveError(
            "a folder whose summary.json names its recording",
            got=f"{summary.parent.name}: {type(error).__name__}",
            fix="give the recording with `sharpwave decode --reactivations`, or add hypnogram.tsv and depth.tsv",
        ) from error


def _decode_course(
    recording: Recording,
    name: str,
    options: DecodeOptions,
    rng: np.random.Generator,
    *,
    candidates: pd.DataFrame | None = None,
) -> OpenedNight:
    """The course of a recording: its expert's stages or decoded ones, its reactivations, its depth.

    Ripples are the candidates where none are given.
    """
    recording = apply_options(options, recording)
    picks = pick_channels(recording, channels=options.channels)
    recording = calibrate(recording, picks)
    hypnogram = recording.hypnogram or stage(recording, picks, options)[0]
    found, why = look_for_reactivations(recording, hypnogram, given=options.reactivations, rng=rng)
    if not len(found.events):
        raise SharpwaveError(
            "a night with reactivations",
            got=f"{name}: {' '.join(why) or found.note}",
            fix="record spikes and a track, or give a folder with reactivations.tsv",
        )
    channel = picks.get("eeg") or next(iter(recording.of("lfp")), None)
    artefacts = detect_spans(recording, picks)
    if candidates is None:
        ripples = detect_events(recording, {}, hypnogram)[0]
        candidates = ripples[ripples["label"] == "ripple"]
    course = compute_night_series(
        recording,
        hypnogram,
        found.events.drop(columns=["label", "channel"]),
        night=name,
        channel=channel,
        candidates=join_candidates(found.events, candidates),
        artefacts=artefacts[artefacts["channel"] == channel] if len(artefacts) else None,
    )
    scores = recording.metadata.get("memory")
    return OpenedNight(
        course,
        recording.source.startswith("simulated"),
        f"recording; stages {'given' if recording.hypnogram else 'decoded'}; {found.note}",
        memory=scores if isinstance(scores, dict) else None,
    )
