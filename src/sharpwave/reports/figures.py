"""One picture of a night: decoded and expert hypnogram, hypnodensity, spectrogram and depth on one time axis."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sharpwave.night.decoded import DecodedNight, Spectrogram
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports.explanations import describe_span
from sharpwave.reports.formats import STAGE_COLOURS, STAGE_WORDS, order_stages
from sharpwave.reports.raster import compute_limits
from sharpwave.reports.tables import compute_share_agreed
from sharpwave.reports.timeline import Timeline, downsample_hypnogram, downsample_image, downsample_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INK, _SOFT = "#1b1f24", "#55606b"
_STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": "#8b96a1",
    "xtick.color": _SOFT,
    "ytick.color": _SOFT,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
}


def plot_night(night: DecodedNight, path: str | Path, *, dpi: int = 150) -> Path:
    """Draw a night for a README or a talk; rows that have nothing to show are left out.

    Args:
        night: What to draw.
        path: File to write; its ending (.png, .svg, .pdf) chooses the format.
        dpi: Resolution of a PNG, in dots per inch.

    Returns:
        The path written.

    >>> from tempfile import TemporaryDirectory
    >>> hypnogram = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    >>> nap = DecodedNight(
    ...     identifier="nap", source="nap.edf", duration=120.0, hypnogram=hypnogram, stager="hand", verdict="usable"
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     "Decoded by hand" in plot_night(nap, Path(folder) / "nap.svg").read_text(encoding="utf-8")
    True
    """
    path = Path(path)
    draw_night(night).savefig(path, dpi=dpi, facecolor="white")
    return path


def draw_night(night: DecodedNight) -> Figure:
    """The same as a figure in memory, which `sharpwave.plot` hands out.

    Args:
        night: What to draw.

    >>> hypnogram = Hypnogram(np.array([0, 1, 2, 3], dtype=np.int8))
    >>> nap = DecodedNight(
    ...     identifier="nap", source="nap.edf", duration=120.0, hypnogram=hypnogram, stager="hand", verdict="usable"
    ... )
    >>> draw_night(nap).axes[0].get_title(loc="left")
    'Decoded by hand'
    """
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    line = Timeline.of(night)
    drawn = downsample_hypnogram(night.hypnogram)
    rows = _choose_rows(night, drawn)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(9, 1.1 + 0.95 * sum(rows.values())), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(len(rows), sharex=True, squeeze=False, height_ratios=list(rows.values()))
        axes = dict(zip(rows, grid[:, 0], strict=True))
        _plot_rows(axes, night, drawn)
        last = grid[-1, 0]
        ticks = line.ticks()
        last.set_xlim(line.start, line.end)
        last.set_xticks(ticks, [line.write(tick) for tick in ticks])
        simulated = "SIMULATED · " if night.simulated else ""
        figure.suptitle(f"{simulated}{night.identifier}", x=0.01, ha="left", weight="bold", size=13)
        first = axes["decoded"]
        first.text(1, 1.04, describe_span(night), transform=first.transAxes, ha="right", color=_SOFT)
    return figure


def _choose_rows(night: DecodedNight, drawn: Hypnogram) -> dict[str, float]:
    """The rows that have something to show, and their relative heights."""
    rows = {"decoded": 1.5}
    rows |= {"expert": 1.5} if night.expert is not None else {}
    rows |= {"probability": 1.1} if drawn.probabilities is not None and len(drawn) else {}
    rows |= {"spectrogram": 1.4} if night.spectrogram is not None else {}
    rows |= {"depth": 0.8} if len(night.depth) and night.depth["depth"].notna().any() else {}
    return rows


def _plot_rows(axes: dict[str, Axes], night: DecodedNight, drawn: Hypnogram) -> None:
    _plot_stages(axes["decoded"], drawn, f"Decoded by {night.stager}")
    if night.expert is not None:
        agreed = 100 * compute_share_agreed(night.hypnogram, night.expert)
        words = f"Expert (same stage in {agreed:.0f} % of epochs)" if np.isfinite(agreed) else "Expert"
        _plot_stages(axes["expert"], downsample_hypnogram(night.expert), words)
    if "probability" in axes and drawn.probabilities is not None:
        _plot_probabilities(axes["probability"], drawn, drawn.probabilities)
    if night.spectrogram is not None:
        _plot_spectrogram(axes["spectrogram"], Spectrogram(*night.spectrogram))
    if "depth" in axes:
        _plot_depth(axes["depth"], night)


def _set_title(axes: Axes, words: str) -> None:
    axes.set_title(words, loc="left", size=9, weight="bold", pad=3)


def _fill(stage: str) -> dict[str, Any]:
    """The colour of a stage; REM is hatched as well."""
    edge, hatch = ("white", "////") if stage == "R" else ("none", None)
    return {"facecolor": STAGE_COLOURS[stage], "edgecolor": edge, "hatch": hatch, "linewidth": 0}


def _plot_stages(axes: Axes, hypnogram: Hypnogram, title: str) -> None:
    names = order_stages(hypnogram.names)
    bouts = hypnogram.bouts()
    for row, name in enumerate(names):
        mine = bouts[bouts["stage"] == name]
        spans = list(zip(mine["onset"], mine["duration"], strict=True))
        axes.broken_barh(spans, (row - 0.36, 0.72), **_fill(name))
    at = np.array([names.index(label) if label in names else np.nan for label in hypnogram.labels])
    if at.size:
        axes.step(
            np.r_[hypnogram.onsets, hypnogram.end], np.r_[at, at[-1]], where="post", color="#8b96a1", lw=0.6, zorder=0
        )
    axes.set_ylim(len(names) - 0.5, -0.6)
    axes.set_yticks(range(len(names)), [STAGE_WORDS.get(name, name) for name in names])
    axes.tick_params(axis="y", length=0)
    _set_title(axes, title)


def _plot_probabilities(axes: Axes, hypnogram: Hypnogram, probabilities: np.ndarray) -> None:
    names = order_stages(hypnogram.names)
    shares = probabilities[:, [hypnogram.names.index(name) for name in names]]
    edges = 1 - np.concatenate([np.zeros((len(hypnogram), 1)), np.cumsum(shares, axis=1)], axis=1)
    centres = hypnogram.onsets + hypnogram.epoch_length / 2
    for index, name in enumerate(names):
        axes.fill_between(centres, edges[:, index], edges[:, index + 1], **_fill(name))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1])
    _set_title(axes, "Probability of each stage")


def _plot_spectrogram(axes: Axes, spectrogram: Spectrogram) -> None:
    times, power = downsample_image(spectrogram.times, spectrogram.power_db)
    low, high = compute_limits(spectrogram)
    mesh = axes.pcolormesh(
        times, spectrogram.frequencies, power, cmap="viridis", vmin=low, vmax=high, rasterized=True, shading="nearest"
    )
    bar = axes.figure.colorbar(mesh, ax=axes, pad=0.01, aspect=8)
    bar.outline.set_visible(False)
    bar.set_label("dB")
    axes.set_ylabel("Hz")
    _set_title(axes, "Spectrogram")


def _plot_depth(axes: Axes, night: DecodedNight) -> None:
    times, values = downsample_line(
        night.depth["onset"].to_numpy(dtype=float), night.depth["depth"].to_numpy(dtype=float)
    )
    axes.fill_between(times, values, np.nanmin(values), color="#2960AD", alpha=0.14, lw=0)
    axes.plot(times, values, color="#2960AD", lw=0.8)
    axes.set_ylabel(night.depth_unit)
    _set_title(axes, "Sleep depth")
