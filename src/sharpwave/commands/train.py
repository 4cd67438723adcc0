"""`sharpwave train`: from recordings, stores and simulated nights to weights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.batch import finish
from sharpwave.commands.options import RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.commands.scorings import Scorings
from sharpwave.commands.windows import WINDOWS, Data, cut_windows, list_sources, open_data
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import option
from sharpwave.outputs import check_folder, write_file

if TYPE_CHECKING:
    from sharpwave.brainmu.model import BrainMu
    from sharpwave.brainmu.training.devices import Execution
    from sharpwave.brainmu.training.objective import TrainingOptions

INPUTS = "inputs.json"
"""File in the output with the hash of what a run learns from."""
RUN_FILES = ("model.safetensors", "losses.csv", "finetuning.json", INPUTS, WINDOWS)
LEARNING, DEVICES = "Learning", "Devices"
"""Panels of the help text."""

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="Stores (.zarr), folders of stores, recordings, or data sets by name.", metavar="NIGHT..."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for weights, checkpoints and losses.")]
Weights = Annotated[Path | None, typer.Option(help="Folder of weights to start from.")]
Preset = Annotated[str, typer.Option(help="Size of a new model: lite, small or base.")]


@dataclass(frozen=True)
class Learning:
    """How to learn: those of `TrainingOptions` that the command line offers, which says what they are."""

    steps: int = option(1000, "Number of updates of the weights.", panel=LEARNING, min=1)
    batch: int = option(16, "Crops (stretches of nights) per update, all devices together.", panel=LEARNING, min=1)
    piece: int = option(240, "Length of a crop in steps of 30 s.", panel=LEARNING, min=2)
    learning_rate: float = option(1e-3, "Highest learning rate of the run.", panel=LEARNING)
    seed: int = option(0, "The same seed gives the same run.", panel=LEARNING)
    checkpoint_every: int = option(200, "Number of updates between two checkpoints.", panel=LEARNING, min=1)
    precision: str = option("32-true", "Precision of the computation: 32-true or bf16-mixed.", panel=DEVICES)

    def to_options(self) -> TrainingOptions:
        from sharpwave.brainmu.training.objective import TrainingOptions

        return TrainingOptions(**asdict(self))


def _read_devices(devices: str) -> int | str:
    return int(devices) if devices.isdigit() else devices


@dataclass(frozen=True)
class Machines:
    """What to train on: see `sharpwave.brainmu.training.devices.make_fabric`.

    Attributes:
        devices: Number of devices per machine, or "auto".
        strategy: How several devices share the work: "auto", "ddp" or "fsdp".
        nodes: Number of machines.
        accelerator: Kind of the devices: "auto", "cpu" or "cuda".
        attention: Kernel of attention: "dense", or "flex" on a graphics card.
        recompute: Whether activations are computed again for the gradient, which saves memory.
        compile: Whether blocks of attention are compiled.
    """

    devices: int | str = option(
        1, "Number of devices per machine, or auto.", panel=DEVICES, type=str, convert=_read_devices
    )
    strategy: str = option("auto", "How several devices share the work: auto, ddp or fsdp.", panel=DEVICES)
    nodes: int = option(1, "Number of machines.", panel=DEVICES, min=1)
    accelerator: str = option("auto", "Kind of the devices: auto, cpu or cuda.", panel=DEVICES)
    attention: str = option("dense", "Kernel of attention: dense, or flex on a graphics card.", panel=DEVICES)
    recompute: bool = option(False, "Compute activations again for the gradient: less memory.", panel=DEVICES)
    compile: bool = option(False, "Compile blocks of attention.", panel=DEVICES)

    def to_execution(self) -> Execution:
        from sharpwave.brainmu.training.devices import Execution

        return Execution(attention=self.attention, recompute=self.recompute, compiled=self.compile)


@with_options
def train(
    nights: Sources = None,
    output: Output = Path("brainmu"),
    preset: Preset = "lite",
    weights: Weights = None,
    modality: Annotated[
        list[str] | None, typer.Option(help="Modality of a new model; may be given several times [default: all].")
    ] = None,
    labels: Annotated[
        bool,
        typer.Option("--labels/--no-labels", help="Learn the sleep stages as well, or learn from the signals alone."),
    ] = True,
    *,
    scorings: Scorings,
    windows: Annotated[
        bool,
        typer.Option("--windows", help="Only cut the nights into the windows that are learned from, and stop."),
    ] = False,
    data: Data,
    learning: Learning,
    machines: Machines,
    run: Annotated[RunOptions, "jobs", "scheduler"],
) -> None:
    """Train Brainµ on recordings and simulated nights; run again, it goes on where it was stopped.

    - `sharpwave train` alone trains the shipped weights again, from the data they were trained on
    - `sharpwave train stores/ --no-labels -o pretrained`, then `sharpwave finetune ... --weights pretrained`
    - `sharpwave train stores/ --preset base --devices 8 --strategy fsdp --precision bf16-mixed`
    - `sharpwave train nights/*.edf -o out --windows --jobs 8`, then the same without the last two
    """
    say("Reading what to learn from ...")
    data = replace(data, sources=nights or (), seed=learning.seed)
    if windows:
        cut_alone(data, output, run, modalities=modality, scorings=scorings)
    if not nights and not data.simulated:
        check_run_folder(output)
        typer.echo(f"Weights: {train_shipped(output)}")
        return
    path = train_model(
        data,
        output,
        options=learning.to_options(),
        preset=preset,
        modalities=modality,
        weights=weights,
        labels=labels,
        machines=machines,
        scorings=scorings,
    )
    typer.echo(f"Weights: {path}")


def cut_alone(
    data: Data, output: Path, run: RunOptions, *, modalities: Sequence[str] | None, scorings: Scorings | None
) -> None:
    """Cut the nights into windows, say what became of each, and exit; arguments as of `train_model`."""
    check_run_folder(output)
    cut = cut_windows(
        data, output / WINDOWS, modalities=modalities, scorings=scorings, jobs=run.jobs, scheduler=run.scheduler
    )
    finish(cut, done="cut into windows")


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
    scorings: Scorings | None = None,
) -> Path:
    """Train a model on recordings and simulated nights; a run found in the output goes on.

    Args:
        data: What to learn from.
        output: Folder for weights, checkpoints and losses.
        options: Options of the training run.
        preset: Size of the model, where no weights are given to start from.
        modalities: Modalities of a new model; all where omitted.
        weights: Folder of weights to start from; a new model where omitted.
        labels: Whether sleep stages are learned as well; otherwise the signals alone are.
        machines: What to train on; one device where omitted.
        scorings: Where the stages are, and how they are read; in the recordings where omitted.

    Raises:
        SharpwaveError: If there is nothing to learn from, or the output holds another run or something else.
    """
    from sharpwave.brainmu.training import pretraining, training

    machines = machines or Machines()
    execution = machines.to_execution()
    check_run_folder(output)
    fabric = launch(machines, options)
    if fabric.is_global_zero:
        hold_inputs(output, data.sources, weights, scorings=scorings)
    place = fabric.global_rank, fabric.world_size
    source = open_data(data, output / WINDOWS, modalities=modalities, scorings=scorings, place=place, labels=labels)
    model = start_model(weights, preset, modalities, options.seed)
    learn = training.train if labels else pretraining.pretrain
    learn(model, source, options=options, folder=output, fabric=fabric, execution=execution)
    return output


def check_run_folder(output: Path) -> None:
    """Refuse a folder that holds something, but nothing of a run; say before the work that it can be written.

    Args:
        output: Folder for weights, checkpoints and losses; need not exist.

    Raises:
        SharpwaveError: If so, or if it cannot be written.
    """
    from sharpwave.brainmu.checkpoints import check_weights_folder

    check_folder(output, known=RUN_FILES, owns=_holds_run)
    check_weights_folder(output)


def _holds_run(output: Path) -> bool:
    return any((output / name).exists() for name in RUN_FILES) or any(output.glob("checkpoint-????????"))


def hold_inputs(output: Path, sources: Sequence[str], *others: Path | None, scorings: Scorings | None = None) -> None:
    """Keep the hash of everything that a run learns from; a run that goes on must learn from the same.

    Args:
        output: Folder of the run.
        sources: Nights as the user named them.
        others: Further files and folders: weights to start from, teachers.
        scorings: Where the stages are, and how they are read.

    Raises:
        SharpwaveError: If the run in the folder began with other content.
    """
    from sharpwave.brainmu.training.resume import find_checkpoints
    from sharpwave.commands.inputs import hash_sources

    scorings = scorings or Scorings()
    stores, nights = list_sources(sources)
    paths = [*map(str, stores), *nights, *(str(path) for path in (*others, scorings.folder) if path is not None)]
    now = {"sha256": hash_sources(paths), **({"read": scorings.sign} if scorings.sign else {})}
    path = output / INPUTS
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):  # a new run, or one of version 0.1
        before = now
    if before != now and find_checkpoints(output):
        raise SharpwaveError(
            f"the nights and weights that the run in {output} began with",
            got="other ones, or some whose content has changed",
            fix="give the same again, or another --output",
        )
    write_file(path, json.dumps(now) + "\n")


def train_shipped(output: Path) -> Path:
    """Train the shipped `lite` again, from the data it was trained on, into a folder."""
    from sharpwave.recipes.recipe import train_lite

    return train_lite(output)


def launch(machines: Machines | None, options: TrainingOptions) -> Any:
    from sharpwave.brainmu.training.devices import make_fabric

    machines = machines or Machines()
    return make_fabric(
        devices=machines.devices,
        strategy=machines.strategy,
        precision=options.precision,
        nodes=machines.nodes,
        accelerator=machines.accelerator,
    )


def start_model(weights: Path | None, preset: str, modalities: Sequence[str] | None, seed: int) -> BrainMu:
    """Loaded or fresh; fresh weights follow from the seed, so that all processes start alike."""
    import torch

    from sharpwave.brainmu import BrainMu, configure, load_brainmu

    if weights is not None:
        return load_brainmu(weights)[0]
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return BrainMu(configure(preset, modalities=modalities))
