"""The network half of `sharpwave demo`: a small network that forgets without sleep and not with it, and its card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

FILE = "network-sleep.html"
TRUST = (
    "Three networks of each way, each with its own weights, order of classes and order of images; intervals are over "
    "these three.",
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


def demonstrate_network_sleep(
    output: Path, *, n_seeds: int = 3, progress: Callable[[str], Any] = lambda step: None
) -> tuple[Path, str]:
    """Train small networks on handwritten digits with sleep and without, and write the card of the run.

    Args:
        output: Folder to write `network-sleep.html` and `network-hypnogram.tsv` into; made where there is none.
        n_seeds: Networks of each way.
        progress: Told what is done next.

    Returns:
        Path of the page, and what it says of forgetting, in a sentence or two.
    """
    import numpy
    import torch

    from sharpwave import __version__
    from sharpwave.benchmarks.resilience.demonstration import demonstrate_forgetting
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
    return write_network_card(run, output / FILE), describe_run(run)
