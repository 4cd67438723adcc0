"""`sharpwave demo`: the shipped simulated night decoded, a planted effect recovered, and a network that sleeps."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pandas as pd

from sharpwave.commands.batch import NightOutcome, NightTask, finish_night, quieten


def run_demo(output: Path, *, seed: int | None = None) -> NightOutcome:
    """Decode the shipped night while a small network sleeps in another process; both pages come into one folder."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from rich.console import Console

    from sharpwave.benchmarks.planted_nights import compare_planted_nights
    from sharpwave.commands.network_sleep import demonstrate_network_sleep
    from sharpwave.simulation.night import DEMO_SEED

    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as beside:
        slept = beside.submit(demonstrate_network_sleep, output)
        planted = beside.submit(compare_planted_nights, seed=DEMO_SEED if seed is None else seed)
        outcome = decode_demo(output, planted, seed=seed)
        page, words = slept.result()
    console = Console()
    console.print(f"\nDoes sleep help a network? {words}")
    console.print(f"Its page is {page}", soft_wrap=True)
    return outcome


def decode_demo(output: Path, planting: Future[pd.DataFrame], *, seed: int | None = None) -> NightOutcome:
    """Decode the shipped simulated night, and print what is recovered of an effect planted in others.

    Args:
        output: Folder for the results.
        planting: The comparison of planted nights, computed beside.
        seed: Of another night.
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

        def report(step: str, done: int, total: int) -> None:
            status.update(f"Decoding: {step} ({done + 1} of {total}) ...")

        night = decode_recording(recording, options=options, truth=truth, progress=report)
        status.update("Relating simulated nights, with an effect planted and without ...")
        planted = planting.result()
        outcome = finish_night(
            replace(night, effects=replace(night.effects, planted=planted)),
            NightTask(options.source, "demo", output),
            options,
            begin,
        )
    print_planted(planted)
    return outcome


def print_planted(planted: pd.DataFrame) -> None:
    """The table of planted effects and what was found of them with the effect on and off."""
    from rich.console import Console
    from rich.table import Table

    nights = int(planted["n_nights"].max())
    table = Table(
        title=f"Does reactivation move sleep? {nights} simulated nights, and the same nights with the effect off",
        title_justify="left",
    )
    for name in ("content", "what", "planted", "effect on", "effect off"):
        table.add_column(name, justify="left" if name in ("content", "what") else "right")
    for row in planted.to_dict("records"):
        table.add_row(row["content"], row["what"], row["planted"], row["with_effect"], row["without_effect"])
    console = Console()
    console.print(table)
    console.print("Estimates with 95 % intervals. A ratio of 1 and a difference of 0 dB are no effect.")
