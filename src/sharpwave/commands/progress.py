"""What is under way, from the first second on: a bar on a terminal, lines in a log."""

from __future__ import annotations

import sys
import time

import typer

QUIET = 10.0
"""Seconds between two lines of a log at least."""


def say(text: str) -> None:
    """A line on stderr, before anything heavy loads."""
    typer.echo(text, err=True)


def is_terminal() -> bool:
    """Whether stderr is a terminal, on which a bar can move."""
    return sys.stderr.isatty()


class Lines:
    """Steps as lines of a log, where there is no terminal; each step once, and no more than one in `every` seconds.

    Args:
        every: Seconds between two lines at least; 0 for a line at each new step.
        shown: Whether lines are written; by default where stderr is no terminal.

    >>> lines = Lines(every=0, shown=False)
    >>> lines("n1: stages")
    """

    def __init__(self, *, every: float = QUIET, shown: bool | None = None) -> None:
        self._every = every
        self._shown = not is_terminal() if shown is None else shown
        self._last = ("", -float("inf"))

    def __call__(self, text: str) -> None:
        """Write a step, unless it is the one before or comes too soon."""
        now = time.monotonic()
        if self._shown and text != self._last[0] and now - self._last[1] >= self._every:
            self._last = (text, now)
            say(text)
