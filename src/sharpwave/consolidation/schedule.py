"""When to sleep and for how long: a fixed ratio, pressure that builds with drift and forgetting, or idle time.

And what the day before a night was like, which a night goes by.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sharpwave.consolidation.batches import Batch
from sharpwave.consolidation.texts import count_places, count_tokens
from sharpwave.errors import SharpwaveError


class Day:
    """What was passed through a network since the last night, and at which rates.

    Attributes:
        sizes: Number of wake steps by the number of items they passed, new and replayed.
        n_typical: Number of new items in the largest batch.
        rates: Lowest, highest and mean learning rate of each group of parameters.
        n_new: Number of new items.
        n_replayed: Number of replayed items.
        n_tokens: Number of tokens of the new items.
        n_places: The same with what pads them.
        seconds: Seconds of its steps, from `wake` to the optimiser's step.
        kept_seconds: Those of them that storing items took.
    """

    def __init__(self) -> None:
        self.sizes: Counter[int] = Counter()
        self.rates: list[tuple[float, float, float]] = []
        self.n_new = self.n_replayed = self.n_typical = self.n_tokens = self.n_places = 0
        self.seconds = self.kept_seconds = 0.0

    def see(self, n_new: int, n_replayed: int, planned: int, rates: Sequence[float], *, batch: Batch) -> None:
        """Take in one wake step.

        Args:
            n_new: Number of new items.
            n_replayed: Number of items replayed beside them.
            planned: Number of items that such a step passes once the buffer holds enough.
            rates: Learning rate of each group.
            batch: The new items.
        """
        self.n_tokens += count_tokens(batch)
        self.n_places += count_places(batch)
        n_before = self.sizes.total()
        self.sizes[planned] += 1
        self.n_new += n_new
        self.n_typical = max(self.n_typical, n_new)
        self.n_replayed += n_replayed
        if len(rates) != len(self.rates):
            self.rates, n_before = [(rate, rate, rate) for rate in rates], 0
        self.rates = [
            (min(low, rate), max(high, rate), mean + (rate - mean) / (n_before + 1))
            for (low, high, mean), rate in zip(self.rates, rates, strict=True)
        ]

    def find_size(self) -> int | None:
        """The size of the typical step: the median over the day; of two, the larger."""
        passed, half = 0, self.sizes.total() // 2
        for size in sorted(self.sizes):
            passed += self.sizes[size]
            if passed > half:
                return size
        return None

    def find_tokens(self) -> float:
        """Tokens of a new item in the mean; 0 where they have none."""
        return self.n_tokens / max(self.n_new, 1)

    def convert_places(self, n_places: int) -> float:
        """Tokens, with what pads them, in passes of a new item of mean length; 0 where items are no texts."""
        return n_places * self.n_new / self.n_places if self.n_places else 0.0

    def find_rates(self) -> list[float]:
        """The mean rate of each group; exactly the rate where it never changed."""
        return [high if low == high else mean for low, high, mean in self.rates]

    def compute_cost(
        self, *, slept: int, scored: int, asleep_seconds: float, n_passes: float = 0.0
    ) -> dict[str, float]:
        """Items and seconds of the day and of the night after it, as `SleepReport.cost` has them.

        Args:
            slept: Number of items that passed forward and backward in the night.
            scored: Number of items that the probe passed forward.
            asleep_seconds: Seconds of the night.
            n_passes: Passes of the night, as `Learner.n_passes` counts them.
        """
        share = self.n_new / max(self.n_new + self.n_replayed, 1)
        return {
            "new": self.n_new,
            "replayed": self.n_replayed,
            "slept": slept,
            "scored": scored,
            "awake_seconds": self.seconds,
            "asleep_seconds": asleep_seconds,
            "plain_seconds": share * max(self.seconds - self.kept_seconds, 0.0),
            "kept_seconds": self.kept_seconds,
            "added_passes": self.n_replayed + n_passes,
        } | ({"tokens": self.n_tokens} if self.n_tokens else {})

    def state_dict(self) -> dict[str, Any]:
        """Numbers and lists."""
        kept = {"n_new": self.n_new, "n_replayed": self.n_replayed, "seconds": self.seconds}
        kept |= {"n_typical": self.n_typical, "kept_seconds": self.kept_seconds, "n_tokens": self.n_tokens}
        kept |= {"n_places": self.n_places}
        return kept | {"sizes": [list(pair) for pair in self.sizes.items()], "rates": [list(r) for r in self.rates]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.sizes = Counter({size: count for size, count in state["sizes"]})
        self.rates = [(low, high, mean) for low, high, mean in state["rates"]]
        self.n_typical, self.kept_seconds = state["n_typical"], state.get("kept_seconds", 0.0)
        self.n_tokens, self.n_places = state.get("n_tokens", 0), state.get("n_places", 0)
        self.n_new, self.n_replayed, self.seconds = state["n_new"], state["n_replayed"], state["seconds"]


@dataclass(frozen=True)
class ShortNight:
    """What a night within a budget holds.

    Attributes:
        n_memories: Number of items that the lower part sees once, whose logits are stored anew.
        n_full: Number of steps through the whole network, which come first.
        n_shallow: Number of steps of the top alone.
        n_probed: Number of items that score the night.
    """

    n_memories: int
    n_full: int
    n_shallow: int
    n_probed: int

    @property
    def n_steps(self) -> int:
        """Steps in all."""
        return self.n_full + self.n_shallow


def add_stage(runs: list[list[int]], stage: int) -> None:
    """One more step in run-length code: pairs of a stage and how many steps it lasts."""
    if runs and runs[-1][0] == stage:
        runs[-1][1] += 1
    else:
        runs.append([stage, 1])


def expand_stages(runs: Sequence[Sequence[int]]) -> list[int]:
    """The stage of each step, from run-length code."""
    return [stage for stage, n_steps in runs for _ in range(n_steps)]


def tell_cost(cost: Mapping[str, float], added: float) -> str:
    """What a report says of cost in a few words; empty without a day.

    Args:
        cost: As `SleepReport.cost`.
        added: What replay and the night took beyond plain training, as a share of its time.
    """
    if math.isnan(added):
        return ""
    passes = cost["added_passes"] / cost["new"]
    return f"; awake and asleep {added:+.0%} of plain training, {passes:+.0%} of its passes"


def describe_cost(cost: Mapping[str, float], added: float) -> str:
    """A sentence on what replay while awake and a night cost, as for `tell_cost`."""
    said = {name: f"{value:.3g}" for name, value in cost.items()}
    seconds = f"{cost.get('asleep_seconds', 0.0):.2g} s"
    if math.isnan(added):
        return f"{said.get('slept', 0)} items slept in {seconds}; no day before it"
    return (
        f"awake {said['new']} new and {said['replayed']} replayed items in {said['awake_seconds']} s, asleep "
        f"{said['slept']} in {seconds}: {added:+.0%} of plain training's {said['plain_seconds']} s, "
        f"{cost['added_passes'] / cost['new']:+.0%} of its passes"
    )


class Schedule(Protocol):
    """When one network sleeps, and for how long.

    Attributes:
        measure_every: Number of wake steps between measurements of drift and forgetting; 0 for none.
        pressure: Sleep pressure from 0 to 1; None where the schedule knows none.
    """

    measure_every: int
    pressure: float | None

    def experience(self, *, drift: float, forgetting: float, n_steps: int) -> None:
        """Hear how far the network has moved over the last `n_steps` wake steps."""

    def is_due(self, n_wake: int) -> bool:
        """Whether to sleep now, `n_wake` steps after the last night."""

    def plan(self, n_wake: int) -> int:
        """Steps of a night that begins now."""

    def rest(self, seconds: float) -> bool:
        """Hear that a sleep step took so long; whether to sleep on."""

    def find_depth(self) -> float:
        """How deep a night that begins now is, from 0 to 1: the deeper, the less of it is REM."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class FixedRatio:
    """Sleep steps in proportion to wake steps.

    Args:
        ratio: Sleep steps per wake step; default 0.1, which is one to ten.
        every: Number of wake steps after which a night is due; None, the default, leaves it to the user, as at the end
            of a task.

    Example:
        >>> schedule = FixedRatio(0.1, every=200)
        >>> schedule.is_due(200), schedule.plan(200)
        (True, 20)
    """

    measure_every = 0
    pressure: float | None = None

    def __init__(self, ratio: float = 0.1, *, every: int | None = None) -> None:
        if not ratio > 0 or (every is not None and every < 1):
            raise SharpwaveError(
                "a ratio above 0, and at least one wake step between nights",
                got=f"ratio={ratio}, every={every}",
                fix="0.1 is one sleep step for ten wake steps",
            )
        self.ratio, self.every = ratio, every

    def experience(self, *, drift: float, forgetting: float, n_steps: int) -> None: ...

    def is_due(self, n_wake: int) -> bool:
        """Whether enough wake steps have passed."""
        return self.every is not None and n_wake >= self.every

    def plan(self, n_wake: int) -> int:
        """At least one step."""
        return max(1, round(self.ratio * n_wake))

    def rest(self, seconds: float) -> bool:
        """Always: the plan decides."""
        return True

    def find_depth(self) -> float:
        """1: as the options say."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class TwoProcess:
    """Pressure that rises in wake as the network drifts and forgets, and falls in sleep (Borbély 1982).

    Over n wake steps, S → 1 − (1 − S)·exp(−n·(drift + forgetting) / rise); in each sleep step, S → S·exp(−1 / fall).
    A night is due when S reaches `upper` (moved by the circadian process C, a sine), lasts until S is at `lower`, and
    is as deep as S is high. A network that neither drifts nor forgets never sleeps.

    Args:
        upper: Pressure, from 0 to 1, at which sleep begins; default 0.6.
        lower: Pressure at which it ends, from 0 to 1; default 0.15.
        rise: Number of wake steps in which pressure comes to 63 %, where drift and forgetting add up to 1; default 50.
        fall: Number of sleep steps in which pressure falls to 37 %; default 10.
        measure_every: Number of wake steps between measurements; default 10.
        limit: Largest number of sleep steps per wake step; default 0.15.
        amplitude: Amplitude of C, in units of pressure; default 0.
        period: Period of C, in wake steps; default 1000.

    Example:
        >>> schedule = TwoProcess()
        >>> schedule.experience(drift=0.5, forgetting=0.5, n_steps=50)
        >>> round(schedule.pressure, 2), schedule.is_due(100), schedule.plan(100)
        (0.63, True, 15)
    """

    def __init__(
        self,
        *,
        upper: float = 0.6,
        lower: float = 0.15,
        rise: float = 50.0,
        fall: float = 10.0,
        measure_every: int = 10,
        limit: float = 0.15,
        amplitude: float = 0.0,
        period: int = 1000,
    ) -> None:
        if not (0 < lower < upper < 1 and rise > 0 and fall > 0 and measure_every >= 1 and limit > 0):
            raise SharpwaveError(
                "0 < lower < upper < 1, and times and a limit above 0",
                got=f"lower={lower}, upper={upper}, rise={rise}, fall={fall}, limit={limit}",
                fix="the defaults are lower=0.15, upper=0.6, rise=50, fall=10, limit=0.15",
            )
        self.upper, self.lower, self.rise, self.fall, self.limit = upper, lower, rise, fall, limit
        self.measure_every, self.amplitude, self.period = measure_every, amplitude, period
        self.pressure: float | None = 0.0
        self._clock = 0

    @property
    def _level(self) -> float:
        return self.pressure or 0.0

    def experience(self, *, drift: float, forgetting: float, n_steps: int) -> None:
        """Let pressure rise."""
        change = max(drift, 0.0) + max(forgetting, 0.0)
        self.pressure = 1 - (1 - self._level) * math.exp(-n_steps * change / self.rise)
        self._clock += n_steps

    def is_due(self, n_wake: int) -> bool:
        """Whether pressure is at its upper threshold, and the limit leaves a step."""
        threshold = self.upper + self.amplitude * math.sin(2 * math.pi * self._clock / self.period)
        return self._level >= threshold and self.limit * n_wake >= 1

    def plan(self, n_wake: int) -> int:
        """Steps until pressure is at its lower threshold, within the limit."""
        needed = self.fall * math.log(max(self._level, self.lower) / self.lower)
        return max(1, min(math.ceil(needed), int(self.limit * n_wake)))

    def rest(self, seconds: float) -> bool:
        """Let pressure fall; sleep on until the plan is done."""
        self.pressure = self._level * math.exp(-1 / self.fall)
        return True

    def find_depth(self) -> float:
        """Pressure."""
        return self._level

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"pressure": self._level, "clock": self._clock}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.pressure, self._clock = state["pressure"], state["clock"]


class Idle:
    """Sleep whenever the machine is free, within a budget for the whole run.

    Args:
        is_idle: Function that says whether the machine is free; asked before every step.
        seconds: Longest time spent asleep in all, in seconds.
        n_steps: Largest number of steps of one night; default 100.
    """

    measure_every = 0
    pressure: float | None = None

    def __init__(self, is_idle: Callable[[], bool], *, seconds: float, n_steps: int = 100) -> None:
        self.is_idle, self.seconds, self.n_steps = is_idle, seconds, n_steps
        self.spent = 0.0

    def experience(self, *, drift: float, forgetting: float, n_steps: int) -> None: ...

    def is_due(self, n_wake: int) -> bool:
        """Whether the machine is free, something was learned since the last night, and the budget is not spent."""
        return n_wake > 0 and self.spent < self.seconds and self.is_idle()

    def plan(self, n_wake: int) -> int:
        """As many as one night may have."""
        return self.n_steps

    def rest(self, seconds: float) -> bool:
        """Count the time; sleep on while the machine is free and the budget lasts."""
        self.spent += seconds
        return self.spent < self.seconds and self.is_idle()

    def find_depth(self) -> float:
        """1: as the options say."""
        return 1.0

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {"spent": self.spent}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.spent = state["spent"]
