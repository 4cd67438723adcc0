"""Tasks on the workers of a dask scheduler: of this machine, of a running cluster, or of Slurm."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.executors.processes import Enough, Executor, Finished, Processes, Serial, call, never

MEMORY = "8GB"
"""Memory asked of a batch system for each worker, where dask's configuration names none."""


class Cluster:
    """Workers of a dask scheduler.

    Args:
        client: A `distributed.Client`. Its scheduler and workers run the code that is sent to them: connect to none
            but your own.

    See `open_executor`, which starts one, or connects to it.

    >>> from distributed import Client
    >>> with Client(n_workers=1, processes=False, dashboard_address=None, set_as_default=False) as client:
    ...     sorted(finished.value for finished in Cluster(client).run(abs, [-1, -2]))
    [1, 2]
    """

    def __init__(self, client: Any) -> None:
        self._client = client

    def run(
        self, function: Callable[[Any], Any], tasks: Sequence[Any], *, enough: Enough = never
    ) -> Iterator[Finished]:
        from distributed import as_completed

        work, again, over = _Here(function), [], False
        try:
            pending: dict[Any, int] = {self._submit(work, tasks, index): index for index in range(len(tasks))}
            for future in as_completed(list(pending), loop=self._client.loop):
                finished = _read(future, pending[future])
                if finished is None:
                    again.append(pending[future])
                elif not (over and future.status == "cancelled"):
                    yield finished
                    if not over and enough(finished):
                        over = True
                        self._cancel_waiting(pending)
            for index in [] if over else again:  # alone, as its own machine would try it
                (future,) = pending = {self._submit(work, tasks, index): index}
                yield _read(future, index) or Finished(index, error="its worker died twice")
        finally:
            self._stop([future for future in pending if not future.done()])

    def _submit(self, work: Callable[[Any], Any], tasks: Sequence[Any], index: int) -> Any:
        return self._client.submit(work, tasks[index], key=f"sharpwave-{index}-{secrets.token_hex(8)}", pure=False)

    def _cancel_waiting(self, pending: Sequence[Any] | dict[Any, int]) -> None:
        under_way = {key for keys in self._client.processing().values() for key in keys}
        self._client.cancel([future for future in pending if not future.done() and future.key not in under_way])

    def _stop(self, futures: Sequence[Any]) -> None:
        """Cancel what is left, and end the workers that still work on it and on nothing else."""
        if not futures or self._client.status != "running":
            return
        ours = {future.key for future in futures}
        lingering = [worker for worker, keys in self._client.processing().items() if keys and {*keys} <= ours]
        self._client.cancel(futures)
        if lingering:
            with suppress(Exception):  # a worker without a nanny cannot be started again; it ends its task
                self._client.restart_workers(lingering, timeout=10)


@dataclass(frozen=True)
class _Here:
    """A function that runs in the folder from which the work was sent, so that relative paths mean the same."""

    function: Callable[[Any], Any]
    folder: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", self.folder or os.getcwd())

    def __call__(self, task: Any) -> tuple[Any, str]:
        if not os.path.isdir(self.folder):
            return None, f"expected {self.folder} on every worker; got none on this one. Fix: use a disk that all share"
        os.chdir(self.folder)
        return call(self.function, task)


def _read(future: Any, index: int) -> Finished | None:
    """What became of a task; None where its worker died."""
    from distributed import KilledWorker

    try:
        return Finished(index, *future.result())
    except KilledWorker:
        return None
    except Exception as error:
        return Finished(index, error=f"{type(error).__name__}: {error}")


@contextmanager
def open_executor(
    jobs: int = 1, scheduler: str | None = None, *, fresh: bool = False, say: Callable[[str], None] = print
) -> Iterator[Executor]:
    """What runs the tasks, for as long as the block lasts.

    Args:
        jobs: Number of tasks at once. An outside scheduler decides it by its workers instead.
        scheduler: None for processes of this machine; "local" for a dask cluster of this machine; "slurm" for workers
            that Slurm starts, as dask's own configuration says (`~/.config/dask/jobqueue.yaml`); or the address of a
            running scheduler, such as "tcp://host:8786".
        fresh: Whether each task on this machine has a process of its own, so that nothing adds up; False by default.
        say: Function that shows a text: the script that is handed to Slurm.

    Raises:
        SharpwaveError: If there is no such scheduler.
        MissingExtraError: If dask is not installed, and asked for.

    >>> with open_executor() as executor:
    ...     [finished.value for finished in executor.run(abs, [-1])]
    [1]
    """
    if scheduler is None:
        yield Processes(jobs, fresh=fresh) if fresh or jobs > 1 else Serial()
        return
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("distributed", extra="cluster") from error
    import dask

    # A task is given up when a second worker dies of it; dask counts the deaths after which it may still be tried.
    with dask.config.set({"distributed.scheduler.allowed-failures": 1, "distributed.scheduler.worker-saturation": 1.0}):
        if "://" in scheduler:
            try:
                client = distributed.Client(scheduler, timeout=10, set_as_default=False)
            except OSError as error:
                raise SharpwaveError(
                    "a dask scheduler that runs", got=f"none at {scheduler}", fix="start one: dask scheduler"
                ) from error
            with client:
                client.run_on_scheduler(_allow_one_death)
                yield Cluster(client)
            return
        with (
            _start_cluster(jobs, scheduler, say) as cluster,
            distributed.Client(cluster, set_as_default=False) as client,
        ):
            yield Cluster(client)


def _allow_one_death(dask_scheduler: Any) -> None:
    """A scheduler of someone else's gives a task up as ours does: when a second worker dies of it."""
    dask_scheduler.allowed_failures = 1


def _start_cluster(jobs: int, scheduler: str, say: Callable[[str], None]) -> Any:
    import dask

    if scheduler == "local":
        from distributed import LocalCluster

        return LocalCluster(
            n_workers=jobs, threads_per_worker=1, processes=True, dashboard_address=None, memory_limit=0
        )
    if scheduler != "slurm":
        raise SharpwaveError(
            "a scheduler: local, slurm, or an address such as tcp://host:8786",
            got=repr(scheduler),
            fix="give one of these",
        )
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise MissingExtraError("dask-jobqueue", extra="cluster") from error
    memory = dask.config.get("jobqueue.slurm.memory", None) or MEMORY
    cluster = SLURMCluster(cores=1, processes=1, memory=memory, scheduler_options={"dashboard_address": None})
    try:
        say(f"{jobs} of these are handed to Slurm:\n{cluster.job_script()}")
        if shutil.which("sbatch") is None:
            raise SharpwaveError(
                "Slurm's sbatch on this machine", got="none: nothing was submitted", fix="run it on a login node"
            )
        cluster.scale(jobs=jobs)
    except BaseException:
        cluster.close()
        raise
    return cluster
