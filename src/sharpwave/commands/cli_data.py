"""The command line of data and benchmarks: argument parsing only."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer()
datasets_app = typer.Typer(no_args_is_help=True, help="Public data sets by name: what they are, and how to get them.")
app.add_typer(datasets_app, name="datasets")

Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Decode again and replace earlier results.", rich_help_panel="Run")
]


@app.command()
def simulate(
    output: Annotated[Path, typer.Argument(help="Store to write, ending in .zarr.")],
    species: Annotated[str, typer.Option(help="human, rat or mouse.")] = "human",
    hours: Annotated[float, typer.Option(min=0.1, max=168)] = 8.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same night.")] = 0,
    effects: Annotated[
        bool, typer.Option("--effects/--no-effects", help="Plant reactivation → sleep effects.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Simulate a night whose truth is known; the truth goes beside it, in `OUTPUT.truth/`."""
    from sharpwave.commands.stores import simulate_to_store

    path = simulate_to_store(output, species=species, hours=hours, seed=seed, effects=effects, overwrite=overwrite)
    typer.echo(f"Simulated night: {path}")


@app.command()
def convert(
    sources: Annotated[list[str], typer.Argument(help="Recordings to convert.", metavar="FILE...")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Store to write (.zarr), or a folder for several.")],
    overwrite: Overwrite = False,
) -> None:
    """Write recordings as chunked Zarr stores: they open at once, read lazily, and hold days to years."""
    from sharpwave.commands.stores import convert_to_stores

    for path in convert_to_stores(sources, output, overwrite=overwrite):
        typer.echo(f"Store: {path}")


@datasets_app.command("list")
def datasets_list() -> None:
    """Name, contents, licence, source and whether it is on this machine."""
    from sharpwave.commands.doctor import print_datasets

    print_datasets()


@datasets_app.command("fetch")
def datasets_fetch(
    name: Annotated[str, typer.Argument(help="A name from `sharpwave datasets list`.")],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder that holds data sets.")] = None,
) -> None:
    """Get a data set: from the mirror in SHARPWAVE_DATA, or from its source where there is internet."""
    from sharpwave.recordings.datasets import fetch_dataset

    typer.echo(f"Data set: {fetch_dataset(name, output)}")


@app.command()
def doctor() -> None:
    """Versions, what is missing, and a self-test that recomputes the human agreement on `dod-hypnograms`."""
    from sharpwave.commands.doctor import run_doctor

    raise typer.Exit(0 if run_doctor() else 1)


@app.command()
def benchmark(
    name: Annotated[str, typer.Argument(help="forecast, staging, subsets, decode-speed …; an unknown one lists them.")],
    data: Annotated[Path | None, typer.Option(help="Folder laid out like SHARPWAVE_DATA [default: that one].")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of whatever is random.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for the results.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train the shipped weights again first.")] = False,
) -> None:
    """Run a benchmark: ours, the baselines and their intervals, as a table and as JSON."""
    from sharpwave.benchmarks import run_benchmark

    run_benchmark(name, data=data, seeds=seeds, output=output, train=train)
