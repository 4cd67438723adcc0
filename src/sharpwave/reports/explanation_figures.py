"""Pictures of an explanation: which part of the last minutes spoke for a change, and the latent's directions."""

from __future__ import annotations

import numpy as np
import pandas as pd
from markupsafe import Markup

from sharpwave.reports import svg
from sharpwave.reports.axes import Scale, write
from sharpwave.reports.formats import show, tint
from sharpwave.reports.timeline import Timeline, downsample_line
from sharpwave.reports.tracks import draw_curve, draw_label

FOR, AGAINST = "#2960AD", "#8F5A10"
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
        content.append(svg.text(_LEFT - 8, y + 15, show_modality(name), anchor="end", css="strong"))
        mine = parts[parts["modality"] == name].set_index("from")["weight"]
        for column, start in enumerate(starts):
            x = _LEFT + _CELL * column
            if start not in mine.index:
                content.append(svg.rect(x, y, _CELL - 2, _ROW - 3, css="calm"))
                continue
            weight = float(mine[start])
            strength = min(abs(weight) / strongest, 1.0)
            words = write(weight, "+.2f") if abs(weight) >= 0.005 else "0"
            fill, css = tint(FOR if weight > 0 else AGAINST, 0.06 + 0.94 * strength)
            content.append(svg.rect(x, y, _CELL - 2, _ROW - 3, fill=fill))
            content.append(svg.text(x + _CELL / 2, y + 15, words, css=css))
    for column, start in enumerate([*starts, 0.0]):
        words = "forecast" if start == 0 else _write_ago(-start)
        content.append(svg.text(_LEFT + _CELL * column, bottom + 14, words))
    return svg.chart(content, width=width, height=bottom + 20, label=summary)


def draw_directions(
    latents: pd.DataFrame, out_of_distribution: pd.DataFrame, line: Timeline
) -> tuple[Markup, Markup] | None:
    """Names and curves of the latent's directions over the night, with a mark where the model should abstain.

    Args:
        latents: Time series of the latent: onset in seconds, and a column for each direction.
        out_of_distribution: onset, and abstain where a step is unlike what the model was trained on; may be empty.
        line: The time axis.
    """
    names = [str(name) for name in latents.columns if name != "onset"]
    if not names and not len(out_of_distribution):
        return None
    height, labels, content = 0.0, [], []
    for name in names:
        labels.append(draw_label(height + 24, name[:1].upper() + name[1:], css="strong"))
        content += _draw_direction(latents, name, line, top=height)
        height += 44
    if len(out_of_distribution):
        labels.append(draw_label(height + 14, "Unlike training", css="strong"))
        content += _draw_abstentions(out_of_distribution, line, y=height + 4)
        height += 22
    summary = describe_directions(names, out_of_distribution)
    return svg.plot(labels, height=height, label="names", css="labels"), svg.plot(content, height=height, label=summary)


def describe_directions(names: list[str], out_of_distribution: pd.DataFrame) -> str:
    """What the picture of the night shows, in a sentence or two."""
    words = []
    if names:
        listed = names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]
        words.append(f"Linear readings of the model's latent that follow {listed}, in standard deviations.")
    if len(out_of_distribution):
        share = float(out_of_distribution["abstain"].astype(bool).mean())
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


def _draw_direction(latents: pd.DataFrame, name: str, line: Timeline, *, top: float) -> list[str]:
    """The curve of one direction, cut at its extremes, above a rule."""
    times, values = downsample_line(latents["onset"].to_numpy(dtype=float), latents[name].to_numpy(dtype=float))
    finite = values[np.isfinite(values)]
    low, high = np.percentile(finite, [0.5, 99.5]) if finite.size else (0.0, 1.0)
    scale = Scale(float(low), float(high), 38, 4)
    return [
        svg.horizontal(top + 41, css="rule"),
        draw_curve(times, values, line, scale, top=top, height=42, css="depth-line"),
    ]


def _draw_abstentions(steps: pd.DataFrame, line: Timeline, *, y: float) -> list[str]:
    """A strip over the night, dark red where the model should abstain."""
    length = float(np.median(np.diff(steps["onset"]))) if len(steps) > 1 else line.span
    width = max(100 * length / line.span, 0.15)
    flagged = steps["onset"][steps["abstain"].astype(bool)]
    return [
        svg.bar(0, y, 100, 12, css="calm"),
        *(svg.bar(line.percent(onset), y, width, 12, css="worse") for onset in flagged),
    ]


def _write_ago(seconds: float) -> str:
    return f"−{seconds / 60:g} min" if seconds >= 120 else f"−{seconds:g} s"
