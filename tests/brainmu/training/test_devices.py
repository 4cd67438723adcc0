"""Two processes on one machine (gloo) in the place of two graphics cards."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.brainmu.training_nights import make_model, make_night, make_recording

from sharpwave.brainmu import load_brainmu
from sharpwave.brainmu.epochs import EpochedRecording, epoch_recording
from sharpwave.brainmu.training.crops import RandomCrops
from sharpwave.brainmu.training.devices import Execution, make_fabric
from sharpwave.brainmu.training.objective import Objective, TrainingOptions
from sharpwave.brainmu.training.resume import find_checkpoints
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
from sharpwave.brainmu.training.devices import Execution, make_fabric
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


DEPTH = {"n_layers": 4, "width": 32, "n_heads": 16, "dropout": 0.1, "modalities": ["heart_rate", "stages"]}
"""The heads of `base`, and layers enough for several shards."""
MANY = TrainingOptions(steps=4, batch=6, piece=12, checkpoint_every=2)
RANKS = """
from tests.brainmu.training.test_devices import run_ranks
run_ranks()
"""


def make_uneven_source() -> RandomCrops:
    """Nights that know different things: one has no stages to see, one has few labels, one is shorter than a crop."""
    scored = epoch_recording(make_recording(0), modalities=["heart_rate", "stages"])
    labels = np.arange(len(scored)) < 30
    few = replace(make_night(1), stages=np.where(labels, make_night(1).stages, -1).astype(np.int8))
    few = replace(few, votes=few.votes * labels[:, None])
    return RandomCrops([scored, few, make_night(2, n_steps=8)])


class StopsAt:
    """Gives the crops of so many updates and no more, however many devices share them."""

    def __init__(self, updates: int) -> None:
        self.updates, self.given = updates, 0

    def pick(self, rng: np.random.Generator) -> RandomCrops:
        self.given += 1
        if self.given > self.updates:
            raise InterruptedError
        return make_uneven_source()


def run_rank(rank: int, world: int, port: int, folder: str, stops: bool, execution: Execution) -> None:
    """One process of several, started as `torchrun` starts them."""
    torch.set_num_threads(1)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "TORCHELASTIC_RUN_ID": "test"}
    place = {"RANK": str(rank), "WORLD_SIZE": str(world), "GROUP_RANK": "0", "GROUP_WORLD_SIZE": "1"}
    os.environ.update({**address, **place, "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(world)})
    fabric = make_fabric(devices=world, strategy="fsdp", accelerator="cpu")
    model = make_model(0 if stops else 5, **DEPTH)
    source = StopsAt(2) if stops else make_uneven_source()
    with contextlib.suppress(InterruptedError):
        losses = train(model, source, options=MANY, folder=folder, fabric=fabric, execution=execution, show=False)
        if rank == 0:
            Path(folder, "result.json").write_text(json.dumps(losses))
    torch.distributed.destroy_process_group()


def run_ranks() -> None:
    """Two processes that stop, and three that go on; in a fresh process, which may fork."""
    import lightning_fabric.strategies  # noqa: F401  here once for all ranks, with all that they load
    import torch._dynamo
    import torch.distributed.checkpoint
    import torch.distributed.fsdp
    import torch.multiprocessing

    for world, folder, stops, execution in (
        (2, sys.argv[1], True, Execution()),
        (3, sys.argv[2], False, Execution(recompute=True)),
    ):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        arguments = (world, port, folder, stops, execution)
        torch.multiprocessing.start_processes(run_rank, arguments, nprocs=world, start_method="fork")
        if stops:
            shutil.copytree(folder, sys.argv[2])


def test_shards_of_two_are_taken_up_by_one_and_by_three_with_the_same_losses(tmp_path: Path) -> None:
    path = os.pathsep.join(str(ROOT / folder) for folder in (".", "src"))
    subprocess.run(
        [sys.executable, "-c", RANKS, str(tmp_path / "one"), str(tmp_path / "three")],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        timeout=TIMEOUT,
        check=True,
    )
    expected = train(make_model(**DEPTH), make_uneven_source(), options=MANY, show=False)
    assert sum(expected) > 0
    checkpoint = find_checkpoints(tmp_path / "one")[-1]
    assert sorted(path.suffix for path in checkpoint.iterdir()) == [".json", ".safetensors", ".safetensors"]
    one = train(make_model(7, **DEPTH), make_uneven_source(), options=MANY, folder=tmp_path / "one", show=False)
    three = json.loads((tmp_path / "three" / "result.json").read_text())
    assert one == pytest.approx(expected, abs=2e-5)
    assert three == pytest.approx(expected, abs=2e-5)


def test_an_unknown_strategy_is_refused() -> None:
    with pytest.raises(SharpwaveError, match=r"a strategy among auto, ddp, fsdp; got 'deepspeed'"):
        make_fabric(strategy="deepspeed")


def test_a_batch_that_devices_cannot_share_is_refused() -> None:
    class Five:
        world_size = 5

    with pytest.raises(SharpwaveError, match=r"at least 5 crops, one for each device; got 4"):
        train(make_model(), make_source(), options=OPTIONS, fabric=Five())
