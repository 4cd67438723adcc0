"""`sharpwave demo`: a night decoded, a known effect recovered, a network that sleeps, and a sleeper who is cued."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sharpwave.commands.batch import NightOutcome, finish, finish_night, quieten
from sharpwave.commands.progress import Lines, say
from sharpwave.commands.tasks import NightTask
from sharpwave.outputs import check_folder, write_file

if TYPE_CHECKING:
    import pandas as pd

NETWORK_PAGE, LIVE_PAGE = "network-sleep.html", "live-night.html"
TRUST = (
    "Three networks of each method, each with its own weights, order of classes and order of images; intervals are "
    "over these three.",
    "Nothing was tuned for this run: the recipe is the default of Sleep(), the learning rate is 0.1.",
    "Test images (every fourth) were never trained on, remembered or slept on.",
    "Replay and sleep hold the same memory and take as many gradient samples; replay takes while awake what sleep "
    "takes asleep. Fine-tuning takes a third of them and remembers nothing. Joint training sees all classes so far, as "
    "many gradient samples in all.",
    "The last score of sleep is that of a network just woken from a night: between nights it falls as well, as the "
    "curves and the minimum show.",
    "The nights of each network are judged on remembered items that sleep replays as well: they may look better than "
    "they are.",
)
LIMITS = (
    "Small networks on small images, one pass: what holds here need not hold for yours. The benchmarks say more.",
    "Weight noise, lesions and noisy inputs are only some of what can happen to a network.",
)


PARTS = {
    "night": "Decoding a simulated night",
    "memory": "Looking for a known effect of memory reactivation in simulated nights",
    "network": "Letting small networks learn, with sleep and without",
}
"""Parts of the demonstration that can be shown alone."""


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("demo"),
    seed: Annotated[
        int | None, typer.Option(help="Seed of another simulated night [default: the shipped night].")
    ] = None,
    only: Annotated[
        str | None,
        typer.Option(
            help="One part alone: night (a decoded night and its page), memory (does reactivation move sleep? in "
            "simulated nights in which it does by a known amount), or network (networks that sleep)."
        ),
    ] = None,
) -> None:
    """Decode a simulated night with all modalities, let a small network sleep, cue a sleeper, and name the pages.

    - `sharpwave demo`
    - `sharpwave demo --only night -o night`
    """
    if only is None:
        say("A simulated night, networks that sleep and a sleeper who is cued: two or three minutes ...")
        finish([run_demo(output, seed=seed)])
    say(f"{PARTS[str(only)]} ...")
    show_part(str(only), output, seed=seed)


def show_part(part: str, output: Path, *, seed: int | None = None) -> None:
    """Show one part of the demonstration alone.

    Args:
        part: A key of `PARTS`.
        output: Folder for the pages.
        seed: Seed of the simulated nights; those of the whole demonstration where omitted.
    """
    from rich.console import Console

    from sharpwave.demonstrations.words import demonstrate_words
    from sharpwave.night.planted import compare_planted_nights
    from sharpwave.reports.files import OURS
    from sharpwave.simulation.night import DEMO_SEED

    if part == "memory":
        print_planted(compare_planted_nights(seed=DEMO_SEED if seed is None else seed))
        return
    check_folder(output, known=OURS)
    if part == "night":
        finish([decode_demo(output, None, seed=seed)])
    page, words = demonstrate_network_sleep(output, progress=Lines())
    console = Console()
    console.print(f"\nDoes sleep help a network? {words}")
    console.print(f"\nAnd a language model? {demonstrate_words().describe()}")
    console.print(f"Open {page}", soft_wrap=True)


def run_demo(output: Path, *, seed: int | None = None) -> NightOutcome:
    """Decode the shipped night while another process lets a network sleep and cues a sleeper; pages in one folder."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from rich.console import Console

    from sharpwave.demonstrations.live_night import demonstrate_live_night
    from sharpwave.demonstrations.words import demonstrate_words
    from sharpwave.night.planted import compare_planted_nights
    from sharpwave.reports.files import OURS
    from sharpwave.simulation.night import DEMO_SEED

    check_folder(output, known=OURS)
    spawn = get_context("spawn")
    with ProcessPoolExecutor(1, spawn, _use_one_thread) as pool, TemporaryDirectory() as beside:
        slept = pool.submit(demonstrate_network_sleep, Path(beside))
        planted = pool.submit(compare_planted_nights, seed=DEMO_SEED if seed is None else seed)
        told = pool.submit(demonstrate_words)
        cued = pool.submit(demonstrate_live_night, Path(beside) / LIVE_PAGE)
        outcome = decode_demo(output, planted, seed=seed)
        _, words = slept.result()
        kept = told.result()
        _, night = cued.result()
        for path in sorted(Path(beside).iterdir()):
            write_file(output / path.name, path.read_bytes())
    console = Console()
    console.print(f"\nDoes sleep help a network? {words}")
    console.print(f"Its page is {output / NETWORK_PAGE}", soft_wrap=True)
    console.print(f"\nAnd a language model? {kept.describe()}")
    console.print(f"\nA live night of a simulated sleeper, in simulated time: {night}")
    console.print(f"Its last five minutes, as the operator saw them, are {output / LIVE_PAGE}", soft_wrap=True)
    return outcome


def _use_one_thread() -> None:
    """Small networks gain nothing by a second thread, which would wait for the core that decodes."""
    import torch

    torch.set_num_threads(1)


def decode_demo(output: Path, planting: Future[pd.DataFrame] | None, *, seed: int | None = None) -> NightOutcome:
    """Decode the shipped simulated night, and print what is recovered of an effect planted in others.

    Args:
        output: Folder for the results.
        planting: Comparison of the nights with a planted effect, which another process computes; None for none.
        seed: Seed of another night; the shipped one where omitted.
    """
    from rich.console import Console

    from sharpwave.night.decode import decode_recording
    from sharpwave.night.options import DecodeOptions
    from sharpwave.simulation import simulate_demo

    begin = time.perf_counter()
    quieten()
    options = DecodeOptions(identifier="demo", source="simulated night (sharpwave demo)")
    with Console(stderr=True).status("Simulating a night with every modality ...") as status:
        recording, truth = simulate_demo(seed=seed)

        lines = Lines(every=0)

        def report(step: str, done: int, total: int) -> None:
            lines(f"Decoding: {step}")
            status.update(f"Decoding: {step} ({done + 1} of {total}) ...")

        night = decode_recording(recording, options=options, truth=truth, progress=report)
        status.update("Estimating effects in simulated nights, with a known effect and without ...")
        planted = None if planting is None else planting.result()
        if planted is not None:
            night = replace(night, effects=replace(night.effects, planted=planted))
        outcome = finish_night(night, NightTask(options.source, "demo", output), options, begin)
    if planted is not None:
        print_planted(planted)
    return outcome


def print_planted(planted: pd.DataFrame) -> None:
    """The table of planted effects and what was found of them with the effect on and off."""
    from rich.console import Console
    from rich.table import Table

    nights = int(planted["n_nights"].max())
    table = Table(
        title=f"Does reactivation move sleep? {nights} simulated nights, and the same nights without the effect",
        title_justify="left",
    )
    for name in ("content", "what", "true effect", "found with it", "found without"):
        table.add_column(name, justify="left" if name in ("content", "what") else "right")
    for row in planted.to_dict("records"):
        table.add_row(row["content"], row["what"], row["planted"], row["with_effect"], row["without_effect"])
    console = Console()
    console.print(table)
    console.print("The true effect is the one that was simulated. Estimates with 95 % intervals.")
    console.print("A ratio of 1 and a difference of 0 dB are no effect.")


def demonstrate_network_sleep(
    output: Path, *, n_seeds: int = 3, progress: Callable[[str], Any] = lambda step: None
) -> tuple[Path, str]:
    """Train small networks on handwritten digits with sleep and without, and write the card of the run.

    Args:
        output: Folder to write `network-sleep.html` and `network-hypnogram.tsv` into; made where there is none.
        n_seeds: Number of networks of each method.
        progress: Called with what is done next.

    Returns:
        Path of the page, and what it says of forgetting, in a sentence or two.
    """
    import numpy
    import torch

    from sharpwave import __version__
    from sharpwave.demonstrations.network_sleep import demonstrate_forgetting
    from sharpwave.reports.network_page import NetworkRun, describe_run, write_network_card

    found = demonstrate_forgetting(n_seeds=n_seeds, progress=progress)
    output.mkdir(parents=True, exist_ok=True)
    found.hypnogram.write(output / "network-hypnogram.tsv")
    run = NetworkRun(
        identifier="A network that sleeps",
        source="Scikit-learn's handwritten digits, five tasks of two classes, one pass; two hidden layers of 100 "
        "units; 100 images remembered.",
        sleeping="sleep",
        awake="replay",
        hypnogram=found.hypnogram,
        losses=found.losses,
        trust=list(TRUST) if n_seeds == 3 else list(TRUST[1:]),
        limits=list(LIMITS),
        versions={"sharpwave": __version__, "torch": torch.__version__, "numpy": numpy.__version__},
        **found.tables,
    )
    return write_network_card(run, output / NETWORK_PAGE), describe_run(run)
