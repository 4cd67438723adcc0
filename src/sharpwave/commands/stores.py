"""`sharpwave simulate` and `sharpwave convert`: recordings into stores."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sharpwave.commands.batch import name_source, unique_names


def simulate_to_store(output: Path, *, species: str, hours: float, seed: int, effects: bool, overwrite: bool) -> Path:
    """Simulate a night and write its store, with the truth in `OUTPUT.truth/`."""
    from sharpwave.recordings.store import write_store
    from sharpwave.simulation import Effects, simulate_night

    planted = Effects.planted() if effects else Effects()
    recording, truth = simulate_night(species, hours, rng=np.random.default_rng(seed), effects=planted)
    path = write_store(recording, output, overwrite=overwrite)
    folder = output.with_name(f"{output.name}.truth")
    if overwrite:
        shutil.rmtree(folder, ignore_errors=True)
    truth.write(folder)
    return path


def convert_to_stores(sources: Sequence[str], output: Path, *, overwrite: bool) -> list[Path]:
    """Convert recordings, one store each, with a progress bar on stderr."""
    from rich.console import Console
    from rich.progress import track

    from sharpwave.night.options import DecodeOptions, open_source
    from sharpwave.recordings.store import write_store

    names = unique_names([name_source(source) for source in sources])
    alone = len(sources) == 1 and output.suffix == ".zarr"
    paths = []
    tasks = list(zip(sources, names, strict=True))
    for source, name in track(tasks, "Converting", console=Console(stderr=True), transient=True):
        target = output if alone else output / f"{name}.zarr"
        target.parent.mkdir(parents=True, exist_ok=True)
        paths.append(write_store(open_source(source, DecodeOptions()), target, overwrite=overwrite))
    return paths
