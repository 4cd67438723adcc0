"""`sharpwave explain`: which modality, channel and moment moved the forecasts of a night, as tables and a page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from sharpwave.commands.batch import name_source
from sharpwave.commands.options import Overwrite
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, apply_options, open_source, place_times


def explain(
    file: Annotated[str, typer.Argument(help="A recording, or a data set by name (`ucddb/022`).", metavar="NIGHT")],
    at: Annotated[
        list[str] | None,
        typer.Option(
            "--at",
            help="Clock time, or seconds from the start, of a forecast to explain [default: the surest ones].",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME-explained].")
    ] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Folder with the weights of a model [default: the shipped ones].")
    ] = None,
    horizon: Annotated[float, typer.Option(help="How far ahead the forecast looks, in seconds: 30, 60 or 300.")] = 30.0,
    signals_only: Annotated[
        bool,
        typer.Option(
            "--signals-only",
            help="Explain the forecast from signals alone, without the sleep stages that the recording has.",
        ),
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Say which modality, channel and moment changed the forecasts of a night most, in words, tables and a page."""
    page, words = explain_to_folder(
        file,
        at=at or (),
        output=output,
        weights=weights,
        horizon=horizon,
        signals_only=signals_only,
        overwrite=overwrite,
    )
    for line in words:
        typer.echo(line)
    typer.echo(f"Open {page}")


def explain_to_folder(
    source: str,
    *,
    at: Sequence[str] = (),
    output: Path | None = None,
    weights: Path | None = None,
    horizon: float = 30.0,
    signals_only: bool = False,
    overwrite: bool = False,
    options: DecodeOptions | None = None,
) -> tuple[Path, list[str]]:
    """Explain the forecasts of one night.

    Args:
        source: A recording, or a data set by name.
        at: Clock times or seconds from the start; the surest forecasts of a change where there are none.
        output: Folder for the results; `sharpwave-NAME-explained` where omitted.
        weights: Folder of a model; the shipped one where omitted.
        horizon: Seconds ahead.
        signals_only: Leave a stage history out even where the recording has one.
        overwrite: Replace earlier results.
        options: What is known of the night.

    Returns:
        The page's path, and the explanations in words.

    Raises:
        SharpwaveError: If the folder has results already, or the recording cannot be explained.
    """
    from sharpwave.night.explaining import explain_recording
    from sharpwave.reports.explanation_section import ExplainedNight, compose_explanation, write_explanation
    from sharpwave.reports.files import write_table

    name = name_source(source)
    folder = output or Path(f"sharpwave-{name}-explained")
    if (folder / "explanation.html").exists() and not overwrite:
        raise SharpwaveError(
            "a folder without an explanation", got=str(folder), fix="give another --output, or --overwrite"
        )
    options = options or DecodeOptions()
    recording = apply_options(options, open_source(source, options))
    found = explain_recording(
        recording,
        history=None if signals_only else recording.hypnogram,
        at=place_times(at, recording),
        horizon=horizon,
        attribution="integrated",
        weights=weights,
    )
    night = ExplainedNight(
        identifier=name,
        source=source,
        duration=recording.duration,
        simulated=recording.source.startswith("simulated"),
        start=recording.start,
        model=f"Brainµ {'lite' if weights is None else weights.name}",
        forecasts=found.forecasts,
        parts=found.parts,
        modalities=found.modalities,
        course=found.course,
        directions=found.directions,
        doubts=found.doubts,
    )
    folder.mkdir(parents=True, exist_ok=True)
    for field in ("forecasts", "parts", "modalities", "course", "directions", "doubts"):
        table = getattr(found, field)
        if len(table):
            write_table(table, folder / f"{field}.tsv")
    content = compose_explanation(night)
    words = [] if content is None else [content["overall"], *(row["words"] for row in content["forecasts"])]
    return write_explanation(night, folder / "explanation.html"), words
