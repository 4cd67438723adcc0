"""The task: laps on linear tracks, one track for each content, before sleep."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float

from sharpwave.simulation.events import TRACK_LENGTH

POSITION_RATE = 30.0
"""Samples of position per second."""


@dataclass(frozen=True, eq=False)
class Run:
    """Behaviour on the tracks.

    Attributes:
        start: Time of the first position, in seconds.
        position: Along the track, in metres, shape (time,), at `POSITION_RATE`.
        velocity: In m/s; positive is outbound, 0 at rest, shape (time,).
        track: Index of the track (of the content), shape (time,).
        laps: onset, duration, label ("lap"), content, run_direction.
    """

    start: float
    position: Float[np.ndarray, " time"]
    velocity: Float[np.ndarray, " time"]
    track: np.ndarray
    laps: pd.DataFrame


def simulate_run(
    task: tuple[float, float],
    *,
    contents: tuple[str, ...],
    track_length: float = TRACK_LENGTH,
    rng: np.random.Generator,
) -> Run:
    """Run to and fro on one track after the other, with a rest at each end.

    Args:
        task: Start and end, in seconds, shared equally by the tracks.
        contents: One track each.
        track_length: In metres.
        rng: Random generator.

    Returns:
        The run.
    """
    n = int((task[1] - task[0]) * POSITION_RATE)
    position, velocity = np.zeros(n), np.zeros(n)
    track = np.minimum(np.arange(n) * len(contents) // max(n, 1), len(contents) - 1)
    laps = []
    index, outbound = 0, True
    while index < n:
        index_end = min(index + int(rng.uniform(0.8, 2.5) * POSITION_RATE), n)
        position[index:index_end] = 0.0 if outbound else track_length
        speed = float(np.clip(rng.normal(0.45, 0.08), 0.25, 0.7))
        length = int(track_length / speed * POSITION_RATE)
        first, last = index_end, min(index_end + length, n)
        if first >= n or last <= first or track[first] != track[last - 1]:
            position[first:last] = 0.0 if outbound else track_length
            index = last
            continue
        share = np.arange(1, last - first + 1) / length
        smooth = share - np.sin(2 * np.pi * share) / (2 * np.pi) * 0.5
        position[first:last] = track_length * (smooth if outbound else 1 - smooth)
        velocity[first:last] = np.gradient(position[first:last]) * POSITION_RATE if last - first > 1 else 0.0
        laps.append(
            {
                "onset": task[0] + first / POSITION_RATE,
                "duration": (last - first) / POSITION_RATE,
                "label": "lap",
                "content": contents[int(track[first])],
                "run_direction": "outbound" if outbound else "inbound",
            }
        )
        index, outbound = last, not outbound
    columns = ["onset", "duration", "label", "content", "run_direction"]
    return Run(
        task[0], position.astype(np.float32), velocity.astype(np.float32), track, pd.DataFrame(laps, columns=columns)
    )
