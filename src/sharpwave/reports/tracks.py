"""The rows of the night's figure: each is one plot on the shared time axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from markupsafe import Markup

from sharpwave.night.decoded import Spectrogram
from sharpwave.recordings.hypnogram import Hypnogram
from sharpwave.reports import svg
from sharpwave.reports.axes import Scale, choose_step, list_ticks
from sharpwave.reports.formats import STAGE_WORDS, order_stages, show
from sharpwave.reports.raster import encode_spectrogram
from sharpwave.reports.timeline import Timeline, compute_rates, downsample_line

ROW = 21.0
"""Height of one stage's row in pixels."""

MOST_MARKS = 150
"""Events of one kind up to this number are drawn one by one, more as a rate."""

_BAR, _BAR_TOP = 13.0, 4.0
_LANE = 8.0
"""Height of one stage's row in the expert's lane."""


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


def compose_track(name: str, labels: list[str], content: list[str], *, height: float, summary: str) -> Track:
    """A row from pieces of SVG."""
    left = svg.plot(labels, height=height, label=name, css="labels")
    return Track(name, left, svg.plot(content, height=height, label=f"{name}. {summary}"), height, summary)


def draw_label(y: float, words: str, *, css: str = "") -> str:
    """A name or number at the left side of a row, its feet at `y` pixels."""
    return svg.text("100%", y, words, css=css, anchor="end")


def draw_curve(
    times: Float[np.ndarray, " time"],
    values: Float[np.ndarray, " time"],
    line: Timeline,
    scale: Scale,
    *,
    height: float,
    css: str,
    top: float = 0.0,
    area: str | None = None,
) -> str:
    """A line over the night, broken where a value is NaN.

    Args:
        times: Time of each value in seconds of the recording.
        values: Value at each time.
        line: The time axis.
        scale: From values to pixels below `top`.
        height: Height of the strip that the line lies in, in pixels.
        css: Class of the line.
        top: Upper side of the strip in pixels; by default 0.
        area: Class of the area down to the bottom of the strip; by default there is none.
    """
    xs, ys = np.array([10 * line.percent(time) for time in times]), scale.along(values)
    below = svg.path(svg.area_path(xs, ys, np.full_like(ys, height)), css=area) if area else ""
    return svg.stretch(below + svg.path(svg.line_path(xs, ys), css=css), y=top, width=1000, height=height)


def find_unclear(hypnogram: Hypnogram, below: float) -> Bool[np.ndarray, " epoch"]:
    """True where an epoch's highest probability is below a threshold; never where there are no probabilities."""
    if hypnogram.probabilities is None:
        return np.zeros(len(hypnogram), dtype=bool)
    with np.errstate(invalid="ignore"):
        return np.asarray(hypnogram.probabilities.max(axis=1) < below) if len(hypnogram) else np.zeros(0, dtype=bool)


def draw_hypnogram(
    hypnogram: Hypnogram, line: Timeline, *, expert: Hypnogram | None, unclear_below: float, summary: str
) -> Track:
    """Stages as bars, one row a stage; hatched where unclear; the expert in a lane of their own below.

    Args:
        hypnogram: Decoded stages, short enough to draw.
        line: The time axis.
        expert: Stages of the expert, in the same names; None where nobody scored the night.
        unclear_below: Highest probability below which an epoch is unclear.
        summary: What the row shows, in a sentence.
    """
    rows = {name: index for index, name in enumerate(order_stages(hypnogram.names))}
    bottom = ROW * len(rows)
    labels = [draw_label(ROW * row + 14, STAGE_WORDS.get(name, name), css="strong") for name, row in rows.items()]
    content = [svg.horizontal(ROW * (row + 1) - 0.5, css="rule") for row in range(len(rows))]
    content.append(_step_line(hypnogram, line, rows))
    content += _bars(hypnogram, line, rows, row=ROW, top=_BAR_TOP, height=_BAR)
    height = bottom
    if hypnogram.probabilities is not None:
        height += 16
        labels.append(draw_label(bottom + 13, "unclear"))
        content.append(_draw_unclear(hypnogram, line, rows, below=unclear_below))
    if expert is not None:
        content += _draw_expert(hypnogram, expert, line, top=height + 6)
        labels += [draw_label(height + 19, "Expert", css="strong")]
        height += 8 + _LANE * expert.n_stages + 12
        labels.append(draw_label(height, "differs"))
    return compose_track("Hypnogram", labels, content, height=height + 6, summary=summary)


def _bars(
    hypnogram: Hypnogram, line: Timeline, rows: dict[str, int], *, row: float, top: float, height: float
) -> list[str]:
    """Each bout in its stage's colour; rows are `row` pixels apart, and bars begin `top` pixels below."""
    bars = []
    for x, width, stage in _list_bouts(hypnogram, line):
        if stage not in rows:
            continue
        y = row * rows[stage] + top
        bars.append(svg.bar(x, y, width, height, css=stage))
        if stage == "R":
            bars.append(svg.bar(x, y, width, height, fill="url(#rem)"))
    return bars


def _draw_expert(hypnogram: Hypnogram, expert: Hypnogram, line: Timeline, *, top: float) -> list[str]:
    """The expert's stages in narrow rows, and below them where the two differ."""
    rows = {name: index for index, name in enumerate(order_stages(expert.names))}
    bars = _bars(expert, line, rows, row=_LANE, top=top, height=_LANE - 1)
    ours = hypnogram.merge(expert.n_stages) if hypnogram.n_stages > expert.n_stages else hypnogram
    theirs = expert.at(ours.onsets + ours.epoch_length / 2)
    differ = (theirs >= 0) & ours.scored & (theirs != ours.stages)
    bottom = top + _LANE * len(rows)
    epoch = hypnogram.epoch_length
    places = [line.extent(hypnogram.start + first * epoch, n * epoch) for first, n in _list_runs(differ)]
    strip = [svg.bar(x, bottom + 4, width, 8, css="differs") for x, width in places]
    return [svg.horizontal(top - 3, css="rule"), *bars, *strip]


def _list_runs(mask: Bool[np.ndarray, " epoch"]) -> list[tuple[int, int]]:
    """First epoch and length of each run of True."""
    edges = np.flatnonzero(np.diff(np.r_[False, mask, False].astype(int)))
    return [(int(first), int(last - first)) for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _list_bouts(hypnogram: Hypnogram, line: Timeline) -> Iterator[tuple[float, float, str]]:
    """Start and length of each bout in per cent of the axis, and its stage."""
    for onset, duration, stage in hypnogram.bouts()[["onset", "duration", "stage"]].itertuples(index=False):
        yield *line.extent(onset, duration), stage


def _step_line(hypnogram: Hypnogram, line: Timeline, rows: dict[str, int]) -> str:
    path, pen_down = [], False
    for x, width, stage in _list_bouts(hypnogram, line):
        if stage not in rows:
            pen_down = False
            continue
        y = svg.number(ROW * rows[stage] + _BAR_TOP + _BAR / 2)
        path.append(f"{'L' if pen_down else 'M'}{svg.number(10 * x)} {y}L{svg.number(10 * (x + width))} {y}")
        pen_down = True
    return svg.stretch(svg.path("".join(path), css="step"), y=0, width=1000, height=ROW * len(rows))


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
        onset, duration = first * hypnogram.epoch_length, (last - first) * hypnogram.epoch_length
        x, width = line.extent(hypnogram.start + onset, duration)
        drawn.append(svg.bar(x, bottom + 4, width, 10, fill="url(#doubt)"))
        if state[first] >= 0:
            drawn.append(svg.bar(x, tops[state[first]], width, _BAR, fill="url(#veil)"))
    places = " ".join(svg.number(top) for top in tops)
    return svg.element("g", "".join(drawn), css="unclear", data_bottom=bottom, data_bar=_BAR, data_tops=places)


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
        areas.append(svg.path(svg.area_path(xs, tops, bottoms, scale=1000), css=name))
        if name == "R":
            # Clipped in shares of the box, so the hatch keeps its size whatever the width.
            clip = svg.path(svg.area_path(xs, tops, bottoms, scale=1000), transform="scale(.001)")
            hatch = svg.element("clipPath", clip, id="rem-share", clipPathUnits="objectBoundingBox")
            hatch += svg.rect(0, 0, "100%", height, fill="url(#rem)", clip_path="url(#rem-share)")
    stack = svg.stretch("".join(areas), y=0, width=1000, height=height, tall=1000)
    labels = [draw_label(height / 2 - 2, "Probability", css="strong"), draw_label(height / 2 + 12, "of each stage")]
    return compose_track("Hypnodensity", labels, [stack, hatch], height=height + 8, summary=summary)


def draw_spectrogram(spectrogram: Spectrogram, line: Timeline, *, summary: str) -> Track:
    """Power over time and frequency."""
    height = 92.0
    times, frequencies = spectrogram.times, spectrogram.frequencies
    half = (times[-1] - times[0]) / max(len(times) - 1, 1) / 2
    x = line.percent(times[0] - half)
    width = line.percent(times[-1] + half) - x
    address = encode_spectrogram(spectrogram)
    picture = svg.image(svg.percent(x), 0, svg.percent(width), height, address=address)
    low, high = float(frequencies[0]), float(frequencies[-1])
    scale = Scale(low, high, height, 0)
    ticks = list_ticks(low, high, choose_step(high - low, (1, 2, 5, 10, 20, 50, 100, 250, 1000), most=4))
    labels = [draw_label(min(max(scale.at(tick) + 4, 9), height), f"{tick:g} Hz") for tick in ticks]
    return compose_track("Spectrogram", labels, [picture], height=height + 8, summary=summary)


def draw_depth(depth: pd.DataFrame, line: Timeline, *, unit: str, summary: str) -> Track | None:
    """Sleep depth as a line over a light area; None where nothing is finite."""
    times, values = downsample_line(depth["onset"].to_numpy(dtype=float), depth["depth"].to_numpy(dtype=float))
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    height = 46.0
    low, high = np.percentile(finite, [0.5, 99.5])
    scale = Scale(float(low), float(high), height - 2, 2)
    curve = draw_curve(times, values, line, scale, height=height, css="depth-line", area="depth-area")
    labels = [
        draw_label(10, show(float(high))),
        draw_label(height / 2 + 4, "Depth", css="strong"),
        draw_label(height, f"{show(float(low))} {unit}"),
    ]
    content = [svg.horizontal(height - 0.5, css="rule"), curve]
    return compose_track("Depth", labels, content, height=height + 8, summary=summary)


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
        labels.append(draw_label(bottom - 3, words if len(words) < 14 else words[:13] + "…", css="strong"))
        content.append(svg.horizontal(bottom + 0.5, css="rule"))
        if count <= MOST_MARKS:
            content += [svg.vertical(line.percent(onset), top + 3, bottom, css="mark") for onset in mine["onset"]]
            continue
        rates, width = compute_rates(mine["onset"], start=line.start, end=line.end)
        most = max(float(rates.max()), 1e-9)
        content.append(_rate_bars(rates, width / line.span, most, top=top + 2, height=bottom - top - 2))
    hidden = len(counts) - most_rows
    if hidden > 0:
        labels.append(draw_label(20 * most_rows + 12, f"+ {hidden} more"))
    height = 20.0 * min(len(counts), most_rows) + (16 if hidden > 0 else 0)
    return compose_track("Events", labels, content, height=height + 6, summary=summary)


def _rate_bars(rates: Float[np.ndarray, " bin"], share: float, most: float, *, top: float, height: float) -> str:
    parts = []
    for index, rate in enumerate(rates.tolist()):
        if rate > 0:
            up = svg.number(height * (1 - min(rate / most, 1)))
            x0, x1 = svg.number(1000 * share * index), svg.number(1000 * share * (index + 1))
            parts.append(f"M{x0} {svg.number(height)}V{up}H{x1}V{svg.number(height)}Z")
    return svg.stretch(svg.path("".join(parts), css="rate"), y=top, width=1000, height=height)


def draw_quality(spans: pd.DataFrame, line: Timeline, *, summary: str) -> Track:
    """One strip: calm where the signal is good, hatched where something is wrong."""
    content = [svg.bar(0, 3, 100, 10, css="calm")]
    for onset, duration in zip(spans.get("onset", []), spans.get("duration", []), strict=True):
        x, width = line.extent(onset, duration)
        content.append(svg.bar(x, 3, max(width, 0.08), 10, fill="url(#bad)"))
    return compose_track("Quality", [draw_label(12, "Bad signal", css="strong")], content, height=18, summary=summary)


def draw_axis(line: Timeline, *, marks: dict[str, float]) -> Markup:
    """The times below the rows, and named moments such as lights off."""
    content = [svg.horizontal(0.5, css="axis")]
    for index, tick in enumerate(line.ticks()):
        x = line.percent(tick)
        anchor = "start" if x < 2 else "end" if x > 97 else "middle"
        content.append(svg.vertical(x, 0, 5, css="axis"))
        css = "odd" if index % 2 else ""
        content.append(svg.text(svg.percent(x), 17, line.write(tick), css=css, anchor=anchor))
    for name, time in marks.items():
        x = line.percent(time)
        anchor = "start" if x < 50 else "end"
        words = f"▲ {name}" if x < 50 else f"{name} ▲"
        content.append(svg.text(svg.percent(x), 31, words, css="moment", anchor=anchor))
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
        content.append(draw_curve(times, values, line, Scale(0, top, height, 0), height=height, css=css))
    content.append(svg.horizontal(height, css="axis"))
    content += [svg.vertical(line.percent(time), height + 4, height + 13, css="mark") for time in changes]
    labels = [
        draw_label(9, f"{top:.1f}"),
        draw_label(height / 2 + 4, "P(change)", css="strong"),
        draw_label(height, "0"),
    ]
    labels.append(draw_label(height + 13, "did change"))
    return compose_track("Forecast", labels, content, height=height + 18, summary=summary)


def draw_thumbnail(hypnogram: Hypnogram, line: Timeline) -> Markup:
    """A hypnogram small enough for a table's row."""
    rows = {name: index for index, name in enumerate(order_stages(hypnogram.names))}
    bars = [
        svg.bar(x, 5 * rows[stage], width, 5, css=stage)
        for x, width, stage in _list_bouts(hypnogram, line)
        if stage in rows
    ]
    return svg.plot(bars, height=5 * len(rows), label="hypnogram")
