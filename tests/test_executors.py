from __future__ import annotations

import gc
import os
from functools import partial
from pathlib import Path

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.executors import Cluster, Finished, Processes, Serial, open_executor


def square(number: int) -> int:
    if number == 2:
        raise ValueError("two")
    return number * number


def work_or_die(number: int, folder: str) -> int:
    """1 always kills its process; 3 and 4 do so the first time."""
    flag = Path(folder) / str(number)
    if number == 1 or (number in (3, 4) and not flag.exists()):
        flag.touch()
        os.kill(os.getpid(), 9)
    return number


def by_place(results) -> list[Finished]:
    return sorted(results, key=lambda finished: finished.index)


def test_a_task_that_kills_its_process_costs_itself_alone(tmp_path):
    results = by_place(Processes(2).run(partial(work_or_die, folder=str(tmp_path)), range(6)))
    assert [finished.value for finished in results] == [0, None, 2, 3, 4, 5]
    assert "its process died twice (SIGKILL" in results[1].error


def test_all_executors_say_the_same(tmp_path):
    distributed = pytest.importorskip("distributed")
    wanted = by_place(Serial().run(square, range(4)))
    assert [finished.value for finished in wanted] == [0, 1, None, 9]
    assert wanted[2].error == "ValueError: two"
    assert by_place(Processes(2).run(square, range(4))) == wanted
    local = distributed.LocalCluster(n_workers=1, threads_per_worker=1, processes=False, dashboard_address=None)
    with local, distributed.Client(local, set_as_default=False) as client:
        assert by_place(Cluster(client).run(square, range(4))) == wanted


def tell_process(number: int) -> int:
    return os.getpid()


def test_a_fresh_process_for_each_task_keeps_nothing_of_the_last():
    assert len({finished.value for finished in Processes(1, fresh=True).run(tell_process, range(2))}) == 2
    assert len({finished.value for finished in Processes(1).run(tell_process, range(2))}) == 1


@pytest.mark.parametrize("executor", [Serial(), Processes(1)])
def test_enough_is_enough(executor):
    results = list(executor.run(square, [1, 2, 3, 4], enough=lambda finished: bool(finished.error)))
    assert [finished.index for finished in results] == [0, 1]


def test_what_is_no_scheduler_is_said(monkeypatch):
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(SharpwaveError, match="a scheduler: local, slurm"), open_executor(2, "pbs"):
        pass
    said: list[str] = []
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SharpwaveError, match="nothing was submitted"), open_executor(3, "slurm", say=said.append):
        pass
    assert "3 of these are handed to Slurm" in said[0]
    assert "#SBATCH --cpus-per-task=1" in said[0]


def tell_threshold(number: int) -> int:
    return gc.get_threshold()[0]


def test_processes_look_for_garbage_less_often_and_this_one_as_before():
    before = gc.get_threshold()
    (finished,) = Processes(1).run(tell_threshold, [0])
    assert finished.value == 10_000
    assert gc.get_threshold() == before
