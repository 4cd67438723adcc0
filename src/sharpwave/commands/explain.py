"""`sharpwave explain`: which modality, channel and moment the forecasts of a night depend on, as tables and a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sharpwave.commands.inputs import name_source
from sharpwave.commands.options import Overwrite, with_options
from sharpwave.commands.progress import say
from sharpwave.disk import show_path
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions, open_source, place_times
from sharpwave.outputs import check_folder, replace_folder

if TYPE_CHECKING:
    from sharpwave.recordings import Hypnogram, Recording
    from sharpwave.reports.explanation_section import ExplanationPage

PAGE = "explanation.html"
FILES = {
    "forecasts": "forecasts.tsv",
    "parts": "parts.tsv",
    "modalities": "modalities.tsv",
    "latents": "course.tsv",
    "directions": "directions.tsv",
    "out_of_distribution": "doubts.tsv",
}
"""File of each table of an explanation."""


@with_options
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
            help="Explain the forecast from signals alone, without the stages that `sharpwave decode` gives the night.",
        ),
    ] = False,
    overwrite: Overwrite = False,
    *,
    options: Annotated[DecodeOptions, "channels", "aliases", "unit", "rate", "species", "age", "male", "stager"],
) -> None:
    """Say which modality, channel and moment changed the forecasts of a night most, in words, tables and a page.

    - `sharpwave explain night.edf --at 02:30`

    The night is prepared and staged as `sharpwave decode` does; an expert's stages are not looked at.
    """
    say(f"Opening {show_path(file)} ...")
    page, words = explain_to_folder(
        file,
        at=at or (),
        output=output,
        weights=weights,
        horizon=horizon,
        signals_only=signals_only,
        overwrite=overwrite,
        options=options,
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
        at: Clock times, or seconds from the start; the surest forecasts of a change where there are none.
        output: Folder for the results; `sharpwave-NAME-explained` where omitted.
        weights: Folder of a model; the shipped one where omitted.
        horizon: Time ahead that is forecast, in seconds.
        signals_only: Stage nothing, and explain the forecast from signals alone.
        overwrite: Replace earlier results.
        options: What is known of the night.

    Returns:
        The page's path, and the explanations in words.

    Raises:
        SharpwaveError: If the folder has results already, or the recording cannot be explained.
    """
    from sharpwave.night.explanation import explain_recording, to_explanation
    from sharpwave.reports.explanation_section import ExplanationPage

    name = name_source(source)
    folder = output or Path(f"sharpwave-{name}-explained")
    if (folder / PAGE).exists() and not overwrite:
        raise SharpwaveError(
            "a folder without an explanation", got=str(folder), fix="give another --output, or --overwrite"
        )
    check_folder(folder, known=(PAGE, *FILES.values()))
    options = replace(options or DecodeOptions(), weights=weights)
    recording, history = prepare(open_source(source, options), options, stage=not signals_only)
    found = explain_recording(
        recording,
        history=history,
        at=place_times(at, recording),
        horizon=horizon,
        attribution="integrated",
        weights=weights,
    )
    page = ExplanationPage(
        identifier=name,
        source=show_path(source),
        duration=recording.duration,
        simulated=recording.source.startswith("simulated"),
        start=recording.start,
        model=f"Brainµ {'lite' if weights is None else weights.name}" + describe_history(history),
        tables=to_explanation(found),
    )
    return write_tables_and_page(page, folder)


def describe_history(history: Hypnogram | None) -> str:
    """Whose stages the forecasts are made from, for the page.

    Args:
        history: The stages that the model sees; None where it sees signals alone.

    >>> describe_history(None)
    ', from signals alone'
    """
    if history is None:
        return ", from signals alone"
    return f"; its stage history is what {history.scorer or 'the stager'} found in the signals, no expert's"


def prepare(recording: Recording, options: DecodeOptions, *, stage: bool) -> tuple[Recording, Hypnogram | None]:
    """A recording as `sharpwave decode` shows it to models, and the stages that it gives it; None where not asked for.

    Args:
        recording: The recording as it was opened.
        options: What is known of the night.
        stage: Whether to stage it.
    """
    from sharpwave.night.prepare import apply_known, prepare_night
    from sharpwave.signals.electrodes import choose_electrodes
    from sharpwave.signals.preparation import show_chosen

    if not stage:
        recording = apply_known(recording, options)
        return show_chosen(choose_electrodes(recording, channels=options.channels)), None
    prepared = prepare_night(recording, options, events=())
    return prepared.seen, prepared.hypnogram


def write_tables_and_page(page: ExplanationPage, folder: Path) -> tuple[Path, list[str]]:
    """Write the tables of an explanation and its page; returns the page's path, and the explanations in words."""
    from sharpwave.reports.explanation_section import compose_explanation, write_explanation
    from sharpwave.reports.files import write_table

    with replace_folder(folder, known=(PAGE, *FILES.values())) as partial:
        for field, file in FILES.items():
            table = getattr(page.tables, field)
            if len(table):
                write_table(table, partial / file)
        write_explanation(page, partial / PAGE)
    content = compose_explanation(page)
    words = [] if content is None else [content["overall"], *(row["words"] for row in content["forecasts"])]
    return folder / PAGE, words
