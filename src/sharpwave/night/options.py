"""What the user gives: a recording by path or name, what is known of the night, lights, cues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharpwave.errors import SharpwaveError
from sharpwave.remote import is_address, locate
from sharpwave.untrusted import explained

if TYPE_CHECKING:  # the command line shows its help without them
    import pandas as pd

    from sharpwave.recordings import Recording

RECORDING, PERSON, RUN = "Recording", "Person", "Run"
"""Panels of the help text of `sharpwave decode`."""


STAGE_CONVENTIONS = ("yasa", "aasm", "rk", "dreams", "ucddb")
"""Names that say what integers in a scoring mean (see `sharpwave.recordings.readers.scoring.CONVENTIONS`)."""


def option(default: Any, help: str, *, panel: str | None = None, **how: Any) -> Any:
    """A field of a dataclass that is an option of the command line, too.

    Args:
        default: Value where the option is not given; a type, such as dict, is called for each new one.
        help: One sentence for `--help`.
        panel: Heading in `--help` below which it stands.
        how: `flags` (such as ("--jobs", "-j")), `name` and `type` where they are not those of the field, `convert`
            (makes the field's value of what was typed; it raises ValueError), and what `typer.Option` takes.

    >>> @dataclass(frozen=True)
    ... class Bake:
    ...     minutes: int = option(40, "How long to bake.", min=1)
    >>> Bake().minutes
    40
    """
    metadata = {"help": help, "rich_help_panel": panel, **how}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def _read_sex(sex: str) -> bool:
    if sex not in ("female", "male"):
        raise ValueError(f"--sex wants female or male, got {sex!r}")
    return sex == "male"


def read_convention(name: str) -> str:
    """The name of a convention as the command line has it; ValueError where it is none."""
    if name.lower() not in STAGE_CONVENTIONS:
        raise ValueError(f"--stage-convention wants one of {', '.join(STAGE_CONVENTIONS)}, got {name!r}")
    return name.lower()


def _read_forecaster(name: str) -> str:
    known = ("brainmu+lightgbm", "brainmu", "lightgbm", "lightgbm-ensemble")
    if name not in known:
        raise ValueError(f"--forecaster wants one of {', '.join(known)}, got {name!r}")
    return name


def _read_aliases(given: Sequence[str]) -> dict[str, str]:
    aliases = {}
    for alias in given:
        label, separator, identity = alias.partition("=")
        if not separator:
            raise ValueError(f"--channel-alias wants LABEL=NAME:MODALITY, got {alias!r}")
        aliases[label] = identity
    return aliases


@dataclass(frozen=True)
class DecodeOptions:
    """What the user said about the night. Each field with a help text is an option of `sharpwave decode`.

    Attributes:
        lights_off: When the lights went off: clock time "23:10" or seconds from the start; None where unknown.
        lights_on: When the lights went on, in the same form; None where unknown.
        age: Age in years; None where unknown.
        male: Sex; None where unknown.
        night: Number of the night in the laboratory, from 1; None where unknown.
        channels: Names of the channels to decode, best first; empty lets the package choose.
        event_channels: Further EEG channels in which spindles and slow waves are looked for, by name.
        lfp: Name or number of the LFP channel; where None, of several the hippocampal one with most ripple power.
        aliases: Channel label in the file → "name:modality".
        stages: Expert hypnogram to compare with.
        stage_convention: Meaning of integers in it: a name in `STAGE_CONVENTIONS`; None where it names stages.
        stage_epoch: Length of its epochs in seconds; None where it says so itself.
        stage_tolerance: Seconds by which it may be longer or shorter than the recording; None for two epochs or 1 %.
        scorer: Whose scoring to take, where several scored the night; a person's, else the first, if None.
        cues: Table of cues (onset, duration, label; condition "cue" or "sham" where they were randomised, content).
        reactivations: Table of reactivations (onset, content), where they were found elsewhere.
        species: "human", "rat" or "mouse", in place of what the file says; None to take that.
        unit: Unit of the samples, where the file does not say.
        rate: Sampling rate in Hz, where the file does not say.
        stager: Method that stages; the best one for the recording where None.
        forecaster: Method that forecasts: brainmu+lightgbm, brainmu, lightgbm or lightgbm-ensemble; the best one where
            None.
        weights: Folder with the user's own weights of Brainµ; the shipped ones where None.
        seed: Seed of the random draws behind the intervals.
        identifier: Short name of the night.
        source: How the user named the input.
    """

    lights_off: str | float | None = option(
        None,
        "When the lights went off: clock time (23:10, 23.10, 11:10 PM) or seconds from the start of the recording.",
        panel=RECORDING,
        type=str,
    )
    lights_on: str | float | None = option(
        None,
        "When the lights went on: clock time (07:02, 7.02, 7:02 AM) or seconds from the start of the recording.",
        panel=RECORDING,
        type=str,
    )
    age: float | None = option(
        None,
        "Age in years; for adults, the page says how sleep changes with age.",
        panel=PERSON,
        type=int,
        min=0,
        max=120,
    )
    male: bool | None = option(
        None,
        "female or male; YASA's stager uses it together with the age.",
        panel=PERSON,
        name="sex",
        type=str,
        convert=_read_sex,
    )
    night: int | None = option(None, "Which night in the laboratory this is; 1 is the first.", panel=PERSON, min=1)
    channels: tuple[str, ...] = option(
        (),
        "Name of a channel to decode; give the option once for each channel, the best first.",
        panel=RECORDING,
        type=list[str],
        convert=tuple,
    )
    event_channels: tuple[str, ...] = option(
        (),
        "Further EEG channel in which to look for spindles and slow waves; give the option once for each.",
        panel=RECORDING,
        type=list[str],
        convert=tuple,
    )
    lfp: str | None = option(
        None,
        "LFP channel, by name or number [default: of several the hippocampal one with most ripple power].",
        panel=RECORDING,
    )
    aliases: Mapping[str, str] = option(
        dict,
        "What a channel is, where its label does not say so; such as Ch3=C4-M1:eeg.",
        panel=RECORDING,
        name="channel_alias",
        metavar="LABEL=NAME:MODALITY",
        type=list[str],
        convert=_read_aliases,
    )
    stages: Path | None = option(
        None, "File with an expert's hypnogram, in any common format, to compare with.", panel=RECORDING
    )
    stage_convention: str | None = option(
        None,
        f"Meaning of integers in the file of stages: {', '.join(STAGE_CONVENTIONS)}.",
        panel=RECORDING,
        convert=read_convention,
    )
    stage_epoch: float | None = option(
        None, "Length of an epoch of the file of stages in seconds, where it does not say.", panel=RECORDING, min=0.1
    )
    stage_tolerance: float | None = option(
        None,
        "Seconds by which a scoring may be longer or shorter than the recording [default: two epochs or 1 %].",
        panel=RECORDING,
        min=0,
    )
    scorer: str | None = option(
        None,
        "Whose scoring to take, where several scored the night [default: a person's, else the first].",
        panel=RECORDING,
    )
    cues: Path | None = option(None, "Table (.tsv) of cues: onset and duration in seconds, label.", panel=RECORDING)
    reactivations: Path | None = option(
        None,
        "Table (.tsv) of memory reactivations that were found elsewhere: onset in seconds, content.",
        panel=RECORDING,
    )
    species: str | None = option(None, "human, rat or mouse, where the file does not say it.", panel=RECORDING)
    unit: str | None = option(None, "Unit of the samples (uV, mV, V), where the file does not say it.", panel=RECORDING)
    rate: float | None = option(None, "Sampling rate in Hz, for formats without one.", panel=RECORDING)
    stager: str | None = option(
        None,
        "Method that stages sleep: yasa+brainmu is the mean of both, yasa and brainmu each alone, hmm unsupervised "
        "(all of them: docs/staging.md) [default: the best one for the recording; for human EEG yasa+brainmu].",
        panel=RUN,
    )
    forecaster: str | None = option(
        None,
        "Method that forecasts the next stage: brainmu+lightgbm is the mean of both, brainmu and lightgbm each alone, "
        "lightgbm-ensemble sees signals of human EEG, the wrist or LFP band power and no stage [default: "
        "brainmu+lightgbm; where no stages are given its mean with lightgbm-ensemble for EEG, lightgbm-ensemble for "
        "wrist and LFP; with own weights, brainmu].",
        panel=RUN,
        convert=_read_forecaster,
    )
    weights: Path | None = option(None, "Folder with your own weights of Brainµ, from `sharpwave finetune`.", panel=RUN)
    seed: int = option(0, "Seed of the random draws behind the intervals.", panel=RUN)
    identifier: str = ""
    source: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for `summary.json` and for the key under which results are found again."""
        plain = asdict(self)
        paths = ("stages", "cues", "reactivations", "weights")
        return plain | {name: None if plain[name] is None else str(plain[name]) for name in paths}


def open_source(source: str | Path, options: DecodeOptions | None = None) -> Recording:
    """Open a recording from a path or an address, or from a data set by name (`ucddb/022`)."""
    from sharpwave.recordings.datasets import DATASETS, load_dataset
    from sharpwave.recordings.readers import name_scoring, read_recording

    options = options or DecodeOptions()
    path = locate(source)
    name = str(source).partition("/")[0]
    if not path.exists() and name in DATASETS:
        return load_dataset(str(source))
    if is_address(path) and not path.exists():
        raise SharpwaveError(
            f"a recording at {path}", got="nothing there (404)", fix="check the address; a folder of Zarr ends in .zarr"
        )
    if not path.exists():
        raise SharpwaveError(
            "a recording, or a data set by name",
            got=f"{source}, which is neither a file here nor one of {', '.join(DATASETS)}",
            fix="check the path, or see `sharpwave datasets list`",
        )
    scoring = {
        "convention": options.stage_convention,
        "epoch_length": options.stage_epoch,
        "scorer": options.scorer,
    }
    recording = read_recording(
        path, overrides=options.aliases or None, unit=options.unit, rate=options.rate, scoring=scoring
    )
    if {*recording.modalities} <= {"other"} and (error := name_scoring(path)) is not None:
        raise error
    return recording


def apply_options(options: DecodeOptions, recording: Recording) -> Recording:
    """The recording with what the user said of it: age, sex, species, the expert's stages, lights off and on.

    Raises:
        SharpwaveError: If the scoring cannot be read or is of another recording, or lights are outside the recording.
    """
    from sharpwave.night.lights import mark_lights
    from sharpwave.recordings.units import read_age

    metadata = dict(recording.metadata)
    age, doubt = read_age(metadata.pop("age", None))
    known = {"age": age if options.age is None else options.age, "male": options.male}
    metadata |= {name: value for name, value in known.items() if value is not None}
    repairs = (*recording.repairs, *([doubt] if doubt else []))
    recording = replace(recording, species=options.species or recording.species, metadata=metadata, repairs=repairs)
    recording = _apply_scoring(options, recording)
    return mark_lights(recording, options.lights_off, options.lights_on)


def _apply_scoring(options: DecodeOptions, recording: Recording) -> Recording:
    """With the stages of a file, or of another scorer of the recording's own annotations."""
    from sharpwave.recordings.readers import attach_hypnogram

    given: dict[str, Any] = {
        "convention": options.stage_convention,
        "epoch_length": options.stage_epoch,
        "scorer": options.scorer,
        "tolerance": options.stage_tolerance,
    }
    if options.stages is not None:
        return attach_hypnogram(recording, options.stages, **given)
    own = recording.hypnogram
    if options.scorer is None or (own is not None and own.scorer == options.scorer):
        return recording
    scored = attach_hypnogram(replace(recording, hypnogram=None), None, **given)
    if scored.hypnogram is None:
        raise SharpwaveError(
            f"stages scored by {options.scorer!r} among the recording's annotations",
            got="annotations without stages" if len(recording.events) else "no annotations",
            fix="leave --scorer out, or give the file of stages with --stages",
        )
    return scored


def find_lights(recording: Recording, options: DecodeOptions) -> tuple[float | None, float | None]:
    """Lights off and on, in seconds from the start; None where neither the user nor the recording says.

    Raises:
        SharpwaveError: If a time cannot be read or placed, lies outside the recording, or the order is wrong.
    """
    from sharpwave.night.lights import place_lights

    return place_lights(recording, options.lights_off, options.lights_on)


def place_times(times: Sequence[str | float], recording: Recording) -> list[float]:
    """Seconds from the start of a recording, of clock times or seconds that the user gave.

    Raises:
        SharpwaveError: If one is no time, or the recording has no start time to place a clock time by.
    """
    from sharpwave.recordings.day_times import place_time

    length = recording.duration
    placed = (place_time(time, recording.start, duration=length) for time in times)
    return [seconds for seconds in placed if seconds is not None]


def read_cues(path: Path | None) -> pd.DataFrame:
    """Cues as events, from a table with onset and duration in seconds and a label."""
    import pandas as pd

    from sharpwave.recordings.recording import empty_events

    if path is None:
        return empty_events()
    with explained("a table of cues", name=str(path), fix="write onset, duration, label; one row a cue"):
        table = pd.read_csv(path, sep=None, engine="python")
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
    import pandas as pd

    if "condition" not in cues:
        return None
    content = cues["content"].fillna("").astype(str) if "content" in cues else pd.Series("", index=cues.index)
    table = cues.assign(condition=cues["condition"].astype(str), content=content.replace("", "unknown"))
    return table[["onset", "condition", "content"]].sort_values("onset", ignore_index=True)
