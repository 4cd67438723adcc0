"""The card's picture."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from sharpwave.errors import MissingExtraError
from sharpwave.resilience.brittleness import BrittlenessMap
from sharpwave.resilience.dynamics import MEASURES
from sharpwave.resilience.recovery import Recovery
from sharpwave.resilience.robustness import DoseCurve
from sharpwave.resilience.windows import Windows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BLUE, _OCHRE, _SOFT = "#2960AD", "#B67416", "#8b96a1"
_MOST_SIGNALS = 4


def _make_figure(n_rows: int, n_columns: int, *, width: float, height: float) -> tuple[Figure, np.ndarray]:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("matplotlib", extra="brain") from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots(n_rows, n_columns, squeeze=False)


def draw_windows(windows: Mapping[str, Windows]) -> Figure:
    """One row a signal, one column a measure, one box a state; the surrogates' median as a dash."""
    shown = dict(list(windows.items())[:_MOST_SIGNALS])
    measures = [name for name in MEASURES if any(name in found.values for found in shown.values())]
    figure, axes = _make_figure(
        len(shown), len(measures), width=1.0 + 2.0 * len(measures), height=0.6 + 2.2 * len(shown)
    )
    for row, (signal, found) in zip(axes, shown.items(), strict=True):
        for place, measure in zip(row, measures, strict=True):
            _draw_states(place, found, measure)
            place.set_title(measure.replace("_", " "), fontsize=9)
        row[0].set_ylabel(signal)
    return figure


def _draw_states(axes: Axes, found: Windows, measure: str) -> None:
    if measure not in found.values:
        axes.set_axis_off()
        return
    states = sorted(set(found.states))
    values, random = found.values[measure], found.surrogates.get(measure)
    for place, state in enumerate(states):
        inside = found.of(state) & np.isfinite(values)
        if not inside.any():
            continue
        low, middle, high = np.percentile(values[inside], [25, 50, 75])
        axes.plot([place, place], [low, high], color=_BLUE, lw=5, alpha=0.35, solid_capstyle="butt")
        axes.plot(place, middle, "o", color=_BLUE, ms=5)
        if random is not None and np.isfinite(random[inside]).any():
            axes.plot([place - 0.3, place + 0.3], [np.nanmedian(random[inside])] * 2, color=_SOFT, lw=1.5)
    axes.set_xticks(range(len(states)), states, rotation=45, fontsize=8)
    axes.tick_params(axis="y", labelsize=8)
    axes.margins(x=0.2)


def draw_network(
    curves: Mapping[str, DoseCurve], recovery: Recovery | None, brittleness: BrittlenessMap | None
) -> Figure:
    """Score against each damage, the return after the shock beside the twin, and loss per part."""
    n_panels = len(curves) + 2
    figure, axes = _make_figure(1, n_panels, width=2.6 * n_panels, height=2.7)
    for place, (kind, curve) in zip(axes[0], curves.items(), strict=False):
        low, high = curve.scores - curve.spread, curve.scores + curve.spread
        place.fill_between(curve.doses, low, high, color=_BLUE, alpha=0.2)
        place.plot(curve.doses, curve.scores, "o-", color=_BLUE, ms=3)
        kept = f"keeps {curve.kept:.2f}" if np.isfinite(curve.kept) else "nothing learned to keep"
        place.set_title(f"{kind.replace('_', ' ')}: {kept}", fontsize=9)
        place.set_xlabel("dose")
    back, parts = axes[0][-2:]
    if recovery is None:
        _leave_out(back, "recovery")
    else:
        back.plot(recovery.steps, recovery.twin, color=_SOFT, label="twin")
        back.plot(recovery.steps, recovery.perturbed, color=_BLUE, label="perturbed")
        known = recovery.fraction == recovery.fraction
        back.set_title(f"recovers {recovery.fraction:.2f}" if known else "no shock to recover from", fontsize=9)
        back.set_xlabel("steps")
        back.legend(fontsize=8, frameon=False)
    if brittleness is None:
        _leave_out(parts, "loss per damage")
    else:
        names = [name if len(name) < 16 else name[:15] + "…" for name in brittleness.parts]
        parts.barh(range(len(names)), brittleness.per_damage, color=_OCHRE)
        parts.set_yticks(range(len(names)), names, fontsize=8)
        parts.invert_yaxis()
        parts.set_title("loss per damage", fontsize=9)
    axes[0][0].set_ylabel("score")
    return figure


def _leave_out(axes: Axes, what: str) -> None:
    axes.text(0.5, 0.5, "not measured", ha="center", va="center", fontsize=9, transform=axes.transAxes)
    axes.set_title(what, fontsize=9)
    axes.set_axis_off()
