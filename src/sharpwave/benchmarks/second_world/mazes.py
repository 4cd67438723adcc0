"""Runs of a rat on a W-shaped maze, by the cells of the second world: no code is shared with `sharpwave.simulation`.

The rat runs from the foot of the middle arm to one outer arm and back, mostly in turn; a camera sees its head in the
plane. Nothing of the graph is given to whoever decodes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.ndimage import gaussian_filter1d

from sharpwave.benchmarks.second_world.firing import Cells, add_bursts, fire_in_rest, fire_on_track
from sharpwave.benchmarks.second_world.options import FRAMES, SessionOptions

if TYPE_CHECKING:
    from sharpwave.recordings import Recording

ARM, CROSSING = 0.8, 0.4
"""Length of an arm and of the way from the middle arm to an outer one, in m."""

LENGTH = 3 * ARM + 2 * CROSSING

MIDDLE = ((CROSSING, 0.0), (CROSSING, ARM))

OUT_OF_TURN = 0.2
"""Chance to run into the arm where it came from; and, at its foot, to cross to the other outer arm."""


@dataclass(frozen=True, eq=False)
class MazeRun:
    """A run and its truth.

    Attributes:
        spikes: Times of each cell in s, sorted.
        times: Time of each frame, in s.
        plane: Where the camera saw the head, in m.
        way: Where the rat was on the middle of the path, in m.
        end: End of the run, in s.
    """

    spikes: tuple[Float[np.ndarray, " spike"], ...]
    times: Float[np.ndarray, " frame"]
    plane: Float[np.ndarray, "frame 2"]
    way: Float[np.ndarray, "frame 2"]
    end: float


def draw_maze_run(options: SessionOptions | None = None, *, rng: np.random.Generator) -> MazeRun:
    """Draw a run.

    Args:
        options: How its cells are drawn, and how long it runs; `SessionOptions()` where omitted.
        rng: Random generator.

    >>> run = draw_maze_run(SessionOptions(n_cells=10, run=60), rng=np.random.default_rng(0))
    >>> len(run.spikes), run.plane.shape
    (10, (2400, 2))
    """
    options = replace(options or SessionOptions(), before=0.0, after=0.0, track_length=LENGTH)
    of_cells, of_run, of_rest, of_spikes, of_camera = rng.spawn(5)
    cells = Cells.draw(options, of_cells)
    times = np.arange(0, options.run, 1 / FRAMES)
    way, line, heading = _draw_way(len(times), of_run)
    step = np.linalg.norm(np.diff(way, axis=0, prepend=way[:1]), axis=1) * FRAMES
    speed = gaussian_filter1d(step, 2) * heading
    parts = [
        fire_in_rest(cells, options, (0.0, options.run), options.run, of_rest),
        fire_on_track(cells, options, times, line, speed, of_spikes),
    ]
    spikes = tuple(
        add_bursts(np.sort(np.concatenate(each)), options, options.run, of_spikes) for each in zip(*parts, strict=True)
    )
    sway = gaussian_filter1d(of_camera.normal(size=way.shape), 0.3 * FRAMES, axis=0) * 0.05
    plane = gaussian_filter1d(way, 3, axis=0) + sway + 0.003 * of_camera.normal(size=way.shape)
    return MazeRun(spikes, times, plane, way, options.run)


def _draw_way(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Place in the plane and on the line of all arms (middle, left, right), and 1 away from the middle foot or -1."""
    pieces: list[np.ndarray] = []
    at, last = 0, int(rng.choice([-1, 1]))  # the foot of the middle arm
    while sum(map(len, pieces)) < n:
        turn = rng.random() >= OUT_OF_TURN
        goal = (-last if turn else last) if at == 0 else (0 if turn else -at)
        legs = [(at, -1) if at else (0, 1), (goal, 1) if goal else (0, -1)]
        pieces.append(np.tile(_place(at, 0.0 if at == 0 else 1.0, legs[0][1]), (int(rng.uniform(1, 4) * FRAMES), 1)))
        for arm, heading in legs:
            length = ARM if arm == 0 else ARM + CROSSING
            pace = np.clip(rng.normal(0.42, 0.1) * (1 + 0.25 * rng.standard_normal(60).cumsum() / 6), 0.15, 0.9)
            steps = np.cumsum(np.repeat(pace, 8) / FRAMES)
            share = np.clip(steps[: np.searchsorted(steps, length) + 1] / length, 0, 1)
            pieces.append(np.array([_place(arm, each if heading > 0 else 1 - each, heading) for each in share]))
        at, last = goal, goal or at
    walked = np.concatenate(pieces)[:n]
    return walked[:, :2], walked[:, 2], walked[:, 3]


def _place(arm: int, share: float, way: int) -> tuple[float, float, float, float]:
    """Where a share of an arm's way from the middle foot lies: x, y, place on the line, heading."""
    if arm == 0:
        return MIDDLE[0][0], share * ARM, share * ARM, float(way)
    along = share * (ARM + CROSSING)
    x = CROSSING + arm * min(along, CROSSING)
    y = ARM - max(along - CROSSING, 0.0)
    return x, y, ARM + (ARM + CROSSING) * (arm > 0) + along, float(way)


def to_recording(run: MazeRun) -> Recording:
    """The run as a `Recording`: spikes, and position in the plane (m)."""
    import pynapple as nap

    from sharpwave.recordings import Recording, Signal
    from sharpwave.recordings.modality import MODALITIES

    support = nap.IntervalSet(0, run.end)
    trains = {cell: nap.Ts(train, time_support=support) for cell, train in enumerate(run.spikes) if len(train)}
    position = Signal("position", run.plane.astype(np.float32), FRAMES, MODALITIES["position"], channels=("x", "y"))
    spikes = nap.TsGroup(trains, time_support=support)
    return Recording(signals={"position": position}, spikes=spikes, species="rat", source="simulated: second world")
