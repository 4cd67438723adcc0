"""`sharpwave simulate`: a night whose truth is known, as a store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.options import Overwrite
from sharpwave.outputs import check_folder, replace_folder

TABLES = ("slow_oscillations", "spindles", "ripples", "arousals", "eye_movements", "gamma_bursts", "artefacts", "laps")
TRUTH = ("truth.json", "course.parquet", "hypnogram.tsv", *(f"{name}.tsv" for name in TABLES),
         *(f"hypnogram_expert_{index}.tsv" for index in range(1, 6)))  # fmt: skip
"""Files of the truth."""


def simulate(
    output: Annotated[Path, typer.Argument(help="Store to write, ending in .zarr.")],
    species: Annotated[str, typer.Option(help="human, rat or mouse.")] = "human",
    hours: Annotated[float, typer.Option(min=0.1, max=168, help="Length of the night in hours.")] = 8.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same night.")] = 0,
    effects: Annotated[
        bool,
        typer.Option("--effects/--no-effects", help="Let reactivations change sleep by known amounts, or not at all."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a night whose truth is known; the truth goes beside it, in `OUTPUT.truth/`."""
    path = simulate_to_store(output, species=species, hours=hours, seed=seed, effects=effects, overwrite=overwrite)
    typer.echo(f"Simulated night: {path}")


def simulate_to_store(output: Path, *, species: str, hours: float, seed: int, effects: bool, overwrite: bool) -> Path:
    """Simulate a night and write its store, with the truth in `OUTPUT.truth/`."""
    import numpy as np

    from sharpwave.recordings.store.write import check_store_path, write_store
    from sharpwave.simulation import Effects, simulate_night

    folder = output.with_name(f"{output.name}.truth")
    check_store_path(output, overwrite=overwrite)
    check_folder(output, owns=Path.is_dir)
    check_folder(folder, known=TRUTH)
    planted = Effects.planted() if effects else Effects()
    recording, truth = simulate_night(species, hours, rng=np.random.default_rng(seed), effects=planted)
    path = write_store(recording, output, overwrite=overwrite)
    with replace_folder(folder, known=TRUTH) as partial:
        truth.write(partial)
    return path
