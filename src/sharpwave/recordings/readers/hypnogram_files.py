"""Hypnograms in every common shape, and how they fit the recording they belong to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.annotations import take_scorer
from sharpwave.recordings.clock_steps import compute_offset
from sharpwave.recordings.hypnogram import UNSCORED, Hypnogram
from sharpwave.recordings.readers.files import check_file, guarded, read_text
from sharpwave.recordings.readers.hypnogram_shapes import (
    add_onsets,
    drop_separator_line,
    find_epochs,
    find_headless,
    find_luna,
    find_table,
    split_line,
    stage_column,
)
from sharpwave.recordings.readers.hypnogram_tables import read_epochs, read_table
from sharpwave.recordings.readers.hypnogram_texts import guess_length, read_json, read_lines, tabulate_json
from sharpwave.recordings.readers.hypnogram_xml import read_xml
from sharpwave.recordings.readers.scoring import Scoring, fill_epochs, make_scoring, name_stage


def read_hypnogram(
    path: str | Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    start: datetime | None = None,
    duration: float | None = None,
    scorer: str | None = None,
) -> Hypnogram:
    """Read a hypnogram: one label a line, a table with or without header, Luna's `.annot`, JSON, XML, EDF+.

    Args:
        path: The file. `.json`, `.xml`, `.rml`, `.edf`, `.bdf`, `.rec` and `.annot` are read as their name says; all
            others (`.txt`, `.csv`, `.tsv`, `.hyp`, `.ids` ...) as their content says.
        epoch_length: Length of an epoch in seconds, where the file does not say.
        convention: Meaning of integer codes: "yasa" (or "aasm"), "rk", "dreams", "ucddb", or code → stage.
        start: Clock time of the recording's first sample; places a scoring with clock times.
        duration: Length of the recording in seconds; finds the epoch length of a bare list.
        scorer: Whose scoring to take, where the file holds several; a person's, else the first, if None.

    Returns:
        The stages, from the start of the recording where that is known.

    Raises:
        SharpwaveError: If it is no hypnogram, or its integers or epoch length are ambiguous.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "stages.txt"
    ...     _ = path.write_text("Wake\\nS1\\nS2\\nS4\\n")
    ...     hypnogram = read_hypnogram(path, epoch_length=30)
    >>> hypnogram.labels
    ['W', 'N1', 'N2', 'N3']
    """
    options: dict[str, Any] = {"epoch_length": epoch_length, "convention": convention, "scorer": scorer}
    return read_scoring(path, start=start, duration=duration, **options).hypnogram


def read_scoring(
    path: str | Path,
    *,
    epoch_length: float | None = None,
    convention: str | Mapping[int, str] | None = None,
    start: datetime | None = None,
    duration: float | None = None,
    scorer: str | None = None,
) -> Scoring:
    """As `read_hypnogram`, with the clock of the scoring, its other events, and what was repaired in reading it.

    Args:
        path: File of the scoring.
        epoch_length: Length of an epoch in seconds, where the file does not say.
        convention: Meaning of each integer code: a name, or labels by code.
        start: Clock time of the recording's first sample, by which clock times are placed.
        duration: Length of the recording in seconds, where known.
        scorer: Whose scoring to take, where several scored.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder) / "hypnogram.csv"
    ...     _ = path.write_text("onset,duration,stage\\n0,30,W\\n60,30,N2\\n")
    ...     scoring = read_scoring(path)
    >>> scoring.hypnogram.labels, scoring.repairs
    (['W', '?', 'N2'], ('1 epochs lie in gaps of the scoring and are unscored',))
    """
    if epoch_length is not None and not (np.isfinite(epoch_length) and epoch_length > 0):
        raise SharpwaveError("a positive epoch length", got=f"{epoch_length} s", fix="give --stage-epoch in seconds")
    path = check_file(path, "a hypnogram")
    options: dict[str, Any] = {"epoch_length": epoch_length, "duration": duration, "scorer": scorer}
    with guarded(path, "a hypnogram"):
        if path.suffix.lower() in (".edf", ".bdf", ".rec"):
            scoring = _from_edf(path, **options)
        else:
            scoring = _from_text(path, start=start, convention=convention, **options)
    if scoring.clock is None or start is None:
        return scoring
    offset = compute_offset(scoring.clock, start, dated=scoring.dated)
    if not scoring.dated and _is_elapsed(scoring, offset, duration):
        said = "its times begin at 0:00:00 and are taken to count from the start of the recording"
        return replace(scoring.shifted(0.0), repairs=(*scoring.repairs, said))
    return scoring.shifted(offset)


def _is_elapsed(scoring: Scoring, offset: float, duration: float | None) -> bool:
    """Whether times of day from 0:00:00 on fit the recording as time elapsed, and not as times of day."""
    clock, length = scoring.clock, scoring.hypnogram.end
    if clock is None or duration is None or (clock.hour, clock.minute) != (0, 0):
        return False
    near = max(2 * scoring.hypnogram.epoch_length, 0.01 * duration)
    return length <= duration + near and not -near <= offset <= duration - length + near


def _from_text(path: Path, *, start: datetime | None, scorer: str | None, **options: Any) -> Scoring:
    """The scoring of a text, whatever its shape."""
    text = drop_separator_line(read_text(path))
    ending = path.suffix.lower()
    if ending == ".json":
        text = tabulate_json(text, path)
        if text.lstrip().startswith(("[", "{")):
            return read_json(text, path, **options)
    if ending in (".xml", ".rml") or text.lstrip().startswith(("<?xml", "<annotations", "<CMPStudyConfig")):
        return read_xml(text, path, scorer=scorer, **options)
    text = split_line(text)
    table = find_luna(text, named=ending == ".annot") or find_table(text) or find_headless(text)
    listed = find_epochs(text) if table is None else None
    table = table or (listed and add_onsets(listed))
    if table:
        return read_table(table, path, start=start, scorer=scorer, **options)
    if listed is not None:
        wanted, duration = options["epoch_length"], options["duration"]
        names, probabilities, said, length = read_epochs(
            listed, path, epoch_length=wanted, convention=options["convention"], scorer=scorer, duration=duration
        )
        length, guessed = (length, []) if length else guess_length(len(names), duration, path)
        return make_scoring(names, probabilities, length, [*said, *guessed])
    return read_lines(stage_column(text) or text, path, **options)


def hypnogram_from_events(
    events: pd.DataFrame,
    *,
    epoch_length: float | None = None,
    duration: float | None = None,
    scorer: str | None = None,
) -> tuple[Hypnogram, list[str]] | None:
    """The hypnogram among annotations ("Sleep stage W" and so on), with repairs; None where there is none.

    Bare names ("W", "N2") count only where there are several of them and they last: "R" alone may be the heart's R.

    Args:
        events: Columns onset, duration (s), label, and who scored, where several did.
        epoch_length: Length of an epoch in seconds; found from the annotations if None.
        duration: Length of the recording in seconds, where known; a last stage without a duration may last until then.
        scorer: Whose stages to take, where a column says who scored; a person's, else the first, if None.
    """
    events, said = take_scorer(events, scorer)
    names = [name_stage(label) for label in events["label"]]
    prefixed = [str(label).lower().startswith(("sleep stage", "stage")) for label in events["label"]]
    if any(prefixed):
        names = [name if stage else None for name, stage in zip(names, prefixed, strict=True)]
    rows = [index for index, name in enumerate(names) if name is not None]
    if sum(names[index] != "?" for index in rows) < 2:
        return None
    onset = events["onset"].to_numpy(dtype=float)[rows]
    lasting = events["duration"].to_numpy(dtype=float)[rows]
    if not any(prefixed) and (len({names[index] for index in rows}) < 2 or not np.nanmedian(lasting) >= 1):
        return None
    found = [str(names[index]) for index in rows]
    hypnogram, repairs = fill_epochs(onset, lasting, found, epoch_length=epoch_length, end=duration)
    return hypnogram, [*said, *repairs]


def fit_hypnogram(
    hypnogram: Hypnogram, duration: float, *, tolerance: float | None = None, placed: bool = False
) -> tuple[Hypnogram, list[str]]:
    """Make a hypnogram cover a recording: whole epochs within it, unscored where the scoring begins late or ends early.

    Args:
        hypnogram: The hypnogram as it was read.
        duration: Length of the recording in seconds.
        tolerance: Seconds by which the two lengths may differ; by default two epochs or 1 %, whichever is more.
        placed: Whether the scoring has times of its own, so that it may rightly cover a part only.

    Returns:
        The fitted hypnogram, and sentences on what was repaired.

    Raises:
        SharpwaveError: If the lengths differ by more: the files do not belong together, or the sampling rate is wrong.

    >>> fitted, repairs = fit_hypnogram(Hypnogram.from_labels(["W", "N1", "N2"]), 60.0)
    >>> fitted.labels, repairs
    (['W', 'N1'], ['the scoring reaches beyond the recording: 1 epochs were cut'])
    """
    epoch = hypnogram.epoch_length
    tolerance = max(2 * epoch, 0.01 * duration) if tolerance is None else tolerance
    repairs: list[str] = []
    scored_end = hypnogram.start + epoch * (
        int(np.flatnonzero(hypnogram.scored)[-1]) + 1 if hypnogram.scored.any() else 0
    )
    too_long, too_short = scored_end - duration, duration - hypnogram.end
    if (
        too_long > tolerance
        or (too_short > tolerance and not placed)
        or (placed and (hypnogram.start >= duration or hypnogram.end <= 0))
    ):
        raise SharpwaveError(
            f"a scoring of {duration:g} s, as the recording lasts (within {tolerance:g} s)",
            got=f"one from {hypnogram.start:g} to {hypnogram.end:g} s ({len(hypnogram)} epochs of {epoch:g} s)",
            fix="check that the files belong together, the epoch length (--stage-epoch) and the sampling rate; "
            "--stage-tolerance allows more seconds",
        )
    fitted = hypnogram.restrict(0.0, duration + min(0.5, 0.02 * epoch))
    n_cut = int(hypnogram.scored.sum() - fitted.scored.sum())
    if n_cut:
        repairs.append(f"the scoring reaches beyond the recording: {n_cut} epochs were cut")
    n_before = int(fitted.start / epoch + 1e-6)
    if n_before > 0:
        fitted = _extended(fitted, n_before, before=True)
        repairs.append(f"the scoring begins {n_before * epoch:g} s into the recording: {n_before} epochs are unscored")
    n_missing = int((duration - fitted.end) / epoch + 1e-6)
    if n_missing > 0:
        fitted = _extended(fitted, n_missing)
        repairs.append(
            f"the scoring ends {n_missing * epoch:g} s before the recording: {n_missing} epochs are unscored"
        )
    return fitted, repairs


def _extended(hypnogram: Hypnogram, n_epochs: int, *, before: bool = False) -> Hypnogram:
    """With unscored epochs after its end, or before its start."""
    width = (n_epochs, 0) if before else (0, n_epochs)
    soft = hypnogram.probabilities
    return replace(
        hypnogram,
        stages=np.pad(hypnogram.stages, width, constant_values=UNSCORED),
        start=hypnogram.start - n_epochs * hypnogram.epoch_length if before else hypnogram.start,
        probabilities=None if soft is None else np.pad(soft, (width, (0, 0)), constant_values=np.nan),
    )


def _from_edf(path: Path, *, epoch_length: float | None, duration: float | None, scorer: str | None) -> Scoring:
    from sharpwave.recordings.annotations import is_lights, name_event
    from sharpwave.recordings.readers.edf import read_edf

    recording = read_edf(path)
    events, start = recording.events, recording.start
    found = hypnogram_from_events(events, epoch_length=epoch_length, duration=duration, scorer=scorer)
    if found is None:
        raise SharpwaveError(
            f"sleep stages among the annotations of {path.name}",
            got=f"{len(events)} annotations without",
            fix="name stages as EDF+ does ('Sleep stage W'), or give the scoring as text",
        )
    hypnogram, repairs = found
    scored = events[[name_event(label) is not None or is_lights(label) for label in events["label"]]]
    scored = scored.reset_index(drop=True)
    return Scoring(hypnogram, start, dated=True, placed=start is None, repairs=tuple(repairs), events=scored)
