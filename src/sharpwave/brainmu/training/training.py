"""The loop that trains Brainµ, the same on one processor, one graphics card, DDP and FSDP.

Everything random about crop i of update k follows from (seed, k, i): where it lies, what is hidden of it, what dropout
leaves out. A part of the loss is a sum over the items of all devices, divided by their number. So a run that was killed
goes on as if it had not been, on any number of devices, and these see together what one would see alone. An update
asks the device for numbers once, and devices add up losses and counts at once, beside their gradients.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor, nn

from sharpwave.brainmu.checkpoints import save_brainmu
from sharpwave.brainmu.epochs import Batch, collate
from sharpwave.brainmu.model import BrainMu, Output
from sharpwave.brainmu.training.crops import Source, pick_source, set_clock
from sharpwave.brainmu.training.devices import Execution, gather_tensor, make_fabric
from sharpwave.brainmu.training.objective import (
    Objective,
    Sum,
    TrainingOptions,
    compute_learning_rate,
    drop_modalities,
    sum_losses,
)
from sharpwave.brainmu.training.resume import TrainingLog, TrainingState, WeightAverage
from sharpwave.errors import SharpwaveError

if TYPE_CHECKING:
    from lightning_fabric import Fabric
    from lightning_fabric.wrappers import _FabricOptimizer

Losses = Callable[[BrainMu, Output, Batch, Objective], Mapping[str, Sum | Tensor]]
"""Parts of the loss, by name, of a pass over what was not dropped; the batch is the whole one.

A part is a `Sum`, or a mean over the crops of the batch. With several devices the names must be the same in every
update, with a count of 0 where nothing is known. Losses that learn are a module, as `MaskedLatents`: its parameters are
trained and kept with the model's, and its `hide(batch, seeds)`, where there is one, hides more from the model.
"""


def train(
    model: BrainMu,
    source: Source,
    *,
    options: TrainingOptions,
    folder: str | Path | None = None,
    fabric: Fabric | None = None,
    losses: Losses = sum_losses,
    execution: Execution | None = None,
    show: bool = True,
) -> list[float]:
    """Train a model in place; parameters that need no gradient stay as they are.

    Args:
        model: Its weights are where training starts, and in the end the average over the last updates.
        source: Source of crops.
        options: Options of the run.
        folder: For checkpoints, `losses.csv` and the weights in the end; a run found there goes on.
        fabric: Devices; one processor or card where omitted.
        losses: What is minimised.
        execution: How passes are computed; a run may go on with another. `Execution()` where omitted.
        show: Whether to show a bar.

    Returns:
        The loss of every update, those before a restart included.

    Raises:
        SharpwaveError: If the batch cannot be split over the devices, the loss is not finite, or the folder holds
            another run.
        MissingExtraError: If lightning-fabric is not installed.

    Example:
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.brainmu.training.crops import RandomCrops
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> source = RandomCrops([epoch_recording(night, modalities=["heart_rate"])])
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2)
        >>> losses = train(model, source, options=TrainingOptions(steps=2, batch=1, piece=10), show=False)
        >>> len(losses)
        2
    """
    fabric = fabric or make_fabric(devices=1, precision=options.precision)
    folder = None if folder is None else Path(folder)
    run = Run(model, losses, options, fabric)
    done = 0 if folder is None else run.state.load(folder)
    hours = options.batch * options.piece * model.config.step / 3600
    log = TrainingLog(folder, steps=options.steps, done=done, hours=hours, shown=fabric.is_global_zero, bar=show)
    model.train()
    with log, torch.random.fork_rng(), (execution or Execution()).applied(model):
        batches = draw_batches(source, options, done=done, rank=fabric.global_rank, world=fabric.world_size)
        for step, drawn in enumerate(batches, start=done):
            rate = compute_learning_rate(step, options)
            log.add(step, run.update(step, drawn, rate=rate), rate=rate)
            if folder is not None and ((step + 1) % options.checkpoint_every == 0 or step + 1 == options.steps):
                log.write()
                run.save(folder, step=step + 1)
    run.finish(folder)
    return log.losses


class Run:
    """A model on its devices, with all that changes while it learns.

    Args:
        model: Model that learns, in place.
        losses: What is minimised.
        options: Options of the run.
        fabric: Devices.

    Raises:
        SharpwaveError: If the batch cannot be split over the devices.
    """

    def __init__(self, model: BrainMu, losses: Losses, options: TrainingOptions, fabric: Fabric) -> None:
        if options.batch < fabric.world_size:
            raise SharpwaveError(
                f"a batch of at least {fabric.world_size} crops, one for each device",
                got=f"{options.batch}",
                fix="give a larger --batch, at best a multiple of the devices",
            )
        self.model, self.options, self.fabric = model, options, fabric
        learner = Learner(model, losses, options.objective)
        learner.n_devices = fabric.world_size
        learner.add_up = lambda numbers: cast(Tensor, fabric.all_reduce(numbers, reduce_op="sum"))
        self.module = fabric.setup_module(learner)
        optimiser = make_optimiser(learner, options)
        self.optimiser = cast("_FabricOptimizer", fabric.setup_optimizers(optimiser))
        self.average = WeightAverage(model, width=options.average) if options.average else None
        own = isinstance(losses, nn.Module)
        self.state = TrainingState(learner if own else model, optimiser, self.average, options)

    def update(self, step: int, drawn: Drawn, *, rate: float) -> dict[str, float]:
        """Change the weights once.

        Args:
            step: Number of updates before this one.
            drawn: What is learned from.
            rate: Learning rate.

        Returns:
            The loss and its parts, averaged over devices.

        Raises:
            SharpwaveError: If the loss is not finite.
        """
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        torch.manual_seed(_mix(self.options.seed, step, self.fabric.global_rank))
        parts = self.module(drawn.to(self.fabric.device))
        self.fabric.backward(parts["loss"])
        self.fabric.clip_gradients(self.module, self.optimiser, max_norm=self.options.clip, error_if_nonfinite=False)
        self.optimiser.step()
        self.optimiser.zero_grad()
        if self.average is not None:
            self.average.update(step)
        names = [name for name in parts if name != "loss"]
        found = torch.stack([parts[name] for name in names]).tolist()  # the one time that the device is waited for
        known = {name: total / count for name, (total, count) in zip(names, found, strict=True) if count}
        numbers = {"loss": sum(known.values()), **known}
        if not np.isfinite(numbers["loss"]):
            raise SharpwaveError(
                f"a finite loss at update {step}",
                got=f"{numbers['loss']}",
                fix="lower the learning rate, or train in 32-true",
            )
        return numbers

    def save(self, folder: Path, *, step: int) -> None:
        """Write a checkpoint after `step` updates; every process calls this."""
        self.state.save(folder, step=step, writes=self.fabric.is_global_zero)
        self.fabric.barrier()

    def finish(self, folder: Path | None) -> None:
        """Give the model the average as its weights, and write them into the folder of the run."""
        if self.average is not None:
            self.average.use()
        self.model.eval()
        if folder is None:
            return
        weights = {name: gather_tensor(value) for name, value in self.model.state_dict().items()}
        if self.fabric.is_global_zero:
            save_brainmu(self.model, folder, card={"training": self.options.to_dict()}, weights=weights)
        self.fabric.barrier()


@dataclass(frozen=True, eq=False)
class Drawn:
    """A batch, and the same with modalities and channels dropped; values are shared.

    Attributes:
        whole: Batch from which the losses are computed.
        seen: Batch that the model is shown.
        seeds: A seed for each crop, from which follows what dropout leaves out, int32, shape (batch,); None for
            torch's own generator.

    Example:
        >>> from sharpwave.brainmu import collate
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.brainmu.training.crops import RandomCrops
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> source = RandomCrops([epoch_recording(night, modalities=["heart_rate"])])
        >>> batch = collate([source.draw(np.random.default_rng(0), 10)])
        >>> Drawn(batch, batch).to(torch.device("cpu"))().seen.times.shape
        torch.Size([1, 10])
    """

    whole: Batch
    seen: Batch
    seeds: Tensor | None = None

    def to(self, device: torch.device) -> Callable[[], Drawn]:
        """On a device, as a function: Fabric would make single precision of every time it can see."""
        whole = self.whole.to(device)
        seen = {
            name: replace(whole.modalities[name], present=part.present.to(device))
            for name, part in self.seen.modalities.items()
        }
        seeds = None if self.seeds is None else self.seeds.to(device)
        drawn = Drawn(whole, replace(whole, modalities=seen), seeds)
        return lambda: drawn


class Learner(nn.Module):
    """Model and losses in one forward pass, which is what DDP and FSDP take hold of.

    Args:
        model: Model that learns.
        losses: What is minimised.
        objective: How the losses are weighed.

    Example:
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.brainmu.training.crops import RandomCrops
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> source = RandomCrops([epoch_recording(night, modalities=["heart_rate"])])
        >>> model = make_lite(seed=0, modalities=["heart_rate"], width=16, n_heads=2)
        >>> drawn = next(draw_batches(source, TrainingOptions(steps=1, batch=1, piece=10), done=0))
        >>> list(Learner(model, sum_losses, Objective())(drawn.to(torch.device("cpu"))))[:3]
        ['loss', 'next heart_rate', 'stage']
    """

    def __init__(self, model: BrainMu, losses: Losses, objective: Objective) -> None:
        super().__init__()
        if objective.latent and not hasattr(losses, "hide"):
            raise SharpwaveError(
                "losses that have a teacher, for the masked latents of the objective",
                got="latent above 0, and none",
                fix="use `pretrain`, or pass losses=MaskedLatents(model, options)",
            )
        self.model, self.losses, self.objective = model, losses, objective
        self.n_devices, self.names = 1, ()
        self.add_up: Callable[[Tensor], Tensor] = lambda numbers: numbers

    n_devices: int
    """Over how many devices gradients are averaged; `add_up` adds numbers up over them."""
    names: tuple[str, ...]
    """Parts of the loss in the first update."""

    def forward(self, drawn: Callable[[], Drawn]) -> dict[str, Tensor]:
        """What to minimise as "loss"; and each part as (total, count) over all devices."""
        batch = drawn()
        hide = getattr(self.losses, "hide", None)
        seen = batch.seen if hide is None else hide(batch.seen, batch.seeds)
        found = self.losses(self.model, self.model(seen, seeds=batch.seeds), batch.whole, self.objective)
        n_crops = torch.tensor(float(len(batch.whole.times)), device=batch.whole.times.device)
        sums = [part if isinstance(part, Sum) else Sum(part * n_crops, n_crops) for part in found.values()]
        self.names = self.names or tuple(found)
        if self.n_devices > 1 and self.names != tuple(found):
            raise SharpwaveError(
                f"the same parts of the loss in every update, {', '.join(self.names)}",
                got=", ".join(found),
                fix="give a Sum with a count of 0 where nothing is known",
            )
        totals = torch.stack([part.total.float() for part in sums]) if sums else torch.zeros(0, device=n_crops.device)
        counts = torch.stack([part.number.float() for part in sums]) if sums else totals
        everywhere = self.add_up(torch.stack([totals.detach(), counts], dim=1))
        mean = (totals / everywhere[:, 1].clamp(min=1)).sum()  # devices' gradients are averaged, and are to be added
        return {"loss": self.n_devices * mean + self._touch(), **dict(zip(found, everywhere, strict=True))}

    def _touch(self) -> Tensor:
        """Zero, through all parameters but the blocks', so that devices that drew other modalities sum alike."""
        total = self.model.state.sum() * 0.0
        for part in (
            self.model.encoders,
            self.model.kinds,
            self.model.identities,
            self.model.heads,
            self.model.decoders,
        ):
            for parameter in part.parameters():
                total = total + parameter.sum() * 0.0
        return total


def draw_batches(
    source: Source, options: TrainingOptions, *, done: int, rank: int = 0, world: int = 1
) -> Iterator[Drawn]:
    """The batches of updates `done` and later; the next is drawn while one is learned from.

    Crop i of update k, and what is hidden and dropped of it, is the same for any number of devices; device r takes
    crops r, r + world, ...

    Args:
        source: Source of crops.
        options: Options of the run.
        done: Number of updates done before.
        rank: Number of this device, from 0.
        world: Number of devices.

    Example:
        >>> from sharpwave.brainmu import epoch_recording
        >>> from sharpwave.brainmu.checkpoints import make_lite
        >>> from sharpwave.brainmu.training.crops import RandomCrops
        >>> from sharpwave.simulation import simulate_night
        >>> night, _ = simulate_night("human", 0.5, rng=np.random.default_rng(0), modalities=("heart_rate",))
        >>> source = RandomCrops([epoch_recording(night, modalities=["heart_rate"])])
        >>> batches = draw_batches(source, TrainingOptions(steps=3, batch=2, piece=8), done=1)
        >>> [tuple(drawn.whole.times.shape) for drawn in batches]
        [(2, 8), (2, 8)]
    """

    def draw(step: int) -> Drawn:
        picked = pick_source(source, np.random.default_rng([options.seed, step]))
        mine = range(rank, options.batch, world)
        rngs = [np.random.default_rng([options.seed, step, index]) for index in mine]
        batch = collate([set_clock(picked.draw(rng, options.piece), rng) for rng in rngs])
        objective, seeds = options.objective, [_mix(options.seed, step, index) for index in mine]
        seen = drop_modalities(batch, modality=objective.drop_modality, channel=objective.drop_channel, seeds=seeds)
        return Drawn(batch, seen, torch.from_numpy(np.array(seeds, dtype=np.uint32).view(np.int32)))

    with ThreadPoolExecutor(1) as executor:
        coming = executor.submit(draw, done) if done < options.steps else None
        for step in range(done, options.steps):
            drawn = coming.result() if coming is not None else draw(step)
            coming = executor.submit(draw, step + 1) if step + 1 < options.steps else None
            yield drawn


def make_optimiser(module: nn.Module, options: TrainingOptions) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter 2019) on what needs a gradient; only matrices decay.

    Args:
        module: The module whose weights are learned.
        options: Options of the training run; learning rate and weight decay count.

    Raises:
        SharpwaveError: If nothing needs a gradient.

    Example:
        >>> optimiser = make_optimiser(nn.Linear(3, 2), TrainingOptions(weight_decay=0.1))
        >>> [group["weight_decay"] for group in optimiser.param_groups]
        [0.1, 0.0]
    """
    learned = [parameter for parameter in module.parameters() if parameter.requires_grad]
    if not learned:
        raise SharpwaveError(
            "a model with something to learn", got="all parameters frozen", fix="choose layers to train"
        )
    groups = [
        {"params": [p for p in learned if p.ndim >= 2], "weight_decay": options.weight_decay},
        {"params": [p for p in learned if p.ndim < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=options.learning_rate, betas=(0.9, 0.95))


def _mix(*numbers: int) -> int:
    """One seed of several."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
