"""The command line of training: argument parsing only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer()

Sources = Annotated[
    list[str] | None,
    typer.Argument(help="Stores (.zarr), folders of stores, recordings, or data sets by name.", metavar="NIGHT..."),
]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for weights, checkpoints and losses.")]
Weights = Annotated[Path | None, typer.Option(help="Folder of weights to start from.")]
Preset = Annotated[str, typer.Option(help="lite, small or base.")]
Simulated = Annotated[int, typer.Option(min=0, help="Nights to simulate, of each species in turn.")]
SimulatedShare = Annotated[
    float, typer.Option(min=0.01, max=0.99, help="Share of the pieces that are simulated, beside recordings.")
]
Hours = Annotated[float, typer.Option(min=0.5, max=24, help="Length of a simulated night.")]
Steps = Annotated[int, typer.Option(min=1, help="Updates of the weights.", rich_help_panel="Learning")]
Batch = Annotated[int, typer.Option(min=1, help="Pieces per update, all devices together.", rich_help_panel="Learning")]
Piece = Annotated[int, typer.Option(min=2, help="Steps of 30 s in a piece.", rich_help_panel="Learning")]
Rate = Annotated[float, typer.Option("--learning-rate", help="The highest.", rich_help_panel="Learning")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same run.", rich_help_panel="Learning")]
Every = Annotated[int, typer.Option(min=1, help="Updates between checkpoints.", rich_help_panel="Learning")]
Precision = Annotated[str, typer.Option(help="32-true or bf16-mixed.", rich_help_panel="Devices")]
Devices = Annotated[str, typer.Option(help="Number per machine, or auto.", rich_help_panel="Devices")]
Strategy = Annotated[str, typer.Option(help="auto, ddp or fsdp.", rich_help_panel="Devices")]
Nodes = Annotated[int, typer.Option(min=1, help="Machines.", rich_help_panel="Devices")]
Accelerator = Annotated[str, typer.Option(help="auto, cpu or cuda.", rich_help_panel="Devices")]


@app.command()
def train(
    nights: Sources = None,
    output: Output = Path("brainmu"),
    preset: Preset = "lite",
    weights: Weights = None,
    modality: Annotated[list[str] | None, typer.Option(help="Only these, of a fresh model [default: all].")] = None,
    labels: Annotated[
        bool, typer.Option("--labels/--no-labels", help="Learn stages too, or from signals alone.")
    ] = True,
    simulated: Simulated = 0,
    simulated_share: SimulatedShare = 0.5,
    hours: Hours = 8.0,
    steps: Steps = 1000,
    batch: Batch = 16,
    piece: Piece = 240,
    learning_rate: Rate = 1e-3,
    seed: Seed = 0,
    checkpoint_every: Every = 200,
    precision: Precision = "32-true",
    devices: Devices = "1",
    strategy: Strategy = "auto",
    nodes: Nodes = 1,
    accelerator: Accelerator = "auto",
) -> None:
    """Train Brainµ on recordings and simulated nights; run again, it goes on where it was stopped.

    - `sharpwave train` alone trains the shipped weights again, from the data they were trained on
    - `sharpwave train stores/ --no-labels -o pretrained`, then `sharpwave finetune ... --weights pretrained`
    - `sharpwave train stores/ --preset base --devices 8 --strategy fsdp --precision bf16-mixed`
    """
    if not nights and not simulated:
        from sharpwave.commands.train import train_shipped

        typer.echo(f"Weights: {train_shipped(output)}")
        return
    from sharpwave.commands.train import Data, train_model

    options = _make_options(steps, batch, piece, learning_rate, seed, checkpoint_every, precision)
    path = train_model(
        Data(nights or (), simulated, simulated_share, hours, seed),
        output,
        options=options,
        preset=preset,
        modalities=modality,
        weights=weights,
        labels=labels,
        machines=_make_machines(devices, strategy, nodes, accelerator),
    )
    typer.echo(f"Weights: {path}")


@app.command()
def distil(
    nights: Sources = None,
    output: Output = Path("distilled"),
    teacher: Annotated[
        list[Path] | None, typer.Option(help="Folder of a teacher's weights; several are averaged.")
    ] = None,
    preset: Preset = "lite",
    weights: Weights = None,
    simulated: Simulated = 0,
    simulated_share: SimulatedShare = 0.5,
    hours: Hours = 8.0,
    steps: Steps = 1000,
    batch: Batch = 16,
    piece: Piece = 240,
    learning_rate: Rate = 1e-3,
    seed: Seed = 0,
    checkpoint_every: Every = 200,
    precision: Precision = "32-true",
    devices: Devices = "1",
    strategy: Strategy = "auto",
    nodes: Nodes = 1,
    accelerator: Accelerator = "auto",
) -> None:
    """Train a small model to answer as a large one does: `sharpwave distil stores/ --teacher small -o lite`."""
    if not teacher:
        raise typer.BadParameter("give the teacher's weights: --teacher FOLDER")
    from sharpwave.commands.train import Data, distil_model

    path = distil_model(
        Data(nights or (), simulated, simulated_share, hours, seed),
        output,
        teachers=teacher,
        options=_make_options(steps, batch, piece, learning_rate, seed, checkpoint_every, precision),
        preset=preset,
        weights=weights,
        machines=_make_machines(devices, strategy, nodes, accelerator),
    )
    typer.echo(f"Weights: {path}")


@app.command()
def finetune(
    nights: Annotated[
        list[str], typer.Argument(help="Nights with their stages, of two subjects or more.", metavar="NIGHT...")
    ],
    output: Output = Path("finetuned"),
    weights: Annotated[
        Path | None, typer.Option(help="Folder of weights to start from [default: the shipped ones].")
    ] = None,
    scorings: Annotated[
        Path | None, typer.Option(help="Folder of hypnograms named as the nights, where those do not hold them.")
    ] = None,
    layers: Annotated[str, typer.Option(help="What may change: heads, last or all.")] = "all",
    held_out: Annotated[float, typer.Option(min=0.05, max=0.9, help="Share of the subjects to judge by.")] = 0.25,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates of the weights.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The highest.")] = None,
    seed: Annotated[int, typer.Option(help="Of pieces, and of who is held out.")] = 0,
) -> None:
    """Adapt Brainµ to your own nights, and see by how much it helped on subjects that were held out."""
    from dataclasses import replace

    from sharpwave.brainmu.training.finetuning import FINETUNING
    from sharpwave.commands.finetune import finetune_model, print_comparison

    given: dict[str, Any] = {"steps": steps, "learning_rate": learning_rate, "seed": seed}
    options = replace(FINETUNING, **{name: value for name, value in given.items() if value is not None})
    rows = finetune_model(
        nights, output, options=options, weights=weights, layers=layers, scorings=scorings, held_out=held_out
    )
    print_comparison(rows)
    typer.echo(f"Weights: {output}")


@app.command()
def export(
    weights: Annotated[Path | None, typer.Argument(help="Folder of weights [default: the shipped ones].")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.onnx).")] = Path("brainmu.onnx"),
    kind: Annotated[str, typer.Option("--format", help="onnx, or int8: weights in eight bits.")] = "onnx",
    modality: Annotated[
        list[str] | None, typer.Option(help="That the graph takes [default: those of the example].")
    ] = None,
    example: Annotated[str | None, typer.Option(help="Night to compare on [default: a simulated one].")] = None,
) -> None:
    """Write weights as an ONNX graph whose probabilities are those of the model, within a stated tolerance."""
    from sharpwave.commands.export import export_weights

    about = export_weights(weights, output, kind=kind, modalities=modality, example=example)
    typer.echo(
        f"Graph: {output.with_suffix('.onnx')} for {', '.join(about['modalities'])}; probabilities differ by at most "
        f"{about['largest difference in a probability']:.1g} (tolerance {about['tolerance']:g})"
    )


def _make_options(steps: int, batch: int, piece: int, rate: float, seed: int, every: int, precision: str) -> Any:
    from sharpwave.brainmu.training.objective import TrainingOptions

    return TrainingOptions(
        steps=steps,
        batch=batch,
        piece=piece,
        learning_rate=rate,
        seed=seed,
        checkpoint_every=every,
        precision=precision,
    )


def _make_machines(devices: str, strategy: str, nodes: int, accelerator: str) -> Any:
    from sharpwave.commands.train import Machines

    if devices != "auto" and not devices.isdigit():
        raise typer.BadParameter(f"--devices wants a number or auto, got {devices!r}")
    return Machines(devices if devices == "auto" else int(devices), strategy, nodes, accelerator)
