"""The rows of the night's figure: each is one plot on the shared time axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from markupsafe import Markup

from sharpwave.night.decoded import Spectrogram
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports import svg
from sharpwave.reports.colours import STAGE_COLOURS, STAGE_WORDS, order_stages
from sharpwave.reports.downsample import compute_rates, downsample_line
from sharpwave.reports.formats import show
from sharpwave.reports.raster import encode_spectrogram
from sharpwave.reports.timeline import Timeline

ROW = 21.0
"""Height of one stage's row in pixels."""

MOST_MARKS = 150
"""Events of one kind up to this number are drawn one by one, more as a rate."""

_BAR, _BAR_TOP = 9.0, 3.0


@dataclass(frozen=True)
class Track:
    """One row of the figure.

    Attributes:
        name: What the row is called.
        labels: Names along its left side, as SVG.
        plot: The row itself, as SVG.
        height: Height in pixels.
        summary: What the row shows, in a sentence.
    """

    name: str
    labels: Markup
    plot: Markup
    height: float
    summary: str


def _track(name: str, labels: list[str], content: list[str], *, height: float, summary: str) -> Track:
    left = svg.plot(labels, height=height, label=name, css="labels")
    return Track(name, left, svg.plot(content, height=height, label=f"{name}. {summary}"), height, summary)


def _label(y: float, words: str, *, css: str = "") -> str:
    return svg.text("100%", y, words, css=css, anchor="end")


def find_unclear(hypnogram: Hypnogram, below: float) -> Bool[np.ndarray, " epoch"]:
    """True where an epoch's highest probability is below a threshold; never where there are no probabilities."""
    if hypnogram.probabilities is None:
        return np.zeros(len(hypnogram), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(hypnogram.probabilities.max(axis=1) < below) if len(hypnogram) else np.zeros(0, dtype=bool)


def draw_hypnogram(
    hypnogram: Hypnogram, line: Timeline, *, expert: Hypnogram | None, unclear_below: float, summary: str
) -> Track:
    """Stages as bars, one row a stage; hatched where unclear; the expert as thin dark bars below ours."""
    rows = {name: index for index, name in enumerate(order_stages(hypnogram.names))}
    bottom = ROW * len(rows)
    labels = [_label(ROW * row + 14, STAGE_WORDS.get(name, name), css="strong") for name, row in rows.items()]
    content = [svg.horizontal(ROW * (row + 1) - 0.5, css="rule") for row in range(len(rows))]
    content.append(_step_line(hypnogram, line, rows))
    content += _bars(hypnogram, line, rows, top=_BAR_TOP, height=_BAR)
    if expert is not None:
        content += _bars(expert, line, rows, top=_BAR_TOP + _BAR + 2, height=3.5, fill="#1b1f24")
    height = bottom
    if hypnogram.probabilities is not None:
        height += 16
        labels.append(_label(bottom + 13, "unclear"))
        content.append(_draw_unclear(hypnogram, line, rows, below=unclear_below))
    return _track("Hypnogram", labels, content, height=height + 6, summary=summary)


def _bars(
    hypnogram: Hypnogram, line: Timeline, rows: dict[str, int], *, top: float, height: float, fill: str | None = None
) -> list[str]:
    bouts = hypnogram.bouts()
    bars = []
    for onset, duration, stage in zip(bouts["onset"], bouts["duration"], bouts["stage"], strict=True):
        if stage not in rows:
            continue
        x, width = line.percent(onset), line.percent(onset + duration) - line.percent(onset)
        y = ROW * rows[stage] + top
        bars.append(svg.rect(x, y, width, height, fill=fill or STAGE_COLOURS[stage]))
        if stage == "R" and fill is None:
            bars.append(svg.rect(x, y, width, height, fill="url(#rem)"))
    return bars


def _step_line(hypnogram: Hypnogram, line: Timeline, rows: dict[str, int]) -> str:
    bouts = hypnogram.bouts()
    path, pen_down = [], False
    for onset, duration, stage in zip(bouts["onset"], bouts["duration"], bouts["stage"], strict=True):
        if stage not in rows:
            pen_down = False
            continue
        x0, x1 = 10 * line.percent(onset), 10 * line.percent(onset + duration)
        y = svg.number(ROW * rows[stage] + 9)
        path.append(f"{'L' if pen_down else 'M'}{svg.number(x0)} {y}L{svg.number(x1)} {y}")
        pen_down = True
    drawn = f'<path d="{"".join(path)}" class="step"/>'
    return svg.stretch(drawn, y=0, width=1000, height=ROW * len(rows))


def _draw_unclear(hypnogram: Hypnogram, line: Timeline, rows: dict[str, int], *, below: float) -> str:
    """A strip below the rows and a veil over the bars; the page's script redraws it for another threshold."""
    unclear = find_unclear(hypnogram, below)
    bottom = ROW * len(rows)
    tops = [ROW * rows[name] + _BAR_TOP for name in hypnogram.names]
    state = np.where(unclear, hypnogram.stages, -2)
    edges = np.flatnonzero(np.r_[True, np.diff(state) != 0, True]) if len(hypnogram) else np.zeros(0, dtype=int)
    drawn = []
    for first, last in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if not unclear[first]:
            continue
        x = line.percent(hypnogram.start + first * hypnogram.epoch_length)
        width = line.percent(hypnogram.start + last * hypnogram.epoch_length) - x
        drawn.append(svg.rect(x, bottom + 4, width, 10, fill="url(#doubt)"))
        if state[first] >= 0:
            drawn.append(svg.rect(x, tops[state[first]], width, _BAR, fill="url(#veil)"))
    places = " ".join(svg.number(top) for top in tops)
    return f'<g class="unclear" data-bottom="{bottom:g}" data-bar="{_BAR:g}" data-tops="{places}">{"".join(drawn)}</g>'


def draw_hypnodensity(hypnogram: Hypnogram, line: Timeline, *, summary: str) -> Track | None:
    """Probability of each stage, stacked; None where there are no probabilities."""
    if hypnogram.probabilities is None or not len(hypnogram):
        return None
    height = 66.0
    order = order_stages(hypnogram.names)
    shares = hypnogram.probabilities[:, [hypnogram.names.index(name) for name in order]]
    edges = np.concatenate([np.zeros((len(hypnogram), 1)), np.cumsum(shares, axis=1)], axis=1).clip(0, 1)
    centres = hypnogram.onsets + hypnogram.epoch_length / 2
    xs = np.array([line.percent(time) for time in centres]) / 100
    areas, hatch = [], ""
    for index, name in enumerate(order):
        tops, bottoms = edges[:, index], edges[:, index + 1]
        areas.append(f'<path d="{svg.area_path(xs, tops, bottoms, scale=1000)}" fill="{STAGE_COLOURS[name]}"/>')
        if name == "R":
            # Clipped in shares of the box, so the hatch keeps its size whatever the width.
            clip = svg.area_path(xs * 1000, tops * 1000, bottoms * 1000)
            hatch = (
                f'<clipPath id="rem-share" clipPathUnits="objectBoundingBox"><path d="{clip}" '
                'transform="scale(.001)"/></clipPath>'
                f'<rect width="100%" height="{height:g}" fill="url(#rem)" clip-path="url(#rem-share)"/>'
            )
    stack = svg.stretch("".join(areas), y=0, width=1000, height=1000).replace(
        'height="1000"', f'height="{height:g}"', 1
    )
    labels = [_label(height / 2 - 2, "Probability", css="strong"), _label(height / 2 + 12, "of each stage")]
    return _track("Hypnodensity", labels, [stack, hatch], height=height + 8, summary=summary)


def draw_spectrogram(spectrogram: Spectrogram, line: Timeline, *, summary: str) -> Track:
    """Power over time and frequency."""
    height = 92.0
    times, frequencies = spectrogram.times, spectrogram.frequencies
    half = (times[-1] - times[0]) / max(len(times) - 1, 1) / 2
    x = line.percent(times[0] - half)
    width = line.percent(times[-1] + half) - x
    picture = (
        f'<image x="{svg.number(x)}%" y="0" width="{svg.number(width)}%" height="{height:g}" '
        f'preserveAspectRatio="none" href="{encode_spectrogram(spectrogram)}"/>'
    )
    low, high = float(frequencies[0]), float(frequencies[-1])
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 250, 1000) if (high - low) / step <= 4)
    labels = []
    for tick in np.arange(np.ceil(low / step) * step, high + 1e-9, step):
        y = height * (1 - (tick - low) / (high - low))
        labels.append(_label(min(max(y + 4, 9), height), f"{tick:g} Hz"))
    return _track("Spectrogram", labels, [picture], height=height + 8, summary=summary)


def draw_depth(depth: pd.DataFrame, line: Timeline, *, unit: str, summary: str) -> Track | None:
    """Sleep depth as a line over a light area; None where nothing is finite."""
    times, values = downsample_line(depth["onset"].to_numpy(dtype=float), depth["depth"].to_numpy(dtype=float))
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    height = 46.0
    low, high = np.percentile(finite, [0.5, 99.5])
    ys = height - 2 - (height - 4) * (np.clip(values, low, high) - low) / max(high - low, 1e-12)
    xs = np.array([10 * line.percent(time) for time in times])
    curve = (
        f'<path d="{svg.area_path(xs, ys, np.full_like(ys, height))}" class="depth-area"/>'
        f'<path d="{svg.line_path(xs, ys)}" class="depth-line"/>'
    )
    labels = [
        _label(10, show(float(high))),
        _label(height / 2 + 4, "Depth", css="strong"),
        _label(height, f"{show(float(low))} {unit}"),
    ]
    content = [svg.horizontal(height - 0.5, css="rule"), svg.stretch(curve, y=0, width=1000, height=height)]
    return _track("Depth", labels, content, height=height + 8, summary=summary)


def draw_events(events: pd.DataFrame, line: Timeline, *, summary: str, most_rows: int = 6) -> Track | None:
    """One row a kind of event: marks where there are few, a rate per minute where there are many."""
    if not len(events):
        return None
    counts = events["label"].value_counts()
    labels, content = [], []
    for row, (label, count) in enumerate(counts.head(most_rows).items()):
        top, bottom = 20.0 * row, 20.0 * row + 17
        mine = events[events["label"] == label]
        words = str(label).replace("_", " ")
        labels.append(_label(bottom - 3, words if len(words) < 14 else words[:13] + "…", css="strong"))
        content.append(svg.horizontal(bottom + 0.5, css="rule"))
        if count <= MOST_MARKS:
            content += [svg.vertical(line.percent(onset), top + 3, bottom, css="mark") for onset in mine["onset"]]
            continue
        rates, width = compute_rates(mine["onset"], start=line.start, end=line.end)
        most = max(float(rates.max()), 1e-9)
        content.append(_rate_bars(rates, width / line.span, most, top=top + 2, height=bottom - top - 2))
    hidden = len(counts) - most_rows
    if hidden > 0:
        labels.append(_label(20 * most_rows + 12, f"+ {hidden} more"))
    height = 20.0 * min(len(counts), most_rows) + (16 if hidden > 0 else 0)
    return _track("Events", labels, content, height=height + 6, summary=summary)


def _rate_bars(rates: Float[np.ndarray, " bin"], share: float, most: float, *, top: float, height: float) -> str:
    parts = []
    for index, rate in enumerate(rates.tolist()):
        if rate > 0:
            up = svg.number(height * (1 - min(rate / most, 1)))
            x0, x1 = svg.number(1000 * share * index), svg.number(1000 * share * (index + 1))
            parts.append(f"M{x0} {svg.number(height)}V{up}H{x1}V{svg.number(height)}Z")
    return svg.stretch(f'<path d="{"".join(parts)}" class="rate"/>', y=top, width=1000, height=height)


def draw_quality(spans: pd.DataFrame, line: Timeline, *, summary: str) -> Track:
    """One strip: calm where the signal is good, hatched where something is wrong."""
    content = [svg.rect(line.percent(line.start), 3, 100, 10, fill="#e8ecf0")]
    for onset, duration in zip(spans.get("onset", []), spans.get("duration", []), strict=True):
        x, width = line.percent(onset), line.percent(onset + duration) - line.percent(onset)
        content.append(svg.rect(x, 3, max(width, 0.08), 10, fill="url(#bad)"))
    return _track("Quality", [_label(12, "Bad signal", css="strong")], content, height=18, summary=summary)


def draw_axis(line: Timeline, *, marks: dict[str, float]) -> Markup:
    """The times below the rows, and named moments such as lights off."""
    content = [svg.horizontal(0.5, css="axis")]
    for index, tick in enumerate(line.ticks()):
        x = line.percent(tick)
        anchor = "start" if x < 2 else "end" if x > 97 else "middle"
        content.append(svg.vertical(x, 0, 5, css="axis"))
        css = "odd" if index % 2 else ""
        content.append(svg.text(f"{svg.number(x)}%", 17, line.write(tick), css=css, anchor=anchor))
    for name, time in marks.items():
        x = line.percent(time)
        anchor = "start" if x < 50 else "end"
        content.append(
            svg.text(f"{svg.number(x)}%", 31, f"▲ {name}" if x < 50 else f"{name} ▲", css="moment", anchor=anchor)
        )
    return svg.plot(content, height=36 if marks else 22, label="time axis")


def draw_grid(line: Timeline, *, marks: dict[str, float], height: float) -> Markup:
    """Faint lines through all rows at the ticks, and dashed ones at named moments."""
    content = [svg.vertical(line.percent(tick), 0, height, css="grid-line") for tick in line.ticks()]
    content += [svg.vertical(line.percent(time), 0, height, css="moment-line") for time in marks.values()]
    return svg.plot(content, height=height, label="", css="grid")


def draw_p_change(
    forecast: pd.DataFrame, changes: Float[np.ndarray, " change"], line: Timeline, *, summary: str
) -> Track:
    """Forecast probability of a change over the night, with marks where the stage did change."""
    height = 70.0
    top = min(1.0, max(0.2, np.ceil(10 * float(np.nanmax([*forecast["p_change"], 0]))) / 10))
    content = [svg.horizontal(height * share, css="rule") for share in (0.0, 0.5)]
    for column, css in (("markov_p_change", "markov"), ("p_change", "forecast")):
        if column not in forecast:
            continue
        times, values = downsample_line(forecast["onset"].to_numpy(dtype=float), forecast[column].to_numpy(dtype=float))
        xs = np.array([10 * line.percent(time) for time in times])
        path = svg.line_path(xs, height * (1 - np.clip(values / top, 0, 1)))
        content.append(svg.stretch(f'<path d="{path}" class="{css}"/>', y=0, width=1000, height=height))
    content.append(svg.horizontal(height, css="axis"))
    content += [svg.vertical(line.percent(time), height + 4, height + 13, css="mark") for time in changes]
    labels = [_label(9, f"{top:.1f}"), _label(height / 2 + 4, "P(change)", css="strong"), _label(height, "0")]
    labels.append(_label(height + 13, "did change"))
    return _track("Forecast", labels, content, height=height + 18, summary=summary)


def draw_thumbnail(hypnogram: Hypnogram, line: Timeline) -> Markup:
    """A hypnogram small enough for a table's row."""
    rows = {name: index for index, name in enumerate(order_stages(hypnogram.names))}
    bars = []
    for onset, duration, stage in hypnogram.bouts().itertuples(index=False):
        if stage in rows:
            x, width = line.percent(onset), line.percent(onset + duration) - line.percent(onset)
            bars.append(svg.rect(x, 5 * rows[stage], width, 5, fill=STAGE_COLOURS[stage]))
    return svg.plot(bars, height=5 * len(rows), label="hypnogram")
