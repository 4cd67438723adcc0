"""What a run shows and writes while it learns: a bar with speed and time left, a table, TensorBoard if installed."""

from __future__ import annotations

import csv
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

FILE = "losses.csv"
COLUMNS = ("step", "part", "value")
"""One row per update and part; the part "loss" is the sum."""


class TrainingLog:
    """Bar on stderr, `losses.csv` and TensorBoard files; silent where `shown` is false.

    Args:
        folder: Of the run; nothing is written where it is None.
        steps: Updates in all.
        done: Updates done before, whose rows stay.
        hours: Hours of recording per update.
        shown: Whether this process is the one that shows and writes.
        bar: Whether it shows a bar.
    """

    def __init__(
        self, folder: Path | None, *, steps: int, done: int, hours: float, shown: bool, bar: bool = True
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.losses: list[float] = []
        self.hours = hours
        self._rows: list[tuple[str, str, str]] = []
        self._path = folder / FILE if folder is not None and shown else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            rows = read_rows(folder / FILE)
            kept = [row for row in rows if int(row[0]) < done]
            self.losses = [float(value) for _, part, value in kept if part == "loss"]
            self._rows = kept
        self._board = _open_tensorboard(folder) if self._path is not None else None
        self._progress = Progress(
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}, {task.fields[speed]:.1f} h of recording per s, left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not (shown and bar),
        )
        self._task = self._progress.add_task("", total=steps, completed=done, loss=float("nan"), speed=0.0)
        self._begun, self._new = time.perf_counter(), 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self.write()
        if self._board is not None:
            self._board.close()

    @property
    def hours_per_second(self) -> float:
        """Hours of recording learned from per second, since the start of this process."""
        return self.hours * self._new / max(time.perf_counter() - self._begun, 1e-9)

    def add(self, step: int, parts: Mapping[str, float], *, rate: float) -> None:
        """An update: its loss by parts (with their sum under "loss") and its learning rate."""
        self.losses.append(parts["loss"])
        self._new += 1
        for part, value in [*parts.items(), ("learning rate", rate)]:
            self._rows.append((str(step), part, repr(value)))
            if self._board is not None:
                self._board.add_scalar(part, value, step)
        self._progress.update(self._task, advance=1, loss=parts["loss"], speed=self.hours_per_second)

    def write(self) -> None:
        """Write the table; all rows, so that a run that went on has none twice."""
        if self._path is None:
            return
        temporary = self._path.with_suffix(".tmp")
        with temporary.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([COLUMNS, *self._rows])
        temporary.replace(self._path)


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Rows of `losses.csv`; none where there is no such file."""
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [(row[0], row[1], row[2]) for row in list(csv.reader(file))[1:]]


def _open_tensorboard(folder: Path | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
