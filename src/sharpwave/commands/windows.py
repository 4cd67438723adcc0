"""Nights cut into the windows that a model learns from: once, and with `--windows` several at the same time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sharpwave import __version__
from sharpwave.commands.batch import NightOutcome, attempt, quieten, run_apart
from sharpwave.commands.progress import say
from sharpwave.commands.scorings import Scorings
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
    scorings: Scorings | None = None,
    place: tuple[int, int] = (0, 1),
    labels: bool = False,
) -> Source:
    """A source of pieces; whatever is no store is windowed into the folder first, by all processes together.

    `place` is the number of this process, from 0, and how many there are; with `labels` stages are learned.

    Raises:
        SharpwaveError: If there is nothing, or stages are to be learned and no night has any.
    """
    from sharpwave.brainmu.training.crops import RandomCrops, WeightedSources

    parts: list[tuple[Source, float]] = []
    if data.sources:
        nights = open_nights(data.sources, folder, modalities=modalities, scorings=scorings, place=place)
        if labels and not data.simulated:
            need_stages(nights)
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
    scorings: Scorings | None = None,
    place: tuple[int, int] = (0, 1),
) -> list[StoredEpochs]:
    """Windowed nights on disk, of stores, folders of stores, recordings, and data sets by name.

    Args:
        sources: As the user named them.
        folder: For the windows of what is no store, or has its stages elsewhere.
        modalities: Keys of `ENCODERS`; all where omitted.
        scorings: Where the stages are, and how they are read; in the nights themselves where omitted.
        place: Number of this process, from 0, and how many share the work.

    Raises:
        SharpwaveError: If a night cannot be read, or has no scoring in the folder.
    """
    nights = list_nights(sources, folder, modalities=modalities, scorings=scorings)
    opened = _share(nights, place, name="Epochs")
    if place[0] == 0:
        for line in describe_nights({night.name: cut for night, cut in zip(nights, opened, strict=True)}):
            say(line)
    return opened


FAR_WAKE, MOST_FAR_WAKE = 30.0, 0.2
"""Minutes from sleep within which wake is usually learned from, and the share of steps beyond from which it is said."""
MOST_LINES = 8
"""Sentences on repaired nights that are printed; `night.json` of each night has all of its own."""


def describe_nights(nights: Mapping[str, StoredEpochs]) -> list[str]:
    """What there is to learn from: people, hours, modalities, stages, and what was repaired in which nights.

    Args:
        nights: Windowed nights by name.
    """
    people = {night.subject for night in nights.values()}
    hours = sum(len(night) * night.grid.step for night in nights.values()) / 3600
    having = Counter(name for night in nights.values() for name in night.channels if name != "stages")
    counts: Counter[str] = Counter()
    for night in nights.values():
        counts += night.count_stages()
    scored = ", ".join(f"{name} {count:,}" for name, count in counts.items() if name != "?")
    lines = [
        f"Nights: {len(nights)}, of {len(people)} {'person' if len(people) == 1 else 'people'}, {hours:,.1f} h; "
        + (", ".join(f"{name} in {count}" for name, count in having.items()) or "no signals"),
        f"Stages, in steps of 30 s: {scored or 'none'}" + (f"; unscored {counts['?']:,}" if counts["?"] else ""),
    ]
    if (beyond := sum(map(_count_far_wake, nights.values()))) > MOST_FAR_WAKE * sum(counts.values()):
        lines.append(
            f"Wake more than {FAR_WAKE:g} min before the first or after the last sleep: {beyond:,} of these steps. "
            f"--wake-margin {FAR_WAKE:g} leaves them out, as is usual for Sleep-EDF"
        )
    said: dict[str, list[str]] = {}
    for name, night in nights.items():
        for repair in [*night.about["repairs"], *([] if is_scored(night) else ["no stages are known"])]:
            said.setdefault(repair, []).append(name)
    most = sorted(said, key=lambda repair: -len(said[repair]))[:MOST_LINES]
    lines += [f"{_name_some(said[repair])}: {repair}" for repair in most]
    return lines + ([f"{len(said) - len(most)} more in night.json of the windows"] if len(said) > len(most) else [])


def _count_far_wake(night: StoredEpochs) -> int:
    """Steps of wake that lie further from sleep than is usually learned from."""
    import numpy as np

    stages = np.load(night.folder / "stages.npy", allow_pickle=False)
    asleep = np.flatnonzero(stages > 0)
    margin = int(60 * FAR_WAKE / night.grid.step)
    first, last = (asleep[0] - margin, asleep[-1] + margin + 1) if len(asleep) else (0, len(stages))
    return int((stages[: max(first, 0)] == 0).sum() + (stages[last:] == 0).sum())


def _name_some(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


def is_scored(night: StoredEpochs) -> bool:
    """Whether a night has a step whose stage is known."""
    return any(name != "?" for name in night.count_stages())


def need_stages(nights: Sequence[StoredEpochs]) -> None:
    """Refuse nights of which none has stages, before anything is learned from them.

    Raises:
        SharpwaveError: If so.
    """
    if not any(map(is_scored, nights)):
        raise SharpwaveError(
            "nights with their sleep stages",
            got=f"{len(nights)} without" if len(nights) != 1 else "one without",
            fix="give their hypnograms with --scorings FOLDER; `sharpwave train --no-labels` learns without",
        )


def cut_windows(
    data: Data,
    folder: Path,
    *,
    modalities: Sequence[str] | None = None,
    scorings: Scorings | None = None,
    jobs: int = 1,
    scheduler: str | None = None,
) -> list[NightOutcome]:
    """Cut all nights into windows, where a run of training then finds them.

    Args:
        data: What will be learned from.
        folder: For the windows of what is no store, or has its stages elsewhere.
        modalities: Keys of `ENCODERS`; all where omitted.
        scorings: Where the stages are, and how they are read; in the nights themselves where omitted.
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
        cut = night.cut()
        counts = ", ".join(f"{name} {count}" for name, count in cut.count_stages().items())
        return "; ".join([counts if is_scored(cut) else "no stages are known", *cut.about["repairs"]]), None

    return attempt(night.name, act)


def _share(nights: Sequence[NightToCut], place: tuple[int, int], *, name: str) -> list[StoredEpochs]:
    from sharpwave.brainmu.training.devices import share_work

    return share_work(nights, _cut_by_name, rank=place[0], world=place[1], name=name)


def _cut_by_name(night: NightToCut) -> StoredEpochs:
    """As `cut`; an error says which of the nights it is about."""
    try:
        return night.cut()
    except SharpwaveError as error:
        if night.name in error.expected:
            raise
        raise SharpwaveError(error.expected, got=f"{error.got} ({night.name})", fix=error.fix) from error


def list_nights(
    sources: Sequence[str], folder: Path, *, modalities: Sequence[str] | None = None, scorings: Scorings | None = None
) -> list[NightToCut]:
    """Nights to cut: stores first; arguments as for `open_nights`."""
    from sharpwave.brainmu.training.crops import cut_store
    from sharpwave.commands.inputs import name_sources
    from sharpwave.commands.scorings import list_scorings

    list_scorings.cache_clear()
    inside, others = list_sources(sources)
    if scorings is not None and (scorings.folder is not None or scorings.wake_margin is not None):
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
    source: str, name: str, *, folder: Path, modalities: Sequence[str] | None, scorings: Scorings | None
) -> StoredEpochs:
    from sharpwave.brainmu.training.crops import NOTES, StoredEpochs, sign_epochs, store_epochs
    from sharpwave.commands.inputs import hash_sources, list_inputs, name_source
    from sharpwave.commands.scorings import find_scoring, name_person, trim_wake
    from sharpwave.night.lights import mark_lights
    from sharpwave.night.options import open_source
    from sharpwave.recordings.readers import attach_hypnogram

    scorings = scorings or Scorings()
    scoring, said = None, ""
    if scorings.folder is not None:
        where, scorer = Path(source).parent, scorings.scorer
        scoring, said = find_scoring(name_source(source), scorings.folder, beside=where, scorer=scorer)
    read = [source, *([] if scoring is None else [str(scoring)])]
    inputs = [path for name in read for path in list_inputs(name)]
    compute = partial(hash_sources, read)
    content = compute() if any(map(is_address, inputs)) else hash_once(inputs, folder / NOTES, compute)
    target = folder / f"{name}-{sign_epochs(content, modalities, *scorings.sign)}"
    if (target / "night.json").is_file():
        return StoredEpochs(target)
    recording = name_person(open_source(source, scorings.how), name)
    if scoring is not None:
        how = scorings.how
        scorer = None if said else how.scorer
        recording = attach_hypnogram(recording, scoring, convention=how.stage_convention, scorer=scorer)
        recording = replace(recording, repairs=(*recording.repairs, *([said] if said else [])))
    recording = trim_wake(replace(mark_lights(recording), repairs=recording.repairs), scorings.wake_margin)
    return store_epochs(recording, target, modalities=modalities, cohort=recording.source)


def list_sources(sources: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Stores, and recordings that are none, of what the user named; a folder without stores is its recordings.

    Args:
        sources: Stores, recordings, folders of either, BIDS data sets, and data sets by name.

    Raises:
        SharpwaveError: If a folder holds neither stores nor recordings.
    """
    from sharpwave.brainmu.training.crops import find_stores
    from sharpwave.commands.sources import expand_sources, find_recordings, is_recording
    from sharpwave.recordings.readers.bids_layout import list_bids_nights

    stores: list[Path] = []
    others: list[str] = []
    for name in expand_sources(sources, folders=False):
        path = Path(name)
        if path.suffix == ".zarr" or (path.is_dir() and next(path.rglob("*.zarr"), None) is not None):
            stores += find_stores([path])
        elif not path.is_dir() or is_recording(path):
            others.append(name)
        elif (path / "dataset_description.json").exists():
            others += map(str, list_bids_nights(path))
        else:
            others += map(str, find_recordings(path))
    return list(dict.fromkeys(stores)), others


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
