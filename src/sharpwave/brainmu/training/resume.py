"""What a run needs to go on where it was stopped: weights, their average, the optimiser's moments, and the step.

Tensors in safetensors and numbers in JSON. Where a model is sharded, each device writes its own shard, by PyTorch's
distributed checkpoints (DCP) in the form that holds no pickle; elsewhere tensors are whole. Either is taken up by any
number of devices, sharded or not. A checkpoint is written beside the last one and renamed when it is complete: a kill
leaves one that is whole. Only folders named as checkpoints that hold nothing but their files are ever removed.
"""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
import sys
import time
import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sharpwave.brainmu.training.devices import gather_tensor, is_sharded, scatter_tensor
from sharpwave.brainmu.training.objective import TrainingOptions, compute_average_decay
from sharpwave.disk import find_changed, hash_files
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import replace_folder, write_file
from sharpwave.untrusted import explained

PREFIX = "checkpoint-"
PARTS = ("model", "optimiser", "average")
HEAD = "state.json"
FILES = re.compile(rf"{re.escape(HEAD)}|({'|'.join(PARTS)}|shard-\d{{5,}}-model-\d{{5,}}-of-\d{{5,}})\.safetensors")
"""Names of the files of a checkpoint: whole tensors by part, or a shard of everything for each device."""


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A run.

    Attributes:
        model: Weights.
        optimiser: Moments; rate and decay follow from the options.
        average: Running average of the weights; None where the run keeps none.
        options: To compare with when the run goes on.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None
    options: TrainingOptions

    def save(self, folder: Path, *, step: int, writes: bool = True) -> None:
        """Write `checkpoint-STEP/` and remove those before it; every process calls this, the one that `writes` writes.

        Args:
            folder: Folder of the run.
            step: Updates done.
            writes: Whether this process is the one that writes.
        """
        shards = folder / f".{PREFIX}{step:08d}.shards"
        if is_sharded(self.model):
            self._write_shards(shards, writes=writes)
        if not writes:
            return
        with replace_folder(folder / f"{PREFIX}{step:08d}", owns=_is_checkpoint) as partial:
            if shards.is_dir():
                for path in sorted(shards.iterdir()):
                    shutil.move(path, partial / path.name)
                shards.rmdir()
            else:
                for name in PARTS:
                    own = self.list_tensors(name).items()
                    save_file({key: gather_tensor(value) for key, value in own}, partial / f"{name}.safetensors")
            content = {"step": step, "options": self.options.to_dict(), "sha256": hash_files(partial)}
            (partial / HEAD).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        for older in find_checkpoints(folder)[:-1]:
            if _is_checkpoint(older):
                (older / HEAD).unlink(missing_ok=True)  # from here on it is no checkpoint
                shutil.rmtree(older, ignore_errors=True)

    def list_tensors(self, part: str) -> dict[str, Tensor]:
        """Tensors of one of `PARTS` by name, sharded where they are; those of the optimiser are `parameter/entry`."""
        if part == "model":
            return dict(self.model.state_dict())
        if part == "average":
            return {} if self.average is None else dict(self.average.values)
        return {
            f"{name}/{entry}": value
            for name, parameter in self.model.named_parameters()
            if parameter in self.optimiser.state
            for entry, value in self.optimiser.state[parameter].items()
        }

    def _write_shards(self, shards: Path, *, writes: bool) -> None:
        import torch.distributed.checkpoint as dcp

        if writes:
            shutil.rmtree(shards, ignore_errors=True)
            shards.mkdir(parents=True)
        torch.distributed.barrier()
        tensors = {f"{part}/{name}": value for part in PARTS for name, value in self.list_tensors(part).items()}
        dcp.save(tensors, storage_writer=dcp.HuggingFaceStorageWriter(str(shards), save_distributed=True))

    def _read_shards(self, path: Path) -> None:
        """Read what this device holds of each tensor; every process must call this."""
        import torch.distributed.checkpoint as dcp

        reader = dcp.HuggingFaceStorageReader(str(path))
        stored = [name.removeprefix("optimiser/") for name in reader.read_metadata().state_dict_metadata]
        make_moments(set(stored), self.model, self.optimiser)
        tensors = {f"{part}/{name}": value for part in PARTS for name, value in self.list_tensors(part).items()}
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")
            dcp.load(tensors, storage_reader=reader, no_dist=not torch.distributed.is_initialized())

    def load(self, folder: Path) -> int:
        """Take up the last checkpoint in a folder.

        Returns:
            Updates done; 0 where there is no checkpoint.

        Raises:
            SharpwaveError: If the run in the folder is another one, or its checkpoint is damaged.
        """
        found = find_checkpoints(folder)
        if not found:
            return 0
        from torch.distributed.checkpoint.api import CheckpointException

        path = found[-1]
        try:
            content = json.loads((path / HEAD).read_text(encoding="utf-8"))
            step, before = int(content["step"]), dict(content["options"])
            first = not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
            changed = find_changed(path, content.get("sha256", {})) if first else []
            if changed:
                raise ValueError(f"{changed[0]} is not the one that {HEAD} was written with")
            whole = (path / "model.safetensors").is_file()
            parts = {name: load_file(path / f"{name}.safetensors") for name in PARTS} if whole else {}
        except (OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError, SafetensorError) as error:
            raise _damaged(path, error) from error
        now = json.loads(json.dumps(self.options.to_dict()))
        if before != now:
            raise SharpwaveError(
                f"the options of the run in {folder.name}, which is to go on",
                got="other " + ", ".join(name for name in now if before.get(name) != now[name]),
                fix="give the same options, or another folder",
            )
        try:
            if not whole:
                self._read_shards(path)
                return step
            make_moments(parts["optimiser"], self.model, self.optimiser)
            for part in PARTS:
                for name, value in self.list_tensors(part).items():
                    scatter_tensor(parts[part][name], value)
        except (LookupError, AttributeError, TypeError, ValueError, RuntimeError, CheckpointException) as error:
            raise _damaged(path, error) from error
        return step


def find_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    named = (path for path in folder.glob(f"{PREFIX}*") if re.fullmatch(rf"{PREFIX}\d{{8,}}", path.name))
    return sorted(path for path in named if (path / HEAD).is_file())


def make_moments(names: Collection[str], model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Room for the optimiser's moments, each sharded as its parameter is, before the first step has made it.

    Args:
        names: Moments as `parameter/entry`; other names are passed over.
        model: Its parameters.
        optimiser: Its state is made.
    """
    for name, parameter in model.named_parameters():
        for entry in ("step", "exp_avg", "exp_avg_sq"):
            if f"{name}/{entry}" in names:
                like = torch.zeros(()) if entry == "step" else parameter
                optimiser.state[parameter][entry] = torch.zeros_like(like, requires_grad=False)


def _is_checkpoint(folder: Path) -> bool:
    """Whether a folder holds files of a checkpoint and nothing else."""
    return all(FILES.fullmatch(item.name) and item.is_file() for item in folder.iterdir())


def _damaged(path: Path, error: BaseException) -> SharpwaveError:
    return SharpwaveError(
        "a checkpoint of this model",
        got=f"{path.name}: {_shorten(error)}",
        fix="remove that folder, or train the model that it is of",
    )


def _shorten(error: BaseException) -> str:
    """The first line of an error; of several devices' errors, of the first one's."""
    failures = getattr(error, "failures", None)
    if failures:
        error = next(iter(failures.values()))[0]
    return (str(error).splitlines() or ["?"])[0][:200]


class WeightAverage:
    """Average of a model's parameters, on their device, sharded where they are.

    Args:
        model: Whose parameters, as they are now.
        width: Share of the updates so far that the average spans.
    """

    def __init__(self, model: nn.Module, *, width: float) -> None:
        self.parameters = {name: value for name, value in model.named_parameters() if value.requires_grad}
        self.values = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.width = width

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Move towards the parameters, after update `step` (from 0)."""
        decay = compute_average_decay(step, self.width)
        for name, value in self.values.items():
            value.lerp_(self.parameters[name].detach(), 1 - decay)

    @torch.no_grad()
    def use(self) -> None:
        """Give the model the average as its weights."""
        for name, value in self.values.items():
            self.parameters[name].copy_(value)


FILE = "losses.csv"
LINE_EVERY = 10.0
"""Seconds between two lines where there is no terminal for a bar."""
COLUMNS = ("step", "part", "value")
"""One row per update and part; the part "loss" is the sum."""


class TrainingLog:
    """Bar on stderr (lines where there is no terminal), `losses.csv`, TensorBoard files; silent where not `shown`.

    Args:
        folder: Folder of the run; nothing is written where it is None.
        steps: Updates in all.
        done: Updates done before, whose rows stay.
        hours: Hours of recording per update.
        shown: Whether this process is the one that shows and writes.
        bar: Whether it shows a bar.
    """

    def __init__(
        self, folder: Path | None, *, steps: int, done: int, hours: float, shown: bool, bar: bool = True
    ) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.losses: list[float] = []
        self.hours = hours
        self._rows: list[tuple[str, str, str]] = []
        self._path = folder / FILE if folder is not None and shown else None
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            rows = read_rows(folder / FILE)
            before = [row for row in rows if int(row[0]) < done]
            self.losses = [float(value) for _, part, value in before if part == "loss"]
            self._rows = before
        self._board = _open_tensorboard(folder) if self._path is not None else None
        self._progress = Progress(
            TextColumn("Training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.3f}, {task.fields[speed]:.1f} h of recording per s, left"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            disable=not (shown and bar),
        )
        self._task = self._progress.add_task("", total=steps, completed=done, loss=float("nan"), speed=0.0)
        self._begun, self._new = time.perf_counter(), 0
        self._in_log = shown and bar and not sys.stderr.isatty()
        self._steps, self._next_line = steps, self._begun

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()
        self.write()
        if self._board is not None:
            self._board.close()

    @property
    def hours_per_second(self) -> float:
        """Hours of recording learned from per second, since the start of this process."""
        return self.hours * self._new / max(time.perf_counter() - self._begun, 1e-9)

    def add(self, step: int, parts: Mapping[str, float], *, rate: float) -> None:
        """An update: its loss by parts (with their sum under "loss") and its learning rate."""
        self.losses.append(parts["loss"])
        self._new += 1
        for part, value in [*parts.items(), ("learning rate", rate)]:
            self._rows.append((str(step), part, repr(value)))
            if self._board is not None:
                self._board.add_scalar(part, value, step)
        self._progress.update(self._task, advance=1, loss=parts["loss"], speed=self.hours_per_second)
        if self._in_log and time.perf_counter() >= self._next_line:
            self._next_line = time.perf_counter() + LINE_EVERY
            print(
                f"Training: update {step + 1} of {self._steps}, loss {parts['loss']:.3f}", file=sys.stderr, flush=True
            )

    def write(self) -> None:
        """Write the table; all rows, so that a run that went on has none twice."""
        if self._path is None:
            return
        text = io.StringIO(newline="")
        csv.writer(text).writerows([COLUMNS, *self._rows])
        write_file(self._path, text.getvalue())


def read_rows(path: Path) -> list[tuple[str, str, str]]:
    """Rows of `losses.csv`; none where there is no such file.

    Raises:
        SharpwaveError: If a row is no step, part and number.
    """
    if not path.is_file():
        return []
    fix = "move it elsewhere; the run goes on from its checkpoint without it"
    with explained("steps, parts and losses", name=path.name, fix=fix), path.open(newline="", encoding="utf-8") as file:
        rows = [(row[0], row[1], row[2]) for row in list(csv.reader(file))[1:]]
        for step, _, value in rows:
            int(step), float(value)
    return rows


def _open_tensorboard(folder: Path | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder))
