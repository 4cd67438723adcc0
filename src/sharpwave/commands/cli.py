"""The command line: argument parsing only. Each command calls a function you can call from Python."""

from __future__ import annotations

import json
import sys
import tomllib
from pathlib import Path
from typing import Annotated, Any

import typer

from sharpwave import __version__
from sharpwave.commands.cli_data import app as data_app
from sharpwave.commands.cli_memory import app as memory_app
from sharpwave.commands.cli_training import app as training_app
from sharpwave.errors import MissingExtraError, SharpwaveError

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Reads sleep and memory in brains: a recording in; stages, what comes next, events and one page out.",
    epilog="Start with `sharpwave demo`, then `sharpwave decode night.edf`. Exit codes: 0 all done, "
    "1 some nights failed, 2 usage.",
)
app.add_typer(memory_app)
app.add_typer(training_app)
app.add_typer(data_app)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"sharpwave {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


def _config(ctx: typer.Context, path: Path | None) -> Path | None:
    """Options from a TOML file become defaults, so that flags beat them."""
    if path is None:
        return None
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise typer.BadParameter(f"{path} is not a readable TOML file: {error}") from error
    known = {parameter.name for parameter in ctx.command.params}
    unknown = sorted(set(table) - known)
    if unknown:
        raise typer.BadParameter(
            f"{path}: unknown option {', '.join(unknown)}; known: {', '.join(sorted(known - {None}))}"
        )
    ctx.default_map = {**(ctx.default_map or {}), **table}
    return path


Config = Annotated[
    Path | None,
    typer.Option(
        "--config", callback=_config, is_eager=True, help="TOML file of options; flags beat it.", rich_help_panel="Run"
    ),
]
Jobs = Annotated[
    int, typer.Option("--jobs", "--n-jobs", "-j", min=1, help="Nights decoded at once.", rich_help_panel="Run")
]
SkipExisting = Annotated[
    bool,
    typer.Option(
        "--skip-existing", help="Resume: skip nights already decoded from the same input.", rich_help_panel="Run"
    ),
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Decode again and replace earlier results.", rich_help_panel="Run")
]
StopOnFirstCrash = Annotated[
    bool, typer.Option("--stop-on-first-crash", help="Stop at the first night that fails.", rich_help_panel="Run")
]
JsonLines = Annotated[bool, typer.Option("--json", help="One JSON line per night on stdout.", rich_help_panel="Run")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Show tracebacks and library messages.", rich_help_panel="Run")
]
Age = Annotated[
    int | None,
    typer.Option(min=0, max=120, help="Age in years; adults get reference slopes.", rich_help_panel="Person"),
]
Night = Annotated[
    int | None, typer.Option(min=1, help="Which night in the laboratory this is.", rich_help_panel="Person")
]
Sex = Annotated[
    str | None, typer.Option(help="female or male; YASA's stager uses it with the age.", rich_help_panel="Person")
]
Channels = Annotated[
    list[str] | None,
    typer.Option(
        "--channels", help="Channels to decode, best first, by their name in the file.", rich_help_panel="Recording"
    ),
]
Alias = Annotated[
    list[str] | None,
    typer.Option(
        "--channel-alias", metavar="LABEL=NAME:MODALITY", help="Say what a channel is.", rich_help_panel="Recording"
    ),
]
LightsOff = Annotated[
    str | None, typer.Option(help="Clock time (23:10) or seconds from the start.", rich_help_panel="Recording")
]
LightsOn = Annotated[
    str | None, typer.Option(help="Clock time (07:02) or seconds from the start.", rich_help_panel="Recording")
]
Stages = Annotated[
    Path | None,
    typer.Option("--stages", help="Expert hypnogram, any common format, to compare with.", rich_help_panel="Recording"),
]
Cues = Annotated[
    Path | None, typer.Option("--cues", help="TSV of cues: onset, duration, label.", rich_help_panel="Recording")
]
Reactivations = Annotated[
    Path | None,
    typer.Option(
        "--reactivations", help="TSV of reactivations found elsewhere: onset, content.", rich_help_panel="Recording"
    ),
]
Species = Annotated[
    str | None, typer.Option(help="human, rat or mouse, where the file does not say.", rich_help_panel="Recording")
]
Unit = Annotated[
    str | None,
    typer.Option(help="Unit of the samples (uV, mV, V), where the file does not say.", rich_help_panel="Recording"),
]
Rate = Annotated[
    float | None, typer.Option(help="Sampling rate in Hz, for formats without one.", rich_help_panel="Recording")
]
Stager = Annotated[
    str | None,
    typer.Option(help="Who stages (yasa, brainmu, ...) [default: the best for the recording].", rich_help_panel="Run"),
]
Weights = Annotated[
    Path | None, typer.Option(help="Folder of your own Brainµ, from `sharpwave finetune`.", rich_help_panel="Run")
]


def _options(**given: Any) -> Any:
    from sharpwave.night.options import DecodeOptions

    aliases = {}
    for alias in given.pop("aliases") or []:
        label, separator, identity = alias.partition("=")
        if not separator:
            raise typer.BadParameter(f"--channel-alias wants LABEL=NAME:MODALITY, got {alias!r}")
        aliases[label] = identity
    sex = given.pop("sex")
    if sex not in (None, "female", "male"):
        raise typer.BadParameter(f"--sex wants female or male, got {sex!r}")
    return DecodeOptions(
        aliases=aliases,
        male=None if sex is None else sex == "male",
        channels=tuple(given.pop("channels") or ()),
        **given,
    )


@app.command()
def decode(
    files: Annotated[
        list[str], typer.Argument(help="Recordings, or data sets by name (`ucddb/022`).", metavar="FILE...")
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME].")
    ] = None,
    lights_off: LightsOff = None,
    lights_on: LightsOn = None,
    age: Age = None,
    sex: Sex = None,
    night: Night = None,
    channels: Channels = None,
    channel_alias: Alias = None,
    stages: Stages = None,
    cues: Cues = None,
    reactivations: Reactivations = None,
    species: Species = None,
    unit: Unit = None,
    rate: Rate = None,
    stager: Stager = None,
    weights: Weights = None,
    seed: Annotated[int, typer.Option(help="Seed of the sampled intervals.", rich_help_panel="Run")] = 0,
    jobs: Jobs = 1,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    stop_on_first_crash: StopOnFirstCrash = False,
    json_lines: JsonLines = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Decode nights: stages, what comes next, events, and a page that says how far to trust them.

    Writes `hypnogram.tsv`, `forecast.parquet`, `events.tsv`, `summary.json` and `report.html`; several files go to one
    folder each.

    - `sharpwave decode night.edf --lights-off 23:10 --lights-on 07:02`
    - `sharpwave decode night.edf --stages scored.tsv` compares with an expert
    - `sharpwave decode *.edf -o results --jobs 2 --skip-existing` resumes where it stopped
    """
    options = _options(
        lights_off=lights_off,
        lights_on=lights_on,
        age=age,
        sex=sex,
        night=night,
        channels=channels,
        aliases=channel_alias,
        stages=stages,
        cues=cues,
        reactivations=reactivations,
        species=species,
        unit=unit,
        rate=rate,
        stager=stager,
        weights=weights,
        seed=seed,
    )
    from sharpwave.commands.batch import decode_nights, expand_sources, plan_nights, write_group_page

    tasks = plan_nights(expand_sources(files), output)
    outcomes = decode_nights(
        tasks,
        options,
        jobs=jobs,
        existing="skip" if skip_existing else "overwrite" if overwrite else "refuse",
        stop_on_first_crash=stop_on_first_crash,
        verbose=verbose,
    )
    if len(tasks) > 1:
        write_group_page(tasks, (output or Path()) / "index.html")
    _finish(outcomes, json_lines=json_lines)


@app.command()
def bids(
    bids_dir: Annotated[Path, typer.Argument(help="The BIDS data set; never written to.")],
    output_dir: Annotated[Path, typer.Argument(help="Where the derivatives go.")],
    level: Annotated[str, typer.Argument(help="`participant` decodes; `group` writes the page over all nights.")],
    participant_label: Annotated[list[str] | None, typer.Option(help="Only these, without `sub-`.")] = None,
    session_label: Annotated[list[str] | None, typer.Option(help="Only these, without `ses-`.")] = None,
    channels: Channels = None,
    channel_alias: Alias = None,
    jobs: Jobs = 1,
    skip_existing: SkipExisting = False,
    overwrite: Overwrite = False,
    stop_on_first_crash: StopOnFirstCrash = False,
    reports_only: Annotated[bool, typer.Option(help="Write the pages again from earlier results.")] = False,
    hypnogram: Annotated[
        bool, typer.Option("--hypnogram", help="Also write BIDS's proposed `_hypnogram.tsv`.")
    ] = False,
    json_lines: JsonLines = False,
    verbose: Verbose = False,
    config: Config = None,
) -> None:
    """Decode a BIDS data set as a BIDS app: `sharpwave bids BIDS OUT participant`."""
    if level not in ("participant", "group"):
        raise typer.BadParameter(f"the level is participant or group, got {level!r}")
    from sharpwave.commands.batch import decode_nights, write_group_page
    from sharpwave.commands.bids_app import plan_bids_nights, rewrite_pages

    tasks = plan_bids_nights(
        bids_dir, output_dir, participants=participant_label, sessions=session_label, hypnogram=hypnogram
    )
    outcomes = []
    if reports_only:
        outcomes = rewrite_pages(tasks)
    elif level == "participant":
        outcomes = decode_nights(
            tasks,
            _options(aliases=channel_alias, sex=None, channels=channels),
            jobs=jobs,
            existing="skip" if skip_existing else "overwrite" if overwrite else "refuse",
            stop_on_first_crash=stop_on_first_crash,
            verbose=verbose,
        )
    page = write_group_page(tasks, output_dir / "index.html")
    if level == "group" and not reports_only:
        typer.echo(f"Open {page}" if page else "No night is decoded yet: run the participant level first.")
        raise typer.Exit(0 if page else 1)
    _finish(outcomes, json_lines=json_lines)


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo"),
    seed: Annotated[int | None, typer.Option(help="Another simulated night.")] = None,
) -> None:
    """Decode a simulated night with all modalities, let a small network sleep, and name the page to open."""
    from sharpwave.commands.demo import run_demo

    _finish([run_demo(output, seed=seed)])


@app.command()
def explain(
    file: Annotated[str, typer.Argument(help="A recording, or a data set by name (`ucddb/022`).", metavar="NIGHT")],
    at: Annotated[
        list[str] | None, typer.Option("--at", help="Clock time or seconds of a forecast [default: the surest].")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the results [default: sharpwave-NAME-explained].")
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Folder of a model [default: the shipped one].")] = None,
    horizon: Annotated[float, typer.Option(help="Seconds ahead: 30, 60 or 300.")] = 30.0,
    signals_only: Annotated[
        bool, typer.Option("--signals-only", help="Leave out a stage history that the recording has.")
    ] = False,
    overwrite: Overwrite = False,
) -> None:
    """Say which modality, channel and moment moved the forecasts of a night, in words, tables and a page."""
    from sharpwave.commands.explain import explain_to_folder

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


def _finish(outcomes: list[Any], *, json_lines: bool = False) -> None:
    """Print what happened and exit: the code and the last line come from the same record."""
    from sharpwave.commands.batch import compute_exit_code, describe_outcomes

    if json_lines:
        for outcome in outcomes:
            typer.echo(json.dumps(outcome.to_dict()))
    typer.echo(describe_outcomes(outcomes), err=json_lines)
    raise typer.Exit(compute_exit_code(outcomes))


def main() -> None:
    """Run the command line; an expected error is one paragraph, not a traceback."""
    try:
        app()
    except SharpwaveError as error:
        typer.echo(f"sharpwave: {error}", err=True)
        sys.exit(2)
    except ModuleNotFoundError as error:
        typer.echo(f"sharpwave: {MissingExtraError(str(error.name), extra='brain')}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("sharpwave: interrupted; run the same command with --skip-existing to go on", err=True)
        sys.exit(130)
