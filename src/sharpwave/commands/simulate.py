"""`sharpwave simulate`: a night whose truth is known, as a store or an NWB file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.options import Overwrite
from sharpwave.commands.progress import say
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import check_folder, replace_folder

TABLES = ("slow_oscillations", "spindles", "ripples", "arousals", "eye_movements", "gamma_bursts", "artefacts", "laps")
TRUTH = ("truth.json", "course.parquet", "hypnogram.tsv", *(f"{name}.tsv" for name in TABLES),
         *(f"hypnogram_expert_{index}.tsv" for index in range(1, 6)))  # fmt: skip
"""Files of the truth."""


def simulate(
    target: Annotated[
        Path | None, typer.Argument(help="Store to write, ending in .zarr, or a file ending in .nwb.", metavar="OUTPUT")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The same, as an option.")] = None,
    species: Annotated[str, typer.Option(help="human, rat or mouse.")] = "human",
    hours: Annotated[float, typer.Option(min=0.1, max=168, help="Length of the night in hours.")] = 8.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same night.")] = 0,
    modalities: Annotated[
        list[str] | None,
        typer.Option(
            help="Signals of the night, as a,b,… or given several times: eeg, eog, emg, lfp, spikes, position, bold, "
            "bold_volume, heart_rate, activity, temperature [default: EEG, EOG, EMG; those of its species].",
        ),
    ] = None,
    effects: Annotated[
        bool,
        typer.Option("--effects/--no-effects", help="Let reactivations change sleep by known amounts, or not at all."),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a night whose truth is known; the truth goes beside it, in `OUTPUT.truth/`.

    A rat has units and position, too: `sharpwave replay` reads what comes out.

    - `sharpwave simulate night.zarr`
    - `sharpwave simulate --species rat --output rat.nwb`
    - `sharpwave simulate wrist.zarr --modalities heart_rate,activity`
    """
    if (target is None) == (output is None):
        raise SharpwaveError("one OUTPUT", got="none" if target is None else "two", fix="name one .zarr or .nwb")
    where = target or output
    assert where is not None
    wanted = [name.strip() for text in modalities or () for name in text.split(",")]
    say(f"Simulating {hours:g} h of a {species} ...")
    path = simulate_to_store(
        where, species=species, hours=hours, seed=seed, effects=effects, overwrite=overwrite, modalities=wanted
    )
    typer.echo(f"Simulated night: {path}")


def simulate_to_store(
    output: Path,
    *,
    species: str,
    hours: float,
    seed: int,
    effects: bool,
    overwrite: bool,
    modalities: Sequence[str] = (),
) -> Path:
    """Simulate a night and write its store, or its NWB file where `output` ends in .nwb, with the truth beside it.

    Args:
        output: The store (.zarr) or the file (.nwb).
        species: "human", "rat" or "mouse".
        hours: Length of the night in hours.
        seed: Seed of the night.
        effects: Whether reactivations change sleep by known amounts.
        overwrite: Whether an earlier night is replaced.
        modalities: Signals of the night; those of the species where there are none.
    """
    import numpy as np

    from sharpwave.recordings.store.write import check_store_path, write_store
    from sharpwave.recordings.store.write_nwb import check_nwb_path, write_nwb
    from sharpwave.simulation import Effects, simulate_night

    folder = output.with_name(f"{output.name}.truth")
    as_nwb = output.suffix.lower() == ".nwb"
    if as_nwb:
        check_nwb_path(output, overwrite=overwrite)
    else:
        check_store_path(output, overwrite=overwrite)
        check_folder(output, owns=Path.is_dir)
    check_folder(folder, known=TRUTH)
    planted = Effects.planted() if effects else Effects()
    recording, truth = simulate_night(
        species, hours, rng=np.random.default_rng(seed), effects=planted, modalities=tuple(modalities) or None
    )
    write = write_nwb if as_nwb else write_store
    path = write(recording, output, overwrite=overwrite)
    with replace_folder(folder, known=TRUTH) as partial:
        truth.write(partial)
    return path
