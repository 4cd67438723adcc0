"""`sharpwave demo`: the shipped simulated night, decoded."""

from __future__ import annotations

import time
from pathlib import Path

from sharpwave.batch import NightOutcome, NightTask, finish_night, quieten


def decode_demo(output: Path, *, seed: int | None = None) -> NightOutcome:
    """Decode the shipped simulated night."""
    from rich.console import Console

    from sharpwave.decode import decode_recording
    from sharpwave.inputs import DecodeOptions
    from sharpwave.simulation import simulate_demo

    begin = time.perf_counter()
    quieten()
    options = DecodeOptions(identifier="demo", source="simulated night (sharpwave demo)")
    with Console(stderr=True).status("Simulating a night with every modality ...") as status:
        recording, truth = simulate_demo(seed=seed)

        def report(step: str, done: int, total: int) -> None:
            status.update(f"Decoding: {step} ({done + 1} of {total}) ...")

        night = decode_recording(recording, options=options, truth=truth, progress=report)
        return finish_night(night, NightTask(options.source, "demo", output), options, begin)
