"""`sharpwave live`: a night with cues, from the first sample to the table of the morning; and its audit afterwards."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.options import with_options
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import option

if TYPE_CHECKING:
    from sharpwave.live.protocol import Protocol
    from sharpwave.live.run import Plan, Started

NIGHT, LATER = "A night", "Before and after a night"
"""Panels of the help text."""


@dataclass(frozen=True)
class NightOptions:
    """What a night is made from; `sharpwave.live.run.Plan` says what each is."""

    simulate: bool = option(
        False, "A simulated sleeper who answers cues: evoked waves, arousals, wakings.", rich_help_panel=NIGHT
    )
    source: str | None = option(
        None, "lsl:NAME, brainflow:BOARD, or a recording to replay as if it came now.", rich_help_panel=NIGHT
    )
    sink: tuple[str, ...] = option(
        (),
        "Where cues go; may be given twice: null (nowhere), audio[:DEVICE], lsl[:NAME], trigger:FILE [default: null].",
        type=list[str],
        convert=tuple,
        rich_help_panel=NIGHT,
    )
    protocol: str = option("up-state", "up-state, tmr or sham, or a TOML file of your own.", rich_help_panel=NIGHT)
    consent: Path | None = option(None, "The sealed consent; needed by every sink but null.", rich_help_panel=NIGHT)
    sounds: Path | None = option(None, "Folder with NAME.wav for each cue of the protocol.", rich_help_panel=NIGHT)
    calibration: Path | None = option(
        None, "Record of the loudspeaker, from --calibrate-sink; audio needs it.", rich_help_panel=NIGHT
    )
    output: Path | None = option(
        None,
        "New folder for the night [default: sharpwave-live-DATE].",
        flags=("--output", "-o"),
        rich_help_panel=NIGHT,
    )
    speed: float = option(
        1.0, "How many times as fast as real time; 0 for as fast as it can. Simulated and replayed nights with --sink "
        "null only.", min=0.0, rich_help_panel=NIGHT,
    )  # fmt: skip
    hours: float | None = option(
        None, "End after so many hours [default: as the protocol says].", min=0.001, max=24.0, rich_help_panel=NIGHT
    )
    asleep_after: float = option(
        300.0, "Seconds until the simulated sleeper sleeps; 0 starts in N2.", min=0.0, rich_help_panel=NIGHT
    )
    seed: int = option(0, "Seed of the simulated sleeper; the sham is drawn anew.", min=0, rich_help_panel=NIGHT)
    arm: bool = option(
        False, "Armed from the start: for simulated and replayed nights with --sink null only.", rich_help_panel=NIGHT
    )
    page: bool = option(
        True, "Show the night in a browser on this computer.", flags=("--page/--no-page",), rich_help_panel=NIGHT
    )
    port: int = option(0, "Port of the page; 0 for a free one.", min=0, max=65535, rich_help_panel=NIGHT)
    attended: bool = option(False, "Stop the cues when no page is open any more.", rich_help_panel=NIGHT)
    unit: str | None = option(None, "uV or V, where a stream of LSL does not say.", rich_help_panel=NIGHT)
    serial: str = option("", "Serial port of the board, for brainflow.", rich_help_panel=NIGHT)


@dataclass(frozen=True)
class OtherOptions:
    """What there is to do before and after a night; one at a time."""

    seal_consent: Path | None = option(
        None, "Write a form of consent for the protocol; once it is filled in, seal it.", rich_help_panel=LATER
    )
    calibrate_sink: Path | None = option(None, "Measure the loudspeaker with a level meter.", rich_help_panel=LATER)
    verify: Path | None = option(None, "Is the log of this night whole?", rich_help_panel=LATER)
    replay: Path | None = option(None, "Compute every decision of this night again.", rich_help_panel=LATER)
    finish: Path | None = option(None, "Write the tables of a night that was cut off.", rich_help_panel=LATER)
    withdraw: Path | None = option(None, "Delete the signals of this night; hashes stay.", rich_help_panel=LATER)


@with_options
def live(
    *,
    night: NightOptions,
    other: OtherOptions,
    checkpoint: Annotated[
        Path | None,
        typer.Option(help="Length and head of the log, kept elsewhere [default: NIGHT.checkpoint].",
                     rich_help_panel=LATER),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before deleting.", rich_help_panel=LATER)] = False,
) -> None:  # fmt: skip
    """Cue the sleeping brain, only while every condition of a protocol holds, and keep the proof.

    **Not a medical device; research under an ethics board.** Try it without anybody:

    - `sharpwave live --simulate --speed 20 --asleep-after 0` and open the page; hold *Arm* for two seconds
    - `sharpwave live --simulate --speed 0 --arm --no-page -o night` a whole night in minutes
    - `sharpwave live --source night.edf --speed 0 --protocol sham --arm` when would cues have come last night?

    A night with a person, step by step:

    1. `sharpwave live --seal-consent consent.json --protocol mine.toml` writes the form; fill it in together, run it
       again: it is sealed. Write the seal on the signed paper.
    2. `sharpwave live --calibrate-sink speaker.json` with a level meter where the ear will be.
    3. `sharpwave live --source lsl:NAME --sink audio --protocol mine.toml --consent consent.json --calibration
       speaker.json -o night`. Nothing is given until *Arm* is held on the page; Escape or STOP ends it at once.
    4. In the morning: `sharpwave live --verify night`, `sharpwave live --replay night`, and
       `sharpwave decode night/night.zarr --cues night/cues.tsv` for the page and the effect of the cues.

    A night writes `audit.jsonl` (every trial, no condition), `inputs.bin` (what each decision was made from),
    `sealed.json` (do not open: it tells cue from sham) and, once it is over, `cues.tsv`, `events.tsv` and `night.zarr`.
    `NIGHT.checkpoint` lies beside the folder: keep a copy of it elsewhere. Ctrl-C ends a night as it should be ended.
    """
    asked = {f"--{name.replace('_', '-')}": value for name, value in vars(other).items()}
    chosen = {"--simulate": night.simulate or None, "--source": night.source, **asked}
    given = {name: value for name, value in chosen.items() if value is not None}
    if len(given) != 1:
        raise SharpwaveError(
            f"one of {', '.join(chosen)}", got=", ".join(given) or "none", fix="begin with `sharpwave live --simulate`"
        )
    if other.seal_consent is not None:
        seal_or_draft(other.seal_consent, night)
    elif other.calibrate_sink is not None:
        calibrate_loudspeaker(other.calibrate_sink, night)
    elif other.verify is not None:
        raise typer.Exit(0 if verify_night(other.verify, checkpoint) else 1)
    elif other.replay is not None:
        raise typer.Exit(0 if replay_night(other.replay) else 1)
    elif other.finish is not None:
        finish_night(other.finish, checkpoint)
    elif other.withdraw is not None:
        withdraw_night(other.withdraw, yes=yes)
    else:
        run_night(night)


def run_night(options: NightOptions) -> None:
    """Run a night to its end, then write what the morning needs."""
    from sharpwave.live.protocol import load_protocol
    from sharpwave.live.run import start_night

    protocol = load_protocol(options.protocol)
    plan = make_plan(options, protocol)
    try:
        started = start_night(plan)
    except BaseException:
        plan.source.close()
        plan.stager.close()
        raise
    simulated = "simulated" if options.simulate else "replayed"
    title = started.consent.participant if started.consent is not None else simulated
    typer.echo(f"Not a medical device. {plan.source.name} → {protocol.name} → {', '.join(plan.sinks)}; {plan.folder}")
    try:
        if options.page:
            from sharpwave.live.display import open_night_page

            with open_night_page(started, title=title, port=options.port, attended=options.attended) as page:
                typer.echo(f"Open {page.address}")
                _run(started)
        else:
            _run(started)
    finally:
        if not started.night.closed:
            started.night.close("the loop failed")
    for outcome, n in started.night.counts.items():
        typer.echo(f"{outcome}: {n}")
    finish_night(plan.folder, None)


def _run(started: Started) -> None:
    """A night until its end, or until it is ended by Ctrl-C, which is the usual way."""
    from sharpwave.live.run import run_started

    try:
        run_started(started)
    except Exception:
        raise
    except BaseException as stopped:  # Ctrl-C or a request to end: the night is closed, the morning follows
        typer.echo(f"Ended ({type(stopped).__name__.strip('_').removesuffix('Error')}).", err=True)


def make_plan(options: NightOptions, protocol: Protocol) -> Plan:
    """Source, stager and the rest of a night.

    Raises:
        SharpwaveError: If something is missing or does not fit.
    """
    from sharpwave.live.run import InlineStager, Plan
    from sharpwave.live.sinks import check_sink, needs_consent
    from sharpwave.live.stage_process import ProcessStager

    sinks = options.sink or ("null",)
    for name in sinks:
        check_sink(name)
    now = datetime.datetime.now()
    folder = options.output or Path(f"sharpwave-live-{now:%Y%m%d-%H%M%S}")
    source = open_source(options, protocol)
    alone = source.paced and not any(needs_consent(name) for name in sinks)
    if not alone and (options.speed != 1.0 or options.arm):
        source.close()
        raise SharpwaveError(
            "--speed 1 and no --arm where somebody may be reached, or samples come from outside",
            got=f"--speed {options.speed:g}{' --arm' if options.arm else ''}",
            fix="leave them out; --simulate or a recording with --sink null takes both",
        )
    stager: Any
    if options.simulate:
        import numpy as np

        from sharpwave.live.sources.simulate import SimulatedStager

        stager = SimulatedStager(source, rng=np.random.default_rng(options.seed + 1))
    else:
        stager = InlineStager(protocol) if alone else ProcessStager(protocol)
    return Plan(
        protocol, source, folder, stager, sinks=sinks, sounds=find_sounds(options, protocol, sinks),
        consent=options.consent, calibration=options.calibration, speed=options.speed or float("inf"),
        hours=options.hours, arm=options.arm,
    )  # fmt: skip


def open_source(options: NightOptions, protocol: Protocol) -> Any:
    """The source that was named, with the channels of the protocol.

    Raises:
        SharpwaveError: If it is not there, or lacks a channel.
    """
    signal = protocol.signal
    if options.simulate:
        import numpy as np

        from sharpwave.live.sources.simulate import SimulatedSource

        hours = options.hours or protocol.limits.hours
        return SimulatedSource(
            signal.channels, rng=np.random.default_rng(options.seed), rate=signal.rate, hours=hours,
            asleep_after=options.asleep_after,
        )  # fmt: skip
    kind, _, rest = str(options.source).partition(":")
    if kind == "lsl" and rest:
        from sharpwave.live.sources.lsl import LslSource

        return LslSource(rest, signal.channels, unit=options.unit)
    if kind == "brainflow" and rest:
        from sharpwave.live.sources.brainflow import BrainFlowSource

        return BrainFlowSource(rest, signal.channels, port=options.serial)
    if not Path(str(options.source)).exists():
        raise SharpwaveError(
            "lsl:NAME, brainflow:BOARD or a recording", got=repr(options.source), fix="name one that is there"
        )
    from sharpwave.live.sources.replay import open_replay

    return open_replay(str(options.source), signal.channels, rate=signal.rate)


def find_sounds(options: NightOptions, protocol: Protocol, sinks: tuple[str, ...]) -> dict[str, str]:
    """The sound of each cue: a file of the folder, or one that ships.

    Raises:
        SharpwaveError: If a cue has no sound and a sink would need it.
    """
    from sharpwave.live.sinks.sounds import KINDS

    found: dict[str, str] = {}
    for cue in protocol.schedule.cues:
        path = None if options.sounds is None else options.sounds / f"{Path(cue).name}.wav"
        if path is not None and path.is_file():
            found[cue] = str(path)
        elif cue in KINDS or not any(name.startswith("audio") for name in sinks):
            found[cue] = f"builtin:{cue}"
        else:
            raise SharpwaveError(
                f"a sound for the cue {cue!r}", got="none", fix=f"put {cue}.wav into a folder and pass --sounds FOLDER"
            )
    return found


def seal_or_draft(path: Path, options: NightOptions) -> None:
    """Write a form of consent, or seal the one that is there."""
    import json

    from sharpwave.live import consent
    from sharpwave.live.protocol import load_protocol
    from sharpwave.outputs import write_file

    if path.exists():
        typer.echo(f"Sealed {path}. Write this on the signed paper: {consent.seal_consent(path)}")
        return
    protocol = load_protocol(options.protocol)
    sounds = find_sounds(options, protocol, options.sink or ("null",))
    form = consent.draft_consent(sounds, level_db=protocol.limits.level_db, per_night=protocol.limits.per_night)
    write_file(path, json.dumps(form, indent=1) + "\n")
    typer.echo(f"Wrote the form {path}: fill it in with the participant (a code, never a name), then run this again.")


def calibrate_loudspeaker(path: Path, options: NightOptions) -> None:
    """Measure a loudspeaker and write its record."""
    from sharpwave.live.sinks.audio import calibrate

    device = next((name.partition(":")[2] for name in options.sink if name.startswith("audio:")), None)
    typer.echo("Ten seconds of pink noise: read the level meter (A, fast) where the ear will be.")
    record = calibrate(path, device=device, ask=typer.prompt)
    typer.echo(
        f"{record.device}: {record.level_db:g} dB(A); {1e3 * record.latency:.1f} ms after it is asked "
        f"({record.latency_from}); written to {path}"
    )


def verify_night(folder: Path, checkpoint: Path | None) -> bool:
    """Say whether the log of a night is whole."""
    from sharpwave.live.verify import verify_log

    folder = folder.parent if folder.is_file() else folder
    verdict = verify_log(folder, checkpoint=_find_checkpoint(folder, checkpoint))
    for problem in verdict.problems:
        typer.echo(f"WRONG: {problem}")
    typer.echo(f"{verdict.records} records, {verdict.given} trials delivered, head {verdict.head}")
    if verdict.torn:
        typer.echo("The last record is incomplete: the machine stopped while writing it.")
    if not verdict.closed:
        typer.echo("The night was cut off: the log has no last record.")
    if not verdict.pinned:
        typer.echo("No checkpoint: a log that was cut at its end would look whole. Pass --checkpoint FILE.")
    typer.echo("Not whole." if verdict.problems else "Whole.")
    return not verdict.problems


def replay_night(folder: Path) -> bool:
    """Compute every decision again, and say whether all are the same."""
    from sharpwave.live.verify import replay_log

    found = replay_log(folder.parent if folder.is_file() else folder)
    if found.differs is not None:
        typer.echo(f"DIFFERENT: block {found.differs} of decisions, after {found.steps} steps.")
        return False
    typer.echo(f"The same, byte for byte: {found.steps} steps in {found.blocks} blocks; {found.left} after the last.")
    return True


def finish_night(folder: Path, checkpoint: Path | None) -> None:
    """Open the seal, write the tables and the signal, and say how to go on."""
    from sharpwave.live.morning import write_morning

    morning = write_morning(folder, checkpoint=_find_checkpoint(folder, checkpoint))
    for sentence in (*(f"WRONG: {one}" for one in morning.problems), *morning.repairs):
        typer.echo(sentence)
    typer.echo(f"{morning.trials} trials, {morning.cues} of them sounded; {folder / 'cues.tsv'}")
    typer.echo(f"Go on with: sharpwave decode {folder / 'night.zarr'} --cues {folder / 'cues.tsv'}")


def withdraw_night(folder: Path, *, yes: bool) -> None:
    """Delete the signals of a night, after asking."""
    from sharpwave.live.consent import withdraw

    if not yes and not typer.confirm(f"Delete the signals in {folder}? This cannot be undone.", default=False):
        raise typer.Exit(1)
    gone = withdraw(folder, now=datetime.datetime.now())
    typer.echo(f"Deleted: {', '.join(gone) or 'nothing was there'}. The audit and its hashes stay.")
    typer.echo("Copies elsewhere, and what other programs made of the signals, are yours to delete.")


def _find_checkpoint(folder: Path, given: Path | None) -> Path | None:
    beside = folder.with_name(f"{folder.name}.checkpoint")
    return given if given is not None else beside if beside.is_file() else None
