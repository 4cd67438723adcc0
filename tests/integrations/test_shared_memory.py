"""One memory over processes (gloo): what one with the whole stream keeps and draws; resumed in any number; killed."""

from __future__ import annotations

import os
import signal
import socket
import time
import traceback
from pathlib import Path

import pytest
import torch
import torch._dynamo  # as DistributedDataParallel does, here once for all processes
from tests.consolidation.planted import make_network, make_points
from torch import distributed, multiprocessing
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from sharpwave.consolidation import ReplayBuffer, Sleep
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError
from sharpwave.integrations.distributed import SharedReplayBuffer
from sharpwave.integrations.shared_states import join_states


def start(
    work, folder: Path, *arguments: object, world: int = 2, wanted: int | None = None, n_silent: int = 0
) -> list[dict]:
    """What each process saved; those that died saved nothing; `n_silent` go on when the others have ended."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    started = (work, world, port, str(folder), *arguments)
    context = multiprocessing.start_processes(begin, started, nprocs=world, start_method="fork", join=False)
    deadline = time.monotonic() + 100
    while sum(process.is_alive() for process in context.processes) > n_silent and time.monotonic() < deadline:
        time.sleep(0.02)
    for process in context.processes:
        if process.is_alive():
            os.kill(process.pid, signal.SIGCONT)
        process.join(20)
        process.kill()
    ranks = [rank for rank in range(world) if (folder / str(rank)).is_dir()]
    assert len(ranks) == (world if wanted is None else wanted), [process.exitcode for process in context.processes]
    return [load_state(folder / str(rank)) for rank in ranks]


def begin(rank: int, work, world: int, port: int, folder: str, *arguments: object) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=world)
    try:
        save_state(work(rank, world, *arguments), Path(folder) / str(rank))
    except BaseException:
        traceback.print_exc()
        os._exit(3)
    os._exit(0)  # without the wait for processes that were killed


def make_items(rows: torch.Tensor) -> dict:
    lengths = 1 + rows % 3
    text = torch.arange(3)[None] + 10 * rows[:, None]
    return {"row": rows, "y": rows % 4, "x": rows[:, None].float() / 7, "text": text, "text_length": lengths}


def share_out(step: int, rank: int, world: int) -> torch.Tensor:
    """Nine of ten items come to the first process."""
    rows = 10 * step + torch.arange(10)
    return rows[:9] if rank == 0 else rows[9:] if rank == 1 else rows[:0]


def live(rank: int, world: int, policy: str) -> dict:
    buffer = SharedReplayBuffer(12, policy=policy, held_out=0.17, generator=torch.Generator().manual_seed(5))
    for step in range(30):
        buffer.add(make_items(share_out(step, rank, world)))
    plans = [buffer.sample(6, balanced=True) for _ in range(2)]
    buffer.settle()
    is_settled = buffer._ahead is None
    plans += [buffer.sample(6, balanced=True) for _ in range(2)]
    kept = buffer.read(torch.arange(len(buffer)))
    drawn = [sorted(batch["row"].tolist()) for batch in plans]
    good = all(torch.equal(batch["text"], make_items(batch["row"])["text"][:, : batch["text"].shape[1]]) or
               torch.equal(batch["x"], make_items(batch["row"])["x"]) for batch in plans)  # fmt: skip
    own = all(
        int(buffer.read(s[None])["row"]) == int(r)
        for b in plans
        for s, r in zip(b["index"], b["row"], strict=True)
        if s >= 0
    )
    state = buffer.state_dict()
    buffer.discard(torch.nonzero(kept["row"] % 5 == 0)[:, 0])
    left = buffer.read(torch.arange(len(buffer)))["row"].tolist()
    after = [buffer.sample(5, balanced=True)["row"].tolist() for _ in range(3)]
    for step in range(30, 40):
        buffer.add(make_items(share_out(step, rank, world)))
    again = SharedReplayBuffer(12, policy=policy, held_out=0.17)
    again.load_state_dict(state)
    resumed = [sorted(again.sample(6, balanced=True)["row"].tolist()) for _ in range(2)]
    return {
        "kept": kept["row"].tolist(), "drawn": drawn, "good": good and own, "left": left, "after": after,
        "state": state, "held": buffer.read_held_out()["row"].tolist(), "resumed": resumed,
        "next": [sorted(buffer.sample(6, balanced=True)["row"].tolist())], "n_moved": buffer.n_moved,
        "n_seen": buffer.n_seen, "is_settled": is_settled,
    }  # fmt: skip


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_two_processes_keep_and_draw_what_one_with_the_whole_stream_does(tmp_path: Path, policy: str) -> None:
    first, second = found = start(live, tmp_path, policy)
    alone = ReplayBuffer(24, policy=policy, held_out=0.17, generator=torch.Generator().manual_seed(5))
    for step in range(30):
        alone.add(make_items(10 * step + torch.arange(10)))
    assert sorted(first["kept"] + second["kept"]) == sorted(alone.read(torch.arange(24))["row"].tolist())
    assert len(first["kept"]) == len(second["kept"]) == 12  # though nine of ten items came to the first
    for number in range(4):
        whole = sorted(alone.sample(12, balanced=True)["row"].tolist())
        assert sorted(first["drawn"][number] + second["drawn"][number]) == whole
        assert sorted(row % 4 for row in whole) == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert all(each["good"] for each in found)
    assert second["resumed"] == first["resumed"] or first["resumed"] != first["drawn"][:2]
    kept = set(first["kept"] + second["kept"])
    assert set(first["left"] + second["left"]) == {row for row in kept if row % 5}
    assert abs(len(first["left"]) - len(second["left"])) <= 1
    assert all(row % 5 for each in found for batch in each["after"] for row in batch)
    assert first["n_moved"] > 0
    assert first["n_seen"] == 400
    assert first["is_settled"]
    assert second["is_settled"]


def go_on(rank: int, world: int, folder: str) -> dict:
    state = join_states([load_state(Path(folder) / str(each)) for each in range(len(list(Path(folder).iterdir())))])
    buffer = SharedReplayBuffer(8, policy="balanced")
    buffer.load_state_dict(state)
    drawn = [buffer.sample(12 // world, balanced=True)["row"].tolist() for _ in range(2)]
    for step in range(40, 45):
        rows = 10 * step + torch.arange(10)
        buffer.add(make_items(rows[rank::world]))
    return {
        "drawn": drawn,
        "kept": buffer.read(torch.arange(len(buffer)))["row"].tolist(),
        "state": buffer.state_dict(),
    }


def test_a_memory_goes_on_in_any_number_of_processes(tmp_path: Path) -> None:
    for name in ("two", "three", "states", "later"):
        (tmp_path / name).mkdir()
    found = start(live, tmp_path / "two", "balanced")
    for rank, each in enumerate(found):
        save_state(each["state"], tmp_path / "states" / str(rank))
    one = go_on(0, 1, str(tmp_path / "states"))  # 2 → 1
    save_state(one["state"], tmp_path / "later" / "0")
    three = start(go_on, tmp_path / "three", str(tmp_path / "later"), world=3)  # 1 → 3
    assert len(one["kept"]) == 24
    assert sorted(row for each in three for row in each["kept"])
    assert max(len(each["kept"]) for each in three) == min(len(each["kept"]) for each in three) == 8
    alone = ReplayBuffer(24, policy="balanced")
    alone.load_state_dict(one["state"])
    for number in range(2):
        whole = sorted(alone.sample(12, balanced=True)["row"].tolist())
        assert sorted(row for each in three for row in each["drawn"][number]) == whole
    with pytest.raises(SharpwaveError, match="processes 0 to 1"):
        join_states([found[0]["state"]])
    buffer = SharedReplayBuffer(12, policy="balanced")
    with pytest.raises(SharpwaveError, match="join_states"):
        buffer.load_state_dict(found[0]["state"])


def fill(rank: int, world: int) -> dict:
    """Shares of 900 to 100, many times over."""
    kept = []
    for repeat in range(60):
        buffer = SharedReplayBuffer(5, generator=torch.Generator().manual_seed(repeat), prefetch=False)
        for step in range(4):
            rows = torch.arange(18) + 18 * step if rank == 0 else 72 + torch.arange(2) + 2 * step
            buffer.add({"row": rows})
        kept += buffer.read(torch.arange(len(buffer)))["row"].tolist()
    return {"kept": kept}


def test_a_reservoir_over_processes_is_uniform_over_the_whole_stream(tmp_path: Path) -> None:
    found = start(fill, tmp_path)
    counts = torch.bincount(torch.tensor([row for each in found for row in each["kept"]]), minlength=80).double()
    expected = 60 * 10 / 80
    assert float(counts.sum()) == 600
    groups = counts.view(20, 4).sum(dim=1)
    assert float(((groups - 4 * expected) ** 2 / (4 * expected)).sum()) < 43.8  # χ², 19 degrees, p = .001
    assert float(counts[72:].sum()) / 600 == pytest.approx(0.1, abs=0.037)  # 3 standard deviations


def find_patience() -> list[float]:
    """Seconds that each group of processes would wait."""
    groups = list(distributed.distributed_c10d._world.pg_map)
    return [group._get_backend(torch.device("cpu")).options._timeout.total_seconds() for group in groups]


def die(rank: int, world: int, how: str, sharded: bool) -> dict:
    model = network = make_network()
    if sharded:
        fully_shard(network, mesh=init_device_mesh("cpu", (world,)))
    else:
        model = torch.nn.parallel.DistributedDataParallel(network)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    sleep = Sleep(model, SharedReplayBuffer(20, timeout=4.0), optimiser)
    points, labels = make_points(20, seed=1)
    for rows in torch.arange(80).split(16):
        optimiser.zero_grad()
        sleep.wake({"x": points[rows], "y": labels[rows]}).backward()
        optimiser.step()
    before, patience = copy_local(network), find_patience()
    sleep.fall_asleep(6)
    sleep.step()
    moved = not torch.equal(copy_local(network)["0.weight"], before["0.weight"])
    if rank == 1:
        os.kill(os.getpid(), getattr(signal, how)) if how != "exit" else os._exit(1)
    error = ""
    try:
        while sleep.step():
            pass
    except (RuntimeError, SharpwaveError) as caught:
        error = str(caught)
    same = all(torch.equal(value, before[name]) for name, value in copy_local(network).items())
    waits = find_patience() == patience and max(patience) == 1800
    return {"error": error, "same": same, "moved": moved, "asleep": sleep.is_asleep, "waits": waits}


def copy_local(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    """This process's part of each weight."""
    return {name: getattr(value, "_local_tensor", value).clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize(
    ("how", "sharded"), [("exit", False), ("SIGKILL", False), ("SIGSTOP", False), ("SIGSTOP", True)]
)
def test_a_process_that_dies_undoes_the_night_of_the_others(tmp_path: Path, how: str, sharded: bool) -> None:
    """One that is stopped closes nothing: only the time-out tells; it is woken when the others have ended."""
    found = start(die, tmp_path, how, sharded, world=3, wanted=3 if how == "SIGSTOP" else 2, n_silent=how == "SIGSTOP")
    for each in found:
        assert each["error"]
        assert each["moved"]
        assert each["same"]
        assert not each["asleep"]
        assert each["waits"]  # as long as before, by day


def shard(rank: int, world: int) -> dict:
    """A night on sharded weights with one memory: put back, then slept and kept."""
    network = make_network()
    mesh = init_device_mesh("cpu", (world,))
    fully_shard(network[0], mesh=mesh)
    fully_shard(network, mesh=mesh)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    sleep = Sleep(network, SharedReplayBuffer(20), optimiser)
    points, labels = make_points(20, seed=1)
    for rows in torch.arange(80).split(16):
        optimiser.zero_grad()
        sleep.wake({"x": points[rows[rank::world]], "y": labels[rows[rank::world]]}).backward()
        optimiser.step()
    before = {name: value.to_local().clone() for name, value in network.state_dict().items()}
    sleep.fall_asleep(3)
    copied = sum(value.to_local().numel() for value in sleep._night.snapshot.weights.values())
    is_local = all(isinstance(value, DTensor) for value in sleep._night.snapshot.weights.values())
    sleep.step()
    moved = any(not torch.equal(v.to_local(), before[n]) for n, v in network.state_dict().items())
    sleep.abandon()
    same = all(torch.equal(v.to_local(), before[n]) for n, v in network.state_dict().items())
    kept = sleep.night(2).committed
    return {"same": same, "moved": moved, "local": is_local, "copied": copied, "kept": kept}


def test_a_night_on_sharded_weights_copies_and_puts_back_each_part(tmp_path: Path) -> None:
    found = start(shard, tmp_path)
    whole = sum(parameter.numel() for parameter in make_network().parameters())
    assert sum(each["copied"] for each in found) == whole  # each its own part, and nothing twice
    for each in found:
        assert each["moved"]
        assert each["same"]
        assert each["local"]
