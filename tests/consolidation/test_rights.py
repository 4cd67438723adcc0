"""To be forgotten: items, what was made of them and their bytes on disk; and not to be kept longer than was said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from sharpwave.consolidation import NREM, Protection, ReplayBuffer, Sleep
from sharpwave.consolidation.language import TokenMemory
from sharpwave.consolidation.rights import redact
from sharpwave.consolidation.state_files import load_state, save_state
from sharpwave.errors import SharpwaveError

SECRET = 0x51EC3E7A
"""A number that stands in the items of one person, and nowhere else."""


def make_items(persons: list[int], *, first: int = 0) -> dict:
    rows = torch.arange(first, first + len(persons))
    person = torch.tensor(persons)
    x = torch.randn(len(persons), 3, generator=torch.Generator().manual_seed(first))
    secret = torch.where(person == 7, SECRET, 1)[:, None].repeat(1, 4)
    return {"x": x, "y": rows % 2, "person": person, "date": 20260101 + rows, "row": rows, "secret": secret}


def find_bytes(folder: Path) -> int:
    """How often the secret stands in the files of a folder."""
    word = SECRET.to_bytes(4, "little")
    return sum(file.read_bytes().count(word) for file in folder.rglob("*") if file.is_file())


@pytest.mark.parametrize("policy", ["reservoir", "balanced"])
def test_a_person_is_gone_from_the_buffer_and_from_its_files(tmp_path: Path, policy: str) -> None:
    buffer = ReplayBuffer(30, policy=policy, held_out=0.2, path=tmp_path, generator=torch.Generator().manual_seed(0))
    persons = [7, 8, 9] * 10
    buffer.add(make_items(persons))
    buffer.sample(4)
    assert find_bytes(tmp_path) >= 10
    before = {
        int(row): person
        for row, person in zip(*(buffer.read(torch.arange(30))[n] for n in ("row", "person")), strict=True)
    }
    held = set(buffer.read_held_out()["row"].tolist())
    removal = buffer.forget(where={"person": 7})
    assert (removal.n_items, removal.n_left, len(buffer)) == (10, 20, 20)
    assert find_bytes(tmp_path) == 0
    left = buffer.read(torch.arange(20))
    assert {int(row) for row in left["row"]} == {row for row, person in before.items() if person != 7}
    original = make_items(persons)
    for name in ("x", "y", "date"):  # whoever moved has kept what is its own
        torch.testing.assert_close(left[name], original[name][left["row"]])
    assert set(buffer.read_held_out()["row"].tolist()) <= held  # what was replayed is never a probe
    drawn = {row for seed in range(30) for row in buffer.sample(8, balanced=bool(seed % 2))["row"].tolist()}
    assert drawn == {int(row) for row in left["row"]} - held
    assert "7" not in str(removal).removeprefix(removal.when)
    assert "still hold traces" in str(removal)
    for _ in range(20):
        buffer.add(make_items([8, 9] * 5, first=100))
    assert len(buffer) <= 30
    assert len(buffer.sample(200)["index"].unique()) == len(buffer) - buffer.n_held_out


def test_a_reservoir_stays_uniform_after_forgetting() -> None:
    counts = torch.zeros(200)
    for seed in range(150):
        buffer = ReplayBuffer(20, generator=torch.Generator().manual_seed(seed))
        rows = torch.arange(100)
        buffer.add({"row": rows, "person": rows % 2})
        buffer.forget(where={"person": 1})
        buffer.add({"row": rows + 100, "person": torch.zeros(100, dtype=torch.int64)})
        counts[buffer.read(torch.arange(len(buffer)))["row"]] += 1
    counts /= 150
    assert float(counts[1:100:2].max()) == 0
    assert float(counts[0:100:2].mean()) == pytest.approx(0.1, abs=0.015)  # 20 of 200, as if none had been forgotten
    assert float(counts[100:].mean()) == pytest.approx(0.1, abs=0.011)


@pytest.mark.parametrize(
    ("where", "n"),
    [
        ({"person": {7, 8}}, 4),
        ({"date": (20260102, 20260104)}, 2),
        ({"date": (None, 20260103)}, 2),
        ({"person": 7, "date": (20260104, None)}, 1),
        ({"x": 0}, "one value for each item"),
        ({"nobody": 0}, "person"),
        ({"person": "Anna"}, "entries are numbers"),
        (lambda batch: batch["x"][:, 0] > 100, 0),
    ],
)
def test_what_is_forgotten_is_told_by_entries(where, n) -> None:
    buffer = ReplayBuffer(10)
    buffer.add(make_items([7, 8, 9, 7, 8, 9]))
    if isinstance(n, str):
        with pytest.raises(SharpwaveError, match=n):
            buffer.forget(where=where)
    else:
        assert buffer.forget(where=where).n_items == n
        assert len(buffer) == 6 - n


def test_what_was_made_of_items_is_forgotten_too() -> None:
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    buffer = ReplayBuffer(30)
    protection = Protection(anchor=0.1)
    sleep = Sleep(
        model, buffer, torch.optim.SGD(model.parameters(), lr=0.1), protection=protection, nrem=NREM(check=True)
    )
    sleep.wake({**make_items([7, 8] * 10), "group": torch.tensor([7, 8] * 10)}).backward()
    sleep.learner.optimiser.step()
    report = sleep.night(2)
    assert sleep.guard.fisher
    assert sleep.learner.present.x is not None
    sleep.fall_asleep(2)
    with pytest.raises(SharpwaveError, match="a network that is awake, to forget"):
        buffer.forget(where={"person": 7})
    sleep.abandon()
    removal = buffer.forget(where={"person": 7})
    assert any("Fisher" in told for told in removal.derived)
    assert any("last while awake" in told for told in removal.derived)
    assert not sleep.guard.fisher
    assert sleep.learner.present.x is None
    assert not (buffer.read(torch.arange(len(buffer)))["person"] == 7).any()
    assert set(report.groups.query("kind == 'group'")["value"]) == {7, 8}
    assert set(redact(report, {"group": 7}).groups.query("kind == 'group'")["value"]) == {8}
    sleep.night(2)  # goes on with what is left
    assert sleep.guard.fisher


def test_tokens_of_a_person_are_gone_from_every_file(tmp_path: Path) -> None:
    memory = TokenMemory("20 kB", tmp_path, generator=torch.Generator().manual_seed(0))
    tokens = torch.full((60, 5), 5)
    tokens[:, 4] = torch.arange(60)
    person = torch.arange(60) % 3
    tokens[person == 0, :4] = SECRET & 0x7FFFFFFF
    for rows in torch.arange(60).split(10):
        memory.add({"input_ids": tokens[rows], "labels": tokens[rows], "person": person[rows]}, task="letters")
    memory.save()
    word = (SECRET & 0x7FFFFFFF).to_bytes(4, "little")
    assert word in (tmp_path / "tokens.bin").read_bytes()
    n_items, n_kept = len(memory), int((memory.read(torch.arange(len(memory)))["person"] == 0).sum())
    memory.discard(torch.arange(1))  # given up before: its bytes count too
    removal = memory.forget(where={"person": 0, "task": "letters"})
    assert removal.n_items >= n_kept - 1
    assert len(memory) < n_items
    assert not any(word in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())
    left = memory.read(torch.arange(len(memory)))
    assert 0 not in left["person"]
    del memory
    again = TokenMemory("20 kB", tmp_path)
    assert len(again) == len(left["person"])
    assert torch.equal(again.read(torch.arange(len(again)))["input_ids"], left["input_ids"])


@pytest.mark.parametrize("kind", ["buffer", "tokens"])
def test_nothing_is_kept_for_longer_than_was_said(tmp_path: Path, kind: str) -> None:
    now = [1000.0]

    def make() -> ReplayBuffer | TokenMemory:
        memory = ReplayBuffer(30, keep_for=60) if kind == "buffer" else TokenMemory("20 kB", keep_for=60)
        memory.rights.clock = lambda: now[0]
        return memory

    memory = make()
    rows = torch.arange(10)
    memory.add({"input_ids": rows[:, None].repeat(1, 3), "row": rows})
    now[0] += 50
    memory.add({"input_ids": rows[:, None].repeat(1, 3) + 20, "row": rows + 10})
    assert len(memory) == 20
    again = make()
    again.load_state_dict(load_state(save_state(memory.state_dict(), tmp_path / "state")))
    now[0] += 20
    for each in (memory, again):
        assert int(each.sample(30)["row"].min()) >= 10
        assert len(each) == 10
        assert each.rights.removals[-1].n_items == 10
    now[0] += 60
    memory.add({"input_ids": rows[:, None].repeat(1, 3) + 40, "row": rows + 20})
    assert len(memory) == 10
    with pytest.raises(SharpwaveError, match="keep_for as seconds"):
        ReplayBuffer(3, keep_for=0)
