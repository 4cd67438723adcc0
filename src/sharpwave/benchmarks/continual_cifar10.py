"""`sharpwave benchmark continual-cifar10`: the same as `continual`, on split CIFAR-10 with a narrow ResNet-18."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sharpwave.benchmarks.continual.benchmark import find_own, run_protocols
from sharpwave.benchmarks.continual.protocols import PROTOCOLS
from sharpwave.benchmarks.rows import Row
from sharpwave.errors import SharpwaveError


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Every learner, the task told and not.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Streams, networks and learners, drawn anew for each.
        train: Choose the hyper-parameters again first, on validation streams.
    """
    own = find_own(data)
    if own is None:
        raise SharpwaveError(
            "the folder of our data sets",
            got=str(data),
            fix="run `sharpwave benchmark continual --data FOLDER` for other images",
        )
    protocol = PROTOCOLS["split-cifar10"]
    return run_protocols([(protocol, protocol.load(own))], seeds=seeds, train=train, ablate=False)
