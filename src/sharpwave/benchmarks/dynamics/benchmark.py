"""`sharpwave benchmark dynamics`: is sleep more modular and less complex, and is metastability highest at transitions?

Every window is measured beside phase-randomised surrogates of itself, which keep each channel's spectrum and destroy
coupling and whatever is not linear: a contrast that they show too is one of spectra. Others keep the coupling too: what
they show is linear. Metastability at transitions is what varies beyond the way from one state to the other. The unit is
the subject; for the one mouse it is a piece of 40 min, and the setting says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sharpwave.benchmarks.dynamics.bands import compare_bands
from sharpwave.benchmarks.dynamics.power import tabulate_power
from sharpwave.benchmarks.dynamics.spiking import compare_spiking
from sharpwave.benchmarks.dynamics.states import (
    StagedSignal,
    contrast_draws,
    contrast_states,
    contrast_surrogates,
    contrast_transitions,
    load_staged,
    measure_subject,
    simulate_staged,
)
from sharpwave.benchmarks.rows import Row, estimate_row
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.windows import Windows, WindowSettings

MOUSE = "mouse-sleep-fmri, pieces of one mouse"
REAL = {
    "ucddb": "ucddb-eeg",
    "dreams": "dreams-spindles",
    "mouse-fmri": MOUSE,
    "rest-bold": "human-rest-bold",
}
MOST_WINDOWS, N_SURROGATES, HOURS = 15, 1, 4.0
FEWEST_DRAWS = 19
"""Draws of a surrogate that span 95 %."""
MANY_SURROGATES = {label: FEWEST_DRAWS for label in ("ucddb-eeg", "dreams-spindles", MOUSE, "simulated bold")}
"""Where a difference is held against surrogates, so many draws of each window."""
MOST_TRANSITIONS = 30
PAIRS = (("NREM", "wake"), ("REM", "wake"))


def run(data: Path | None, *, seeds: int, train: bool = False) -> tuple[dict[str, Any], list[Row]]:
    """Measure the dynamics of every staged recording under `data` and of simulated nights.

    Args:
        data: Folder of data sets; `data_root()` where omitted.
        seeds: Number of simulated nights.
        train: Not used: nothing is learned.

    Returns:
        Configuration and rows.

    Raises:
        SharpwaveError: If `data` is given and holds none of the data sets.
    """
    rng = np.random.default_rng(0)
    groups: dict[str, list[StagedSignal]] = {}
    for name, label in REAL.items():
        groups[label] = load_staged(name, data)
    if data is not None and not any(groups.values()):
        raise SharpwaveError(
            f"one of the data sets {', '.join(REAL)}", got=f"none under {data}", fix="pass the folder of data sets"
        )
    for modality in ("eeg", "bold"):
        groups[f"simulated {modality}"] = simulate_staged(seeds, modality, hours=HOURS)
    rows: list[Row] = []
    used: dict[str, list[str]] = {}
    for label, staged in groups.items():
        measured = {
            one.subject: measure_subject(
                one, rng=rng, most=MOST_WINDOWS, n_surrogates=MANY_SURROGATES.get(label, N_SURROGATES)
            )
            for one in staged
        }
        windows = [found for found in measured.values() if found is not None]
        used[label] = [subject for subject, found in measured.items() if found is not None]
        rows += _tabulate(label, windows, rng=rng)
        if label == MOUSE:  # its stages are averaged over animals: where one gives way to another is not known
            continue
        for method, row in contrast_transitions(staged, rng=rng, most=MOST_TRANSITIONS).items():
            setting = "round transitions, after a fitted course"
            rows += [estimate_row(label, setting, method, metric, values, rng=rng) for metric, values in row.items()]
    rows += compare_bands(data, rng=rng)
    rows += compare_spiking(data, rng=rng)
    rows += tabulate_power(rng=rng)
    config = {
        "windows": {
            "electrical": str(WindowSettings.for_rate(128.0)),
            "bold": "30 volumes: " + str(WindowSettings.for_rate(0.5)),
        },
        "most_windows_per_state": MOST_WINDOWS,
        "surrogates_per_window": N_SURROGATES,
        "more_surrogates": MANY_SURROGATES,
        "subjects": used,
        "interval": "95 %, bootstrap over subjects (over pieces for the one mouse)",
        "states": "NREM is N2 and N3 (N3 alone in ucddb, whose EEG holds wake and N3, but for one night)",
        "simulated": f"{seeds} human nights of {HOURS:g} h, seed 0; nothing about groups or complexity is planted",
    }
    return config, rows


def _span(draws: np.ndarray) -> tuple[float, float, float]:
    """Mean, and the two ends between which 95 % of draws lie."""
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(draws.mean()), float(low), float(high)


def _tabulate(label: str, windows: Sequence[Windows], *, rng: np.random.Generator) -> list[Row]:
    rows: list[Row] = []

    def add(setting: str, method: str, values: Mapping[str, list[float]]) -> None:
        rows.extend(estimate_row(label, setting, method, metric, row, rng=rng) for metric, row in values.items())

    for state, other in PAIRS:
        for method, values in contrast_states(windows, state, other).items():
            add(f"{state} minus {other}", method, values)
        for kind, measures in contrast_draws(windows, state, other).items():
            rows += [
                Row(label, f"{state} minus {other}", f"{kind}, over draws", name, *_span(draws), n=len(draws))
                for name, draws in measures.items()
                if len(draws) >= FEWEST_DRAWS
            ]
    add("measured minus phase-randomised", "measured", contrast_surrogates(windows))
    return rows
