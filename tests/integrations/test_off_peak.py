from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from sharpwave.benchmarks.off_peak import measure
from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.consolidation.schedule import Idle
from sharpwave.consolidation.state_files import load_state
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.off_peak import FreeMachine, Machine, Reading, sleep_when_free

NIGHT, NOON = datetime(2026, 3, 1, 23, 30), datetime(2026, 3, 1, 12, 0)
QUIET = Reading(0.1, math.nan, 20.0, NIGHT)
EXAMPLES = Path(__file__).parents[2] / "examples"


def make_sleep() -> Sleep:
    torch.manual_seed(0)
    model = torch.nn.Linear(2, 2)
    sleep = Sleep(model, ReplayBuffer(8), torch.optim.SGD(model.parameters(), lr=0.1))
    sleep.wake({"x": torch.eye(2), "y": torch.arange(2)}).backward()
    sleep.learner.optimiser.step()
    return sleep


class Told:
    """A clock and a machine that say what they are told."""

    def __init__(self, *free: bool) -> None:
        self.seconds, self.answers, self.why = 0.0, list(free), ""

    def __call__(self) -> bool:
        self.seconds += 0.5
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        self.why = "" if answer else "others keep 90% of the cores busy"
        return answer

    def clock(self) -> float:
        return self.seconds

    def pause(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.mark.parametrize(
    ("reading", "why"),
    [
        (QUIET, ""),
        (Reading(0.31, math.nan, 20.0, NIGHT), "others keep 31% of the cores busy"),
        (Reading(0.1, 0.5, 20.0, NIGHT), "others use 50% of a graphics card"),
        (Reading(0.1, 0.05, 20.0, NIGHT), ""),
        (Reading(0.1, math.nan, 51.0, NIGHT), "it draws 51 W"),
        (Reading(0.1, math.nan, math.nan, NIGHT), "its power is not known"),
        (Reading(0.1, math.nan, 20.0, NOON), "it is 12:00"),
    ],
)
def test_a_machine_is_free_when_nothing_speaks_against_it(reading: Reading, why: str) -> None:
    free = FreeMachine(window=("22:00", "06:00"), watts=50.0, read=lambda: reading)
    assert (free(), free.why) == (not why, why)


def test_a_window_may_lie_within_a_day() -> None:
    free = FreeMachine(window=("12:00", "13:00"), read=lambda: Reading(0.0, math.nan, math.nan, NOON))
    assert free()
    free.read = lambda: QUIET
    assert not free()


@pytest.mark.parametrize("options", [{"load": 1.5}, {"watts": 0.0}, {"window": ("22h", "06:00")}])
def test_limits_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SharpwaveError, match=r"load=0\.3|'22:00'"):
        FreeMachine(read=lambda: QUIET, **options)


def write_machine(folder: Path, *, busy: int, idle: int, joules: float | None = None) -> None:
    (folder / "proc").mkdir(exist_ok=True)
    (folder / "proc/stat").write_text(f"cpu  {busy} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 2 3\n", encoding="ascii")
    zone = folder / "sys/class/powercap/intel-rapl:0"
    if joules is not None:
        zone.mkdir(parents=True, exist_ok=True)
        (zone / "energy_uj").write_text(f"{round(joules * 1e6)}\n", encoding="ascii")


def test_the_load_is_that_of_others_and_power_that_of_the_counter(tmp_path: Path) -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    seconds, own = [0.0], [0.0]
    write_machine(tmp_path, busy=0, idle=0, joules=100.0)
    machine = Machine(tmp_path, nvml=None, clock=lambda: seconds[0], own=lambda: own[0], now=lambda: NIGHT)
    seconds[0], own[0] = 1.0, 0.5  # of two cores one and a half were busy, half a one by this process
    write_machine(tmp_path, busy=3 * ticks // 2, idle=ticks // 2, joules=130.0)
    reading = machine.read()
    assert reading.load == pytest.approx(0.5)
    assert reading.watts == pytest.approx(30.0)
    assert machine.read_energy() == (pytest.approx(130.0), "RAPL")
    seconds[0] = 1.01
    assert machine.read() is reading


def test_a_machine_that_tells_no_power_says_so(tmp_path: Path) -> None:
    write_machine(tmp_path, busy=0, idle=0)
    machine = Machine(tmp_path, clock=iter([0.0, 1.0]).__next__, own=lambda: 0.0)
    machine._nvml = None
    assert math.isnan(machine.read().watts)
    assert machine.read_energy()[1] == ""
    with pytest.raises(SharpwaveError, match="/proc/stat"):
        Machine(tmp_path / "none")


class Cards:
    """NVIDIA's library with one card, on which processes compute."""

    def __init__(self, *pids: int, used: int = 80) -> None:
        self.pids, self.used = pids, used

    def nvmlDeviceGetCount_v2(self, count: Any) -> int:
        count._obj.value = 1
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, number: int, card: Any) -> int:
        return 0

    def nvmlDeviceGetUtilizationRates(self, card: Any, rates: Any) -> int:
        rates._obj.gpu = self.used
        return 0

    def nvmlDeviceGetComputeRunningProcesses_v3(self, card: Any, count: Any, found: Any) -> int:
        count._obj.value = len(self.pids)
        for place, pid in enumerate(self.pids):
            found[place].pid = pid
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, card: Any, energy: Any) -> int:
        ctypes.memset(ctypes.addressof(energy._obj), 0, 8)
        energy._obj.value = 5000
        return 0


def test_a_card_counts_as_used_where_others_compute_on_it(tmp_path: Path) -> None:
    write_machine(tmp_path, busy=0, idle=0)
    found = []
    for pids in ((os.getpid(),), (os.getpid(), 1), ()):
        machine = Machine(tmp_path, nvml=Cards(*pids), clock=iter([0.0, 1.0]).__next__, own=lambda: 0.0)
        found.append(machine.read().gpu)
    assert found == [0.0, 0.8, 0.0]
    assert machine.read_energy() == (5.0, "NVML")


def test_a_night_waits_until_the_machine_is_free_and_wakes_when_it_is_wanted() -> None:
    machine, sleep = Told(False, False, True, True, True, False), make_sleep()
    night = sleep_when_free(sleep, machine, steps=50, clock=machine.clock, pause=machine.pause)
    assert night.waited == pytest.approx(
        3.5
    )  # two looks that found it busy, a second's pause each, and one that did not
    assert night.report is not None
    assert len(night.report.losses) == 3
    assert night.woken == "others keep 90% of the cores busy"
    assert not sleep.is_asleep
    assert "woke up" in str(night)


def test_a_machine_that_is_never_free_gets_no_night() -> None:
    machine, sleep = Told(False), make_sleep()
    before = sleep.learner.module.weight.clone()  # type: ignore[union-attr]
    night = sleep_when_free(sleep, machine, wait=10.0, clock=machine.clock, pause=machine.pause)
    assert night.report is None
    assert night.waited >= 10
    assert str(night).endswith("since others keep 90% of the cores busy")
    assert torch.equal(sleep.learner.module.weight, before)  # type: ignore[arg-type]


def test_energy_is_measured_where_the_machine_tells_and_else_called_an_estimate() -> None:
    counter = iter(range(0, 1000, 5))
    telling: Any = SimpleNamespace(read_energy=lambda: (float(next(counter)), "RAPL"))
    night = sleep_when_free(make_sleep(), lambda: True, steps=4, machine=telling)
    assert night.joules == 5.0 * 4  # looked at after each step but the last, and at the end
    assert night.energy == "measured by RAPL, all processes"
    silent: Any = SimpleNamespace(read_energy=lambda: (math.nan, ""))
    night = sleep_when_free(make_sleep(), lambda: True, steps=4, machine=silent)
    assert night.joules > 0
    assert night.energy.startswith("estimated:")


def test_a_budget_of_energy_ends_the_night() -> None:
    counter = iter(range(0, 1000, 5))
    telling: Any = SimpleNamespace(read_energy=lambda: (float(next(counter)), "RAPL"))
    night = sleep_when_free(make_sleep(), lambda: True, steps=50, joules=12.0, machine=telling)
    assert night.report is not None
    assert len(night.report.losses) == 3
    assert night.woken == "12 J were spent"


def test_the_schedule_for_idle_time_takes_a_machine() -> None:
    machine = FreeMachine(read=lambda: QUIET)
    sleep = make_sleep()
    sleep.schedule = Idle(machine, seconds=60.0, n_steps=3)
    report = sleep.rest()
    assert report is not None
    assert len(report.losses) == 3
    machine.read = lambda: Reading(0.9, math.nan, math.nan, NIGHT)
    assert sleep.rest() is None


def test_sigterm_ends_the_night_and_is_given_back() -> None:
    before, steps = signal.getsignal(signal.SIGTERM), []

    def free() -> bool:
        steps.append(1)
        if len(steps) == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return True

    night = sleep_when_free(make_sleep(), free, steps=50)
    assert night.woken == "it was told to end"
    assert night.report is not None
    assert len(night.report.losses) <= 4
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("told", [1, 2, 7])
def test_no_step_is_begun_after_the_signal_and_the_score_is_taken_at_the_usual_priority(told: int) -> None:
    sleep, classes = make_sleep(), []
    phase = next(iter(sleep.phases.values()))
    step, finish = phase.step, phase.finish

    def stepping(plan: Any, position: int) -> float:
        classes.append(os.sched_getscheduler(0))
        if position + 1 == told:
            os.kill(os.getpid(), signal.SIGTERM)  # while the step is under way
        return step(plan, position)

    def finishing() -> None:
        classes.append(os.sched_getscheduler(0))
        finish()

    phase.step, phase.finish = stepping, finishing  # type: ignore[method-assign]
    before = os.sched_getscheduler(0)
    night = sleep_when_free(sleep, lambda: True, steps=50)
    assert night.report is not None
    assert len(night.report.losses) == told
    assert classes == [os.SCHED_IDLE] * told + [before]


def test_how_soon_a_night_gives_way_is_measured_from_the_signal_on() -> None:
    ended, given, begun = measure(np.random.default_rng(0), n_nights=2, latest=0.05)
    assert (ended <= given).all()
    assert (given > 0).all()
    assert (begun <= 1).all()  # one, where the signal came between the two


def test_a_process_of_its_own_is_told_to_end_and_saves_what_it_slept(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    command = [
        sys.executable,
        str(EXAMPLES / "off_peak.py"),
        str(tmp_path / "state"),
        "--load",
        "1",
        "--steps",
        "1000000",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("looking")
        read: Callable[[], str] = process.stdout.read
        process.send_signal(signal.SIGTERM)
        said = read()
    assert process.returncode == 0
    assert "it was told to end" in said
    assert "saved in" in said
    state = load_state(tmp_path / "state")
    assert state["sleep"]["night"] is None
    assert all(bool(torch.isfinite(value).all()) for value in state["model"].values())


def test_the_units_start_the_example() -> None:
    service = (EXAMPLES / "off-peak.service").read_text(encoding="utf-8")
    assert "CPUSchedulingPolicy=idle" in service
    assert "off_peak.py" in service
    assert "off_peak.py" in (EXAMPLES / "off-peak.sbatch").read_text(encoding="utf-8")
