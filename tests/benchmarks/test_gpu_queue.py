"""The scripts that wait for a graphics card, tried on a processor."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

import pytest
import torch

FOLDER = Path(__file__).parents[2] / "benchmarks" / "gpu"
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the scripts are part of a clone, not of the package")


@pytest.fixture
def queue(monkeypatch):
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("card", "check_card", "sleep_cost", "seq_cifar10", "language", "many_processes"):
        monkeypatch.delitem(sys.modules, name, raising=False)


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("name", ["float32", "bfloat16", "float16 with a scaler", "night rolled back", "night resumed"])
def test_what_is_checked_on_a_card_holds_on_a_processor(name):
    import check_card

    check_card.CHECKS[name](torch.device("cpu"))


@pytest.mark.usefixtures("queue")
def test_images_are_cut_out_of_a_black_border_and_half_of_them_mirrored():
    import seq_cifar10

    torch.manual_seed(0)
    image = torch.arange(1.0, 65).reshape(1, 1, 8, 8)
    found = seq_cifar10.augment(image.repeat(400, 1, 1, 1))
    padded = torch.nn.functional.pad(image[0, 0], (4,) * 4)
    cuts = [padded[top : top + 8, left : left + 8] for top in range(9) for left in range(9)]
    straight = torch.stack([cut.flatten() for cut in cuts])
    mirrored = torch.stack([cut.flip(1).flatten() for cut in cuts])
    rows = found.reshape(400, 64)
    is_straight = (rows[:, None] == straight[None]).all(dim=2).any(dim=1)
    is_mirrored = (rows[:, None] == mirrored[None]).all(dim=2).any(dim=1)
    assert (is_straight | is_mirrored).all()
    assert 120 < int(is_mirrored.sum()) < 280
    assert len(torch.unique(rows, dim=0)) > 100


@pytest.mark.usefixtures("queue")
def test_a_stopped_run_goes_on_where_it_was_and_other_settings_are_refused(tmp_path):
    from card import Results

    from sharpwave.benchmarks.rows import Row

    path = tmp_path / "found.json"
    Results("tried", path, {"steps": 2}, limit=9).add(Row("numbers", "buffer 200", "sleep", "accuracy", 0.5, n=1))
    again = Results("tried", path, {"steps": 2}, limit=9)
    assert again.has("buffer 200", "sleep")
    assert not again.has("buffer 500", "sleep")
    again.add(Row("numbers", "buffer 500", "sleep", "accuracy", 0.6, n=1))
    assert [row["value"] for row in json.loads(path.read_text())["rows"]] == [0.5, 0.6]
    assert not Results("tried", path, {"steps": 2}, limit=-1).may_begin()
    with pytest.raises(SystemExit, match="same settings"):
        Results("tried", path, {"steps": 3}, limit=9)


@pytest.mark.usefixtures("queue")
def test_a_language_model_learns_by_the_script_and_goes_on(tmp_path, monkeypatch):
    import language
    from tests.benchmarks.language.folders import make_classes
    from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

    from sharpwave.recipes.small_gpt2 import END, train_tokenizer

    folder, model = make_classes(tmp_path / "tasks", n_train=16, n_test=8), tmp_path / "model"
    tokenizer = train_tokenizer([path.read_text() for path in folder.glob("*.jsonl")], size=300)
    config = GPT2Config(vocab_size=tokenizer.get_vocab_size(), n_embd=16, n_layer=1, n_head=2)
    GPT2LMHeadModel(config).save_pretrained(model)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END).save_pretrained(model)
    output = tmp_path / "found.json"
    words = ["language.py", "--model", str(model), "--data", str(folder), "--device", "cpu", "--items", "16"]
    words += ["--output", str(output), "--seeds", "1", "--methods", "finetune;sleep"]
    monkeypatch.setattr(sys, "argv", words)
    language.main()
    first = json.loads(output.read_text())["rows"]
    found = {(row["setting"], row["method"], row["metric"]): row["value"] for row in first}
    assert found["seeds", "sleep", "operations_ratio"] > 1
    apart = found["seed 0", "sleep", "accuracy"] - found["seed 0", "finetune", "accuracy"]
    assert found["seeds", "sleep", "accuracy_minus_finetune"] == pytest.approx(apart, abs=1e-5)
    monkeypatch.setattr(language, "run_stream", None)
    language.main()
    again = {(row["setting"], row["method"], row["metric"]) for row in json.loads(output.read_text())["rows"]}
    assert again == set(found)


@pytest.mark.usefixtures("queue")
@pytest.mark.parametrize("name", ["check_card", "sleep_cost", "seq_cifar10", "language", "many_processes"])
def test_each_script_says_what_it_measures(name, monkeypatch, capsys):
    path = FOLDER / f"{name}.py"
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(path), run_name="__main__")
    assert ended.value.code == 0
    told = capsys.readouterr().out
    assert "minutes" in told
    assert "--limit" in told


@pytest.mark.usefixtures("queue")
def test_the_cost_of_sleep_is_measured_by_the_script(tmp_path, monkeypatch):
    import sleep_cost

    monkeypatch.setattr(sleep_cost, "NETWORKS", {"transformer": lambda: sleep_cost.Transformer(8)})
    monkeypatch.setattr(sleep_cost, "BATCHES", {"transformer": 4})
    output = tmp_path / "found.json"
    words = ["sleep_cost.py", "--device", "cpu", "--steps", "4", "--precision", "float32", "--output", str(output)]
    monkeypatch.setattr(sys, "argv", words)
    sleep_cost.main()
    found = {(row["method"], row["metric"]): row["value"] for row in json.loads(output.read_text())["rows"]}
    assert set(found) >= {("plain", "milliseconds"), ("wake", "time_ratio"), ("sleep", "time_ratio")}
    assert min(found.values()) > 0


@pytest.mark.usefixtures("queue")
def test_what_a_memory_over_processes_adds_is_measured_by_the_script(tmp_path, monkeypatch):
    import many_processes

    class Network(torch.nn.Module):
        def __init__(self, width):
            super().__init__()
            self.embedding, self.head = torch.nn.Embedding(1000, width), torch.nn.Linear(width, 10)

        def forward(self, tokens):
            return self.head(self.embedding(tokens).mean(dim=1))

    monkeypatch.setattr(many_processes, "Transformer", Network)
    start = many_processes.multiprocessing.start_processes

    def fork(work, args, nprocs, start_method):
        assert start_method == "spawn"
        start(work, args, nprocs=nprocs, start_method="fork")

    monkeypatch.setattr(many_processes.multiprocessing, "start_processes", fork)
    # Forked from a process with threads: torch's own end of a group may wait for ever there.
    monkeypatch.setattr(many_processes.distributed, "destroy_process_group", lambda: os._exit(0))
    output = tmp_path / "found.json"
    words = ["many_processes.py", "--device", "cpu", "--processes", "2", "--steps", "2", "--width", "8"]
    monkeypatch.setattr(sys, "argv", [*words, "--output", str(output)])
    many_processes.main()
    rows = json.loads(output.read_text())["rows"]
    assert {row["method"] for row in rows if row["metric"] == "milliseconds_per_step"} == set(many_processes.KINDS)
    sent = {row["method"]: row["value"] for row in rows if row["metric"] == "megabytes_sent"}
    assert sent.pop(many_processes.KINDS[0]) == 0
    assert min(sent.values()) > 0


@pytest.mark.usefixtures("queue")
def test_images_are_learned_by_the_script_and_their_seeds_summed_up(tmp_path, monkeypatch):
    import seq_cifar10

    from sharpwave.demonstrations.networks import NarrowResNet18
    from sharpwave.demonstrations.streams import ImageSet

    rng = torch.Generator().manual_seed(0)
    y = torch.arange(10).repeat(4).numpy()
    x = torch.randint(256, (40, 3, 8, 8), generator=rng, dtype=torch.uint8).numpy()
    monkeypatch.setattr(seq_cifar10, "load_images", lambda path: ImageSet("noise", x, y, x[:20], y[:20]))
    monkeypatch.setattr(seq_cifar10, "NarrowResNet18", lambda shape, n, width: NarrowResNet18(shape, n, width=2))
    monkeypatch.setattr(seq_cifar10, "BATCH", 4)

    def run_in_turn(run, jobs, results, *, workers):
        return ((job, run(*job)) for job in jobs)

    monkeypatch.setattr(seq_cifar10, "run_side_by_side", run_in_turn)
    output = tmp_path / "found.json"
    words = ["seq_cifar10.py", "--device", "cpu", "--data", str(tmp_path), "--epochs", "1", "--seeds", "1"]
    monkeypatch.setattr(sys, "argv", [*words, "--methods", "der++", "sleep", "--output", str(output)])
    seq_cifar10.main()
    rows = json.loads(output.read_text())["rows"]
    found = {(row["setting"], row["method"], row["metric"]): row["value"] for row in rows}
    apart = found["buffer 200, seed 0", "sleep", "accuracy"] - found["buffer 200, seed 0", "der++", "accuracy"]
    assert found["buffer 200", "sleep", "accuracy_minus_der++"] == pytest.approx(apart, abs=1e-5)
    assert all(0 <= found["buffer 200", method, "accuracy_task_told"] <= 1 for method in ("der++", "sleep"))
