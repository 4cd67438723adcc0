"""Nights cut into the windows that a model learns from: once, and with `--windows` several at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave import __version__
from sharpwave.commands.batch import NightOutcome, attempt, quieten, run_apart
from sharpwave.disk import hash_once
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import option
from sharpwave.remote import is_address

if TYPE_CHECKING:
    from sharpwave.brainmu.training.crops import Source, StoredEpochs

WINDOWS = "windows"
"""Folder in the output for the windows of recordings that are not stores, and of simulated nights."""
SPECIES = ("human", "rat", "mouse")


@dataclass(frozen=True)
class Data:
    """What to learn from.

    Attributes:
        sources: Stores (.zarr), folders of stores, recordings, and data sets by name.
        simulated: Number of nights to simulate beside them; the species take turns.
        simulated_share: Share of the crops that come from simulated nights, where there are sources, too.
        hours: Length of a simulated night in hours.
        seed: Seed of the simulated nights.
    """

    sources: Sequence[str] = ()
    simulated: int = option(0, "How many nights to simulate; the species take turns.", min=0)
    simulated_share: float = option(
        0.5, "Share of the crops that come from simulated nights, where there are recordings, too.", min=0.01, max=0.99
    )
    hours: float = option(8.0, "Length of a simulated night in hours.", min=0.5, max=24)
    seed: int = 0


def open_data(
    data: Data,
    folder: Path,
    *,
    modalities: Sequence[str] | None = None,
    scorings: Path | None = None,
    place: tuple[int, int] = (0, 1),
) -> Source:
    """A source of pieces; whatever is no store is windowed into the folder first, by all processes together.

    `place` is the number of this process, from 0, and how many there are.

    Raises:
        SharpwaveError: If there is nothing.
    """
    from sharpwave.brainmu.training.crops import RandomCrops, WeightedSources

    parts: list[tuple[Source, float]] = []
    if data.sources:
        nights = open_nights(data.sources, folder, modalities=modalities, scorings=scorings, place=place)
        parts.append((RandomCrops(nights), 1 - data.simulated_share))
    if data.simulated:
        simulated = _share(_list_simulated(data, folder, modalities), place, name="Simulating")
        parts.append((RandomCrops(simulated), data.simulated_share))
    if not parts:
        raise _nothing()
    return parts[0][0] if len(parts) == 1 else WeightedSources(parts)


def _nothing() -> SharpwaveError:
    return SharpwaveError(
        "something to learn from", got="nothing", fix="name stores, recordings or folders, or give --simulated"
    )


@dataclass(frozen=True)
class NightToCut:
    """A night, and what cuts it, which does nothing but open the windows where they are there.

    Attributes:
        name: Short name of the night.
        cut: Function of this module with its arguments, so that other processes can call it.
    """

    name: str
    cut: Callable[[], StoredEpochs]


def open_nights(
    sources: Sequence[str],
    folder: Path,
    *,
    modalities: Sequence[str] | None = None,
    scorings: Path | None = None,
    place: tuple[int, int] = (0, 1),
) -> list[StoredEpochs]:
    """Windowed nights on disk, of stores, folders of stores, recordings, and data sets by name.

    Args:
        sources: As the user named them.
        folder: For the windows of what is no store, or has its stages elsewhere.
        modalities: Keys of `ENCODERS`; all where omitted.
        scorings: Folder of hypnograms named as the nights.
        place: Number of this process, from 0, and how many share the work.

    Raises:
        SharpwaveError: If a night cannot be read, or has no scoring in the folder.
    """
    return _share(list_nights(sources, folder, modalities=modalities, scorings=scorings), place, name="Epochs")


def cut_windows(
    data: Data,
    folder: Path,
    *,
    modalities: Sequence[str] | None = None,
    scorings: Path | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
) -> list[NightOutcome]:
    """Cut all nights into windows, where a run of training then finds them.

    Args:
        data: What will be learned from.
        folder: For the windows of what is no store, or has its stages elsewhere.
        modalities: Keys of `ENCODERS`; all where omitted.
        scorings: Folder of hypnograms named as the nights.
        jobs: Nights cut at once, each in a process of its own.
        scheduler: Where they are cut; this machine where omitted (see `open_executor`).

    Returns:
        What became of each night; one that fails leaves the others.

    Raises:
        SharpwaveError: If there is nothing to cut.
    """
    nights = list_nights(data.sources, folder, modalities=modalities, scorings=scorings) if data.sources else []
    nights += _list_simulated(data, folder, modalities)
    if not nights:
        raise _nothing()
    outcomes = run_apart(_cut, nights, jobs=jobs, scheduler=scheduler)
    return [outcomes[index] for index in range(len(nights))]


def _cut(night: NightToCut) -> NightOutcome:
    quieten()

    def act() -> tuple[str, None]:
        night.cut()
        return "", None

    return attempt(night.name, act)


def _share(nights: Sequence[NightToCut], place: tuple[int, int], *, name: str) -> list[StoredEpochs]:
    from sharpwave.brainmu.training.devices import share_work

    return share_work(nights, lambda night: night.cut(), rank=place[0], world=place[1], name=name)


def list_nights(
    sources: Sequence[str], folder: Path, *, modalities: Sequence[str] | None = None, scorings: Path | None = None
) -> list[NightToCut]:
    """Nights to cut: stores first; arguments as for `open_nights`."""
    from sharpwave.brainmu.training.crops import cut_store, find_stores
    from sharpwave.commands.inputs import name_sources
    from sharpwave.commands.sources import expand_sources

    names = expand_sources(sources, folders=False)
    stores = [name for name in names if holds_stores(Path(name))]
    others = [name for name in names if name not in stores]
    inside = find_stores(stores) if stores else []
    if scorings is not None:
        inside, others = [], [*map(str, inside), *others]
    cuts = [
        NightToCut(name, partial(cut_store, path, modalities=modalities))
        for path, name in zip(inside, name_sources([*map(str, inside)]), strict=True)
    ]
    cut = partial(_cut_recording, folder=folder, modalities=modalities, scorings=scorings)
    return cuts + [
        NightToCut(name, partial(cut, source, name)) for source, name in zip(others, name_sources(others), strict=True)
    ]


def _cut_recording(
    source: str, name: str, *, folder: Path, modalities: Sequence[str] | None, scorings: Path | None
) -> StoredEpochs:
    from sharpwave.brainmu.training.crops import NOTES, StoredEpochs, sign_epochs, store_epochs
    from sharpwave.commands.inputs import hash_sources, list_inputs
    from sharpwave.commands.scorings import find_scoring, name_person
    from sharpwave.night.options import open_source
    from sharpwave.recordings.readers import attach_hypnogram

    scoring = None if scorings is None else find_scoring(name, scorings)
    read = [source, *([] if scoring is None else [str(scoring)])]
    inputs = [path for name in read for path in list_inputs(name)]
    compute = partial(hash_sources, read)
    content = compute() if any(map(is_address, inputs)) else hash_once(inputs, folder / NOTES, compute)
    target = folder / f"{name}-{sign_epochs(content, modalities)}"
    if (target / "night.json").is_file():
        return StoredEpochs(target)
    recording = name_person(open_source(source), name)
    recording = recording if scoring is None else attach_hypnogram(recording, scoring)
    return store_epochs(recording, target, modalities=modalities, cohort=recording.source)


def holds_stores(path: Path) -> bool:
    """Whether a path is a store, or a folder that may hold some."""
    return path.suffix == ".zarr" or (path.is_dir() and not path.suffix)


def _list_simulated(data: Data, folder: Path, modalities: Sequence[str] | None) -> list[NightToCut]:
    """Simulated nights of each species in turn; those made before are used again."""
    from sharpwave.brainmu.training.crops import sign_epochs

    if not data.simulated:
        return []
    sign = sign_epochs(__version__, modalities)
    names = [f"simulated-{data.seed}-{data.hours:g}h-{index:04d}" for index in range(data.simulated)]
    return [
        NightToCut(name, partial(_cut_simulated, index, folder / f"{name}-{sign}", data=data, modalities=modalities))
        for index, name in enumerate(names)
    ]


def _cut_simulated(index: int, target: Path, *, data: Data, modalities: Sequence[str] | None) -> StoredEpochs:
    import numpy as np

    from sharpwave.brainmu.training.crops import StoredEpochs, store_epochs
    from sharpwave.simulation import simulate_night

    if (target / "night.json").is_file():
        return StoredEpochs(target)
    rng = np.random.default_rng([data.seed, index])
    recording, _ = simulate_night(SPECIES[index % len(SPECIES)], data.hours, rng=rng)
    recording = replace(recording, subject=f"simulated-{data.seed}-{index:04d}")
    return store_epochs(recording, target, modalities=modalities, cohort="simulated")
