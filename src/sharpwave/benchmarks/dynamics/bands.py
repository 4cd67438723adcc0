"""States held against each other in data sets that hold band powers alone: entropy of bands, and what channels share.

Sleep-EDF (7 and 58 people): entropy of the shares of power in five bands. HMC (about 80 people, all asleep):
information that three channels share in the course of their log power, in as many epochs of each state. The unit is
the person.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.recordings.datasets import data_root
from sharpwave.resilience.connectivity import compute_integration

FEWEST_EPOCHS = 30
"""Epochs of a state below which a person says nothing about it."""

WIDTHS = np.array([3.5, 4.0, 5.0, 17.0, 20.0])
"""Widths of the bands of `sleep-edf-bands` in Hz, whose densities make powers."""

NREM, WAKE, REM = (2, 3), (0,), (4,)
Person = tuple[Float[np.ndarray, "epoch channel band"], Int[np.ndarray, " epoch"]]


def compare_bands(data: Path | None, *, rng: np.random.Generator) -> list[Row]:
    """Rows for each of the data sets under `data`; none where they are absent.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        rng: Random generator of intervals, of the choice of epochs and of shuffles.
    """
    root = data_root() if data is None else data
    rows: list[Row] = []
    for label, name in (("sleep-edf-bands", "sleep-edf-bands"), ("sleep-edf-78-bands", "sleep-edf-78-bands")):
        path = None if root is None else root / name / "bands.npz"
        if path is not None and path.is_file():
            people = _read_small(path) if name == "sleep-edf-bands" else _read_large(path)
            for state, other, inside, outside in (("NREM", "wake", NREM, WAKE), ("REM", "wake", REM, WAKE)):
                found = contrast_entropy(people, inside, outside)
                if found:
                    setting = f"{state} minus {other}"
                    rows.append(estimate_row(label, setting, "measured", "entropy_of_bands", found, rng=rng))
                    lower = [float(value < 0) for value in found]
                    rows.append(estimate_row(label, setting, "measured", "share_of_people_lower", lower, rng=rng))
    path = None if root is None else root / "hmc-bands" / "hmc.npz"
    if path is not None and path.is_file():
        rows += _compare_integration(path, rng=rng)
    return rows


def _read_small(path: Path) -> dict[str, Person]:
    """People of `sleep-edf-bands`, their nights side by side; names are SC4ssn, of which ss is the person."""
    people: dict[str, list[Person]] = {}
    with np.load(path, allow_pickle=False) as table:
        for name in sorted(table.files):
            if name.endswith("_x"):
                powers = 10.0 ** table[name][:, :, :5].astype(float) * WIDTHS
                people.setdefault(name[:5], []).append((powers, table[f"{name[:-2]}_y"].astype(int)))
    return {name: _join(nights) for name, nights in people.items()}


def _read_large(path: Path) -> dict[str, Person]:
    """People of `sleep-edf-78-bands`, the two EEG channels."""
    with np.load(path, allow_pickle=False) as table:
        powers, stages = np.exp(table["log_power"][:, :2].astype(float)), table["stage"].astype(int)
        who = table["subject"][table["night"]]
    return {str(one): (powers[who == one], stages[who == one]) for one in np.unique(who).tolist()}


def _join(nights: list[Person]) -> Person:
    return np.concatenate([powers for powers, _ in nights]), np.concatenate([stages for _, stages in nights])


def contrast_entropy(people: Mapping[str, Person], inside: tuple[int, ...], outside: tuple[int, ...]) -> list[float]:
    """Mean entropy of the shares of power in one state minus another, one value per person who has both.

    Args:
        people: Power by epoch, channel and band, and stages, of each person.
        inside: Codes of the one state.
        outside: Codes of the other.
    """
    found = []
    for powers, stages in people.values():
        whole = np.isfinite(powers).all(axis=(1, 2)) & (powers.sum(axis=2) > 0).all(axis=1)
        one, other = (whole & np.isin(stages, codes) for codes in (inside, outside))
        if min(one.sum(), other.sum()) >= FEWEST_EPOCHS:
            shares = np.clip(powers / powers.sum(axis=2, keepdims=True), 1e-12, None)
            entropy = -(shares * np.log(shares)).sum(axis=2).mean(axis=1) / np.log(powers.shape[2])
            found.append(float(entropy[one].mean() - entropy[other].mean()))
    return found


def _compare_integration(path: Path, *, rng: np.random.Generator) -> list[Row]:
    with np.load(path, allow_pickle=False) as table:
        names, bands = [str(name) for name in table["stages"]], [str(name) for name in table["bands"]]
        powers, stages, who = table["mean_power"].astype(float), table["stage"].astype(int), table["patient"]
    rows: list[Row] = []
    for place, band in enumerate(bands):
        people = {one: (powers[who == one, :, place], stages[who == one]) for one in np.unique(who).tolist()}
        for other in ("N2", "N3"):
            for method, shuffled in (("measured", False), ("epochs shuffled", True)):
                found = contrast_integration(people, names.index("REM"), names.index(other), rng=rng, shuffled=shuffled)
                if found:
                    setting = f"REM minus {other}, {band}"
                    rows.append(estimate_row("hmc-bands", setting, method, "integration", found, rng=rng))
    return rows


def contrast_integration(
    people: Mapping[int, tuple[Float[np.ndarray, "epoch channel"], Int[np.ndarray, " epoch"]]],
    state: int,
    other: int,
    *,
    rng: np.random.Generator,
    shuffled: bool = False,
) -> list[float]:
    """What channels share of the course of their log power in one state minus another, over as many epochs of each.

    Args:
        people: Power of each epoch and channel, and stages, by person.
        state: Code of the one state.
        other: Code of the other.
        rng: Random generator of the choice of epochs and of shuffles.
        shuffled: Whether each channel's epochs are shuffled on their own: the baseline, 0.
    """
    found = []
    for powers, stages in people.values():
        whole = np.isfinite(powers).all(axis=1) & (powers > 0).all(axis=1)
        parts = [np.log(powers[whole & (stages == code)]) for code in (state, other)]
        n = min(len(part) for part in parts)
        if n < FEWEST_EPOCHS:
            continue
        values = []
        for part in parts:
            drawn = part[np.sort(rng.permutation(len(part))[:n])]
            values.append(compute_integration(rng.permuted(drawn, axis=0) if shuffled else drawn))
        found.append(values[0] - values[1])
    return found
