"""`sharpwave benchmark`: ours and the baselines on one question, from `sharpwave.benchmarks`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.options import RunOptions, with_options
from sharpwave.commands.progress import say
from sharpwave.errors import SharpwaveError


@with_options
def benchmark(
    name: Annotated[
        str, typer.Argument(help="forecast, staging, subsets, decode-speed …; an unknown name lists them all.")
    ],
    data: Annotated[Path | None, typer.Option(help="Folder of data sets [default: SHARPWAVE_DATA].")] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Number of seeds for whatever is random.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="JSON file for the results.")] = None,
    train: Annotated[bool, typer.Option("--train", help="Train the shipped weights again first.")] = False,
    allow_dirty: Annotated[
        bool, typer.Option("--allow-dirty", help="Write into benchmarks/results from changed code; the file says so.")
    ] = False,
    allow_smaller: Annotated[
        bool, typer.Option("--allow-smaller", help="Overwrite a result with more seeds, a larger n or further rows.")
    ] = False,
    methods: Annotated[
        str | None,
        typer.Option(
            "--methods",
            help="Run these alone (a,b,… or a;b;…), with kept runs of others: continual, continual-cifar10, language.",
        ),
    ] = None,
    stream: Annotated[
        str | None,
        typer.Option(help="language: glue5, qa5, patches, permuted, or own for a folder of tasks in --data."),
    ] = None,
    model: Annotated[
        Path | None, typer.Option(help="language: folder of a model of Transformers [default: a tiny one made here].")
    ] = None,
    *,
    run: Annotated[RunOptions, "jobs", "scheduler"],
) -> None:
    """Run a benchmark: our method and the baselines, with intervals, as a table and as JSON.

    - `sharpwave benchmark spindles --seeds 1`
    - `sharpwave benchmark staging -o staging.json`
    - `sharpwave benchmark criticality --jobs 4` gives the same numbers sooner, where seeds or methods are independent
    """
    say(f"Benchmark {name} ...")
    from sharpwave.benchmarks import BENCHMARKS, run_benchmark

    if name not in BENCHMARKS:
        raise SharpwaveError(f"a benchmark among {', '.join(BENCHMARKS)}", got=repr(name), fix="choose one of these")

    run_benchmark(
        name,
        data=data,
        seeds=seeds,
        output=output,
        train=train,
        allow_dirty=allow_dirty,
        allow_smaller=allow_smaller,
        methods=None if methods is None else methods.split(";" if ";" in methods or ", " in methods else ","),
        stream=stream,
        model=model,
        jobs=run.jobs,
        scheduler=run.scheduler,
    )
