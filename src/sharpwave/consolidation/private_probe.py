"""A probe whose items are people's: what it says of a night is noisy, and charged.

The change of the score over a night is a sum over items of numbers from -1 to 1, over their number, which is public.
One item more or less changes that sum by 1 at most, so Gaussian noise of σ makes of one look a step with probability 1
(Dwork & Roth 2014, appendix A). The items are a cohort of their own: nothing is learned from them but whether nights
were undone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from sharpwave.consolidation.accounting import Ledger, Use, find_noise
from sharpwave.consolidation.batches import Batch, count_items, flatten, move, nest
from sharpwave.consolidation.learner import Learner
from sharpwave.consolidation.probe import Probe
from sharpwave.errors import SharpwaveError

COHORT = "the probe's items"
"""Name of the probe's cohort in the ledger."""
CHUNK = 256


class Payer(Protocol):
    """What writes a look down before it is taken: `private.PrivateTraining`."""

    learner: Learner
    ledger: Ledger
    generator: torch.Generator

    def refuse_dearer(self, use: Use, *, cohort: str | None = None) -> None: ...


@dataclass(eq=False)
class NoisyProbe:
    """The change of a score over a night, in shares, with noise: 0 before it, and a noisy change after it.

    Attributes:
        items: Held-out items with labels.
        noise: Standard deviation of the noise, in items (σ); 0 for none, which protects nothing.
        payer: What charges its looks; `Sleep` gives it.
        before: Scores of the items as the network fell asleep; None while it is awake. They are private.
    """

    items: Batch
    noise: float
    payer: Payer | None = None
    before: Tensor | None = field(default=None, repr=False)

    @torch.no_grad()
    def __call__(self, model: nn.Module) -> float:
        """As a night begins 0, and the look is charged; as it ends the noisy change of the share."""
        assert self.payer is not None
        if self.before is None:
            use = Use(self.noise, 1.0, 1)
            self.payer.refuse_dearer(use, cohort=COHORT)
            self.payer.ledger.charge(use, cohort=COHORT)
            self.before = self._score()
            return 0.0
        before, self.before = self.before, None
        change = float((self._score() - before).clamp(-1, 1).sum())
        change += self.noise * float(torch.randn((), generator=self.payer.generator, dtype=torch.float64))
        return change / len(before)

    def _score(self) -> Tensor:
        """What each item scores, from 0 to 1; 0 where that is not finite."""
        assert self.payer is not None
        learner, entries, found = self.payer.learner, dict(flatten(self.items)), []
        for first in range(0, count_items(self.items), CHUNK):
            part = nest({path: value[first : first + CHUNK] for path, value in entries.items()})
            batch = move(part, learner.device)
            output = learner.objective.run(learner.model, batch).float()
            if not learner.objective.scores_share(output, batch):
                raise SharpwaveError(
                    "items that are right or wrong, for a probe that is charged",
                    got="a score without bounds, of which one item could change any sum",
                    fix="give a public probe (Private(public_probe=True)), or none",
                )
            found.append(learner.objective.score(output, batch).double().cpu())
        return torch.nan_to_num(torch.cat(found), nan=0.0, posinf=0.0, neginf=0.0).clamp(0, 1)


def make_noisy(probe: Probe, *, epsilon: float, delta: float, nights: int) -> Probe:
    """The probe as it may be looked at in private.

    The tolerance grows by two standard deviations of the noise, so that noise undoes no good night.

    Args:
        probe: A probe whose `held_out` are items.
        epsilon: ε of the probe's items after all nights.
        delta: δ.
        nights: Number of nights that it has to last for.

    Raises:
        SharpwaveError: If it is a function, or looks at groups.
    """
    if not isinstance(probe.held_out, Mapping) or probe.group_tolerance is not None:
        raise SharpwaveError(
            "Probe(held_out=items) without group_tolerance, for a probe that is charged",
            got="a function, whose sensitivity nobody knows" if callable(probe.held_out) else "groups or no items",
            fix="give the items themselves; or a public probe, Private(public_probe=True)",
        )
    noise = 0.0 if epsilon == float("inf") else find_noise(epsilon, delta, [Use(0.0, 1.0, nights)])
    items: dict[str, Any] = dict(probe.held_out)
    margin = 2 * noise / count_items(items)
    return replace(probe, held_out=NoisyProbe(items, noise), tolerance=probe.tolerance + margin)
