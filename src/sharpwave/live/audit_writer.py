"""The log as a night under way wants it: a disk that fails is said and not raised, and a slow one is not waited for.

A thread of its own brings intents to the disk; the loop only asks whether one is there. What is not there in time is
not given.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from sharpwave.errors import SharpwaveError
from sharpwave.live.audit import AuditLog
from sharpwave.live.decision import Chunk, Command, Decision, StageResult

CHECKPOINT_EVERY = 10.0
"""Time between two checkpoints, in seconds."""


class AuditWriter:
    """The log of a night as `LiveNight` wants it: a disk that fails is said, not raised; syncing never makes it wait.

    Args:
        audit: The log.
        threaded: Whether another thread brings it to the disk; without one each intent waits for the disk.
    """

    def __init__(self, audit: AuditLog, *, threaded: bool) -> None:
        self._audit, self._durable, self._intents = audit, audit.length, dict[int, int]()
        self._broken, self._wanted, self._over = "", threading.Event(), False
        self._thread = threading.Thread(target=self._keep_syncing, daemon=True) if threaded else None
        if self._thread is not None:
            self._thread.start()

    @property
    def broken(self) -> str:
        """Why nothing can be written any more."""
        return self._broken or self._audit.broken

    def take_step(
        self, decision: Decision, chunk: Chunk | None, stages: Sequence[StageResult], commands: Sequence[Command]
    ) -> None:
        """What went into a step, and what came out."""
        self._try(lambda: self._audit.step(chunk, decision, stages=tuple(stages), commands=tuple(commands)))

    def intend(self, intend: Any) -> None:
        """The intent was written by `take_step`; now it must reach the disk."""
        self._intents[intend.trial] = self._audit.length
        if self._thread is None:
            self._sync()
        self._wanted.set()
        while len(self._intents) > 100:
            del self._intents[next(iter(self._intents))]

    def is_durable(self, trial: int) -> bool:
        """Whether the intent of this trial is on the disk."""
        return not self.broken and self._durable >= self._intents.get(trial, math.inf)

    def note(self, kind: str, content: dict[str, Any]) -> None:
        """What happened."""
        self._try(lambda: self._audit.append(kind, **content))

    def close(self) -> None:
        """Bring the rest to the disk."""
        self._over = True
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(30.0)
        self._try(self._audit.close)

    def _try(self, write: Callable[[], Any]) -> None:
        if self.broken:
            return
        try:
            write()
        except (SharpwaveError, OSError) as error:
            self._broken = self._broken or f"the log: {error}"

    def _sync(self) -> None:
        try:
            self._durable = max(self._durable, self._audit.sync())
        except (SharpwaveError, OSError) as error:
            self._broken = self._broken or f"the log: {error}"

    def _keep_syncing(self) -> None:
        pinned = time.monotonic()
        while not self._over and not self.broken:
            if self._wanted.wait(CHECKPOINT_EVERY):
                self._wanted.clear()
                self._sync()
            if time.monotonic() - pinned > CHECKPOINT_EVERY and not self._over and not self.broken:
                pinned = time.monotonic()
                self._sync()
                self._try(self._audit.write_checkpoint)
