"""Tasks in this process, or in several of this machine; what an executor is, and what it says of a task."""

from __future__ import annotations

import atexit
import gc
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import wait
from typing import Any, Protocol

NEW_OBJECTS = 10_000
"""New objects after which a process looks for garbage among them; Python's own number is 700 to 2,000."""


@dataclass(frozen=True)
class Finished:
    """What became of one task.

    Attributes:
        index: Its place among the tasks, from 0.
        value: What the function returned; None where it failed.
        error: Why it failed, in one line; empty where it did not.

    >>> Finished(3, value="done").error
    ''
    """

    index: int
    value: Any = None
    error: str = ""


Enough = Callable[[Finished], bool]
"""Says after a task whether no further one shall begin."""


def never(finished: Finished) -> bool:
    """All tasks are run, whatever became of one.

    Args:
        finished: What became of the last one.

    >>> never(Finished(0, error="no such file"))
    False
    """
    return False


class Executor(Protocol):
    """Runs a function on tasks."""

    def run(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], *, enough: Enough = never
    ) -> Iterator[Finished]:
        """Run the function on each task.

        Args:
            function: A function that a module holds, since other processes must find it.
            tasks: What it is called with, one at a time.
            enough: Called with each result; once it says True no further task begins, and those under way end.

        Yields:
            Results in the order in which they come.
        """
        ...


class Serial:
    """One task after another, in this process.

    >>> [finished.value for finished in Serial().run(abs, [-1, -2])]
    [1, 2]
    """

    def run(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], *, enough: Enough = never
    ) -> Iterator[Finished]:
        for index, task in enumerate(tasks):
            finished = Finished(index, *call(function, task))
            yield finished
            if enough(finished):
                return


def call(function: Callable[[Any], Any], task: Any) -> tuple[Any, str]:
    """The function's value and no error, or no value and its error in one line."""
    try:
        return function(task), ""
    except Exception as error:
        return None, f"{type(error).__name__}: {error}"


def collect_less() -> None:
    """Let a process of our own look for garbage less often, and not at all when it ends.

    Loading libraries makes a million objects that stay, and Python looks through all of them again and again: a fifth
    of the CPU of a short night.

    >>> before = gc.get_threshold()
    >>> collect_less()
    >>> gc.get_threshold()[0]
    10000
    >>> gc.set_threshold(*before)
    """
    gc.set_threshold(NEW_OBJECTS, *gc.get_threshold()[1:])
    atexit.register(gc.freeze)


def _serve(pipe: Any) -> None:
    """What a process of `Processes` does until its pipe is closed."""
    collect_less()
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            answer = call(*pipe.recv())
            try:
                pipe.send(answer)
            except (TypeError, AttributeError, ValueError) as error:  # what cannot be sent
                pipe.send((None, f"{type(error).__name__}: {error}"))


class _Worker:
    """A process that runs one task at a time."""

    def __init__(self) -> None:
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        self.index: int | None = None

    @property
    def signs(self) -> list[Any]:
        """What becomes readable when the task is done or the process dies."""
        return [self._pipe, self._process.sentinel]

    def begin(self, index: int, function: Callable[[Any], Any], task: Any) -> bool:
        """Hand a task over; False where the process died while it had none."""
        try:
            self._pipe.send((function, task))
        except OSError:
            return False
        self.index = index
        return True

    def receive(self) -> tuple[Any, str] | None:
        """The answer; None where the process died before it gave one."""
        try:
            return self._pipe.recv() if self._pipe.poll() else None
        except (EOFError, OSError):
            return None

    def end(self) -> str:
        """End the process; says how it died if it had already done so."""
        if self.index is None:
            self._pipe.close()  # it leaves by itself
            self._process.join(5)
        if self._process.is_alive():
            self._process.terminate()
            self._process.join(5)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()
        self._pipe.close()
        return describe_death(self._process.exitcode)


def describe_death(code: int | None) -> str:
    """How a process ended, from its exit code.

    >>> describe_death(-9)
    'SIGKILL: out of memory, or killed by hand'
    >>> describe_death(3)
    'exit code 3: a fault in a library'
    """
    if code is None or code >= 0:
        return f"exit code {code}: a fault in a library"
    name = signal.Signals(-code).name if -code in {*map(int, signal.Signals)} else f"signal {-code}"
    return f"{name}: " + ("out of memory, or killed by hand" if code == -signal.SIGKILL else "a fault in a library")


class Processes:
    """Processes of this machine, each with one task at a time.

    Args:
        jobs: Number of processes; at least 1.
        fresh: Whether each task has a new process, so that nothing that one leaves in memory adds up; False by default.

    >>> sorted(finished.value for finished in Processes(1).run(abs, [-1, -2]))
    [1, 2]
    """

    def __init__(self, jobs: int, *, fresh: bool = False) -> None:
        self._jobs, self._fresh = jobs, fresh

    def run(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], *, enough: Enough = never
    ) -> Iterator[Finished]:
        pool = _Pool(self._jobs, function, tasks)
        try:
            while busy := pool.hand_out():
                for worker in _wait_for(busy):
                    finished = pool.take(worker)
                    if self._fresh and worker in pool.workers:
                        pool.remove(worker)
                    if finished is not None:
                        yield finished
                        pool.over = pool.over or enough(finished)
        finally:
            for worker in pool.workers:
                worker.end()


def _wait_for(busy: Sequence[_Worker]) -> list[_Worker]:
    """Those of the processes that are done or dead; waits for the first."""
    ready = {id(sign) for sign in wait([sign for worker in busy for sign in worker.signs])}
    return [worker for worker in busy if any(id(sign) in ready for sign in worker.signs)]


class _Pool:
    """The processes, and the tasks that wait for one."""

    def __init__(self, jobs: int, function: Callable[[Any], Any], tasks: Sequence[Any]) -> None:
        self._jobs, self._function, self._tasks = jobs, function, tasks
        self._first, self._again = deque(range(len(tasks))), deque[int]()
        self._died: set[int] = set()
        self.workers: list[_Worker] = []
        self.over = False

    def hand_out(self) -> list[_Worker]:
        """Give tasks to processes; returns all that have one."""
        busy = [worker for worker in self.workers if worker.index is not None]
        queue, most = (self._first, self._jobs) if self._first else (self._again, 1)
        while queue and len(busy) < most and not self.over:
            busy.append(self._begin(queue.popleft()))
        return busy

    def _begin(self, index: int) -> _Worker:
        for worker in [worker for worker in self.workers if worker.index is None]:
            if worker.begin(index, self._function, self._tasks[index]):
                return worker
            self.remove(worker)  # it died while it had nothing to do
        worker = _Worker()
        self.workers.append(worker)
        worker.begin(index, self._function, self._tasks[index])
        return worker

    def remove(self, worker: _Worker) -> str:
        """End a process; says how it died if it had already done so."""
        self.workers.remove(worker)
        return worker.end()

    def take(self, worker: _Worker) -> Finished | None:
        """What a process has to say; None where it died and its task is tried once more."""
        answer, index = worker.receive(), worker.index
        assert index is not None
        if answer is not None:
            worker.index = None
            return Finished(index, *answer)
        how = self.remove(worker)
        if index in self._died:
            return Finished(index, error=f"its process died twice ({how})")
        self._died.add(index)
        self._again.append(index)
        return None
