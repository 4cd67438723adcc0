"""Language models in two processes that hold half of each weight, and with hooks that move what goes into each part."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import accelerate
import pytest
import torch
from tests.consolidation.language import tiny
from tests.consolidation.language.test_nights import learn, list_moved, make_sleep, read_state

from sharpwave.consolidation import Objective, Probe, Sleep
from sharpwave.consolidation.language import Dreams, TokenMemory
from sharpwave.consolidation.state_files import load_state, save_state


def live(rank: int, port: int, folder: str) -> None:
    """One process: a night that is kept, one that is undone, and one of dreams, on its half of each weight."""
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    mesh = init_device_mesh("cpu", (2,))
    model = tiny.make("llama", tie_word_embeddings=False)
    for block in model.model.layers:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    objective = Objective.for_model(model)
    generator = torch.Generator().manual_seed(rank)

    def read() -> dict[str, torch.Tensor]:
        return {name: value.to_local().detach().clone() for name, value in model.named_parameters()}

    def make(probe: Probe, **options) -> Sleep:
        return Sleep(
            model, TokenMemory("50 kB"), optimiser, objective=objective, probe=probe, generator=generator, **options
        )

    sleep, said = make(Probe(tolerance=1e9), budget=0.5), {}
    learn(sleep, rank, n_items=32)
    before = read()
    said["kept"] = sleep.night(2).committed
    said["moved"] = any(not torch.equal(value, before[name]) for name, value in read().items())
    scores = iter([1.0, 0.0])
    sleep = make(Probe(lambda _: next(scores)))
    learn(sleep, rank, n_items=16)
    before = read()
    said["undone"] = not sleep.night(2).committed
    said["same"] = all(torch.equal(value, before[name]) for name, value in read().items())
    dreams = Dreams([[1], [1, 12]], n_items=4, max_new_tokens=3)
    sleep = Sleep(model, None, optimiser, objective=objective, rem=dreams, generator=generator)
    learn(sleep, rank, n_items=16)
    report = sleep.night(2)
    said["dreamt"] = len(report.losses) == 2 and "dreams" in report.note
    save_state({name: int(value) for name, value in said.items()}, Path(folder) / str(rank))
    os._exit(0)  # forked from a process with threads, torch may wait for ever for the end of a group


def test_two_processes_that_hold_half_of_each_weight_sleep_and_dream(tmp_path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    torch.multiprocessing.start_processes(live, (port, str(tmp_path)), nprocs=2, start_method="fork")
    for rank in range(2):
        assert load_state(tmp_path / str(rank)) == dict.fromkeys(("kept", "moved", "undone", "same", "dreamt"), 1)


@pytest.mark.filterwarnings("ignore")
def test_hooks_that_move_inputs_between_devices_stay_through_a_shallow_night() -> None:
    model = tiny.make("llama", tie_word_embeddings=False)
    parts = {"model.embed_tokens": "cpu", "model.layers.0": "cpu", "model.layers.1": "cpu", "model.norm": "cpu"}
    parts |= {"model.rotary_emb": "cpu", "lm_head": "cpu"}
    model = accelerate.dispatch_model(model, parts, force_hooks=True)
    hooked = {name for name, module in model.named_modules() if "forward" in module.__dict__}
    assert hooked
    sleep = make_sleep("llama", model=model, budget=0.3)
    for task in range(2):
        learn(sleep, task, n_items=192)
    sleep.budget.earned += 60
    before = read_state(model)
    report = sleep.night()
    assert report.committed
    assert len(report.losses) >= 2
    assert list_moved(model, before)
    assert not any("layers.0" in name for name in list_moved(model, before))
    assert {name for name, module in model.named_modules() if "forward" in module.__dict__} == hooked
