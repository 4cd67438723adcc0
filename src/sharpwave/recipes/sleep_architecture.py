"""How the shipped architecture of human sleep was fitted: the healthy nights of the Dreem Open Datasets.

    from pathlib import Path
    from sharpwave.recipes.sleep_architecture import fit_human_architecture, write_architecture

    write_architecture(fit_human_architecture(), Path("human.json"))

gives `simulation/architecture/human.json` again, byte for byte. Those of mouse and rat were set from published bout
lengths, as their files say.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from sharpwave.outputs import write_file
from sharpwave.recordings import Hypnogram, compute_consensus
from sharpwave.recordings.datasets import list_subjects, load_dataset
from sharpwave.simulation.hypnograms import Architecture, fit_architecture, to_dict

SOURCE = (
    "Fitted to the consensus of five experts in 19 healthy nights, Dreem Open Dataset-Healthy (Guillot et al. 2020; "
    "dreem-learning-evaluation, MIT licence); only the span that all five scored"
)


def fit_human_architecture(data_root: Path | None = None) -> Architecture:
    """Odds of stage changes in the consensus of five experts.

    Args:
        data_root: Folder of data sets, with the Dreem Open Datasets; `data_root()` where omitted.
    """
    nights = [name for name in list_subjects("dod", data_root) if name.startswith("dodh-")]
    return fit_architecture([_read_consensus(name, data_root) for name in nights], species="human", source=SOURCE)


def _read_consensus(name: str, data_root: Path | None) -> Hypnogram:
    """The majority of the experts, in the span that all of them scored."""
    scorers = list(load_dataset(f"dod/{name}", data_root).metadata["scorers"].values())
    scored = np.flatnonzero(np.all([scorer.scored for scorer in scorers], axis=0))
    consensus = compute_consensus(scorers)
    onsets = consensus.onsets
    return consensus.restrict(onsets[scored[0]], onsets[scored[-1]] + consensus.epoch_length)


def write_architecture(architecture: Architecture, path: Path) -> Path:
    """Write an architecture as JSON, one line for the weights of each pair of stages."""
    content = to_dict(architecture)
    weights = content.pop("weights")
    lines = [f" {json.dumps(name)}: {json.dumps(value)}," for name, value in content.items()]
    stages = [
        f"  {json.dumps(stage)}: {{\n"
        + ",\n".join(f"   {json.dumps(after)}: {json.dumps(values)}" for after, values in destinations.items())
        + "\n  }"
        for stage, destinations in weights.items()
    ]
    return write_file(path, "\n".join(["{", *lines, ' "weights": {', ",\n".join(stages), " }", "}"]) + "\n")
