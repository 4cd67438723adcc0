"""What neo reads (Intan, SpikeGLX, Open Ephys, Blackrock, Plexon, Neuralynx, Neuroscope), left on disk until sliced.

neo's raw readers map files into memory and hand out stretches of stored numbers (Garcia et al. 2014, Front
Neuroinform 8:10). Here is what makes a recording of them: one clock over the parts of a session, units, names, and
no silence about pauses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.channels import recognise_channel
from sharpwave.recordings.modality import MODALITIES
from sharpwave.recordings.readers.assembly import RawChannel, assemble_signals
from sharpwave.recordings.readers.edf_samples import GriddedSamples
from sharpwave.recordings.readers.files import guarded
from sharpwave.recordings.readers.neo_open import (
    FORMATS,
    NeoFormat,
    check_before,
    choose_data,
    find_format,
    open_neo,
    read_neo_events,
    read_neo_start,
    read_neo_units,
    read_neuroscope_rate,
)
from sharpwave.recordings.recording import Recording, Signal
from sharpwave.recordings.sliced import Sliced
from sharpwave.recordings.units import check_units, convert_unit

SCALP = ("eeg", "eog", "emg", "ecg")
NUMBERED = r"[a-z]{0,5}[-_]?\d{2,}|[a-d]-\d+|ch\d+.*|\d+"
"""Channels that carry the amplifier's number, not the name of an electrode."""
NOT_ELECTRODES = r"aux|adc|sync|supply|digital|analog|nidq|obx|temp|stim|dac|^ai|accel"
"""Streams of other things than electrodes: accelerometers, board inputs, clocks."""
N_CHECKED = 4
"""Channels of a stream whose amplitude is looked at."""
LONGEST_GAP = 31 * 86_400.0


@dataclass(frozen=True, eq=False)
class NeoSamples(Sliced):
    """Stored numbers of some channels of a stream, the parts of the session one after the other."""

    reader: Any
    block: int
    stream: int
    edges: np.ndarray
    columns: tuple[int, ...]
    kind: np.dtype
    where: str
    single: bool = False
    factors: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        length = int(self.edges[-1])
        return (length,) if self.single else (length, len(self.columns))

    @property
    def dtype(self) -> np.dtype:
        return self.kind if self.factors is None else np.dtype(np.float64)

    def _take(self, low: int, high: int) -> np.ndarray:
        pieces = []
        with guarded(self.where, "samples"):
            for part in range(len(self.edges) - 1):
                begin, end = max(low, int(self.edges[part])), min(high, int(self.edges[part + 1]))
                if begin < end:
                    shift = int(self.edges[part])
                    piece = self.reader.get_analogsignal_chunk(
                        block_index=self.block,
                        seg_index=part,
                        i_start=begin - shift,
                        i_stop=end - shift,
                        stream_index=self.stream,
                        channel_indexes=list(self.columns),
                    )
                    pieces.append(np.asarray(piece))
        values = pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
        values = values if self.factors is None else values * self.factors
        return values[:, 0] if self.single else values


@dataclass(frozen=True, eq=False)
class _Stream:
    """One stream of neo's: channels that were sampled together."""

    name: str
    channels: np.ndarray
    samples: NeoSamples
    rate: float
    starts: np.ndarray
    electrical: bool


def read_neo(
    path: str | Path,
    *,
    overrides: Mapping[str, str] | None = None,
    unit: str | None = None,
    block: int = 0,
    stream: str | None = None,
) -> Recording:
    """Read a recording of an electrophysiology system through neo.

    Args:
        path: A file of the recording, or its folder (Open Ephys, Neuralynx, SpikeGLX).
        overrides: Channel → "name:modality", such as `A-017=EMG:emg`; such a channel becomes a signal of its own.
        unit: Unit of the electrical channels, where the file is wrong about it.
        block: Number of the experiment, from 0, where the folder holds several (Open Ephys).
        stream: Name of the only stream to read; all by default.

    Returns:
        Each stream as one signal of many channels, samples on disk; channels named EEG, EOG, EMG or by the 10-20
        system, and those of `overrides`, as signals of their own. Sorted units are spikes, marks events.
        Second 0 is the first sample; pauses are missing (NaN) and declared.

    Raises:
        SharpwaveError: If neo cannot read it, it reaches out of its folder, or nothing is in it.
    """
    path = choose_data(Path(path))
    ending, where = find_format(path)
    form = FORMATS[ending]
    with guarded(path, form.kind):
        check_before(path, ending, form.kind)
        reader = open_neo(form, where)
        n_blocks = int(reader.header["nb_block"])
        if not 0 <= block < n_blocks:
            raise SharpwaveError(f"an experiment from 0 to {n_blocks - 1}", got=str(block), fix="give another block")
        streams = list(_list_streams(reader, block, form, path))
        if ending == ".bin":  # one of the files of a probe stands for itself
            stream = stream or _name_stream(path)
        if stream is not None:
            streams = [one for one in streams if one.name == stream] or _refuse_stream(stream, streams, path)
        streams = _correct_rates(streams, path, ending)
        zero = min((float(one.starts[0]) for one in streams), default=0.0)
        spikes, said = read_neo_units(reader, block, zero)
        events = read_neo_events(reader, block, zero)
    if not streams and spikes is None and not len(events):
        raise SharpwaveError(f"channels, units or marks in {path.name}", got="none", fix="check that it is complete")
    recording = _compose(path, streams, zero, overrides=overrides or {}, unit=unit)
    repairs = [*recording.repairs, *said]
    if n_blocks > 1:
        repairs.append(
            f"experiment {block} of {n_blocks} (numbered from 0) was read; the others are recordings of their own"
        )
    start = read_neo_start(reader, block, ending, path)
    return replace(
        recording,
        spikes=None if spikes is None else spikes.to_spikes(),
        events=events,
        start=start,
        repairs=tuple(repairs),
        metadata={**recording.metadata, **({"clock_offset_s": zero} if zero else {})},
    )


def _list_streams(reader: Any, block: int, form: NeoFormat, path: Path) -> Iterator[_Stream]:
    header = reader.header
    n_parts = int(header["nb_segment"][block])
    for index, stream in enumerate(header["signal_streams"]):
        channels = header["signal_channels"]
        channels = channels[channels["stream_id"] == stream["id"]].copy()
        sizes = [int(reader.get_signal_size(block, part, index)) for part in range(n_parts)]
        if not len(channels) or not sum(sizes):
            continue
        starts = np.array([float(reader.get_signal_t_start(block, part, index)) for part in range(n_parts)])
        if form.unit:
            channels["units"] = [unit or form.unit for unit in channels["units"]]
        samples = NeoSamples(
            reader,
            block,
            index,
            np.r_[0, np.cumsum(sizes)],
            tuple(range(len(channels))),
            np.dtype(str(channels["dtype"][0])),
            path.name,
        )
        name = str(stream["name"]) or f"stream {index}"
        volts = convert_unit(str(channels["units"][0]), MODALITIES["lfp"]) is not None
        electrical = volts and not re.search(NOT_ELECTRODES, name.lower())
        yield _Stream(name, channels, samples, float(channels["sampling_rate"][0]), starts, electrical)


def _name_stream(path: Path) -> str:
    """ "run_g0_t0.imec0.lf.bin" → "imec0.lf"."""
    return path.name.removesuffix(".bin").partition("_t")[2].partition(".")[2]


def _refuse_stream(stream: str, streams: Sequence[_Stream], path: Path) -> list[_Stream]:
    names = ", ".join(one.name for one in streams) or "none"
    raise SharpwaveError(f"one of the streams {names} in {path.name}", got=repr(stream), fix="name one of them")


def _correct_rates(streams: list[_Stream], path: Path, ending: str) -> list[_Stream]:
    """Neuroscope's field potentials have a rate of their own, which neo does not read; and no names but numbers."""
    if FORMATS[ending].reader != "NeuroScopeRawIO":
        return streams
    corrected = []
    for one in streams:
        channels = one.channels.copy()
        channels["name"] = channels["id"]
        slow = ending in (".lfp", ".eeg")
        rate = read_neuroscope_rate(path.with_suffix(".xml"), one.rate) if slow else one.rate
        corrected.append(replace(one, name="LFP" if slow else "dat", channels=channels, rate=rate))
    return corrected


def _compose(
    path: Path, streams: Sequence[_Stream], zero: float, *, overrides: Mapping[str, str], unit: str | None
) -> Recording:
    named: list[RawChannel] = []
    frames: dict[str, Signal] = {}
    units: dict[str, str] = {}
    gaps: list[tuple[float, float]] = []
    repairs: list[str] = []
    for stream in streams:
        labels = _name_channels(stream)
        place, rate, found = _plan_clock(stream, path)
        gaps += [gap for gap in found if gap not in gaps]
        start = float(stream.starts[0]) - zero
        single = [i for i, label in enumerate(labels) if label in overrides or _is_named(label, stream)]
        for column in single:
            row = stream.channels[column]
            samples = replace(stream.samples, columns=(column,), single=True)
            named.append(
                RawChannel(
                    labels[column], place(samples), rate, str(row["units"]),
                    gain=float(row["gain"]), offset=float(row["offset"]), start=start,
                )
            )  # fmt: skip
        rest = [column for column in range(len(labels)) if column not in single]
        if rest:
            signal, said = _make_frame(stream, labels, rest, place, rate, start, unit)
            frames[stream.name], units[stream.name] = signal, str(stream.channels[rest[0]]["units"])
            repairs += said
    assembled = assemble_signals(named, overrides=overrides, unit=unit)
    doubtful = [*assembled.doubtful]
    if unit is None:
        frames, said, doubts = _check_frames(frames, units)
        repairs += said
        doubtful += doubts
    if gaps:
        lost = sum(end - begin for begin, end in gaps)
        repairs.append(
            f"{len(gaps)} pauses of {lost:.6g} s in all; samples keep their times, what is between is missing"
        )
    return Recording(
        signals={**assembled.signals, **frames},
        species=assembled.species,
        source=path.name,
        repairs=(*assembled.repairs, *repairs),
        metadata={
            "gaps": tuple(sorted(gaps)),
            "doubtful": doubtful,
            "labels": assembled.labels,
            "units": {**assembled.units, **units},
        },
    )


def _name_channels(stream: _Stream) -> list[str]:
    """The file's names; with their identifiers where two are alike."""
    names = [str(name).strip() for name in stream.channels["name"]]
    if len(set(names)) == len(names) and all(names):
        return names
    return [f"{name} {one}".strip() for name, one in zip(names, stream.channels["id"], strict=True)]


def _is_named(label: str, stream: _Stream) -> bool:
    """Whether a channel is called as an EEG, EOG, EMG or ECG channel is, and not by its number."""
    named = stream.electrical and not re.fullmatch(NUMBERED, label.lower())
    return named and recognise_channel(label).modality in SCALP


def _plan_clock(stream: _Stream, path: Path) -> tuple[Callable[[Any], Any], float, list[tuple[float, float]]]:
    """How rows lie in time, their rate, and the pauses in seconds from the stream's first sample."""
    rate, edges = stream.rate, stream.samples.edges
    if len(edges) == 2:
        return (lambda samples: samples), rate, []
    lengths = np.diff(edges)
    first = np.rint((stream.starts - stream.starts[0]) * rate).astype(np.int64)
    gaps = []
    for part in range(1, len(first)):
        end = first[part - 1] + lengths[part - 1]
        if first[part] - end > LONGEST_GAP * rate:
            raise SharpwaveError(
                f"parts of one session in {path.name}",
                got=f"a pause of {(first[part] - end) / rate / 86400:.0f} days",
                fix="put the recordings of different days into folders of their own",
            )
        first[part] = max(first[part], end)  # parts that begin at 0 each follow each other
        if first[part] - end > 1.5:
            gaps.append((float(end / rate), float(first[part] / rate)))

    def place(samples: Any) -> GriddedSamples:
        return GriddedSamples(samples, first, edges[:-1].astype(np.int64), lengths, tuple(samples.shape[1:]))

    return place, rate, gaps


def _make_frame(
    stream: _Stream,
    labels: Sequence[str],
    columns: Sequence[int],
    place: Callable[[Any], Any],
    rate: float,
    start: float,
    unit: str | None,
) -> tuple[Signal, list[str]]:
    """The channels of a stream that have no name of their own, as one signal."""
    rows = stream.channels[list(columns)]
    gains, offsets = rows["gain"].astype(float), rows["offset"].astype(float)
    modality = MODALITIES["lfp" if stream.electrical else "other"]
    converted = convert_unit(unit or str(rows["units"][0]), modality) if stream.electrical else (1.0, 0.0)
    scale = 1.0 if converted is None else converted[0]
    said = []
    same = np.ptp(gains) == 0 and np.ptp(offsets) == 0
    if not same and np.ptp(offsets) > 0:
        said.append(f"{stream.name}: offsets of its channels differ; their mean was taken for all")
    samples = replace(stream.samples, columns=tuple(columns), factors=None if same else gains)
    signal = Signal(
        stream.name, place(samples), rate, modality,
        start=start, scale=(float(gains[0]) if same else 1.0) * scale, offset=float(offsets.mean()) * scale,
        channels=tuple(labels[column] for column in columns),
    )  # fmt: skip
    return signal, said


def _check_frames(
    frames: Mapping[str, Signal], units: Mapping[str, str]
) -> tuple[dict[str, Signal], list[str], list[str]]:
    """Check units on some channels of each frame, so that a probe of hundreds is not read."""
    thinned = {}
    for name, signal in frames.items():
        rows = signal.samples.recorded if isinstance(signal.samples, GriddedSamples) else signal.samples
        chosen = np.unique(np.linspace(0, len(rows.columns) - 1, N_CHECKED).astype(int))
        factors = None if rows.factors is None else rows.factors[chosen]
        few = replace(rows, columns=tuple(rows.columns[i] for i in chosen), factors=factors)
        thinned[name] = replace(signal, samples=few, channels=())
    checked, said, doubtful = check_units(thinned, units)
    scaled = {
        name: replace(signal, scale=checked[name].scale, offset=checked[name].offset) for name, signal in frames.items()
    }
    return scaled, said, doubtful
