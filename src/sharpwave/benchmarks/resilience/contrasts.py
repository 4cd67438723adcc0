"""Differences between states within one subject, in what was measured and in its surrogates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from sharpwave.benchmarks.resilience.nights import NREM, REM, WAKE, StagedSignal
from sharpwave.errors import SharpwaveError
from sharpwave.resilience.windows import TRANSITION, Windows, WindowSettings, measure_windows

FEWEST_WINDOWS = 3
"""Windows of a state below which a subject says nothing about it."""

STATES: dict[str, tuple[str, ...]] = {"NREM": NREM, "wake": WAKE, "REM": REM}


def measure_subject(
    staged: StagedSignal,
    *,
    rng: np.random.Generator,
    most: int,
    n_surrogates: int,
    settings: WindowSettings | None = None,
) -> Windows | None:
    """Windows of one subject; None where no window is whole."""
    signal = staged.signal
    try:
        return measure_windows(
            lambda begin, end: signal.read(begin, end),
            signal.rate,
            span=(signal.start, signal.end),
            rng=rng,
            hypnogram=staged.hypnogram,
            settings=settings,
            most=most,
            n_surrogates=n_surrogates,
        )
    except SharpwaveError:
        return None


def contrast_states(windows: Sequence[Windows], state: str, other: str) -> dict[str, dict[str, list[float]]]:
    """Mean of each measure in one state minus another, one value per subject that has both.

    Args:
        windows: One per subject.
        state: Key of `STATES`.
        other: Key of `STATES`.

    Returns:
        Values by measure, for "measured" and "phase-randomised".
    """
    found: dict[str, dict[str, list[float]]] = {"measured": {}, "phase-randomised": {}}
    for one in windows:
        inside, outside = one.of(*STATES[state]), one.of(*STATES[other])
        if min(inside.sum(), outside.sum()) < FEWEST_WINDOWS:
            continue
        for method, values in (("measured", one.values), ("phase-randomised", one.surrogates)):
            _append(found[method], _subtract(values, inside, outside))
    return found


def contrast_surrogates(windows: Sequence[Windows]) -> dict[str, list[float]]:
    """Mean of each measure minus that of its surrogates, one value per subject."""
    found: dict[str, list[float]] = {}
    for one in windows:
        gaps = {name: float(np.nanmean(one.values[name] - values)) for name, values in one.surrogates.items()}
        _append(found, gaps)
    return found


def contrast_transitions(windows: Sequence[Windows]) -> dict[str, dict[str, list[float]]]:
    """Metastability of windows that hold a transition, minus that of whole ones and minus that of spliced ones.

    A window of two states varies more by that alone. Halves of whole windows of the states before and after, spliced,
    would vary by `(v_a + v_b) / 2 + (m_a - m_b)² / 4`, with `v` and `m` the variance and mean of the order parameter.

    Returns:
        One value per subject, for "measured minus whole" and "measured minus spliced".
    """
    found: dict[str, dict[str, list[float]]] = {"minus whole windows": {}, "minus spliced windows": {}}
    for one in windows:
        at = one.of(TRANSITION)
        if "metastability" not in one.values or at.sum() < FEWEST_WINDOWS:
            continue
        variance, mean = one.values["metastability"], one.values["synchrony"]
        _append(found["minus whole windows"], _subtract({"metastability": variance}, at, ~at))
        typical = {
            state: (float(np.mean(variance[one.of(state)])), float(np.mean(mean[one.of(state)])))
            for state in set(one.states) - {TRANSITION}
        }
        gaps = []
        for index in np.flatnonzero(at).tolist():
            before, after = typical.get(one.before[index]), typical.get(one.after[index])
            if before is not None and after is not None:
                spliced = (before[0] + after[0]) / 2 + (before[1] - after[1]) ** 2 / 4
                gaps.append(float(variance[index]) - spliced)
        if gaps:
            _append(found["minus spliced windows"], {"metastability": float(np.mean(gaps))})
    return found


def _subtract(values: Mapping[str, np.ndarray], inside: np.ndarray, outside: np.ndarray) -> dict[str, float]:
    return {name: float(np.nanmean(row[inside]) - np.nanmean(row[outside])) for name, row in values.items()}


def _append(found: dict[str, list[float]], row: Mapping[str, float]) -> None:
    for name, value in row.items():
        found.setdefault(name, []).append(value)
