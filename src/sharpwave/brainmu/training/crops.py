"""Crops to train on: a few hours from a random place of a random night, in memory or on disk.

A night is anything with a length and `restrict`: an `EpochedRecording` in memory, or a `StoredEpochs` on disk, of which
only the crop is read. A source hands out crops; a `WeightedSources` is a source of several sources.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sharpwave import moved
from sharpwave.brainmu.encoders import ENCODERS
from sharpwave.brainmu.epochs import STEP, EpochedRecording, EpochGrid, ModalityEpochs, align_stages, make_epoch_grid
from sharpwave.brainmu.training.devices import share_work
from sharpwave.disk import hash_once, hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_folder
from sharpwave.recordings.hypnogram import STAGE_SETS
from sharpwave.recordings.recording import Recording
from sharpwave.signals.preparation import find_lights_off, prepare_signals
from sharpwave.untrusted import explained, read_json


class Croppable(Protocol):
    """A recording in steps, of which a part can be had without the rest."""

    def __len__(self) -> int:
        """Number of steps."""

    def restrict(self, first: int, last: int) -> EpochedRecording:
        """Steps first to last (excluded)."""


class Source(Protocol):
    """Hands out crops."""

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of at most `n_steps` steps; all randomness comes from `rng`."""


class RandomCrops:
    """Crops of these nights, every place as likely as any other; a night shorter than a crop is given whole.

    Args:
        nights: Nights in memory or on disk.

    Raises:
        SharpwaveError: If there is no night, or none has a step.
    """

    def __init__(self, nights: Iterable[Croppable]) -> None:
        self.nights: Sequence[Croppable] = [night for night in nights if len(night)]
        if not self.nights:
            raise SharpwaveError(
                "at least one night to learn from",
                got="none",
                fix="name recordings, stores (.zarr), or folders that hold them",
            )

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of a night, which is chosen by how many places for a crop it has."""
        places = np.array([max(len(night) - n_steps, 0) + 1 for night in self.nights])
        place = int(rng.integers(places.sum()))
        which = int(np.searchsorted(np.cumsum(places), place, side="right"))
        first = place - int(places[:which].sum())
        night = self.nights[which]
        return night.restrict(first, min(first + n_steps, len(night)))


CLOCK_KNOWN = 0.5
"""Share of the crops that are shown the time since lights off; the others have no clock, as most recordings in use."""
CLOCK_SPREAD = 1800.0
"""Standard deviation, in seconds, of the random offset between the start of a recording and lights off."""


def set_clock(crop: EpochedRecording, rng: np.random.Generator) -> EpochedRecording:
    """A crop with the time since lights off, off by a random amount where nobody knows it, or with none at all.

    A file begins when someone pressed a button: a model that takes its start for the beginning of the night errs on
    every file that begins elsewhere.

    Args:
        crop: A crop; where `lights_off` is None, the recording began somewhere near it.
        rng: Random generator.

    Example:
        >>> grid, nothing = EpochGrid(0.0, 30.0, 2), np.zeros(2)
        >>> crop = EpochedRecording(grid, {}, nothing, nothing)
        >>> clocks = [set_clock(crop, np.random.default_rng(seed)).lights_off for seed in range(100)]
        >>> 30 < clocks.count(None) < 70
        True
    """
    if rng.random() >= CLOCK_KNOWN:
        return replace(crop, lights_off=None)
    offset = float(rng.normal(0.0, CLOCK_SPREAD))
    return crop if crop.lights_off is not None else replace(crop, lights_off=offset)


class WeightedSources:
    """Several sources, each drawn from in proportion to its weight.

    Args:
        parts: Sources and their weights; weights need not sum to one.

    Raises:
        SharpwaveError: If there is no source, or a weight is not positive.
    """

    def __init__(self, parts: Iterable[tuple[Source, float]]) -> None:
        pairs = list(parts)
        weights = np.array([weight for _, weight in pairs], dtype=np.float64)
        if not len(weights) or not (np.isfinite(weights) & (weights > 0)).all():
            raise SharpwaveError(
                "one positive weight per source", got=f"weights {weights.tolist()}", fix="leave out what is not wanted"
            )
        self.sources = [source for source, _ in pairs]
        self.sampling_weights = weights / weights.sum()

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        """A crop of one of the sources."""
        return self._choose(rng).draw(rng, n_steps)

    def _choose(self, rng: np.random.Generator) -> Source:
        which = int(np.searchsorted(np.cumsum(self.sampling_weights[:-1]), rng.random(), side="right"))
        return self.sources[which]


class Alternation(WeightedSources):
    """Weighted sources of which every update takes one, so that a batch holds recordings of one kind.

    Attention and encoders work on every modality of a batch for every crop: mixed batches cost several times as much.
    """

    def pick(self, rng: np.random.Generator) -> Source:
        """The source of one update."""
        return pick_source(self._choose(rng), rng)


def pick_source(source: Source, rng: np.random.Generator) -> Source:
    """What one update draws from: what a source with `pick` picks, else the source itself."""
    pick = getattr(source, "pick", None)
    return source if pick is None else pick(rng)


STRETCH = 240
"""Steps cut at a time."""
CACHE = ".sharpwave-windows"
"""Folder beside the stores, where no other is given."""
NOTES = "hashes"
"""Folder in it for hashes of what was cut, so that each is read by one process, once."""


class StoredEpochs:
    """The epochs of a recording on disk: `restrict` reads those steps and nothing else.

    Args:
        folder: Written by `store_epochs`.

    Raises:
        SharpwaveError: If the folder is no such night, or is damaged.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        fix = "remove it; it is made again from the recording"
        with explained("a folder of epochs with night.json", name=self.folder.name, fix=fix):
            content = read_json(self.folder / "night.json")
            self.grid = EpochGrid(**content["grid"])
            self.channels = {name: tuple(channels) for name, channels in content["channels"].items()}
            self.about: dict[str, Any] = content["about"]
            self.about["repairs"] = tuple(self.about.get("repairs", ()))
            if self.about["scorable"] is not None:
                self.about["scorable"] = tuple(self.about["scorable"])
            len(self)

    def __len__(self) -> int:
        return len(self.grid)

    @property
    def subject(self) -> str:
        """Who."""
        return str(self.about["subject"])

    def count_stages(self) -> Counter[str]:
        """Number of steps of each stage; those without one are "?"."""
        codes = self._read("stages", 0, len(self))
        names = ("?", *STAGE_SETS[self.about["n_stages"]])
        counts = {name: int((codes == code).sum()) for code, name in enumerate(names, start=-1)}
        return Counter({name: counts[name] for name in (*names[1:], "?") if counts[name]})

    def restrict(self, first: int, last: int) -> EpochedRecording:
        """Steps first to last (excluded), in memory."""
        with explained("a folder of epochs", name=self.folder.name, fix="remove it; it is made again"):
            return self._restrict(first, last)

    def _restrict(self, first: int, last: int) -> EpochedRecording:
        epochs = {
            name: ModalityEpochs(
                self._read(f"{name}.values", first, last), self._read(f"{name}.present", first, last), channels
            )
            for name, channels in self.channels.items()
        }
        stages, votes = self._read("stages", first, last), self._read("votes", first, last)
        return EpochedRecording(self.grid.restrict(first, last), epochs, stages, votes, **self.about)

    def _read(self, name: str, first: int, last: int) -> np.ndarray:
        fix = "remove their folder; it is made again"
        with explained(f"the epochs {name}.npy", name=self.folder.name, fix=fix):
            array = np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            return np.array(array[first:last])


def store_epochs(
    recording: Recording,
    folder: str | Path,
    *,
    modalities: Collection[str] | None = None,
    step: float = STEP,
    scorable: tuple[int, ...] | None = None,
    cohort: str = "",
) -> StoredEpochs:
    """Cut a recording into epochs and keep them in a folder, in bounded memory.

    The same numbers as `epoch_recording(every_channel=True)`: training sees every channel, and drops some at random.

    Args:
        recording: Signals may lie on disk.
        folder: Replaced if it exists.
        modalities: Keys of `ENCODERS`; all where omitted.
        step: Length of a step in seconds.
        scorable: Stages that can be labelled at all where signals exist, if not all.
        cohort: Kept with the epochs.

    Raises:
        SharpwaveError: If the recording is shorter than a step, or has none of the modalities.
    """
    folder = Path(folder)
    with replace_folder(folder, owns=_is_stored) as partial:
        _fill_folder(partial, recording, modalities, step, scorable, cohort)
    return StoredEpochs(folder)


def _is_stored(folder: Path) -> bool:
    """Whether a folder holds epochs and nothing else."""
    names = [path.name for path in folder.iterdir()]
    return "night.json" in names and all(name == "night.json" or name.endswith(".npy") for name in names)


def _fill_folder(
    partial: Path,
    recording: Recording,
    modalities: Collection[str] | None,
    step: float,
    scorable: tuple[int, ...] | None,
    cohort: str,
) -> None:
    recording = prepare_signals(recording, every_channel=True)
    grid = make_epoch_grid(recording, step=step)
    channels: dict[str, tuple[str, ...]] = {}
    for name in ENCODERS if modalities is None else modalities:
        found = _store_modality(name, recording, grid, partial)
        if found is not None:
            channels[name] = found
    if not channels:
        raise SharpwaveError(
            "a recording with a modality that the model knows",
            got=f"{', '.join(recording.modalities) or 'no signals'}",
            fix="name the channels so that they are recognised, or choose other modalities",
        )
    stages, votes, n_stages = align_stages(recording.hypnogram, grid)
    np.save(partial / "stages.npy", stages)
    np.save(partial / "votes.npy", votes)
    about: dict[str, Any] = {"n_stages": n_stages, "scorable": scorable, "cohort": cohort, "subject": recording.subject}
    about |= {"repairs": recording.repairs, "lights_off": find_lights_off(recording)}
    content = {
        "grid": {"start": grid.start, "step": grid.step, "n_steps": grid.n_steps},
        "channels": channels,
        "about": about,
    }
    (partial / "night.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _store_modality(name: str, recording: Recording, grid: EpochGrid, folder: Path) -> tuple[str, ...] | None:
    """Cut one modality into two arrays; its channels, or None where the recording does not have it."""
    specification, past, values, present = ENCODERS[name], None, None, None
    channels: tuple[str, ...] = ()
    for first in range(0, len(grid), STRETCH):
        last = min(first + STRETCH, len(grid))
        measured = specification.measure(recording, grid.restrict(first, last))
        if measured is None:
            return None
        epochs, past = specification.normalise(measured, past)
        if values is None or present is None:
            channels, shape = epochs.channels, (len(grid), *epochs.values.shape[1:])
            values = _create(folder / f"{name}.values.npy", epochs.values.dtype, shape)
            present = _create(folder / f"{name}.present.npy", np.dtype(bool), shape[:2])
        values[first:last], present[first:last] = epochs.values, epochs.present
    return channels


def _create(path: Path, dtype: np.dtype, shape: tuple[int, ...]) -> np.memmap:
    array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
    if hasattr(os, "posix_fallocate") and path.stat().st_size:  # a full disk is an error now, not a crash later
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return array


def find_stores(paths: Iterable[str | Path]) -> list[Path]:
    """Stores (.zarr) among the paths and in the folders among them, at any depth.

    Raises:
        SharpwaveError: If there is none.
    """
    given = [Path(path) for path in paths]
    stores: list[Path] = []
    for path in given:
        stores += [path] if path.suffix == ".zarr" else sorted(path.rglob("*.zarr"))
    if not stores:
        raise SharpwaveError(
            "stores of recordings (.zarr)",
            got=f"none in {', '.join(path.name for path in given) or 'no folder'}",
            fix="make them with `sharpwave convert FILES -o FOLDER`",
        )
    return list(dict.fromkeys(stores))


def stream_stores(
    paths: Iterable[str | Path],
    *,
    cache: str | Path | None = None,
    modalities: Sequence[str] | None = None,
    rank: int = 0,
    world: int = 1,
) -> list[StoredEpochs]:
    """Nights of stores, ready to draw crops from; each is cut into epochs the first time.

    Args:
        paths: Stores (.zarr), or folders that hold them.
        cache: Folder for the epochs; `.sharpwave-windows` beside each store where omitted.
        modalities: Keys of `ENCODERS`; all where omitted.
        rank: Number of this process, from 0, of those that need the same nights.
        world: Number of these processes.

    Raises:
        SharpwaveError: If there is no store, or one cannot be read.
    """
    make = partial(cut_store, cache=cache, modalities=modalities)
    return share_work(find_stores(paths), make, rank=rank, world=world)


def cut_store(path: Path, *, cache: str | Path | None = None, modalities: Sequence[str] | None = None) -> StoredEpochs:
    """The night of one store, cut into epochs where it was not yet; arguments as for `stream_stores`."""
    from sharpwave.recordings.store import open_store

    home = path.parent / CACHE if cache is None else Path(cache)
    content = hash_once([path], home / NOTES, partial(hash_path, path))
    folder = home / f"{path.stem}-{sign_epochs(path.parent.name, content, modalities)}"
    if (folder / "night.json").is_file():
        return StoredEpochs(folder)
    return store_epochs(open_store(path), folder, modalities=modalities, cohort=path.parent.name)


def sign_epochs(*made_from: Any) -> str:
    """Twelve digits that change with what epochs are made from, and with the code that makes them.

    Args:
        made_from: Plain values: the hash of the recording's content, its modalities.

    Example:
        >>> sign_epochs("night", ["eeg"]) == sign_epochs("night", ["emg"])
        False
    """
    here = Path(__file__).parent
    digest = hashlib.sha256(json.dumps(made_from).encode())
    for source in [here.parent / "epochs.py", *sorted((here.parent / "encoders").glob("*.py"))]:
        digest.update(source.read_bytes() if source.is_file() else b"")
    return digest.hexdigest()[:12]


__getattr__ = moved.rename(
    __name__,
    {
        "Mixture": "WeightedSources",
        "Nights": "RandomCrops",
        "StoredNight": "StoredEpochs",
        "store_windows": "store_epochs",
    },
)
