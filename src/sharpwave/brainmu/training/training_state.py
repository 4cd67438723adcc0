"""What a run needs to go on where it was stopped: weights, their average, the optimiser's moments, and the step.

Whole (gathered) tensors in safetensors and numbers in JSON, so that a run may go on with another number of devices.
A checkpoint is written beside the last one and renamed when it is complete: a kill leaves one that is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sharpwave.brainmu.training.sharding import gather_tensor, scatter_tensor
from sharpwave.brainmu.training.training_options import TrainingOptions
from sharpwave.brainmu.training.weight_average import WeightAverage
from sharpwave.errors import SharpwaveError

PREFIX = "checkpoint-"


@dataclass(frozen=True, eq=False)
class TrainingState:
    """A run.

    Attributes:
        model: Weights.
        optimiser: Moments; rate and decay follow from the options.
        average: Of the weights.
        options: To compare with when the run goes on.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    average: WeightAverage | None
    options: TrainingOptions

    def save(self, folder: Path, *, step: int, writes: bool = True) -> None:
        """Write `checkpoint-STEP/` and remove those before it; every process calls this, the one that `writes` writes.

        Args:
            folder: Of the run.
            step: Updates done.
            writes: Whether this process is the one that writes.
        """
        parts = {
            "model": {name: gather_tensor(value) for name, value in self.model.state_dict().items()},
            "optimiser": gather_moments(self.model, self.optimiser),
            "average": {} if self.average is None else self.average.gather(),
        }
        if not writes:
            return
        target = folder / f"{PREFIX}{step:08d}"
        temporary = folder / f".{target.name}"
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        for name, tensors in parts.items():
            save_file(tensors, temporary / f"{name}.safetensors")
        content = {"step": step, "options": self.options.to_dict()}
        (temporary / "state.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.rename(target)
        for older in find_checkpoints(folder)[:-1]:
            shutil.rmtree(older)

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
        path = found[-1]
        try:
            content = json.loads((path / "state.json").read_text(encoding="utf-8"))
            step, before = int(content["step"]), dict(content["options"])
            parts = {name: load_file(path / f"{name}.safetensors") for name in ("model", "optimiser", "average")}
        except (OSError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise _damaged(path, error) from error
        now = json.loads(json.dumps(self.options.to_dict()))
        if before != now:
            raise SharpwaveError(
                f"the options of the run in {folder.name}, which is to go on",
                got="other " + ", ".join(name for name in now if before.get(name) != now[name]),
                fix="give the same options, or another folder",
            )
        try:
            for name, value in self.model.state_dict().items():
                scatter_tensor(parts["model"][name], value)
            scatter_moments(parts["optimiser"], self.model, self.optimiser)
            if self.average is not None:
                self.average.scatter(parts["average"])
        except (KeyError, RuntimeError) as error:
            raise _damaged(path, error) from error
        return step


def find_checkpoints(folder: Path) -> list[Path]:
    """Complete checkpoints of a run, oldest first."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if (path / "state.json").is_file())


def gather_moments(model: nn.Module, optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Whole tensors of the optimiser's state, named `parameter/entry`; every process must call this."""
    return {
        f"{name}/{entry}": gather_tensor(value)
        for name, parameter in model.named_parameters()
        if parameter in optimiser.state
        for entry, value in optimiser.state[parameter].items()
    }


def scatter_moments(moments: Mapping[str, Tensor], model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
    """Take up what `gather_moments` gave, each moment sharded as its parameter is."""
    parameters = dict(model.named_parameters())
    for key, value in moments.items():
        name, _, entry = key.rpartition("/")
        parameter = parameters[name]
        like = value if entry == "step" else parameter
        optimiser.state[parameter][entry] = torch.zeros_like(like, requires_grad=False)
        scatter_tensor(value, optimiser.state[parameter][entry])


def _damaged(path: Path, error: Exception) -> SharpwaveError:
    return SharpwaveError(
        "a checkpoint of this model",
        got=f"{path.name}: {str(error).splitlines()[0][:200]}",
        fix="remove that folder, or train the model that it is of",
    )
