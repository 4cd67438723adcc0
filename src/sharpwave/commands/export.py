"""`sharpwave export`: weights as ONNX, checked on a night."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from sharpwave.commands.progress import say
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import READY, check_folder, replace_files

STEPS = 60
"""Steps of the night on which graph and model are compared."""


def export(
    weights: Annotated[Path | None, typer.Argument(help="Folder of weights [default: the shipped ones].")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write (.onnx).")] = Path("brainmu.onnx"),
    kind: Annotated[str, typer.Option("--format", help="onnx, or int8 (weights in eight bits).")] = "onnx",
    modality: Annotated[
        list[str] | None,
        typer.Option(
            help="Modality that the graph takes as input; may be given several times [default: those of the example]."
        ),
    ] = None,
    example: Annotated[str | None, typer.Option(help="Night to compare on [default: a simulated one].")] = None,
) -> None:
    """Write weights as an ONNX graph whose probabilities are those of the model, within a stated tolerance.

    - `sharpwave export mine -o mine.onnx --format int8`
    """
    say("Loading the weights ...")
    about = export_weights(weights, output, kind=kind, modalities=modality, example=example)
    typer.echo(
        f"Graph: {output.with_suffix('.onnx')} for {', '.join(about['modalities'])}; probabilities differ by at most "
        f"{about['largest difference in a probability']:.1g} (tolerance {about['tolerance']:g})"
    )


def export_weights(
    weights: Path | None,
    output: Path,
    *,
    kind: str = "onnx",
    modalities: Sequence[str] | None = None,
    example: str | None = None,
) -> dict[str, Any]:
    """Write a graph, and what it takes and how near it is to the model in a .json beside it.

    Args:
        weights: Folder of weights; the shipped `lite` where omitted.
        output: File to write (.onnx).
        kind: "onnx" or "int8".
        modalities: Modalities that the graph takes as input; those of the example where omitted.
        example: Recording to compare on; a simulated human night where omitted.

    Returns:
        What the .json holds.

    Raises:
        SharpwaveError: If weights and example do not fit, or the graph is not within the tolerance of the model.
        MissingExtraError: If the extra `export` is not installed.
    """
    from sharpwave.brainmu import epoch_recording, load_brainmu
    from sharpwave.brainmu.runtime.export import export_onnx
    from sharpwave.night.options import open_source
    from sharpwave.simulation import simulate_night

    graph = output.with_suffix(".onnx")
    check_graph(graph)
    model, _ = load_brainmu(weights)
    if example is None:
        import numpy as np

        recording, _ = simulate_night("human", 1.0, rng=np.random.default_rng(0))
    else:
        recording = open_source(example)
    windows = epoch_recording(recording, modalities=modalities)
    piece = windows.restrict(0, min(STEPS, len(windows)))
    with replace_files(graph.parent, ready=f"{READY}-{graph.stem}") as partial:
        return export_onnx(model, partial / graph.name, example=piece, kind=kind)


def check_graph(graph: Path) -> None:
    """Before the work: is there no graph of someone else's in this place, and can it be written?

    Args:
        graph: File to write (.onnx); need not exist.

    Raises:
        SharpwaveError: If not.
    """
    about = graph.with_suffix(".json")
    check_folder(graph.parent, owns=Path.is_dir)
    try:
        ours = not about.exists() and not graph.exists()
        ours = ours or "tolerance" in json.loads(about.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError, RecursionError):
        ours = False
    if not ours:
        raise SharpwaveError(
            "a new file, or a graph that sharpwave exported",
            got=f"{graph if graph.exists() else about}, which it did not",
            fix="give another --output",
        )
