"""Learning in private: noisy steps awake and asleep (DP-SGD) under one accountant, and nights that cost nothing.

What is promised: whoever sees the released weights learns little of any one item, by ε and δ (Dwork & Roth 2014;
adjacent are streams with and without one item). What leaks is closed or withheld: batches are drawn by chance (Poisson)
both awake and asleep; whether an item is kept in the buffer is a coin of its own; losses, scores and counts of items do
not leave; a night is undone only by a public probe, or by looks that are charged. Dreams of a network that was trained
in private are made of its weights alone, and so are free: they take the buffer's place.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from sharpwave.consolidation.private_nights import DreamNight, ReplayNight
from sharpwave.consolidation.private_probe import make_noisy
from sharpwave.consolidation.wake import Wake
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from sharpwave.consolidation.buffer import ReplayBuffer
    from sharpwave.consolidation.learner import Learner
    from sharpwave.consolidation.private_training import PrivateTraining
    from sharpwave.consolidation.probe import Probe
    from sharpwave.consolidation.recipe import Recipe


@dataclass(frozen=True, eq=False)
class Private:
    """How much the released weights may tell of one item, and how that is kept.

    Attributes:
        epsilon: Largest ε of all of wake and nights together; steps that would pass it are refused before they are
            taken. `math.inf` for any, which protects nothing.
        delta: δ, far below one over the number of items.
        clip: Length at which the gradient of an item is clipped; default 1.
        noise: Standard deviation of the noise in lengths of `clip` (σ). None, the default, takes the smallest with
            which `calls` calls of `batches`, and their nights, keep ε.
        calls: Number of calls of `batches` whose items are not told apart (by `cohort`) that ε has to last for;
            default 1.
        replay: Whether nights replay from the buffer, which costs, in place of dreams, which do not; default false.
        nights: Number of nights from the buffer that ε has to last for; default `calls`.
        public_probe: Whether the items (or the function) of `Probe(held_out=…)` are nobody's, so that a night may be
            undone by them; default false.
        charged_probe: Whether the items of `Probe(held_out=…)` are people's, others than those that are learned from: a
            night may be undone by them, by a look that is noisy and charged (`private_probe`); default false.
        generator: Random generator of draws and noise; where omitted one that nobody can foresee. Give one for tests
            alone.

    Example:
        >>> from sharpwave.consolidation import Sleep
        >>> model = torch.nn.Linear(2, 2)
        >>> optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> sleep = Sleep(model, None, optimiser, private=Private(epsilon=8, delta=1e-5))
        >>> items = {"x": torch.rand(100, 2), "y": torch.randint(2, (100,))}
        >>> for batch in sleep.private.batches(items, batch_size=10, epochs=2):
        ...     sleep.wake(batch).backward()
        ...     optimiser.step()
        >>> report = sleep.night(2)  # dreams: free
        >>> f"{sleep.private.spent:.1f}"
        '8.0'
    """

    epsilon: float
    delta: float
    clip: float = 1.0
    noise: float | None = None
    calls: int = 1
    replay: bool = False
    nights: int | None = None
    public_probe: bool = False
    charged_probe: bool = False
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        good = self.epsilon > 0 and 0 < self.delta < 1 and self.clip > 0 and self.calls >= 1
        if not good or (self.noise is not None and self.noise < 0) or (self.public_probe and self.charged_probe):
            raise SharpwaveError(
                "an epsilon and a clip above 0, a delta between 0 and 1, noise of at least 0, one call or more, and a "
                "probe that is public or charged",
                got=f"{self}",
                fix="Private(epsilon=8, delta=1e-5) is usual",
            )

    def settle(
        self, recipe: Recipe, buffer: ReplayBuffer | None, changes: Mapping[str, Any], *, budget: object = None
    ) -> Recipe:
        """The recipe as it can be kept private.

        Raises:
            SharpwaveError: If a part of it reads stored items without noise.
        """
        wake = recipe.wake if "wake" in changes or recipe.wake != Wake() else Wake("none")
        held_out = recipe.probe.held_out
        schedule = recipe.schedule
        leaks = {
            f"wake={wake.method!r}": wake.method != "none",
            "protection": recipe.protection is not None,
            "homeostasis": recipe.homeostasis is not None,
            "steer": recipe.steer is not None,
            "a budget, which measures items": budget is not None,
            "a schedule that measures forgetting": bool(schedule is not None and schedule.measure_every),
            "a probe that may not be public": held_out is not None and not (self.public_probe or self.charged_probe),
            "dreams made of stored items": recipe.rem is not None
            and getattr(recipe.rem, "needs_buffer", True)
            and getattr(recipe.rem, "generator", None) is None,
        }
        found = [name for name, leak in leaks.items() if leak]
        if found:
            raise SharpwaveError(
                "parts of a recipe that read no stored item but through noise",
                got=", ".join(found),
                fix="leave them out; Private(public_probe=True) says that a probe's items are nobody's, "
                "Private(charged_probe=True) pays for looking at them",
            )
        if self.replay and (buffer is None or buffer.held_out or not hasattr(buffer, "discard")):
            raise SharpwaveError(
                "a ReplayBuffer that holds nothing out, for Private(replay=True)",
                got="none" if buffer is None else f"{type(buffer).__name__}(held_out={buffer.held_out:g})",
                fix="give ReplayBuffer(500), or leave replay out: dreams cost nothing",
            )
        if self.replay and buffer is not None and not buffer.capacity:
            raise SharpwaveError(
                "a capacity in items, which is public", got="a budget in bytes", fix="write ReplayBuffer(500)"
            )
        if buffer is not None and not self.replay:
            warnings.warn(
                "in private, nights dream and nothing is stored; Private(replay=True) replays from the buffer, "
                "which costs ε",
                stacklevel=4,
            )
        writes_texts = recipe.rem is not None and not getattr(recipe.rem, "needs_buffer", True)
        nrem = recipe.nrem if writes_texts and not self.replay else ReplayNight() if self.replay else DreamNight()
        probe = recipe.probe
        if self.charged_probe:
            probe = make_noisy(probe, epsilon=self.epsilon, delta=self.delta, nights=self.nights or self.calls)
        return replace(recipe, wake=wake, nrem=nrem, probe=probe)

    def start(
        self, learner: Learner, buffer: ReplayBuffer | None, schedule: Any, phases: Mapping[int, Any], probe: Probe
    ) -> PrivateTraining:
        """Private learning of one network."""
        from sharpwave.consolidation.private_training import PrivateTraining

        return PrivateTraining(self, learner, buffer if self.replay else None, schedule, phases, probe)
