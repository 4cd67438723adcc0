"""The course of a night from disk: a decoded night's folder, a simulated truth, or a laboratory's own tables."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.causality.memory import Coupling, compute_coupling
from sharpwave.causality.series import DEPTH_WINDOW, NightSeries
from sharpwave.causality.series_files import REACTIVATIONS, SERIES, read_events, read_reactivations, read_series
from sharpwave.errors import SharpwaveError
from sharpwave.recordings.readers import read_hypnogram
from sharpwave.simulation.species import get_species

TRUTH, HYPNOGRAM, DEPTH, EVENTS, SUMMARY = "truth.json", "hypnogram.tsv", "depth.tsv", "events.tsv", "summary.json"
WAVE_TIMES = ("negative_peak", "mid_crossing", "positive_peak")
NOT_MEASURED = "hidden course of a simulated night: true depth, stages and reactivations, as no recording gives them"


@dataclass(frozen=True, eq=False)
class OpenedNight:
    """A night ready to be related.

    Attributes:
        course: Second by second.
        simulated: Whether it is simulated.
        origin: What it was read from, in words.
        memory: Score of the task "before" and "after", where known.
        coupling: Of its reactivations to spindles and slow waves, where those were detected.
    """

    course: NightSeries
    simulated: bool
    origin: str
    memory: Mapping[str, float] | None = None
    coupling: Coupling | None = None


def holds_course(folder: Path) -> bool:
    """Whether a folder holds what `open_folder` reads."""
    return folder.is_dir() and (
        (folder / SERIES).is_file() or ((folder / REACTIVATIONS).is_file() and (folder / DEPTH).is_file())
    )


def open_folder(folder: Path, *, night: str) -> OpenedNight:
    """Open a folder: of `sharpwave decode`, the `.truth` of `sharpwave simulate`, or tables of one's own.

    One's own tables are `hypnogram.tsv`, `depth.tsv` (onset in s, depth in dB) and `reactivations.tsv` (onset in s,
    content).

    Args:
        folder: For which `holds_course` is true.
        night: Its name.

    Raises:
        SharpwaveError: If a file is missing or damaged.
    """
    if (folder / TRUTH).is_file():
        return _open_truth(folder, night)
    if (folder / SERIES).is_file():
        course = read_series(folder, night=night)
        events = read_events(folder / EVENTS, ("onset", "label")) if (folder / EVENTS).is_file() else pd.DataFrame()
        summary = _read_json(folder / SUMMARY) if (folder / SUMMARY).is_file() else {}
        return OpenedNight(
            course, bool(summary.get("simulated")), "decoded night", coupling=_measure_coupling(course, events)
        )
    return OpenedNight(_assemble(folder, night), False, "tables")


def _open_truth(folder: Path, night: str) -> OpenedNight:
    knobs = _read_json(folder / TRUTH)
    species = get_species(str(knobs.get("species")))
    table = pd.read_parquet(folder / SERIES)
    ripples = read_events(folder / "ripples.tsv", ("onset", "kind", "content"))
    replays = ripples.loc[ripples["kind"] == "replay", ["onset", "content"]].reset_index(drop=True)
    stage = table["stage"].to_numpy(dtype=np.int8)
    course = NightSeries(
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
    return OpenedNight(course, True, NOT_MEASURED, memory=_take_scores(knobs.get("memory")))


def _assemble(folder: Path, night: str) -> NightSeries:
    """A course from a laboratory's own tables."""
    hypnogram = read_hypnogram(folder / HYPNOGRAM)
    depth = read_events(folder / DEPTH, ("onset", "depth"))
    onset, values = depth["onset"].to_numpy(dtype=float), depth["depth"].to_numpy(dtype=float)
    if len(onset) < 2:
        raise SharpwaveError("a course of depth", got=f"{len(onset)} rows in {DEPTH}", fix="write one row a window")
    time = np.arange(int(hypnogram.end), dtype=float)
    index = np.searchsorted(onset, time + 1e-6, side="right") - 1
    window = max(float(np.median(np.diff(onset))), DEPTH_WINDOW)
    known = (index >= 0) & (time - onset[np.maximum(index, 0)] < window)
    level = np.where(known, values[np.maximum(index, 0)], np.nan)
    stage = hypnogram.at(time)
    return NightSeries(
        night=night,
        time=time,
        stage=stage,
        n_stages=hypnogram.n_stages,
        depth=level,
        emg=None,
        infraslow=None,
        reactivations=read_reactivations(folder / REACTIVATIONS),
        usable=(stage >= 0) & np.isfinite(level),
    )


def _measure_coupling(course: NightSeries, events: pd.DataFrame) -> Coupling | None:
    """Coupling to the slow waves and spindles among a night's events; None where none were detected."""
    if not len(events) or not set(WAVE_TIMES) <= set(events.columns):
        return None
    waves = events[events["label"] == "slow_wave"].dropna(subset=list(WAVE_TIMES))
    spindles = events[events["label"] == "spindle"]
    return compute_coupling(course.reactivations["onset"].to_numpy(dtype=float), slow_waves=waves, spindles=spindles)


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
