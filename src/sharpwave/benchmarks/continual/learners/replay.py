"""Learners that replay stored samples: ER and ER-ACE, DER++, A-GEM, CLS-ER, ER-AML."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from sharpwave.benchmarks.continual.learners.contract import (
    DRAWS,
    Learner,
    Setting,
    count_draw,
    draw_replay,
    make_buffer,
)
from sharpwave.consolidation import Wake, compute_wake_loss
from sharpwave.consolidation.modules import HiddenState, watch_hidden
from sharpwave.consolidation.wake import mask_unseen
from sharpwave.demonstrations.streams import Inputs, Task


class ExperienceReplay(Learner):
    """Experience replay: stored samples beside the new ones (Chaudhry et al. 2019, arXiv:1902.10486); and ER-ACE.

    Cross-entropy of new and of replayed samples. In ER-ACE the new samples compete among their own classes alone, so
    that they do not push the old ones away (Caccia et al. 2022, arXiv:2104.05025).

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        weight: Weight of the replayed samples.
        asymmetric: ER-ACE.
        anneal: As for `Learner`.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        weight: float = 1.0,
        asymmetric: bool = False,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.weight, self.asymmetric = weight, asymmetric
        self.buffer = make_buffer(setting, self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        logits = self.model(x)
        loss = cross_entropy(mask_unseen(logits, y) if self.asymmetric and len(self.buffer) else logits, y)
        n_samples = len(y)
        for old in draw_replay(self.buffer, self.setting, device=y.device):
            loss = loss + self.weight / DRAWS * cross_entropy(self.model(old["x"]), old["y"])
            n_samples += len(old["y"])
        self.update(loss, n_samples)
        self.buffer.add({"x": x, "y": y})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class DarkExperienceReplay(Learner):
    """DER++: stored samples, their labels and the logits of when they were stored.

    Buzzega et al. 2020, NeurIPS (arXiv:2004.07211), eq. 6. The loss is that of `sharpwave.consolidation` awake:
    cross-entropy of new samples, plus alpha times how far logits moved, plus beta times replayed cross-entropy.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        alpha: Weight of the logits.
        beta: Weight of the replayed labels.
        anneal: As for `Learner`.
    """

    def __init__(
        self, model: nn.Module, setting: Setting, *, lr: float, alpha: float, beta: float, anneal: float = 0.0
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.wake = Wake("der++", n_replay=count_draw(setting), distillation=alpha, replay=beta, draws=2, clip=None)
        self.buffer = make_buffer(setting, self.generator)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        drawn = DRAWS * min(len(self.buffer), self.wake.n_replay or 0)
        loss, logits = compute_wake_loss(self.model, {"x": x, "y": y}, self.buffer, wake=self.wake)
        self.update(loss, len(y) + drawn)
        self.buffer.add({"x": x, "y": y, "logits": logits})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class AveragedGEM(Learner):
    """A-GEM: no step that raises the mean loss of what is stored (Chaudhry et al. 2019, ICLR, arXiv:1812.00420).

    The gradient of the new samples, without its part against the gradient of stored ones.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        anneal: As for `Learner`.
    """

    def __init__(self, model: nn.Module, setting: Setting, *, lr: float, anneal: float = 0.0) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.buffer = make_buffer(setting, self.generator)
        self.parameters = [p for p in model.parameters() if p.requires_grad]

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        gradient, n_samples = self._differentiate(cross_entropy(self.model(x), y)), len(y)
        reference = torch.zeros_like(gradient)
        for old in draw_replay(self.buffer, self.setting, device=y.device) if index else ():
            reference += self._differentiate(cross_entropy(self.model(old["x"]), old["y"])) / DRAWS
            n_samples += len(old["y"])
        against = torch.dot(gradient, reference)
        if against < 0:
            gradient -= against / torch.dot(reference, reference) * reference
        for parameter, part in zip(self.parameters, gradient.split([p.numel() for p in self.parameters]), strict=True):
            parameter.grad = part.view_as(parameter)
        self.step(n_samples)
        self.buffer.add({"x": x, "y": y})

    def end_task(self, task: Task, index: int) -> None:
        """The buffer was filled on the way."""

    def _differentiate(self, loss: Tensor) -> Tensor:
        return torch.cat([part.flatten() for part in torch.autograd.grad(loss, self.parameters)])

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


PLASTIC_RATE, STABLE_RATE = 0.9, 0.7
"""How often each copy moves (the published values for class-incremental streams are of this size)."""


class ComplementaryReplay(Learner):
    """CLS-ER: two slow copies of the network, a faster and a slower one, teach it on what is stored.

    Arani et al. 2022, ICLR (arXiv:2201.12604). Cross-entropy of new and replayed samples, plus strength times how far
    logits are from the better teacher's. The slower copy answers. Three networks are kept, so its memory is not that of
    the other learners, though what answers is as large.

    Args:
        model: The network.
        setting: Setting that is equal for all learners.
        lr: Step size.
        strength: Strength of the teaching.
        horizon: Steps over which the slower copy averages, as a share of a task; the faster one takes half.
        anneal: As for `Learner`.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        strength: float,
        horizon: float,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, anneal=anneal)
        self.strength = strength
        self.buffer = make_buffer(setting, self.generator)
        self.plastic, self.stable = (copy.deepcopy(model).requires_grad_(False) for _ in range(2))
        steps = max(horizon * setting.n_steps, 2.0)
        self.rates = {id(self.plastic): 2 / steps, id(self.stable): 1 / steps}
        self.n_moves = dict.fromkeys(self.rates, 0)
        self.deployed = lambda x, index: self.stable(x)

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        loss, n_samples = cross_entropy(self.model(x), y), len(y)
        for old in draw_replay(self.buffer, self.setting, device=y.device):
            logits = self.model(old["x"])
            apart = mse_loss(logits, self._teach(old["x"], old["y"]))
            loss = loss + (cross_entropy(logits, old["y"]) + self.strength * apart) / DRAWS
            n_samples += len(old["y"])
        self.update(loss, n_samples)
        self.buffer.add({"x": x, "y": y})
        for network, often in ((self.plastic, PLASTIC_RATE), (self.stable, STABLE_RATE)):
            if torch.rand((), generator=self.generator) < often:
                self._follow(network, self.rates[id(network)] / often)

    def end_task(self, task: Task, index: int) -> None:
        """The copies moved on the way."""

    @torch.no_grad()
    def _teach(self, x: Inputs, y: Tensor) -> Tensor:
        """For each sample, the logits of the copy that is surer of its class."""
        plastic, stable = self.plastic(x), self.stable(x)
        sure = [logits.softmax(dim=1).gather(1, y[:, None]) for logits in (plastic, stable)]
        return torch.where(sure[1] > sure[0], stable, plastic)

    @torch.no_grad()
    def _follow(self, network: nn.Module, rate: float) -> None:
        """Move a copy towards the network; faster in its own first moves, so that it forgets its random start."""
        self.n_moves[id(network)] += 1
        rate = max(rate, 1 / (self.n_moves[id(network)] + 1))
        for slow, fast in zip(network.state_dict().values(), self.model.state_dict().values(), strict=True):
            if slow.is_floating_point():
                slow.lerp_(fast, min(rate, 1.0))
            else:
                slow.copy_(fast)

    @property
    def n_buffer_bytes(self) -> int:
        return self.buffer.n_bytes


class MetricReplay(ExperienceReplay):
    """ER-AML: new samples are told apart by how near they lie, and only by those of classes that are new with them.

    Caccia et al. 2022, ICLR (arXiv:2104.05025), the metric loss of section 4. The cross-entropy of new samples is
    replaced by a supervised contrastive loss of their hidden states, `compute_metric_loss`, in which stored samples of
    other classes are no negatives, so that they are not pushed away; the head learns from stored samples alone.

    Args:
        model: The network, with a `head`.
        setting: Setting that is equal for all learners.
        lr: Step size.
        weight: Weight of the replayed samples.
        temperature: Temperature of the similarities.
        anneal: As for `Learner`.
    """

    def __init__(
        self,
        model: nn.Module,
        setting: Setting,
        *,
        lr: float,
        weight: float = 1.0,
        temperature: float = 0.1,
        anneal: float = 0.0,
    ) -> None:
        super().__init__(model, setting, lr=lr, weight=weight, anneal=anneal)
        self.temperature = temperature

    def observe(self, x: Inputs, y: Tensor, index: int) -> None:
        with watch_hidden(self.model, "head") as hidden:
            self.model(x)
            states, labels = [require(hidden)], [y]
            loss = states[0].new_zeros(())
            for old in draw_replay(self.buffer, self.setting, device=y.device):
                logits = self.model(old["x"])
                states.append(require(hidden))
                labels.append(old["y"])
                loss = loss + self.weight / DRAWS * cross_entropy(logits, old["y"])
        joined = torch.cat(labels)
        apart = compute_metric_loss(torch.cat(states), joined, n_new=len(y), temperature=self.temperature)
        self.update(loss + apart, len(joined))
        self.buffer.add({"x": x, "y": y})


def require(hidden: HiddenState) -> Tensor:
    """What went into the head at the last pass."""
    assert hidden.value is not None
    return hidden.value


def compute_metric_loss(states: Tensor, labels: Tensor, *, n_new: int, temperature: float) -> Tensor:
    """The asymmetric metric loss, a mean over new samples that have another sample of their class beside them.

    For a new sample i with positives P (same class, new or stored) and negatives N (other classes, but only those that
    are among the new samples): −1/|P| Σ_p log [s(i, p) / (s(i, p) + Σ_n s(i, n))], s = exp(cosine / temperature).

    Args:
        states: Hidden states, shape (sample, unit); new samples first.
        labels: Class of each, shape (sample).
        n_new: Number of new samples.
        temperature: Temperature of the similarities.
    """
    unit = nn.functional.normalize(states, dim=1)
    alike = unit[:n_new] @ unit.T / temperature
    same = labels[:n_new, None] == labels[None]
    positive = same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)[:n_new]
    negative = ~same & torch.isin(labels, labels[:n_new])[None]
    against = alike.masked_fill(~negative, torch.finfo(alike.dtype).min).logsumexp(dim=1, keepdim=True)
    each = torch.logaddexp(alike, against) - alike
    counted = positive.sum(dim=1)
    means = torch.where(positive, each, 0).sum(dim=1) / counted.clamp(min=1)
    return means[counted > 0].sum() / (counted > 0).sum().clamp(min=1)
