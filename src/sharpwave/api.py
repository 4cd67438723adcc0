"""The front door: what `import sharpwave as sw` offers first. Anything in, one `Recording` or one decoded night out.

night = sw.decode("night.edf", age=34)
night.plot(), night.statistics, night.save("results")
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.night.decoded import DecodedNight
from sharpwave.night.options import DecodeOptions, open_source
from sharpwave.recordings.hypnogram import STAGE_SETS, Hypnogram
from sharpwave.recordings.in_memory import from_arrays, from_mne, from_pynapple, is_pynapple, is_raw
from sharpwave.recordings.recording import Recording

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sharpwave.resilience import Card

Source = Any
"""A path, the name of a data set, a `Recording`, MNE's `Raw`, an object of pynapple, or arrays."""

SIX = (
    ("total_sleep_time", "asleep"),
    ("sleep_efficiency", "sleep efficiency"),
    ("wake_after_sleep_onset", "awake after sleep onset"),
    ("sleep_latency", "to fall asleep"),
    ("N3_share", "N3 of sleep"),
    ("R_share", "REM of sleep"),
)
"""Statistics that a notebook shows first: name in the table, and in words."""


def read(
    source: Source,
    *,
    rate: float | None = None,
    unit: str | None = None,
    channels: Sequence[str] | None = None,
    aliases: Mapping[str, str] | None = None,
    stages: Any = None,
) -> Recording:
    """Read a recording from wherever it is.

    Args:
        source: Path of a file of any format in `docs/readers.md`; a data set by name ("ucddb/022"); MNE's `Raw`; an
            object of pynapple or several by name; an array with `channels`, or arrays by channel. A `Recording` is
            handed back with what else is given here.
        rate: Sampling rate in Hz, for arrays and text files, which do not say it.
        unit: Unit of the electrical channels ("uV", "mV", "V"), for what does not say it or says it wrongly.
        channels: Channels to keep, by the file's label or by the name they are recognised as; all by default. Of one
            array, the names of its channels.
        aliases: What a channel is, where its label does not say so: label → "name:modality" ({"Ch3": "C4-M1:eeg"}).
        stages: An expert's stages: a file, a `Hypnogram`, or names for epochs of 30 s (["W", "N1", "N2"]).

    Returns:
        The recording. Samples of files stay on disk; what was repaired is in `recording.repairs`.

    Raises:
        SharpwaveError: If the source is of no kind that is known, is not there, or cannot be read.

    >>> eeg = np.random.default_rng(0).normal(0, 20, 6000)
    >>> read({"C4-M1": eeg}, rate=100.0, unit="uV").modalities
    ('eeg',)
    """
    recording = _open(source, rate=rate, unit=unit, channels=channels, aliases=aliases)
    return recording if stages is None else _with_stages(recording, stages)


def decode(
    source: Source,
    *,
    age: float | None = None,
    sex: str | None = None,
    lights_off: str | float | None = None,
    lights_on: str | float | None = None,
    stages: Any = None,
    channels: Sequence[str] | None = None,
    rate: float | None = None,
    unit: str | None = None,
    aliases: Mapping[str, str] | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **more: Any,
) -> DecodedNight:
    """Decode one night: stages, what comes next, events, statistics, and how far to trust them.

    Args:
        source: As for `read`; and so are `stages`, `rate`, `unit` and `aliases`.
        age: Age in years; by default what the file says.
        sex: "female" or "male"; YASA's stager uses it together with the age.
        lights_off: When the lights went off: clock time ("23:10") or seconds from the start of the recording.
        lights_on: When the lights went on: clock time, or seconds from the start.
        stages: An expert's stages to compare with.
        channels: Channels to decode from, best first, chosen by name and quality by default. Of one array, their names.
        rate: Sampling rate in Hz.
        unit: Unit of the electrical channels.
        aliases: What a channel is, where its label does not say so.
        progress: Called with (step, number of steps done, number of steps).
        more: Further fields of `sharpwave.night.options.DecodeOptions`, such as species="rat", stager="yasa", night=1,
            cues="cues.tsv" or seed=0 (of the random draws behind the intervals).

    Returns:
        The decoded night: `night.plot()`, `night.save(folder)`, `night.statistics`, `night.hypnogram`.

    Raises:
        SharpwaveError: If the source cannot be read, an option cannot hold, or there is nothing to decode.

    >>> hypnogram = Hypnogram.from_labels(["W"] * 10 + ["N2"] * 50)
    >>> decode(Recording(hypnogram=hypnogram, subject="s1"))
    <DecodedNight 's1': usable with care; 0.50 h, stages given with the recording>
    """
    from sharpwave.night.decode import decode_recording

    options = _make_options(more, age=age, male=_read_sex(sex), lights_off=lights_off, lights_on=lights_on)
    options = replace(options, aliases=dict(aliases or {}), rate=rate, unit=unit)
    unnamed = isinstance(source, np.ndarray) or is_pynapple(source)
    recording = _open(source, rate=rate, unit=unit, channels=channels if unnamed else None, aliases=aliases)
    if channels is not None and not unnamed:
        options = replace(options, channels=(channels,) if isinstance(channels, str) else tuple(channels))
    if stages is not None:
        recording = _with_stages(recording, stages)
    name = options.source or (str(source) if isinstance(source, str | Path) else recording.source)
    options = replace(options, source=name, identifier=options.identifier or _name_night(source, recording))
    return decode_recording(recording, options=options, progress=progress)


def _name_night(source: Source, recording: Recording) -> str:
    if recording.subject != "unknown":
        return recording.subject
    return Path(source).name.partition(".")[0] if isinstance(source, str | Path) else recording.source or "night"


def _make_options(more: Mapping[str, Any], **given: Any) -> DecodeOptions:
    known = set(DecodeOptions.__dataclass_fields__)
    strange = sorted(set(more) - known)
    if strange:
        raise SharpwaveError(
            f"keywords among {', '.join(sorted(known))}",
            got=", ".join(strange),
            fix="see help(sharpwave.decode); times are lights_off= and lights_on=",
        )
    values = {name: value for name, value in (given | dict(more)).items() if value is not None}
    for name in ("cues", "reactivations", "weights"):
        if name in values:
            values[name] = Path(values[name])
    age = values.get("age")
    if age is not None and not (isinstance(age, int | float) and 0 <= age <= 120):
        raise SharpwaveError("an age in years, 0 to 120", got=repr(age), fix="give a number, such as age=34")
    return DecodeOptions(**values)


def _read_sex(sex: str | None) -> bool | None:
    if sex is None:
        return None
    word = str(sex).strip().lower()
    if word not in ("female", "male", "f", "m"):
        raise SharpwaveError("a sex, female or male", got=repr(sex), fix="write sex='female', or leave it out")
    return word in ("male", "m")


def _open(
    source: Source,
    *,
    rate: float | None,
    unit: str | None,
    channels: Sequence[str] | None,
    aliases: Mapping[str, str] | None,
) -> Recording:
    """The recording of any source."""
    if isinstance(source, Recording):
        return source
    if isinstance(source, str | Path):
        options = DecodeOptions(rate=rate, unit=unit, aliases=dict(aliases or {}))
        recording = open_source(source, options)
        return recording if channels is None else _keep(recording, channels)
    if is_raw(source):
        return from_mne(source, channels=channels, overrides=aliases, unit=unit)
    if is_pynapple(source) or (isinstance(source, Mapping) and source and all(map(is_pynapple, source.values()))):
        return from_pynapple(source, unit=unit, names=channels, aliases=aliases)
    if isinstance(source, np.ndarray) or (isinstance(source, Mapping) and source):
        return from_arrays(source, rate, unit=unit, channels=channels, aliases=aliases)
    raise _refuse(source)


def _keep(recording: Recording, channels: Sequence[str]) -> Recording:
    names = [channels] if isinstance(channels, str) else list(channels)
    labels = {label: name for name, label in recording.metadata.get("labels", {}).items()}
    kept = {name: recording[name] for name in (labels.get(name, name) for name in names)}
    return replace(recording, signals=kept)


def _refuse(source: Source) -> SharpwaveError:
    """The error for what is no recording: what it is, and what was probably meant."""
    what = f"{type(source).__module__}.{type(source).__name__}".removeprefix("builtins.")
    fix = "pass a path, a data set's name, an MNE Raw, a pynapple object, or arrays by channel with rate= and unit="
    if isinstance(source, list | tuple | set):
        what += f" of {len(source)}"
        if source and all(isinstance(item, str | Path) for item in source):
            fix = "decode them in turn, [sw.decode(path) for path in paths]; or at once: sharpwave decode A B -o out"
        else:
            fix = "name the channels and say the rate: sw.decode({'C4-M1': samples}, rate=256, unit='uV')"
    elif isinstance(source, Mapping):
        what = "an empty mapping"
    elif what.startswith("mne."):
        fix = "pass the Raw that it was made from: Epochs and Evoked hold no night"
    elif what.startswith("pandas."):
        fix = "pass its columns: sw.decode({'C4-M1': table['C4'].to_numpy()}, rate=256, unit='uV')"
    elif source is None:
        fix = "pass a path; the variable that was meant to hold it is None"
    return SharpwaveError("a recording", got=what, fix=fix)


def _with_stages(recording: Recording, stages: Any) -> Recording:
    from sharpwave.recordings.readers import attach_hypnogram

    if not isinstance(stages, str | Path | Hypnogram):
        labels = [str(label) for label in stages]
        words = {"WAKE": "W", "REM": "R", "ART": "?", "UNS": "?"}
        labels = [words.get(label.upper(), label) for label in labels]
        known = {name for names in STAGE_SETS.values() for name in names} | {"?", ""}
        if strange := sorted(set(labels) - known):
            raise SharpwaveError(
                "stages as W, N1, N2, N3, R or ?, one for each 30 s",
                got=", ".join(strange[:5]),
                fix="name them so, or give a Hypnogram or a file, whose words are known",
            )
        stages = Hypnogram.from_labels(labels)
    return attach_hypnogram(replace(recording, hypnogram=None), stages)


def plot(night: DecodedNight, path: str | Path | None = None) -> Figure:
    """Draw a night: stages, the expert's, probabilities, spectrogram and depth, as far as they are known.

    Args:
        night: What to draw.
        path: File to write as well (.png, .svg, .pdf); None to write none.

    Returns:
        The figure, to change or to show.

    >>> stages = Hypnogram.from_labels(["W", "N2", "N2"])
    >>> night = DecodedNight(
    ...     identifier="s1", source="s1.edf", duration=90.0, hypnogram=stages, stager="hand", verdict="usable"
    ... )
    >>> len(plot(night).axes)
    1
    """
    from sharpwave.reports.figures import draw_night

    figure = draw_night(night)
    if path is not None:
        figure.savefig(Path(path), dpi=150, facecolor="white")
    return figure


def save(night: DecodedNight, folder: str | Path) -> Path:
    """Write a night's files: `report.html`, `hypnogram.tsv`, `events.tsv`, `forecast.parquet`, `summary.json`.

    Args:
        night: What to write.
        folder: Folder of the results; those of an earlier night in it are replaced, anything else is left alone.

    Returns:
        Path of the page.

    Raises:
        SharpwaveError: If the folder holds something of someone else's, or cannot be written.

    >>> from tempfile import TemporaryDirectory
    >>> stages = Hypnogram.from_labels(["W", "N2", "N2"])
    >>> night = DecodedNight(
    ...     identifier="s1", source="s1.edf", duration=90.0, hypnogram=stages, stager="hand", verdict="usable"
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     save(night, Path(folder) / "s1").name
    'report.html'
    """
    from sharpwave.reports.files import write_files

    return write_files(night, folder, config={"source": night.source, "identifier": night.identifier})


def card(subject: Any, inputs: Any = None, labels: Any = None, *, rate: float | None = None, **more: Any) -> Card:
    """Stability, robustness and resilience of your own network, or the dynamics of a recording: a figure and a table.

    Args:
        subject: A torch classifier with `inputs` and `labels`; a `sharpwave.consolidation.Sleep`, whose network then
            recovers in its own nights; a recording; or an array (time, channel) with its `rate`.
        inputs: Held-out inputs to score a network on: a tensor, or a dictionary of what `model(**inputs)` takes.
        labels: Their classes.
        rate: Sampling rate of an array, in Hz.
        more: Of a network, arguments of `NetworkSubject` (`recover`, `relearn`, `shock`, `score`); of anything,
            arguments of `sharpwave.resilience.card` (`rng`, `n_steps`, `n_repeats`, `modality`).

    Returns:
        The card: `figure`, `table` (part, state, measure, value, low, high, baseline, n) and `notes`.

    Raises:
        SharpwaveError: If it is none of these, or a network comes without what it is scored on.

    >>> found = card(np.random.default_rng(0).normal(size=(6000, 4)), rate=100.0)
    >>> found.kind
    'recording'
    """
    from sharpwave import resilience

    asked = {name: more.pop(name) for name in ("rng", "n_steps", "n_repeats", "modality") if name in more}
    is_network = any(base.__module__.startswith("torch.nn") for base in type(subject).__mro__)
    sleeps = hasattr(subject, "wake") and hasattr(subject, "night")
    if is_network or sleeps:
        from sharpwave.demonstrations import NetworkSubject

        if is_network and (inputs is None or labels is None):
            raise SharpwaveError(
                "held-out inputs and labels to score the network on", got="none", fix="card(model, inputs, labels)"
            )
        make = NetworkSubject.from_sleep if sleeps else NetworkSubject
        return resilience.card(make(subject, inputs, labels, **more), **asked)
    if more:
        raise SharpwaveError("keywords that a recording has", got=", ".join(more), fix="leave them out")
    return resilience.card(subject, rate=rate, **asked)


def show_html(night: DecodedNight) -> str:
    """A night in a notebook: its verdict and why, six numbers with their intervals, and the stages as a picture.

    Args:
        night: What to show.

    >>> stages = Hypnogram.from_labels(["W", "N2", "N2"])
    >>> night = DecodedNight(
    ...     identifier="s1", source="s1.edf", duration=90.0, hypnogram=stages, stager="hand", verdict="usable"
    ... )
    >>> "s1" in show_html(night), "<svg" in show_html(night)
    (True, True)
    """
    simulated = "SIMULATED · " if night.simulated else ""
    table = {row["name"]: row for row in night.statistics.to_dict("records")} if len(night.statistics) else {}
    cells = "".join(
        f"<td style='text-align:left'><b>{_write_value(table[name])}</b><br><small>{words}</small></td>"
        for name, words in SIX
        if name in table
    )
    reason = escape(night.reasons[0]) if night.reasons else ""
    return (
        f"<div><b>{escape(simulated + night.identifier)}</b>: <b>{night.verdict}</b>. {reason}"
        f"{_draw_stages(night.hypnogram)}<table><tr>{cells}</tr></table>"
        f"<small>Staged by {escape(night.stager)}; 80 % intervals. night.plot() · night.statistics · "
        f"night.save(folder) writes the page.</small></div>"
    )


def _write_value(row: Mapping[Any, Any]) -> str:
    value, unit = row["value"], escape(str(row["unit"]))
    if not np.isfinite(value):
        return "–"
    low, high = row.get("low"), row.get("high")
    known = low is not None and high is not None and np.isfinite([low, high]).all()
    return f"{value:.4g} {unit}" + (f" [{low:.4g}, {high:.4g}]" if known else "")


def _draw_stages(hypnogram: Hypnogram) -> str:
    """The stages as a line of bars, wake above."""
    order = {"W": 0, "R": 1, "N1": 2, "S": 2, "NREM": 2, "LIGHT": 2, "N2": 3, "N3": 4, "DEEP": 4}
    width = max(hypnogram.end - hypnogram.start, 1e-9)
    bars = "".join(
        f"<rect x='{900 * (onset - hypnogram.start) / width:.1f}' y='{14 * order[stage]}' height='12' "
        f"width='{max(900 * duration / width, 0.5):.1f}'><title>{stage}</title></rect>"
        for onset, duration, stage in hypnogram.bouts()[["onset", "duration", "stage"]].to_numpy()
        if stage in order
    )
    return (
        "<svg viewBox='0 0 900 70' width='100%' height='70' preserveAspectRatio='none' role='img' "
        f"aria-label='hypnogram, wake above, N3 below' fill='currentColor'>{bars}</svg>"
    )
