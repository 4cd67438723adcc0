"""`sharpwave train` and `sharpwave distil`: from recordings, stores and simulated nights to weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.brainmu.model import BrainMu
    from sharpwave.brainmu.training.crops import Source, StoredEpochs
    from sharpwave.brainmu.training.objective import TrainingOptions

WINDOWS = "windows"
"""Folder in the output for the windows of recordings that are not stores, and of simulated nights."""
SPECIES = ("human", "rat", "mouse")


@dataclass(frozen=True)
class Data:
    """What to learn from.

    Attributes:
        sources: Stores (.zarr), folders of stores, recordings, and data sets by name.
        simulated: Nights to simulate beside them, of each species in turn.
        simulated_share: Share of the pieces that are simulated, where there are sources too.
        hours: Length of a simulated night.
        seed: Of the simulated nights.
    """

    sources: Sequence[str] = ()
    simulated: int = 0
    simulated_share: float = 0.5
    hours: float = 8.0
    seed: int = 0


@dataclass(frozen=True)
class Machines:
    """What to train on: see `sharpwave.brainmu.training.devices.make_fabric`."""

    devices: int | str = 1
    strategy: str = "auto"
    nodes: int = 1
    accelerator: str = "auto"


def train_model(
    data: Data,
    output: Path,
    *,
    options: TrainingOptions,
    preset: str = "lite",
    modalities: Sequence[str] | None = None,
    weights: Path | None = None,
    labels: bool = True,
    machines: Machines | None = None,
) -> Path:
    """Train a model on recordings and simulated nights; a run found in the output goes on.

    Args:
        data: What to learn from.
        output: Folder for weights, checkpoints and losses.
        options: Of the run.
        preset: Size, where no weights are given to start from.
        modalities: Of a fresh model; all where omitted.
        weights: Folder to start from.
        labels: Whether stages are learned too; signals alone otherwise.
        machines: One device where omitted.

    Raises:
        SharpwaveError: If there is nothing to learn from, or the output holds another run.
    """
    from sharpwave.brainmu.training.pretraining import pretrain
    from sharpwave.brainmu.training.training import train

    fabric = _launch(machines, options)
    with fabric.rank_zero_first():
        source = open_data(data, output / WINDOWS, modalities=modalities)
    model = _start(weights, preset, modalities, options.seed)
    learn = train if labels else pretrain
    learn(model, source, options=options, folder=output, fabric=fabric)
    return output


def train_shipped(output: Path) -> Path:
    """Train the shipped `lite` again, from the data it was trained on, into a folder."""
    from sharpwave.recipes.recipe import train_lite

    return train_lite(output)


def distil_model(
    data: Data,
    output: Path,
    *,
    teachers: Sequence[Path],
    options: TrainingOptions,
    preset: str = "lite",
    weights: Path | None = None,
    machines: Machines | None = None,
) -> Path:
    """Train a model to answer as trained ones do on average; arguments as of `train_model`."""
    from sharpwave.brainmu import load_brainmu
    from sharpwave.brainmu.training.distillation import distil

    taught = [load_brainmu(folder)[0] for folder in teachers]
    modalities = list(dict.fromkeys(name for teacher in taught for name in teacher.config.modalities)) or None
    fabric = _launch(machines, options)
    with fabric.rank_zero_first():
        source = open_data(data, output / WINDOWS, modalities=modalities)
    student = _start(weights, preset, modalities, options.seed)
    distil(student, taught, source, options=options, folder=output, fabric=fabric)
    return output


def open_data(data: Data, folder: Path, *, modalities: Sequence[str] | None = None) -> Source:
    """A source of pieces; whatever is no store is windowed into the folder first.

    Raises:
        SharpwaveError: If there is nothing.
    """
    from sharpwave.brainmu.training.crops import RandomCrops, WeightedSources

    parts: list[tuple[Source, float]] = []
    if data.sources:
        parts.append((RandomCrops(open_nights(data.sources, folder, modalities=modalities)), 1 - data.simulated_share))
    if data.simulated:
        parts.append((RandomCrops(_simulate(data, folder, modalities)), data.simulated_share))
    if not parts:
        raise SharpwaveError(
            "something to learn from", got="nothing", fix="name stores, recordings or folders, or give --simulated"
        )
    return parts[0][0] if len(parts) == 1 else WeightedSources(parts)


def open_nights(
    sources: Sequence[str], folder: Path, *, modalities: Sequence[str] | None = None, scorings: Path | None = None
) -> list[StoredEpochs]:
    """Windowed nights on disk, of stores, folders of stores, recordings, and data sets by name.

    Args:
        sources: As the user named them.
        folder: For the windows of what is no store, or has its stages elsewhere.
        modalities: Keys of `ENCODERS`; all where omitted.
        scorings: Folder of hypnograms named as the nights.

    Raises:
        SharpwaveError: If a night cannot be read, or has no scoring in the folder.
    """
    from sharpwave.brainmu.training.crops import find_stores, store_epochs, stream_stores
    from sharpwave.commands.batch import expand_sources, name_source, unique_names
    from sharpwave.night.options import open_source

    names = expand_sources(sources)
    stores = [name for name in names if _holds_stores(Path(name))]
    if scorings is not None:
        names = [str(path) for path in find_stores(stores)] + [name for name in names if name not in stores]
        stores = []
    nights = stream_stores(stores, modalities=modalities) if stores else []
    others = [name for name in names if name not in stores]
    for source, name in zip(others, unique_names([name_source(source) for source in others]), strict=True):
        recording = _name_subject(open_source(source), name)
        if scorings is not None:
            recording = _attach(recording, scorings, name)
        nights.append(store_epochs(recording, folder / name, modalities=modalities, cohort=recording.source))
    return nights


def _holds_stores(path: Path) -> bool:
    return path.suffix == ".zarr" or (path.is_dir() and not path.suffix)


def _name_subject(recording: Any, name: str) -> Any:
    """Nights that do not say whose they are count as of different people."""
    from dataclasses import replace

    return replace(recording, subject=name) if recording.subject in ("", "unknown") else recording


def _attach(recording: Any, scorings: Path, name: str) -> Any:
    from sharpwave.recordings.readers import attach_hypnogram

    found = sorted(path for path in scorings.glob(f"{name}*") if path.is_file())
    if len(found) != 1:
        raise SharpwaveError(
            f"one scoring of {name} in {scorings.name}",
            got=", ".join(path.name for path in found) or "none",
            fix="name the scorings as the recordings",
        )
    return attach_hypnogram(recording, found[0])


def _simulate(data: Data, folder: Path, modalities: Sequence[str] | None) -> list[StoredEpochs]:
    """Simulated nights of each species in turn, windowed one by one; those made before are used again."""
    from dataclasses import replace

    from rich.console import Console
    from rich.progress import track

    from sharpwave.brainmu.training.crops import StoredEpochs, store_epochs
    from sharpwave.simulation import simulate_night

    nights = []
    for index in track(range(data.simulated), "Simulating", console=Console(stderr=True), transient=True):
        target = folder / f"simulated-{data.seed}-{data.hours:g}h-{index:04d}"
        if (target / "night.json").is_file():
            nights.append(StoredEpochs(target))
            continue
        rng = np.random.default_rng([data.seed, index])
        recording, _ = simulate_night(SPECIES[index % len(SPECIES)], data.hours, rng=rng)
        recording = replace(recording, subject=target.name)
        nights.append(store_epochs(recording, target, modalities=modalities, cohort="simulated"))
    return nights


def _launch(machines: Machines | None, options: TrainingOptions) -> Any:
    from sharpwave.brainmu.training.devices import make_fabric

    machines = machines or Machines()
    return make_fabric(
        devices=machines.devices,
        strategy=machines.strategy,
        precision=options.precision,
        nodes=machines.nodes,
        accelerator=machines.accelerator,
    )


def _start(weights: Path | None, preset: str, modalities: Sequence[str] | None, seed: int) -> BrainMu:
    """Loaded or fresh; fresh weights follow from the seed, so that all processes start alike."""
    import torch

    from sharpwave.brainmu import BrainMu, configure, load_brainmu

    if weights is not None:
        return load_brainmu(weights)[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BrainMu(configure(preset, modalities=modalities))
