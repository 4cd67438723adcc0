"""Carrying out the steps of a night of replay and dreams."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn

from sharpwave.consolidation.anatomy import find_head, find_plastic, watch_hidden
from sharpwave.consolidation.batches import Batch, move
from sharpwave.consolidation.body import Body
from sharpwave.consolidation.distributed import share_weights
from sharpwave.consolidation.frozen import freeze
from sharpwave.consolidation.homeostasis import Homeostasis, apply_homeostasis
from sharpwave.consolidation.modes import evaluating
from sharpwave.consolidation.normalisation import rebalance_batch_norms
from sharpwave.consolidation.nrem import NREM, Decoder, compute_nrem_loss, find_input
from sharpwave.consolidation.perturbation import compute_brittleness, perturb_weights
from sharpwave.consolidation.rem import REM, compute_rem_loss
from sharpwave.consolidation.report import NREM_STAGE
from sharpwave.consolidation.significance import compute_fisher, compute_significance

N_PROBED = 128
"""Items from which heads, brittleness and BatchNorm statistics are found."""


class Replayer:
    """NREM and REM by gradient.

    Args:
        body: The network.
        nrem: Options of replay.
        rem: Options of dreams, or None.
        homeostasis: Options, or None.
        steer: "brittle", noise by parameter name, or None.
        steer_noise: Noise of the most brittle layer.
    """

    def __init__(
        self,
        body: Body,
        nrem: NREM,
        *,
        rem: REM | None,
        homeostasis: Homeostasis | None,
        steer: str | Mapping[str, float] | None,
        steer_noise: float,
    ) -> None:
        self.body, self.nrem, self.rem, self.homeostasis = body, nrem, rem, homeostasis
        self.steer, self.steer_noise = steer, steer_noise
        self.wake_items = N_PROBED
        self.head = ""
        self.noise: dict[str, float] = {}
        self.decoder: Decoder | None = None
        self.counts: Counter[str] = Counter()
        self._replayed: set[int] = set()
        self._classes: set[int] = set()
        self._before: Mapping[str, Tensor] = {}

    def prepare(self, weights: Mapping[str, Tensor]) -> None:
        """Find the head and the brittle layers, where they are needed.

        Args:
            weights: Of the network before the night, which labels made-up dreams.
        """
        self.body.get_buffer()
        self._before, self._replayed, self.counts = weights, set(), Counter()
        if self.nrem.noise or self.nrem.reconstruction or self.homeostasis or self.steer == "brittle":
            batch = self._probe()
            with evaluating(self.body.model):
                self.head = find_head(self.body.module, lambda: self.body.forward(batch))
        if self.nrem.reconstruction and self.decoder is None:
            self.decoder = self._make_decoder()
        strengths = self.steer
        if strengths == "brittle":
            fisher = compute_fisher(self.body.module, self._probe(), objective=self.body.objective)
            strengths = compute_brittleness(fisher, find_plastic(self.body.module, self.head))
        if isinstance(strengths, Mapping):
            self.noise = {name: self.steer_noise * value for name, value in strengths.items()}

    def step(self, plan: list[int], position: int) -> float:
        """One step of a plan; the loss."""
        is_nrem = plan[position] == NREM_STAGE or self.rem is None
        options = self.nrem if is_nrem or self.rem is None else self.rem
        factor = self.nrem.find_up(position) if is_nrem else 1.0
        if self.nrem.anneal:
            factor *= (1 + math.cos(math.pi * position / len(plan))) / 2
        groups = self.body.optimiser.param_groups
        rates = [group["lr"] for group in groups]
        for group, rate in zip(groups, rates, strict=True):
            group["lr"] = factor * (rate if options.rate is None else options.rate)
        try:
            loss = self._replay(position) if is_nrem else self._dream()
        finally:
            for group, rate in zip(groups, rates, strict=True):
                group["lr"] = rate
        ends_bout = position + 1 == len(plan) or plan[position + 1] != NREM_STAGE
        if self.homeostasis is not None and is_nrem and ends_bout and math.isfinite(loss):
            self._balance(self.homeostasis)
        return loss

    def settle(self) -> None:
        """BatchNorm statistics of balanced memories, before the network is scored."""
        rebalance_batch_norms(self.body.model, lambda: self.body.forward(self._probe()))

    @torch.no_grad()
    def remember(self) -> None:
        """Store logits anew, as the network that was kept gives them: those that `refresh` names."""
        buffer = self.body.get_buffer()
        new = buffer.settle()
        if self.nrem.refresh == "none" or "logits" not in buffer.entries:
            return
        if self.nrem.refresh == "replayed":
            self._store_logits(torch.tensor(sorted(self._replayed), dtype=torch.int64))
            return
        classes = set(_find_classes(buffer.read(new), buffer.label)) - self._classes
        if classes and self._classes:
            is_old = torch.ones(len(buffer), dtype=torch.bool)
            is_old[new] = False
            self._store_logits(torch.nonzero(is_old)[:, 0], classes=sorted(classes))
        self._store_logits(new)
        self._classes |= classes

    def _store_logits(self, chosen: Tensor, *, classes: list[int] | None = None, size: int = 256) -> None:
        buffer = self.body.get_buffer()
        with evaluating(self.body.model):
            for slots in chosen.split(size) if len(chosen) else ():
                items = buffer.read(slots)
                logits = self.body.forward(move(items, self.body.device)).float()
                if classes is not None:
                    kept = items["logits"].to(logits)
                    kept[:, classes] = logits[:, classes]
                    logits = kept
                buffer.update(slots, {"logits": logits})

    def _replay(self, position: int) -> float:
        def compute_loss() -> Tensor:
            batch = self.body.draw(self.nrem.batch_size or self.wake_items, balanced=self.nrem.balanced)
            self._replayed.update(batch["index"].tolist())
            return compute_nrem_loss(self.body, batch, self.nrem, head=self.head, step=position, decoder=self.decoder)

        loss = self.body.descend(compute_loss, around=self._perturb(self.noise))
        if self.decoder is not None:
            self.decoder.step()
        return loss

    def _dream(self) -> float:
        rem = self.rem or REM()
        names = dict(self.body.module.named_parameters()) if rem.exploration else {}
        noise = {name: rem.exploration for name, parameter in names.items() if parameter.ndim > 1}
        n_items = rem.batch_size or self.wake_items
        return self.body.descend(
            lambda: compute_rem_loss(self.body, rem, n_items, teacher=self._teach), around=self._perturb(noise)
        )

    def _teach(self, batch: Batch) -> Tensor:
        with torch.no_grad(), evaluating(self.body.module):
            return self.body.objective.forward(freeze(self.body.module, self._before), batch)

    def _perturb(self, noise: Mapping[str, float]) -> AbstractContextManager | None:
        if not noise:
            return None
        return perturb_weights(dict(self.body.module.named_parameters()), noise, generator=self.body.generator)

    def _balance(self, homeostasis: Homeostasis) -> None:
        module = self.body.module
        weights: dict[str, nn.Parameter] = find_plastic(module, self.head)
        significance = compute_significance(
            module,
            self.body.draw(homeostasis.n_items, balanced=True),
            kind=homeostasis.significance,
            objective=self.body.objective,
            names=weights,
        )
        self.counts.update(apply_homeostasis(weights, significance, homeostasis, generator=self.body.generator))
        share_weights(module)

    def _probe(self) -> Batch:
        return self.body.draw(N_PROBED, balanced=True)

    def _make_decoder(self) -> Decoder:
        batch = self._probe()
        with torch.no_grad(), evaluating(self.body.model), watch_hidden(self.body.module, self.head) as hidden:
            self.body.forward(batch)
        assert hidden.value is not None
        return Decoder(hidden.value, find_input(batch))

    def state_dict(self) -> dict[str, Any]:
        """What a night that is interrupted needs to go on."""
        return {
            "wake_items": self.wake_items,
            "head": self.head,
            "noise": dict(self.noise),
            "decoder": None if self.decoder is None else self.decoder.state_dict(),
            "counts": dict(self.counts),
            "replayed": sorted(self._replayed),
            "classes": sorted(self._classes),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take up what `state_dict` gave."""
        self.wake_items = state["wake_items"]
        self.head, self.noise, self.counts = state["head"], dict(state["noise"]), Counter(state["counts"])
        self._replayed, self._classes = set(state["replayed"]), set(state["classes"])
        decoder = state["decoder"]
        self.decoder = None if decoder is None else Decoder.from_state(decoder, self.body.device)


def _find_classes(items: Batch, label: str) -> list[int]:
    """Classes of items whose logits have one column each; none where labels or logits are of another kind."""
    labels, logits = items.get(label), items["logits"]
    if not isinstance(labels, Tensor) or labels.ndim != 1 or labels.is_floating_point() or logits.ndim != 2:
        return []
    return [value for value in labels.unique().tolist() if 0 <= value < logits.shape[1]]
