"""Two processes on one machine (gloo) in the place of two graphics cards."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night

from sharpwave.brainmu import load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.devices import make_fabric
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.training import train
from sharpwave.errors import SharpwaveError

OPTIONS = TrainingOptions(
    steps=6, batch=4, piece=30, checkpoint_every=3, objective=Objective(drop_modality=0, drop_channel=0)
)
TIMEOUT = 1000.0

RUN = """
import json, sys, torch
from tests.brainmu.training.test_devices import OPTIONS, Stops, make_source
from tests.brainmu.training_nights import make_model
from sharpwave.brainmu.training.devices import make_fabric
from sharpwave.brainmu.training.training import train
torch.set_num_threads(1)
strategy, folder, stop = sys.argv[1:]
fabric = make_fabric(devices=2, strategy=strategy, accelerator="cpu")
settings = dict(options=OPTIONS, folder=folder, fabric=fabric)
if stop == "stop":
    try:
        train(make_model(), Stops(), **settings)
    except InterruptedError:
        pass
losses = train(make_model(seed=1 if stop == "stop" else 0), make_source(), **settings)
if fabric.is_global_zero:
    print("RESULT" + json.dumps(losses))
"""
ROOT = Path(__file__).parents[3]


def make_source() -> RandomCrops:
    return RandomCrops([make_night(0), make_night(1)])


class Stops:
    """Gives a process the pieces of four updates, two each, and no more."""

    def __init__(self) -> None:
        self.given = 0

    def draw(self, rng: np.random.Generator, n_steps: int) -> EpochedRecording:
        self.given += 1
        if self.given > 8:
            raise InterruptedError
        return make_source().draw(rng, n_steps)


def run_in_two_processes(folder: Path, strategy: str, *, stop: str = "") -> list[float]:
    """The losses of a run in two processes, which are ended if they hang."""
    script = folder / "run.py"
    script.write_text(RUN, encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(str(ROOT / folder) for folder in (".", "src")),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "OMP_NUM_THREADS": "1",
    }
    process = subprocess.Popen(
        [sys.executable, str(script), strategy, str(folder / "run"), stop],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        out, err = process.communicate(timeout=TIMEOUT)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
    assert "RESULT" in out, err[-3000:]
    return json.loads(out.split("RESULT", 1)[1].splitlines()[0])


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[float], dict[str, torch.Tensor]]:
    """Losses and weights of one process with the whole batch."""
    model = make_model()
    return train(model, make_source(), options=OPTIONS), model.state_dict()


def check_weights(folder: Path, expected: dict[str, torch.Tensor]) -> None:
    weights = load_brainmu(folder / "run")[0].state_dict()
    for name, value in expected.items():
        torch.testing.assert_close(weights[name], value, atol=2e-4, rtol=0, msg=name)


@pytest.mark.slow
def test_two_copies_learn_as_one_with_the_double_batch(
    tmp_path: Path, alone: tuple[list[float], dict[str, torch.Tensor]]
) -> None:
    assert run_in_two_processes(tmp_path, "ddp") == pytest.approx(alone[0], abs=1e-4)
    check_weights(tmp_path, alone[1])


@pytest.mark.slow
def test_two_shards_stop_resume_and_learn_as_one(
    tmp_path: Path, alone: tuple[list[float], dict[str, torch.Tensor]]
) -> None:
    losses = run_in_two_processes(tmp_path, "fsdp", stop="stop")
    assert losses == pytest.approx(alone[0], abs=1e-4)
    check_weights(tmp_path, alone[1])
    one = make_model(seed=2)
    assert train(one, make_source(), options=OPTIONS, folder=tmp_path / "run") == losses
    check_weights(tmp_path, one.state_dict())


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"a strategy among auto, ddp, fsdp; got 'deepspeed'"):
        make_fabric(strategy="deepspeed")


def test_a_batch_that_devices_cannot_share_is_refused() -> None:
    class Three:
        world_size = 3

    with pytest.raises(SharpwaveError, match=r"a batch that 3 devices can share; got 4"):
        train(make_model(), make_source(), options=OPTIONS, fabric=Three())
