"""Noisy steps awake and asleep of one network that learns in private, each written down before it is taken."""

from __future__ import annotations

import math
import secrets
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from sharpwave.consolidation.accounting import Ledger, Use, find_noise
from sharpwave.consolidation.batches import Batch, count_items, flatten, nest
from sharpwave.consolidation.modules import is_shared
from sharpwave.consolidation.per_sample import PerSampleGradients, blur
from sharpwave.consolidation.private_nights import keep_by_coins
from sharpwave.consolidation.private_probe import NoisyProbe
from sharpwave.consolidation.wake import WakeStep, as_batch
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.learner import Learner
    from sharpwave.consolidation.private import Private
    from sharpwave.consolidation.probe import Probe


class PrivateTraining:
    """One network that learns in private: `Sleep.private`.

    Args:
        private: Options.
        learner: The network.
        buffer: Buffer of nights that replay; None where they dream.
        schedule: When to sleep, and for how long.
        phases: What the network does asleep, by the code of the stage.
        probe: What decides whether a night is kept.

    Attributes:
        noise: σ; NaN until it is found.
        ledger: What was spent.
    """

    def __init__(
        self,
        private: Private,
        learner: Learner,
        buffer: ReplayBuffer | None,
        schedule: Any,
        phases: Mapping[int, Any],
        probe: Probe,
    ) -> None:
        if is_shared() or learner.accumulate != 1 or learner.scaler is not None or len(learner.optimisers) > 1:
            raise SharpwaveError(
                "one process, one batch a step, one optimiser and no scaler, for Private",
                got="several processes" if is_shared() else "accumulation, a scaler or several optimisers",
                fix="train in one process; Private(epsilon, delta) with larger batches needs no accumulation",
            )
        self.options, self.learner, self.buffer, self.schedule = private, learner, buffer, schedule
        for phase in phases.values():
            if hasattr(phase, "spender"):
                phase.spender = self
        self._phases, self._probe = phases, probe.held_out if isinstance(probe.held_out, NoisyProbe) else None
        if self._probe is not None:
            self._probe.payer = self
        self.generator = private.generator or torch.Generator().manual_seed(secrets.randbits(63))
        self.ledger = Ledger(private.delta)
        self.noise = math.nan if private.noise is None else private.noise
        owned = {id(p) for group in learner.optimiser.param_groups for p in group["params"]}
        trained = {n: p for n, p in learner.module.named_parameters() if p.requires_grad and id(p) in owned}
        self.gradients = PerSampleGradients(learner.module, trained)
        self.n_seen = self.batch_size = 0
        self._chance = 1.0
        self._drawn: tuple[str, Use, int] | None = None
        self._open: tuple[str | None, Use, int] | None = None

    @property
    def spent(self) -> float:
        """ε of all that was done so far."""
        return self.ledger.compute_epsilon()

    def __str__(self) -> str:
        return f"ε = {self.spent:.3g} of {self.options.epsilon:g} at δ = {self.options.delta:g}"

    def batches(self, items: Any, batch_size: int, *, epochs: float = 1, cohort: str = "") -> Iterator[Batch]:
        """Batches drawn by chance, each item with the same probability: what `Sleep.wake` takes in private.

        Args:
            items: All items: entries (item, ...), or a pair (inputs, labels).
            batch_size: Number of items that a batch has on average.
            epochs: How often an item is drawn on average; default 1.
            cohort: Name of these items. Items of another name are others, and ε is that of the cohort that has been
                through most. Where one person is in several, leave it out.

        Raises:
            SharpwaveError: If the steps would cost more than ε. None is taken then.
        """
        entries = dict(flatten(as_batch(items)))
        n_items = count_items(entries)
        if not 0 < batch_size <= n_items or epochs <= 0:
            raise SharpwaveError(
                f"batches of 1 to {n_items} items and epochs above 0",
                got=f"batch_size={batch_size}, epochs={epochs:g}",
                fix="give more items or smaller batches",
            )
        n_steps = max(1, round(epochs * n_items / batch_size))
        self.batch_size = batch_size
        use = Use(self._find_noise(batch_size / n_items, n_steps), batch_size / n_items)
        self.refuse_dearer(replace(use, n_steps=n_steps), cohort=cohort)
        self._keep(entries, n_items)
        return self._draw(entries, n_items, use, n_steps, cohort)

    def foresee(self, n_steps: int) -> tuple[float, float]:
        """ε before and after a night.

        Args:
            n_steps: Number of its steps.

        Example:
            >>> from sharpwave.consolidation import Private, Sleep
            >>> model = torch.nn.Linear(2, 2)
            >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
            >>> Sleep(model, None, optimiser, private=Private(8, 1e-5, noise=1.0)).private.foresee(20)  # dreams
            (0.0, 0.0)
        """
        use = self.find_night_use(n_steps)
        return self.spent, self.ledger.compute_epsilon(*([] if use is None else [use]))

    def find_night_use(self, n_steps: int) -> Use | None:
        """What steps of a night do; None for dreams.

        Args:
            n_steps: Number of steps.
        """
        if self.buffer is None:
            return None
        return Use(self.noise, min(1.0, self.batch_size / self.buffer.capacity), n_steps)

    def take_wake_step(self, batch: Batch) -> WakeStep:
        """The passes of a wake step; what it tells of the batch is withheld.

        Args:
            batch: The batch that `batches` gave last.

        Raises:
            SharpwaveError: If the batch was not drawn by `batches`.
        """
        drawn, self._drawn = self._drawn, None
        n_items = count_items(batch)
        if drawn is None or drawn[2] != n_items:
            raise SharpwaveError(
                "each batch of sleep.private.batches(...), once",
                got=f"another, of {n_items} items",
                fix="write: for batch in sleep.private.batches(items, batch_size=64): sleep.wake(batch).backward()",
            )
        cohort, use, _ = drawn
        for phase in self._phases.values():
            if hasattr(phase, "see"):
                phase.see(batch)
        loss = self._pass(batch, n_items)
        self._open = (cohort, use, n_items)
        return WakeStep(loss, torch.zeros(0), torch.zeros(self.batch_size), 0)

    def release(self) -> None:
        """Before the optimiser's step: clipped, summed and blurred gradients in place of its own.

        Raises:
            SharpwaveError: If there was no pass of wake since the last step.
        """
        opened, self._open = self._open, None
        if opened is None:
            raise SharpwaveError(
                "a step of the optimiser after each sleep.wake(batch).backward()",
                got="a step without one",
                fix="in private, let the network learn through sleep.wake alone",
            )
        cohort, use, n_items = opened
        self.refuse_dearer(use, cohort=cohort)
        self.ledger.charge(use, cohort=cohort)
        self._put_noisy(use.noise, n_items)

    def replay(self, position: int, n_steps: int) -> None:
        """One noisy step of a night, on items drawn from the buffer by chance.

        Args:
            position: Which step it is.
            n_steps: Steps of the night.
        """
        buffer, use = self.buffer, self.find_night_use(1)
        if buffer is None or use is None:
            return
        if position == 0:
            self.tell_cost(n_steps)
        drawn = torch.rand(len(buffer), generator=self.generator) < use.rate
        batch = buffer.read(torch.nonzero(drawn)[:, 0])
        batch.pop("index", None)
        self._pass(batch, int(drawn.sum())).backward()
        self.ledger.charge(use)
        self._put_noisy(use.noise, int(drawn.sum()))
        self.learner.optimisers[0].step()
        self.learner.clear_gradients()

    def tell_cost(self, n_steps: int) -> None:
        """Say what a night from the buffer costs, before it is spent.

        Args:
            n_steps: Number of its steps.

        Raises:
            SharpwaveError: If it costs more than there is.
        """
        before, after = self.foresee(n_steps)
        use = self.find_night_use(n_steps)
        if use is None:
            return
        self.refuse_dearer(use)
        if after > before:
            warnings.warn(
                f"this night from a buffer of {self.buffer.capacity if self.buffer else 0} items raises ε from "
                f"{before:.1f} to {after:.1f}; dreams would cost nothing (leave Private(replay=True) out)",
                stacklevel=6,
            )

    def state_dict(self) -> dict[str, Any]:
        """The ledger, and the buffer with its items: for going on, never for release."""
        return {
            "ledger": self.ledger.state_dict(),
            "noise": self.noise,
            "counts": [self.n_seen, self.batch_size, self._chance],
            "probed": None if self._probe is None else self._probe.before,
            "buffer": None if self.buffer is None or not len(self.buffer) else self.buffer.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Take up what `state_dict` gave; draws and noise go on with other random numbers, never the same twice.

        Args:
            state: What `state_dict` gave; None for nothing.
        """
        if state is None:
            return
        self.ledger.load_state_dict(state["ledger"])
        self.noise, (self.n_seen, self.batch_size, self._chance) = state["noise"], state["counts"]
        if self._probe is not None:
            self._probe.before = state.get("probed")
        if self.buffer is not None and state["buffer"] is not None:
            self.buffer.load_state_dict(state["buffer"])

    def _pass(self, batch: Batch, n_items: int) -> Tensor:
        """A loss whose gradients are those of the items' sum, over the mean size of a batch; it reads 0."""
        learner = self.learner

        def run(items: Batch) -> Tensor:
            with learner.precision():
                return learner.objective.run(learner.model, items)

        def compute_losses(items: Batch) -> Tensor:
            return learner.objective.compute_losses(run(items).float(), items)

        self.gradients.check(batch, compute_losses, run)
        self.gradients.begin()
        if not n_items:
            return sum((p.sum() * 0 for p in self.gradients.parameters.values()), torch.zeros(()))
        loss = compute_losses(batch).sum() / max(self.batch_size, 1)
        return loss - loss.detach()

    def _put_noisy(self, noise: float, n_items: int) -> None:
        clip, size = self.options.clip, max(self.batch_size, 1)
        sums = self.gradients.sum_clipped(n_items, clip, float(size))
        noisy = blur(sums, noise=noise, clip=clip, generator=self.generator)
        for name, parameter in self.gradients.parameters.items():
            parameter.grad = noisy[name] / size
        self.gradients.end()
        self.gradients.forget()

    def _draw(self, entries: dict[str, Tensor], n_items: int, use: Use, n_steps: int, cohort: str) -> Iterator[Batch]:
        for _ in range(n_steps):
            rows = torch.nonzero(torch.rand(n_items, generator=self.generator) < use.rate)[:, 0]
            self._drawn = (cohort, use, len(rows))
            yield nest({path: value[rows.to(value.device)] for path, value in entries.items()})

    def _find_noise(self, rate: float, n_steps: int) -> float:
        if math.isnan(self.noise) and math.isinf(self.options.epsilon):
            self.noise = 0.0
        if math.isnan(self.noise):
            options = self.options
            uses = [Use(0.0, rate, n_steps * options.calls)]
            if self.buffer is not None:
                n_night = self.schedule.plan(n_steps) * (options.nights or options.calls)
                uses.append(Use(0.0, min(1.0, self.batch_size / self.buffer.capacity), n_night))
            self.noise = find_noise(options.epsilon, options.delta, uses)
        return self.noise

    def lie_down(self) -> None:
        """A night begins: nothing is known of its probe."""
        if self._probe is not None:
            self._probe.before = None

    def refuse_dearer(self, use: Use, *, cohort: str | None = None) -> None:
        """Refuse steps that would cost more than ε.

        Args:
            use: The steps.
            cohort: Whose items they draw; None, the default, for all.

        Raises:
            SharpwaveError: If they would.
        """
        after = self.ledger.compute_epsilon(use, cohort=cohort)
        if after > self.options.epsilon * (1 + 1e-6):
            raise SharpwaveError(
                f"steps that keep ε at most {self.options.epsilon:g}",
                got=f"{use.n_steps} more, after which it would be {after:.3g} (now {self.spent:.3g})",
                fix="take fewer, let nights dream, plan for more (Private(calls=…)), or allow a larger epsilon",
            )

    def _keep(self, entries: Mapping[str, Tensor], n_items: int) -> None:
        self.n_seen += n_items
        if self.buffer is not None:
            self._chance = keep_by_coins(self.buffer, entries, self.n_seen, self._chance, generator=self.generator)
