"""Pictures of an explanation: which part of the last minutes spoke for a change, and the latent's directions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float
from markupsafe import Markup, escape

from sharpwave.reports import svg
from sharpwave.reports.charts import draw_text
from sharpwave.reports.downsample import downsample_line
from sharpwave.reports.formats import show
from sharpwave.reports.timeline import Timeline

FOR, AGAINST = "#2960AD", "#B67416"
"""Colours of what spoke for a change and of what spoke against it; each cell also holds its number."""

_LEFT, _CELL, _ROW = 104.0, 58.0, 24.0


def draw_parts(parts: pd.DataFrame, *, summary: str) -> Markup:
    """One row a modality, one column a stretch of time before the forecast; numbers are log-odds."""
    names = list(dict.fromkeys(parts["modality"]))
    starts = sorted(set(parts["from"]))
    strongest = max(float(parts["weight"].abs().max()), 0.1)
    width, bottom = _LEFT + _CELL * len(starts) + 20, _ROW * len(names) + 4
    content = []
    for row, name in enumerate(names):
        y = _ROW * row + 2
        content.append(draw_text(_LEFT - 8, y + 15, show_modality(name), anchor="end", css="strong"))
        mine = parts[parts["modality"] == name].set_index("from")["weight"]
        for column, start in enumerate(starts):
            x = _LEFT + _CELL * column
            if start not in mine.index:
                content.append(_rect(x, y, "#f6f8fa", 1.0))
                continue
            weight = float(mine[start])
            strength = min(abs(weight) / strongest, 1.0)
            content.append(_rect(x, y, FOR if weight > 0 else AGAINST, 0.06 + 0.94 * strength))
            css = "on-dark" if strength > 0.55 else ""
            words = f"{weight:+.2f}".replace("-", "−") if abs(weight) >= 0.005 else "0"
            content.append(draw_text(x + _CELL / 2, y + 15, words, css=css))
    for column, start in enumerate([*starts, 0.0]):
        x = _LEFT + _CELL * column
        words = "forecast" if start == 0 else _write_ago(-start)
        content.append(draw_text(x, bottom + 14, words))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {svg.number(width)} {svg.number(bottom + 20)}" width="{svg.number(width)}" '
        f'height="{svg.number(bottom + 20)}" role="img" aria-label="{escape(summary)}">{"".join(content)}</svg>'
    )


def draw_course(course: pd.DataFrame, doubts: pd.DataFrame, line: Timeline) -> tuple[Markup, Markup] | None:
    """Names and curves of the latent's directions over the night, with a mark where the model should abstain."""
    names = [str(name) for name in course.columns if name != "onset"]
    flagged = doubts[doubts["abstain"].astype(bool)] if len(doubts) else doubts
    if not names and not len(doubts):
        return None
    height, labels, content = 0.0, [], []
    for name in names:
        labels.append(svg.text("100%", height + 24, name[:1].upper() + name[1:], css="strong", anchor="end"))
        times, values = downsample_line(course["onset"].to_numpy(dtype=float), course[name].to_numpy(dtype=float))
        content.append(_draw_curve(times, values, line, top=height))
        height += 44
    if len(doubts):
        labels.append(svg.text("100%", height + 14, "Unlike training", css="strong", anchor="end"))
        content.append(svg.rect(0, height + 4, 100, 12, fill="#e8ecf0"))
        length = float(np.median(np.diff(doubts["onset"]))) if len(doubts) > 1 else line.span
        width = 100 * length / line.span
        content += [
            svg.rect(line.percent(t), height + 4, max(width, 0.15), 12, fill="#9b1c1c") for t in flagged["onset"]
        ]
        height += 22
    summary = describe_course(names, doubts)
    return svg.plot(labels, height=height, label="names", css="labels"), svg.plot(content, height=height, label=summary)


def describe_course(names: list[str], doubts: pd.DataFrame) -> str:
    """What the picture of the night shows, in a sentence or two."""
    words = []
    if names:
        listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        words.append(f"Linear readings of the model's latent that follow {listed}, in standard deviations.")
    if len(doubts):
        share = float(doubts["abstain"].astype(bool).mean())
        words.append(f"{show(100 * share)} % of the night is unlike anything that the model has seen.")
    return " ".join(words)


def show_modality(name: str) -> str:
    """A modality as a reader would write it.

    >>> show_modality("eeg"), show_modality("heart_rate"), show_modality("stages")
    ('EEG', 'heart rate', 'stage history')
    """
    upper = {"eeg", "eog", "emg", "ecg", "lfp", "bold"}
    words = {"stages": "stage history", "features": "named features", "activity": "movement"}
    return name.upper() if name in upper else words.get(name, name.replace("_", " "))


def _draw_curve(
    times: Float[np.ndarray, " time"], values: Float[np.ndarray, " time"], line: Timeline, *, top: float
) -> str:
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
    ys = 38 - 34 * (np.clip(values, low, high) - low) / max(float(high - low), 1e-12)
    xs = np.array([10 * line.percent(time) for time in times])
    path = f'<path d="{svg.line_path(xs, ys)}" class="depth-line"/>'
    return svg.horizontal(top + 41, css="rule") + svg.stretch(path, y=top, width=1000, height=42)


def _write_ago(seconds: float) -> str:
    return f"−{seconds / 60:g} min" if seconds >= 120 else f"−{seconds:g} s"


def _rect(x: float, y: float, fill: str, opacity: float) -> str:
    size = f'width="{svg.number(_CELL - 2)}" height="{svg.number(_ROW - 3)}"'
    return f'<rect x="{svg.number(x)}" y="{svg.number(y)}" {size} fill="{fill}" fill-opacity="{svg.number(opacity)}"/>'
