"""`sharpwave doctor`: what is installed, what is missing, and a self-test on real expert hypnograms."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import metadata
from typing import TYPE_CHECKING

import typer

from sharpwave import __version__
from sharpwave.commands.datasets import count_subjects

if TYPE_CHECKING:
    from rich.console import Console

EXTRAS = ("brain", "live", "amplifiers", "export", "language", "jax", "private", "agents", "cluster")
"""What pip installs with `sharpwave[NAME]`, beside what developing needs."""

UNANIMOUS = (0.52, 0.66)
"""Where the share of epochs that all five scorers of DOD stage alike must lie: it is 0.57 in 42 nights with sleep
apnoea and 0.59 in 19 healthy ones; six scorers elsewhere reach 0.46 (Bakker et al. 2022)."""


def doctor() -> None:
    """Show versions and what is missing, and run a self-test: how far human experts agree on `dod-hypnograms`.

    - `sharpwave doctor`
    """
    raise typer.Exit(0 if run_doctor() else 1)


def compute_human_agreement() -> tuple[float, float, int]:
    """Agreement of the experts of DOD: share of epochs staged alike by all, mean κ of pairs, number of nights."""
    from itertools import combinations

    import numpy as np

    from sharpwave.evaluation.metrics import compute_confusion, compute_kappa
    from sharpwave.recordings.datasets import list_subjects, load_dataset

    kappas, alike, scored = [], 0, 0
    subjects = list_subjects("dod")
    for subject in subjects:
        codes = np.stack([scorer.stages for scorer in load_dataset(f"dod/{subject}").metadata["scorers"].values()])
        codes = codes[:, (codes >= 0).all(axis=0)]
        alike += int((codes == codes[0]).all(axis=0).sum())
        scored += codes.shape[1]
        pairs = [compute_kappa(compute_confusion(one, other, n_stages=5)) for one, other in combinations(codes, 2)]
        kappas.append(float(np.mean(pairs)))
    return alike / scored, float(np.mean(kappas)), len(subjects)


def run_doctor() -> bool:
    """Print versions and the self-test; True if decoding can work here."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    console.print(
        f"sharpwave {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    )
    table = Table("extra", "installed", "missing", box=None)
    required = {extra: list_requirements(extra) for extra in EXTRAS}
    for extra, packages in required.items():
        versions = find_versions(packages)
        installed = ", ".join(f"{name} {version}" for name, version in versions.items())
        missing = ", ".join(name for name in packages if name not in versions)
        table.add_row(extra, installed or "–", missing or "–")
    console.print(table)
    ready = set(required["brain"]) <= set(find_versions(required["brain"])) and sys.version_info >= (3, 11)
    if not ready:
        console.print("Decoding needs the brain extra: pip install 'sharpwave[brain]'")
        return False
    return _check_human_agreement(console)


def find_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of those packages that are installed, without loading any of them.

    Args:
        packages: Names of distributions.

    >>> list(find_versions(["numpy", "no-such-package"]))
    ['numpy']
    """
    versions = {}
    for package in packages:
        with suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    return versions


def list_requirements(extra: str) -> list[str]:
    """Packages that an extra of the installed sharpwave asks for, as its metadata says.

    Args:
        extra: Name of the extra; such as "brain".

    >>> "yasa" in list_requirements("brain")
    True
    """
    marker = re.compile(rf"""extra == ['"]{extra}['"]""")
    try:
        lines = [line for line in metadata.requires("sharpwave") or () if marker.search(line)]
    except metadata.PackageNotFoundError:  # run from its source
        return []
    return [re.split(r"[^\w.-]", line, maxsplit=1)[0] for line in lines]


def _check_human_agreement(console: Console) -> bool:
    if not count_subjects("dod"):
        console.print(
            "Self-test skipped: dod-hypnograms is not here (set SHARPWAVE_DATA, or `sharpwave datasets fetch dod`)."
        )
        return True
    unanimous, kappa, nights = compute_human_agreement()
    passed = UNANIMOUS[0] <= unanimous <= UNANIMOUS[1]
    console.print(
        f"Self-test: on {nights} nights of DOD five experts stage {unanimous:.1%} of epochs alike (expected "
        f"{UNANIMOUS[0]:.0%} to {UNANIMOUS[1]:.0%}; κ of pairs {kappa:.2f}): {'passed' if passed else 'FAILED'}."
    )
    return passed
