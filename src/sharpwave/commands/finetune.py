"""`sharpwave finetune`: a laboratory's nights in; adapted weights out, and by how much they help on other nights."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.options import with_options
from sharpwave.commands.progress import say
from sharpwave.commands.scorings import Scorings
from sharpwave.commands.train import Output, check_run_folder, hold_inputs
from sharpwave.commands.windows import WINDOWS, need_stages, open_nights

if TYPE_CHECKING:
    from sharpwave.brainmu.training.objective import TrainingOptions

BEFORE, AFTER = "before", "fine-tuned"
RESULT = "finetuning.json"
DECIMALS = 5


@with_options
def finetune(
    nights: Annotated[
        list[str], typer.Argument(help="Nights with their stages, of two subjects or more.", metavar="NIGHT...")
    ],
    output: Output = Path("finetuned"),
    weights: Annotated[
        Path | None, typer.Option(help="Folder of weights to start from [default: the shipped ones].")
    ] = None,
    layers: Annotated[
        str, typer.Option(help="Which weights may change: heads, last (heads and the last block) or all.")
    ] = "all",
    share: Annotated[
        float | None,
        typer.Option(min=0.0, max=1.0, help="Share of the new weights in the mean with the old ones [default: 0.5]."),
    ] = None,
    held_out: Annotated[
        float, typer.Option(min=0.05, max=0.9, help="Share of the subjects that are held out, to judge the result by.")
    ] = 0.25,
    steps: Annotated[int | None, typer.Option(min=1, help="Number of updates of the weights.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Highest learning rate of the run.")] = None,
    seed: Annotated[int, typer.Option(help="Seed that decides who is held out, and which crops are drawn.")] = 0,
    *,
    scorings: Scorings,
) -> None:
    """Adapt Brainµ to your own nights, and see by how much it helped on subjects that were held out.

    - `sharpwave finetune nights/*.edf --scorings scored/ -o mine`, then `sharpwave decode new.edf --weights mine`
    - `sharpwave finetune stores/ --layers heads --steps 200` for few nights
    """
    say("Reading the nights ...")
    from sharpwave.brainmu.training.finetuning import FINETUNING

    given: dict[str, Any] = {"steps": steps, "learning_rate": learning_rate, "seed": seed}
    options = replace(FINETUNING, **{name: value for name, value in given.items() if value is not None})
    rows = finetune_model(
        nights,
        output,
        options=options,
        weights=weights,
        layers=layers,
        share=share,
        scorings=scorings,
        held_out=held_out,
    )
    print_comparison(rows)
    harm = describe_harm(rows)
    if harm is not None:
        typer.echo(harm)
    typer.echo(f"Weights: {output}")


def finetune_model(
    sources: Sequence[str],
    output: Path,
    *,
    options: TrainingOptions,
    weights: Path | None = None,
    layers: str = "all",
    share: float | None = None,
    scorings: Scorings | None = None,
    held_out: float = 0.25,
) -> list[dict[str, Any]]:
    """Adapt weights to nights with stages, and judge them by nights of subjects that were held out.

    Args:
        sources: Stores, recordings or data sets with their stages.
        output: Folder for the weights, `losses.csv` and `finetuning.json`.
        options: Options of the training run.
        weights: Folder of weights to start from; the shipped `lite` where omitted.
        layers: Which weights may change: "heads", "last" (heads and the last block) or "all".
        share: Share of the new weights in the mean with the old ones; `SHARE` where omitted.
        scorings: Where the stages are, and how they are read; in the recordings where omitted.
        held_out: Share of the subjects that are held out, to judge the result by.

    Returns:
        Rows of setting, metric, method, value, low, high, n.

    Raises:
        SharpwaveError: If there are fewer than two subjects, no stages, or no modality that the weights know.
    """
    import numpy as np

    from sharpwave.brainmu import load_brainmu, save_brainmu
    from sharpwave.brainmu.training.crops import RandomCrops
    from sharpwave.brainmu.training.finetuning import SHARE, finetune, split_nights
    from sharpwave.brainmu.uncertainty import Calibration
    from sharpwave.recipes.finetuned import compare_models
    from sharpwave.reports.archive import to_plain

    check_run_folder(output)
    hold_inputs(output, sources, weights, scorings=scorings)
    before, card = load_brainmu(weights)
    after, _ = load_brainmu(weights)
    nights = open_nights(sources, output / WINDOWS, modalities=before.config.modalities, scorings=scorings)
    need_stages(nights)
    learned, judged = split_nights(nights, held_out=held_out, rng=np.random.default_rng(options.seed))
    share = SHARE if share is None else share
    finetune(after, RandomCrops(learned), options=options, layers=layers, share=share, folder=output)
    rows = compare_models(
        {BEFORE: before, AFTER: after},
        judged,
        learned=learned,
        calibrations={BEFORE: Calibration.from_card(card)},
        rng=np.random.default_rng(options.seed),
    )
    rows = [
        {name: round(value, DECIMALS) if isinstance(value, float) else value for name, value in to_plain(row).items()}
        for row in rows
    ]
    about = {
        "fine-tuned from": "the shipped lite" if weights is None else weights.name,
        "layers": layers,
        "share of new weights": share,
        "options": asdict(options),
        "learned from": sorted({night.subject for night in learned}),
        "judged by": sorted({night.subject for night in judged}),
        "rows": rows,
    }
    save_brainmu(after, output, card=about, beside={RESULT: json.dumps(about, indent=1) + "\n"})
    return rows


def print_comparison(rows: Sequence[dict[str, Any]]) -> None:
    """A table of the rows: methods down, metrics across."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for setting in dict.fromkeys(row["setting"] for row in rows):
        here = [row for row in rows if row["setting"] == setting]
        metrics = list(dict.fromkeys(row["metric"] for row in here))
        table = Table(title=f"{setting}, subjects held out: {max(row['n'] for row in here)}")
        table.add_column("method")
        for metric in metrics:
            table.add_column(metric.replace("_", " "), justify="right")
        for method in dict.fromkeys(row["method"] for row in here):
            cells = {row["metric"]: _cell(row) for row in here if row["method"] == method}
            table.add_row(method, *(cells.get(metric, "") for metric in metrics))
        console.print(table)
    console.print("Better: higher area under the curve (auprc) and κ, lower log-loss.")


def describe_harm(rows: Sequence[dict[str, Any]]) -> str | None:
    """A sentence where the new weights stage the subjects held out worse than the old ones; None where they do not.

    Args:
        rows: As from `finetune_model`.

    >>> row = {"setting": "signal-only", "metric": "kappa", "method": "fine-tuned less before"}
    >>> describe_harm([{**row, "value": -0.04, "n": 2}])
    'On the 2 subjects held out the new weights stage worse (κ −0.04): stay with the old ones, or add subjects.'
    >>> describe_harm([{**row, "value": 0.04, "n": 2}])
    """
    for row in rows:
        lost = row["metric"] == "kappa" and row["method"] == f"{AFTER} less {BEFORE}" and row["value"] is not None
        if lost and row["value"] < 0:
            who = "On the one subject" if row["n"] == 1 else f"On the {row['n']} subjects"
            return (
                f"{who} held out the new weights stage worse (κ −{-row['value']:.2f}): stay with the old ones, "
                "or add subjects."
            )
    return None


def _cell(row: dict[str, Any]) -> str:
    if row["value"] is None:
        return "–"
    return f"{row['value']:.3f}" + ("" if row["low"] is None else f"\n[{row['low']:.3f}, {row['high']:.3f}]")
