"""`sharpwave distil`: a small model that answers as large ones do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpwave.commands.options import with_options
from sharpwave.commands.progress import say
from sharpwave.commands.train import (
    Learning,
    Machines,
    Output,
    Preset,
    Sources,
    Weights,
    check_run_folder,
    hold_inputs,
    launch,
    start_model,
)
from sharpwave.commands.windows import WINDOWS, Data, open_data
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.brainmu.training.objective import TrainingOptions


@with_options
def distil(
    nights: Sources = None,
    output: Output = Path("distilled"),
    teacher: Annotated[
        list[Path] | None,
        typer.Option(help="Folder of a teacher's weights; may be given several times: teachers are averaged."),
    ] = None,
    preset: Preset = "lite",
    weights: Weights = None,
    *,
    data: Data,
    learning: Learning,
    machines: Machines,
) -> None:
    """Train a small model to answer as a large one does.

    - `sharpwave distil stores/ --teacher small -o lite`
    """
    if not teacher:
        raise SharpwaveError("the weights of a teacher", got="none", fix="give them with --teacher FOLDER")
    say("Loading the teachers ...")
    path = distil_model(
        replace(data, sources=nights or (), seed=learning.seed),
        output,
        teachers=teacher,
        options=learning.to_options(),
        preset=preset,
        weights=weights,
        machines=machines,
    )
    typer.echo(f"Weights: {path}")


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
    from sharpwave.brainmu.training import distillation

    taught = [load_brainmu(folder)[0] for folder in teachers]
    modalities = list(dict.fromkeys(name for teacher in taught for name in teacher.config.modalities)) or None
    check_run_folder(output)
    machines = machines or Machines()
    execution = machines.to_execution()
    fabric = launch(machines, options)
    if fabric.is_global_zero:
        hold_inputs(output, data.sources, weights, *teachers)
    place = fabric.global_rank, fabric.world_size
    source = open_data(data, output / WINDOWS, modalities=modalities, place=place)
    student = start_model(weights, preset, modalities, options.seed)
    distillation.distil(student, taught, source, options=options, folder=output, fabric=fabric, execution=execution)
    return output
