"""What is installed, what is missing, and a self-test on real expert hypnograms."""

from __future__ import annotations

import platform
import sys

import numpy as np
from rich.console import Console
from rich.table import Table

from sharpwave import __version__
from sharpwave.errors import SharpwaveError
from sharpwave.reports.methods import read_versions

_EXTRAS = {
    "brain": (
        "mne", "edfio", "pynapple", "pynwb", "nibabel", "zarr", "h5py", "mne-bids", "yasa", "ripple-detection",
        "scikit-learn", "lightgbm", "hmmlearn", "statsmodels", "matplotlib", "jinja2", "pyarrow",
    ),
    "live": ("pylsl", "fastapi", "uvicorn"),
    "llm": ("transformers", "accelerate", "peft", "datasets", "opacus"),
    "jax": ("jax", "optax", "equinox"),
    "export": ("onnx", "onnxscript", "onnxruntime"),
}  # fmt: skip

HUMAN_AGREEMENT = (0.70, 0.85)
"""Where the mean pairwise κ of the five scorers of DOD must lie; the literature's is 0.76 (Lee et al. 2022)."""


def compute_human_agreement() -> tuple[float, int]:
    """Mean pairwise Cohen's κ between the scorers of each DOD night, averaged over nights, and the number of nights."""
    from itertools import combinations

    from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    kappas = []
    for subject in list_subjects("dod"):
        scorers = list(load_dataset(f"dod/{subject}").metadata["scorers"].values())
        pairs = []
        for first, second in combinations(scorers, 2):
            pairs.append(compute_kappa(compute_confusion(first.stages, second.stages, n_stages=first.n_stages)))
        kappas.append(float(np.mean(pairs)))
    return float(np.mean(kappas)), len(kappas)


def run_doctor() -> bool:
    """Print versions and the self-test; True if decoding can work here."""
    console = Console()
    console.print(
        f"sharpwave {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    table = Table("extra", "installed", "missing", box=None)
    for extra, packages in _EXTRAS.items():
        versions = read_versions(packages)
        installed = ", ".join(f"{name} {versions[name]}" for name in packages if name in versions)
        missing = ", ".join(name for name in packages if name not in versions)
        table.add_row(extra, installed or "–", missing or "–")
    console.print(table)
    ready = set(_EXTRAS["brain"]) <= set(read_versions(_EXTRAS["brain"])) and sys.version_info >= (3, 11)
    if not ready:
        console.print("Decoding needs the brain extra: pip install 'sharpwave[brain]'")
        return False
    return _check_human_agreement(console)


def _check_human_agreement(console: Console) -> bool:
    if not count_subjects("dod"):
        console.print(
            "Self-test skipped: dod-hypnograms is not here (set SHARPWAVE_DATA, or `sharpwave datasets fetch dod`)."
        )
        return True
    kappa, nights = compute_human_agreement()
    passed = HUMAN_AGREEMENT[0] <= kappa <= HUMAN_AGREEMENT[1]
    console.print(
        f"Self-test: five experts on {nights} DOD nights agree at κ {kappa:.3f} (mean over pairs, then nights; "
        f"expected {HUMAN_AGREEMENT[0]} to {HUMAN_AGREEMENT[1]}): {'passed' if passed else 'FAILED'}."
    )
    return passed


def count_subjects(name: str) -> int:
    """Subjects of a data set on this machine; 0 where it is not here or holds no recordings."""
    from sharpwave.recordings.datasets import list_subjects

    try:
        return len(list_subjects(name))
    except SharpwaveError:
        return 0


def print_datasets() -> None:
    """Print every data set that sharpwave knows by name."""
    from sharpwave.recordings.datasets import DATASETS, find_folder

    table = Table("name", "what", "here", "licence", "source", box=None)
    for name, dataset in DATASETS.items():
        try:
            find_folder(name)
            here = f"{count_subjects(name)} subjects" if dataset.loader else "yes"
        except SharpwaveError:
            here = "–"
        table.add_row(name, dataset.what, here, dataset.licence, dataset.source)
    Console().print(table)
