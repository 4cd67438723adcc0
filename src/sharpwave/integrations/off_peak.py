"""Sleep while the machine is free: what it tells of itself, when that is free, what a night took in energy.

    free = FreeMachine(load=0.3, window=("22:00", "06:00"))
    night = sleep_when_free(sleep, free, wait=3600)

The night runs in the process that calls this, best one of its own (`examples/off_peak.py`, with a systemd timer and a
Slurm job): at the kernel's lowest priority, so that others get the cores at once, and it wakes up after the step in
which something else began. What was slept until then is kept, or not, by the probe as always.
"""

from __future__ import annotations

import ctypes
import math
import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation import Sleep, SleepReport

WATTS_PER_CORE = 10.0
"""Assumed power of a busy core, in watts, where the machine tells none: energy is then an estimate, and called so."""


@dataclass(frozen=True)
class Reading:
    """A machine at one moment.

    Attributes:
        load: Share of the cores that other processes kept busy since the reading before, from 0 to 1.
        gpu: How much other processes use of the graphics cards: the largest utilisation of one that they hold, from 0
            to 1; NaN where there is none.
        watts: Power of processors and cards in watts since the reading before; NaN where the machine does not tell.
        time: Local time.
    """

    load: float
    gpu: float
    watts: float
    time: datetime


class Machine:
    """Readings of this machine: /proc/stat for the cores, RAPL and NVML for power, NVML for the cards.

    Args:
        root: Folder below which proc and sys lie; default "/".
        nvml: NVIDIA's management library as `ctypes` loads it; looked for where omitted.
        clock: Function that gives seconds; default `time.monotonic`.
        own: Function that gives the processor seconds that this process has used; `os.times` where omitted.
        now: Function that gives the local time; default `datetime.now`.
    """

    def __init__(
        self,
        root: str | Path = "/",
        *,
        nvml: Any = None,
        clock: Callable[[], float] = time.monotonic,
        own: Callable[[], float] | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.root, self._clock, self._now = Path(root), clock, now
        self._own = own or _count_own_seconds
        self._nvml = nvml if nvml is not None else _load_nvml()
        self._ticks, self._joules = self._read_ticks(), self._read_joules()
        self._time, self._used = clock(), self._own()
        self._last = Reading(0.0, math.nan, math.nan, now())

    def read(self) -> Reading:
        """How the machine is now; the same again within a twentieth of a second."""
        moment = self._clock()
        seconds = moment - self._time
        if seconds < 0.05:
            return self._last
        busy, total = self._read_ticks()
        joules, used = self._read_joules(), self._own()
        n_ticks = max(total - self._ticks[1], 1)
        mine = (used - self._used) * os.sysconf("SC_CLK_TCK")
        load = min(max((busy - self._ticks[0] - mine) / n_ticks, 0.0), 1.0)
        watts = (joules[0] - self._joules[0]) / seconds if joules[1] else math.nan
        self._ticks, self._joules, self._time, self._used = (busy, total), joules, moment, used
        self._last = Reading(load, self._read_cards(), watts if watts >= 0 else math.nan, self._now())
        return self._last

    def read_energy(self) -> tuple[float, str]:
        """Joules since some moment, and who measured them; NaN and an empty text where nobody does."""
        joules, sources = self._read_joules()
        return (joules, " and ".join(sources)) if sources else (math.nan, "")

    def _read_ticks(self) -> tuple[float, float]:
        """Ticks of all cores that were busy, and all ticks (`man 5 proc`)."""
        try:
            text = (self.root / "proc/stat").read_text(encoding="ascii")
        except OSError as error:
            raise SharpwaveError(
                "a Linux machine, whose /proc/stat tells how busy it is",
                got=str(error),
                fix="give FreeMachine(read=...) a function of your own",
            ) from error
        ticks = [float(part) for part in text.splitlines()[0].split()[1:9]]
        return sum(ticks) - ticks[3] - ticks[4], sum(ticks)

    def _read_joules(self) -> tuple[float, list[str]]:
        joules, sources = 0.0, []
        for zone in sorted((self.root / "sys/class/powercap").glob("intel-rapl:?")):
            try:
                joules += int((zone / "energy_uj").read_text(encoding="ascii")) / 1e6
            except (OSError, ValueError):  # most systems let root alone read it
                continue
            sources = ["RAPL"]
        energy = ctypes.c_ulonglong()
        for card in self._list_cards():
            if self._nvml.nvmlDeviceGetTotalEnergyConsumption(card, ctypes.byref(energy)) == 0:
                joules += energy.value / 1e3
                sources = [*(each for each in sources if each != "NVML"), "NVML"]
        return joules, sources

    def _list_cards(self) -> Iterator[Any]:
        count = ctypes.c_uint()
        if self._nvml is None or self._nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)) != 0:
            return
        for number in range(count.value):
            card = ctypes.c_void_p()
            if self._nvml.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(card)) == 0:
                yield card

    def _read_cards(self) -> float:
        """Utilisation of the busiest card on which another process computes; NaN without cards."""
        most = math.nan
        for card in self._list_cards():
            used, n_found, found = _Utilisation(), ctypes.c_uint(64), (_Process * 64)()
            self._nvml.nvmlDeviceGetUtilizationRates(card, ctypes.byref(used))
            status = self._nvml.nvmlDeviceGetComputeRunningProcesses_v3(card, ctypes.byref(n_found), found)
            others = status != 0 or any(each.pid != os.getpid() for each in found[: n_found.value])
            share = used.gpu / 100 if others else 0.0
            most = share if math.isnan(most) else max(most, share)
        return most


class _Utilisation(ctypes.Structure):
    _fields_ = (("gpu", ctypes.c_uint), ("memory", ctypes.c_uint))


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("instance", ctypes.c_uint),
        ("compute", ctypes.c_uint),
    )


def _load_nvml() -> Any:
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        return None
    return library if library.nvmlInit_v2() == 0 else None


def _count_own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class FreeMachine:
    """Whether a machine is free; to be called, as by `Idle(free, seconds=...)` and `night(until=lambda: not free())`.

    Args:
        load: Largest share of the cores that others may keep busy; default 0.3.
        gpu: Largest utilisation of a card that others hold; default 0.1.
        window: Local times between which it may sleep, such as ("22:00", "06:00"); None, the default, for any.
        watts: Largest power in watts; None, the default, for any. Where the machine does not tell its power, it is not
            free, and `why` says so.
        read: Function that gives a `Reading`; that of this machine where omitted.

    Attributes:
        why: Why it was not free when last asked; empty if it was.

    Example:
        >>> quiet = Reading(0.1, math.nan, math.nan, datetime(2026, 3, 1, 23, 30))
        >>> free = FreeMachine(window=("22:00", "06:00"), read=lambda: quiet)
        >>> free(), free.why
        (True, '')
    """

    def __init__(
        self,
        *,
        load: float = 0.3,
        gpu: float = 0.1,
        window: tuple[str, str] | None = None,
        watts: float | None = None,
        read: Callable[[], Reading] | None = None,
    ) -> None:
        if not 0 <= load <= 1 or not 0 <= gpu <= 1 or (watts is not None and not watts > 0):
            raise SharpwaveError(
                "a load and a use of cards from 0 to 1, and a power above 0 W",
                got=f"load={load}, gpu={gpu}, watts={watts}",
                fix="load=0.3 lets others keep three tenths of the cores busy",
            )
        self.load, self.gpu, self.watts = load, gpu, watts
        self.window = None if window is None else tuple(_parse_time(each) for each in window)
        self.read = Machine().read if read is None else read
        self.why = ""

    def __call__(self) -> bool:
        """Whether it is free now."""
        reading = self.read()
        self.why = self._find_reason(reading)
        return not self.why

    def _find_reason(self, reading: Reading) -> str:
        if self.window is not None:
            first, last = self.window
            minute = reading.time.hour * 60 + reading.time.minute
            inside = first <= minute < last if first <= last else minute >= first or minute < last
            if not inside:
                return f"it is {reading.time:%H:%M}"
        if reading.load > self.load:
            return f"others keep {reading.load:.0%} of the cores busy"
        if reading.gpu > self.gpu:
            return f"others use {reading.gpu:.0%} of a graphics card"
        if self.watts is not None and not reading.watts <= self.watts:
            return "its power is not known" if math.isnan(reading.watts) else f"it draws {reading.watts:.0f} W"
        return ""


def _parse_time(text: str) -> int:
    """Minutes since midnight."""
    try:
        hour, minute = (int(part) for part in text.split(":"))
        if not (0 <= hour < 24 and 0 <= minute < 60):
            raise ValueError(text)
    except (ValueError, AttributeError) as error:
        raise SharpwaveError("times of a day as 'HH:MM'", got=repr(text), fix="write ('22:00', '06:00')") from error
    return 60 * hour + minute


@dataclass(frozen=True)
class OffPeakNight:
    """A night that was slept while the machine was free, or why none was.

    Attributes:
        report: What was done; None where the machine was never free.
        waited: Seconds of waiting.
        woken: Why it ended before its plan did; empty if it did not.
        gave_way: Seconds from the moment it was told, or saw after a step, that the machine is wanted until the network
            was awake, scored and kept or not; NaN where it was not. The cores are others' from the first moment on.
        joules: Energy of the machine in the night, in joules; its estimate where nobody measured it.
        energy: Who measured that ("RAPL", "NVML"), or how it was estimated.
    """

    report: SleepReport | None
    waited: float
    woken: str
    gave_way: float
    joules: float
    energy: str

    def __str__(self) -> str:
        if self.report is None:
            return f"no night: not free in {self.waited:.0f} s, since {self.woken}"
        woken = f"; woke up {self.gave_way:.2g} s after {self.woken}" if self.woken else ""
        return f"{self.report}; {self.joules:.3g} J ({self.energy}){woken}"


def sleep_when_free(
    sleep: Sleep,
    free: Callable[[], bool],
    *,
    wait: float = 3600.0,
    steps: int | None = None,
    joules: float | None = None,
    every: float = 1.0,
    machine: Machine | None = None,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> OffPeakNight:
    """Wait until a machine is free, then sleep until the night is over or the machine is wanted.

    SIGTERM (from systemd, or from Slurm before it takes the cores back) ends the wait or the night too; the process
    goes on, so that it can save what was learned.

    Args:
        sleep: The network that sleeps.
        free: Whether the machine is free, such as a `FreeMachine`; asked after each step.
        wait: Longest time to wait, in seconds; default 3600.
        steps: Number of steps; that of its schedule where omitted.
        joules: Most energy of the night, in joules; None, the default, for any.
        every: Seconds between looks while it waits; default 1.
        machine: What tells the energy; this machine where omitted.
        clock: Function that gives seconds; default `time.monotonic`.
        pause: Function that waits so many seconds; default `time.sleep`.
    """
    began = clock()
    with _hearing_sigterm(clock) as told:
        while not (is_free := free()) and not told and clock() - began < wait:
            pause(every)
        waited = clock() - began
        if told or not is_free:
            why = "it was told to end" if told else getattr(free, "why", "") or "the machine was not free"
            return OffPeakNight(None, waited, why, math.nan, 0.0, "")
        meter = _Meter(machine or Machine(), clock)
        woken: list[tuple[str, float]] = []

        def until() -> bool:
            spent = meter.read()[0]
            if told:
                woken.append(("it was told to end", told[0]))
            elif joules is not None and spent > joules:
                woken.append((f"{joules:g} J were spent", clock()))
            elif not free():
                woken.append((getattr(free, "why", "") or "the machine was wanted", clock()))
            if woken:
                rise()  # what is left, a score, is to be over soon
            return bool(woken)

        with _lowest_priority() as rise:
            report = sleep.night(steps, until=until)
        spent, who = meter.read()
    why, moment = woken[0] if woken else ("", math.nan)
    return OffPeakNight(report, waited, why, clock() - moment, spent, who)


class _Meter:
    """Energy since it was made: measured where the machine tells, else from processor seconds."""

    def __init__(self, machine: Machine, clock: Callable[[], float]) -> None:
        self._machine, (self._first, self._who) = machine, machine.read_energy()
        self._used = _count_own_seconds()

    def read(self) -> tuple[float, str]:
        """Joules, and who says so."""
        now, _ = self._machine.read_energy()
        if self._who and now >= self._first:  # a counter that ran over says nothing
            return now - self._first, f"measured by {self._who}, all processes"
        seconds = _count_own_seconds() - self._used
        return WATTS_PER_CORE * seconds, f"estimated: {seconds:.3g} processor seconds at {WATTS_PER_CORE:g} W"


@contextmanager
def _hearing_sigterm(clock: Callable[[], float]) -> Iterator[list[float]]:
    """A list that holds the time once SIGTERM has come; in the main thread alone, where signals can be heard."""
    told: list[float] = []
    try:
        before = signal.signal(signal.SIGTERM, lambda *_: told.append(clock()))
    except ValueError:
        yield told
        return
    try:
        yield told
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _lowest_priority() -> Iterator[Callable[[], None]]:
    """The kernel's idle class, in which any other process comes first; a function that goes back to what it was."""
    try:
        before = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    except (AttributeError, OSError):
        yield lambda: None
        return

    def rise() -> None:
        with suppress(OSError):  # not every system allows it
            os.sched_setscheduler(0, *before)

    try:
        yield rise
    finally:
        rise()
