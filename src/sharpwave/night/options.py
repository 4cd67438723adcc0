"""What the user gives: a recording by path or name, what is known of the night, lights, cues."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from sharpwave.errors import SharpwaveError
from sharpwave.recordings import Recording
from sharpwave.recordings.clock import place_time
from sharpwave.recordings.datasets import DATASETS, load_dataset
from sharpwave.recordings.readers import attach_hypnogram, read_recording
from sharpwave.recordings.recording import empty_events


@dataclass(frozen=True)
class DecodeOptions:
    """What the user said about the night.

    Attributes:
        lights_off: Clock time "23:10" or seconds from the start; None where unknown.
        lights_on: The same, for the end.
        age: In years.
        male: True, False, or None where unknown.
        night: Which laboratory night.
        channels: Names of the channels to decode, best first; empty lets the package choose.
        aliases: Channel label in the file → "name:modality".
        stages: Expert hypnogram to compare with.
        cues: Table of cues (onset, duration, label; condition "cue" or "sham" where they were randomised, content).
        reactivations: Table of reactivations (onset, content), where they were found elsewhere.
        species: Overrides what the file says.
        unit: Unit of the samples, where the file does not say.
        rate: Sampling rate in Hz, where the file does not say.
        stager: Who stages; the best for the recording where None.
        weights: Folder of the user's own Brainµ; the shipped one where None.
        seed: Of the sampled intervals.
        identifier: Short name of the night.
        source: How the user named the input.
    """

    lights_off: str | float | None = None
    lights_on: str | float | None = None
    age: float | None = None
    male: bool | None = None
    night: int | None = None
    channels: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    stages: Path | None = None
    cues: Path | None = None
    reactivations: Path | None = None
    species: str | None = None
    unit: str | None = None
    rate: float | None = None
    stager: str | None = None
    weights: Path | None = None
    seed: int = 0
    identifier: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `summary.json` and for the key under which results are found again."""
        plain = asdict(self)
        paths = ("stages", "cues", "reactivations", "weights")
        return plain | {name: None if plain[name] is None else str(plain[name]) for name in paths}


def open_source(source: str | Path, options: DecodeOptions | None = None) -> Recording:
    """Open a recording from a path, or from a data set by name (`ucddb/022`)."""
    options = options or DecodeOptions()
    path = Path(source)
    name = str(source).partition("/")[0]
    if not path.exists() and name in DATASETS:
        return load_dataset(str(source))
    if not path.exists():
        raise SharpwaveError(
            "a recording, or a data set by name",
            got=f"{source}, which is neither a file here nor one of {', '.join(DATASETS)}",
            fix="check the path, or see `sharpwave datasets list`",
        )
    return read_recording(path, overrides=options.aliases or None, unit=options.unit, rate=options.rate)


def apply_options(options: DecodeOptions, recording: Recording) -> Recording:
    """The recording with what the user said of it: age, sex, species, the expert's stages, and an amplitude."""
    known = {"age": options.age, "male": options.male}
    metadata = {**recording.metadata, **{name: value for name, value in known.items() if value is not None}}
    recording = replace(recording, species=options.species or recording.species, metadata=metadata)
    if options.stages is not None:
        recording = attach_hypnogram(recording, options.stages)
    return recording


def find_lights(recording: Recording, options: DecodeOptions) -> tuple[float | None, float | None]:
    """Lights off and on, in seconds from the start; None where neither the user nor the recording says.

    Raises:
        SharpwaveError: If a clock time cannot be placed because the recording has no start time, or order is wrong.
    """
    off = place_time(options.lights_off, recording.start)
    on = place_time(options.lights_on, recording.start)
    off = recording.metadata.get("lights_off") if off is None else off
    on = recording.metadata.get("lights_on") if on is None else on
    if off is not None and on is not None and on <= off:
        raise SharpwaveError(
            "lights on after lights off", got=f"off at {off:g} s, on at {on:g} s", fix="check both times"
        )
    return off, on


def read_cues(path: Path | None) -> pd.DataFrame:
    """Cues as events, from a table with onset and duration in seconds and a label."""
    if path is None:
        return empty_events()
    try:
        table = pd.read_csv(path, sep=None, engine="python")
    except (OSError, ValueError, UnicodeDecodeError) as error:
        raise SharpwaveError(
            "a table of cues", got=f"{path}: {error}", fix="write onset, duration, label; one row a cue"
        ) from error
    missing = {"onset", "duration"} - set(table.columns)
    if missing:
        raise SharpwaveError(
            "columns onset and duration in the table of cues",
            got=", ".join(map(str, table.columns)),
            fix="name them so",
        )
    label = table["label"].astype(str) if "label" in table else pd.Series("cue", index=table.index)
    return table.assign(label="cue: " + label, channel="")


def find_randomised(cues: pd.DataFrame) -> pd.DataFrame | None:
    """The cues that were given or withheld at random: onset, condition ("cue", "sham"), content; None without any."""
    if "condition" not in cues:
        return None
    content = cues["content"].fillna("").astype(str) if "content" in cues else pd.Series("", index=cues.index)
    table = cues.assign(condition=cues["condition"].astype(str), content=content.replace("", "unknown"))
    return table[["onset", "condition", "content"]].sort_values("onset", ignore_index=True)
